#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Holds what the cases say that they check against what their rows came to in a whole run of a clean target.

A requirement that a case lists and none of its rows judges would count as covered, and nothing would look at it. What the observer
judges on every connection, it judges on those of the case. Where an end of the connection is stated, it is judged too.
"""

import json
import pathlib
import subprocess
import sys


def observed(engine):
    """observed returns the requirements that the observer judges."""
    done = subprocess.run([engine, "list"], capture_output=True, text=True, timeout=60, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["observer"]["requirement"] for line in lines if "observer" in line}


def holes(results, elsewhere):
    """holes yields one line for each requirement of a case that none of its rows judged. results: the object of results.json."""
    checked, judged = {}, {}
    for case in results["cases"]:
        name = case["id"].split("/", 1)[0]
        checked[name] = case["checks"]
        judged.setdefault(name, set()).update(case.get("judged", []))
    for name, checks in checked.items():
        for ident in checks:
            if ident not in judged[name] | elsewhere:
                yield f"{name} says that it checks {ident}, and none of its rows judges it"


def untold(results):
    """untold yields one line for each case of a clean target whose connection nobody judged although an end of it is stated."""
    for case in results["cases"]:
        silence = case.get("teardown_reason", "")
        if case["teardown"] == "none" and not ("no end" in silence or "leaves open" in silence):
            yield f"{case['id']} has no teardown verdict: {silence or 'no reason given'}"


def main(engine, run):
    """main prints the holes of the run in a directory and returns 1 when there are some."""
    results = json.loads((pathlib.Path(run) / "results.json").read_text(encoding="utf-8"))
    found = [*holes(results, observed(engine)), *untold(results)]
    for line in found:
        print(f"judged: {line}", file=sys.stderr)
    if not found:
        print(f"judged: every requirement that {len(results['cases'])} results check is judged, and every end that is stated")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
