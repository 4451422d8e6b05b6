# SPDX-License-Identifier: BSD-3-Clause
"""A run as KTAP version 1: one subtest per area; behaviour and teardown are lines of their own."""

from .catalogue import area_of
from .terminal import clean


def word(text):
    """word returns text as a name or a diagnosis may have it."""
    # "#" begins a directive and must not stand in a name or a diagnosis.
    return clean(text).replace("#", "(hash)")


def line(number, name, verdict, reason=""):
    """line returns one result line: warn is ok with a remark, inconclusive and error are not ok, and say which they are."""
    ok = verdict in ("pass", "warn", "skip", "note", "none")
    directive = {"skip": "SKIP", "warn": "WARN", "inconclusive": "ERROR", "error": "ERROR", "note": "NOTE"}.get(verdict)
    text = f"{'ok' if ok else 'not ok'} {number} {word(name)}"
    if not directive:
        return text
    if verdict == "inconclusive":
        reason = f"inconclusive: {reason}"
    return f"{text} # {directive} {word(reason)}".rstrip()


def _diagnosis(result):
    for label, value in (
        ("requirement", f"{result.requirement} {result.citation}".strip()),
        ("expected", result.expected),
        ("seen", result.seen),
        ("reason", result.reason),
        ("packets", ", ".join(str(n) for n in result.packets)),
        ("teardown expected", result.teardown_expected),
        ("teardown seen", result.teardown_seen),
    ):
        if value:
            yield f"# {label}: {word(value)}"


def _tests(results):
    """_tests yields (name, verdict, reason, diagnosis lines) of an area, teardowns behind their behaviours."""
    for result in results:
        diagnosis = [] if result.clean else list(_diagnosis(result))
        yield result.case.id, result.behaviour, result.reason or result.seen, diagnosis
        if result.teardown != "none":
            yield f"{result.case.id} teardown", result.teardown, result.teardown_seen, []


def render(ledger):
    """render returns the whole document."""
    areas = {}
    for result in ledger.results.values():
        areas.setdefault(area_of(result.case), []).append(result)
    tests = {name: list(_tests(results)) for name, results in areas.items()}
    if ledger.observations:
        tests["observer"] = tests.get("observer", []) + [
            (seen.id, seen.verdict, seen.seen, [f"# seen {seen.count} times, first in {seen.case}: {word(seen.seen)}"])
            for seen in ledger.observations.values()
        ]
    if ledger.num_faults:
        tests["engine"] = [("engine", "error", ledger.faults[0], [f"# {word(text)}" for text in ledger.faults])]
    out = ["KTAP version 1", f"1..{len(tests)}"]
    for number, (name, entries) in enumerate(tests.items(), 1):
        out += ["  KTAP version 1", f"  # Subtest: {word(name)}", f"  1..{len(entries)}"]
        for index, (test, verdict, reason, diagnosis) in enumerate(entries, 1):
            out += [f"  {text}" for text in diagnosis]
            out.append("  " + line(index, test, verdict, reason))
        verdicts = [entry[1] for entry in entries]
        out.append(_parent(number, name, verdicts))
    return "\n".join(out) + "\n"


def _parent(number, name, verdicts):
    if "fail" in verdicts:
        return line(number, name, "fail")
    for verdict in ("error", "inconclusive"):
        if verdict in verdicts:
            return line(number, name, verdict, f"{verdicts.count(verdict)} of {len(verdicts)}")
    if all(verdict == "skip" for verdict in verdicts):
        return line(number, name, "skip", "every case was skipped")
    return line(number, name, "pass")
