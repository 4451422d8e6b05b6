# SPDX-License-Identifier: BSD-3-Clause
"""libnvme 3.0's nvme-fabrics.conf and its drop-ins, as its design document (libnvme/design/CONFIG.md in nvme-cli) describes them.

Each file is one host ([Host]) with its endpoints; each `controller =` line of a [Subsystem] is one connection. What a line does not
say comes from its section, the file's [Host], the file's [I/O Controller Defaults] and those of the main file, in this order.
Discovery controllers are passed over: they are not what is tested.
"""

import glob
import os
import re

from . import keys
from .errors import UsageError

LARGEST = 1 << 20
DEFAULTS = "I/O Controller Defaults"
# Section names by how often a file may have them.
SINGLE = ("Host", DEFAULTS, "Discovery Controller Defaults")
MANY = ("Subsystem", "Discovery Controller")
# Bound to host and subsystem, so not to be had per path.
SECURITY = ("dhchap-secret", "dhchap-ctrl-secret", "kxchap-secret", "kxchap-ctrl-secret", "tls", "tls-key", "tls-key-identity",
            "keyring", "concat")
TRUE, FALSE = ("1", "yes", "y", "true", "t", "on"), ("0", "no", "n", "false", "f", "off")
SECTION = re.compile(r"\[([^\]]*)\]$")


def is_ini(path, data):
    """is_ini tells whether the bytes of a configuration are in this format: neither named .json nor beginning like JSON."""
    return not path.endswith(".json") and not re.match(rb"\s*(\{|\[\s*[\{\]]|$)", data)


def connections(path):
    """connections returns one dict of settings (values are texts) for each path to each subsystem; "file" says where it stands."""
    found, top = [], {}
    places = [path] if os.path.exists(path) else []
    places += sorted(glob.glob(os.path.join(glob.escape(path) + ".d", "*.conf")))
    if not places:
        raise UsageError(f"config {path}: No such file or directory")
    for place in places:
        sections = _parse(place)
        own = dict(next((items for name, items in sections if name == DEFAULTS), []))
        if place == path:
            top = own
        host = dict(next((items for name, items in sections if name == "Host"), []))
        if place != path and "Host" in [name for name, _ in sections] and not host.get("hostnqn"):
            raise UsageError(f"config {place}: its [Host] names no hostnqn")
        for name, items in sections:
            if name == "Subsystem":
                found += _paths(place, items, {**top, **own, **host})
    return found


def _paths(place, items, inherited):
    endpoint = dict(item for item in items if item[0] != "controller")
    if not endpoint.get("nqn"):
        raise UsageError(f"config {place}: a [Subsystem] names no nqn")
    for key, value in items:
        if key != "controller":
            continue
        line = {}
        for part in value.split(";"):
            name, equals, text = part.partition("=")
            if not equals and part.strip():
                raise UsageError(f"config {place}: controller = ...: {part.strip()!r} is not key=value")
            line[name.strip()] = text.strip()
        for name in SECURITY:
            if name in line:
                raise UsageError(f"config {place}: {name} belongs into a section, not on a controller line")
        if not line.get("traddr"):
            raise UsageError(f"config {place}: a controller line of {endpoint['nqn']} names no traddr")
        yield {**inherited, **endpoint, **line, "file": place}


def _parse(path):
    """_parse returns [(section, [(key, value)])] in order."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            text = file.read(LARGEST + 1).decode("utf-8")
    except OSError as error:
        raise UsageError(f"config {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"config {path}: byte {error.start + 1} is not UTF-8") from None
    if len(text) > LARGEST:
        raise UsageError(f"config {path}: longer than {LARGEST} bytes")
    sections = []
    for number, line in enumerate(text.splitlines(), 1):
        # The document's examples end lines with comments.
        line = re.sub(r"^\s*[#;].*|\s#.*", "", line).strip()
        if not line:
            continue
        head = SECTION.match(line)
        key, equals, value = line.partition("=")
        if head:
            _begin(path, number, sections, head[1].strip())
        elif not equals or not sections:
            # Never the line itself: it may hold a secret.
            raise UsageError(f"config {path}: line {number} is neither [Section] nor key = value")
        else:
            sections[-1][1].append((key.strip(), value.strip()))
    return sections


def _begin(path, number, sections, name):
    if name not in SINGLE + MANY:
        sections.append((name, []))  # unknown: ignored, as libnvme does
        return
    earlier = next((section for section in sections if section[0] == name), None)
    if name == "Host" and earlier:
        raise UsageError(f"config {path}: line {number}: a second [Host]; a file is one host")
    if name in SINGLE and earlier:
        sections.remove(earlier)
        sections.append(earlier)
    else:
        sections.append((name, []))


def truth(connection, key):
    """truth returns the boolean value of a key; UsageError when it is none."""
    text = connection.get(key, "").lower()
    if text and text not in TRUE + FALSE:
        raise UsageError(f"config {connection['file']}: {key} is neither true nor false")
    return text in TRUE


def refuse_shared(connection):
    """refuse_shared raises UsageError when the secrets of a connection stand in a file that others may read."""
    place = connection["file"]
    if any(connection.get(key) for key in SECURITY if key.endswith(("secret", "tls-key"))):
        keys.refuse_shared(os.stat(place).st_mode, place, f"config {place}: holds secrets and is")
