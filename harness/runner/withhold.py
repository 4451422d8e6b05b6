# SPDX-License-Identifier: BSD-3-Clause
"""Findings that their implementer is to hear of first (SECURITY.md): the requirement and its verdict are told, the way there is not.

As the name of a case says what it sends, and which cases failed says what works, nothing is left of any case that judges such a
requirement, clean or not, once one of them was not clean.
"""

import re

from .errors import UsageError

WORDS = "report to the implementer first"
IDENT = re.compile(r"[CHN]-\d+")


def load(path):
    """load returns the requirements of a file that has one on each line; # begins a comment. UsageError for any other file."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.split("#", 1)[0].strip() for line in file]
    except OSError as error:
        raise UsageError(f"--withhold {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"--withhold {path}: is not text; it has one requirement on each line") from None
    for number, line in enumerate(lines, 1):
        if line and not IDENT.fullmatch(line):
            raise UsageError(f"--withhold {path}: line {number}: {line!r} is not the id of a requirement, such as C-205")
    if not any(lines):
        raise UsageError(f"--withhold {path}: names no requirement")
    return frozenset(filter(None, lines))


def judged_by(case):
    """judged_by returns the requirements that a result of results.json speaks of."""
    named = (case.get("requirement"), case.get("teardown_requirement"))
    return list(dict.fromkeys([*case.get("checks", []), *(ident for ident in named if ident)]))


def hidden(results, withheld):
    """hidden returns {case: the requirement for whose sake it is not shown} of the object of results.json."""
    touched = {seen["requirement"] for seen in results["observations"] if seen["verdict"] != "note"}
    for case in results["cases"]:
        if not (case["behaviour"] in ("pass", "skip") and case["teardown"] in ("pass", "none")):
            touched.update(judged_by(case))
    touched &= withheld
    found = {case["id"]: next((ident for ident in judged_by(case) if ident in touched), None) for case in results["cases"]}
    return {ident: requirement for ident, requirement in found.items() if requirement}
