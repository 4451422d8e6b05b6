#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Holds the #include lines of the tree against the arrows of docs/architecture.md."""

import pathlib
import re
import sys

ALLOWED = {
    "lib/wire": {"wire"},
    "lib/crypto": {"crypto", "wire"},
    "lib/catalogue": {"catalogue"},
    "lib/stream": {"stream", "crypto", "wire"},
    "lib/host": {"host", "stream", "crypto", "wire"},
    "lib/target": {"target", "stream", "crypto", "wire", "catalogue"},
    "lib/observer": {"observer", "crypto", "wire", "catalogue"},
    "lib/capture": {"capture", "observer", "crypto", "wire", "catalogue"},
    "suites": {"suites", "host", "stream", "crypto", "wire", "catalogue"},
    "harness/engine": {"harness", "suites", "host", "target", "observer", "capture", "stream", "crypto", "wire", "catalogue"},
}
# Headers of the world outside which a part of the library has no business with.
FORBIDDEN_SYSTEM = re.compile(r"(check|sys/socket|netdb|poll|sys/epoll|arpa/inet|netinet/.*)\.h")
# It talks with a process of its own, not with the world.
EXCEPTED = {("lib/capture/live.c", "sys/socket.h"), ("lib/capture/live.c", "poll.h")}
# Nothing is threaded: the library has one caller at a time, the engine one process for each case.
THREADS = re.compile(r"(pthread|threads)\.h")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def violations(root):
    """violations yields one line for each include that runs against the arrows."""
    for place, allowed in ALLOWED.items():
        for path in sorted((root / place).glob("*.[ch]")):
            for kind, name in INCLUDE.findall(path.read_text(encoding="utf-8")):
                where = path.relative_to(root)
                if kind == '"' and "/" in name and name.split("/")[0] not in allowed:
                    yield f"{where} includes {name}"
                if kind == "<" and place.startswith("lib/") and FORBIDDEN_SYSTEM.fullmatch(name) and place != "lib/stream" \
                        and (str(where), name) not in EXCEPTED:
                    yield f"{where} includes <{name}>"
                if kind == "<" and (THREADS.fullmatch(name) or place == "suites" and FORBIDDEN_SYSTEM.fullmatch(name)):
                    yield f"{where} includes <{name}>"


def main():
    """main prints the violations and returns 1 when there are any; an empty tree is one too."""
    root = pathlib.Path(__file__).resolve().parent.parent
    empty = [f"{place} holds no source" for place in ALLOWED if not list((root / place).glob("*.c"))]
    found = list(violations(root)) + empty
    for line in found:
        print(f"arrows: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
