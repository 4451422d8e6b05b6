# SPDX-License-Identifier: BSD-3-Clause
"""Where the machine's own apt gets Debian from: the only mirror that this package talks to."""

import glob
import os
import re
from dataclasses import dataclass

DEBIAN_SUITE = re.compile(
    r"^(oldoldstable|oldstable|stable|testing|unstable|sid|bullseye|bookworm|trixie|forky|duke)"
    r"(-updates|-backports|-backports-sloppy|-proposed-updates)?$")


@dataclass(frozen=True)
class Source:
    """Source is one enabled entry of an apt configuration."""
    types: tuple
    uri: str
    suites: tuple
    components: tuple


def parse_list(text):
    """parse_list reads the one-line format of sources.list(5)."""
    found = []
    for line in text.splitlines():
        words = re.sub(r"\[[^\]]*\]", " ", line.split("#", 1)[0]).split()
        if len(words) >= 3 and words[0] in ("deb", "deb-src"):
            found.append(Source((words[0],), words[1].rstrip("/"), (words[2],), tuple(words[3:])))
    return found


def _stanzas(text):
    fields, last = {}, None
    for line in text.splitlines() + [""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, None
        elif line[0] in " \t":
            if last:
                fields[last] += " " + line.strip()
        elif ":" in line:
            last, value = line.split(":", 1)
            last = last.strip().lower()
            fields[last] = value.strip()


def parse_deb822(text):
    """parse_deb822 reads the stanza format of *.sources files; disabled stanzas are left out."""
    found = []
    for fields in _stanzas(text):
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        for uri in fields.get("uris", "").split():
            found.append(Source(tuple(fields.get("types", "").split()), uri.rstrip("/"),
                                tuple(fields.get("suites", "").split()),
                                tuple(fields.get("components", "").split())))
    return found


def read_machine(etc="/etc/apt"):
    """read_machine returns the entries of every source file under etc that can be read."""
    found = []
    for path in [os.path.join(etc, "sources.list"),
                 *sorted(glob.glob(os.path.join(etc, "sources.list.d", "*.list"))),
                 *sorted(glob.glob(os.path.join(etc, "sources.list.d", "*.sources")))]:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        found += (parse_deb822 if path.endswith(".sources") else parse_list)(text)
    return found


def debian_mirror(sources):
    """debian_mirror returns the URI of the Debian archive among sources, or None.

    A security archive has neither backports nor forky, so entries for it do not count.
    """
    for source in sources:
        if "deb" in source.types and "main" in source.components \
                and any(DEBIAN_SUITE.match(suite) for suite in source.suites):
            return source.uri
    return None
