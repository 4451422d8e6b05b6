# SPDX-License-Identifier: BSD-3-Clause
"""Runs laid out as targets x requirements: the object of report.json, of which the page is a picture.

A case that passes has judged what it says that it judged: one of many rows seldom comes to all that its case checks, and what it did not
come to gets nothing from it. One that fails has judged what its verdict names; whether it came to the rest is not
known, so the rest gets nothing from it, and `inconclusive` where nothing else says more. The observer's verdicts count like cases.
What is withheld (withhold.py) counts too, and is not shown.
"""

import shlex

from . import __version__, diff, records, withhold
from .catalogue import Requirement
from .terminal import clean, indented

FORMAT = "nvme-conform-report/1"
# From worst to best; what stands first decides a cell.
WORST = ("fail", "error", "inconclusive", "warn", "pass", "note", "skip")
NO_AREA = "Not in the catalogue"
EVENTS_OF_A_CASE = 400
EVENTS_IN_ALL = 60000
KERNEL_LINES = 200
SUSPECTS_SHOWN = 5
CASE_FIELDS = ("behaviour", "teardown", "requirement", "expected", "seen", "reason", "teardown_requirement", "teardown_expected",
               "teardown_seen", "teardown_reason", "answers_lost")
PACKET_FIELDS = ("packets", "capture", "source", "duration_ms")
BRIEF_FIELDS = ("behaviour", "teardown")
EVENT_FIELDS = ("event", "kind", "n", "packet", "conn", "dir", "t_ms", "text", "requirement", "expected", "seen")


def build(catalogue, runs, since, conversations=True, withheld=frozenset()):
    """build returns the object of report.json. runs: Records; since: for each of them an earlier Record, or None. Without
    conversations it says what was seen, but not what provoked it; of what breaks a requirement in withheld it says neither."""
    budget = [EVENTS_IN_ALL] if conversations else None
    columns = [_Column(record, earlier, budget, withheld) for record, earlier in zip(runs, since)]
    known = dict(catalogue.requirements)
    for column in columns:
        for ident in column.cells:
            known.setdefault(ident, Requirement(ident, level="?", area=NO_AREA))
    rows = [{"id": item.id, "level": item.level, "area": item.area or NO_AREA, "statement": item.statement,
             "citation": item.citation, "expected": item.expected, "ends": item.ends,
             "cells": [column.cell(item.id) for column in columns]} for item in known.values()]
    titles = {case["id"]: case.get("title", "") for column in columns for case in column.record.cases if case["id"] in column.results}
    return _clean({"format": FORMAT, "version": __version__, "withheld": sorted(withheld), "runs": [column.head for column in columns],
                   "requirements": rows, "titles": titles, "results": [column.results for column in columns]})


def _clean(value):
    """_clean makes every text in value harmless to look at; a target chose some of them."""
    if isinstance(value, str):
        return indented(value)
    if isinstance(value, dict):
        return {clean(key): _clean(item) for key, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, (list, tuple)) else value


def _spotless(case):
    return case["behaviour"] == "pass" and case["teardown"] in ("pass", "none")


class _Column:
    """_Column is one run, by requirement."""

    def __init__(self, record, earlier, budget, withheld):
        self.record = record
        self.withheld = withheld
        self.hidden = withhold.hidden(record.results, withheld)
        rows = diff.changes(earlier.results, record.results) if earlier else []
        self.changes = {ident: kind for ident, kind, _, _ in rows}
        if earlier:
            hidden = {**withhold.hidden(earlier.results, withheld), **self.hidden}
            rows = list({hidden.get(row[0], row[0]): [hidden.get(row[0], row[0]), *row[1:]] for row in reversed(rows)}.values())[::-1]
        self.head = self._head(earlier, rows)
        self.cells = {}
        self.results = {}
        events = records.conversations(record) if budget else {}
        said = records.kernel_log(record) if budget else {}
        for case in sorted(record.cases, key=_spotless):  # the budget is for what has to be explained first
            self._case(case, events.get(case["id"], []), said.get(case["id"], []), budget)
        for seen in record.observations:
            cell = self._cell(seen["requirement"])
            cell["observed"] = self._observed(cell, seen, budget is None)
            cell["behaviours"].append(seen["verdict"])
            self._mark(cell, seen["id"])

    def _head(self, earlier, rows):
        results, gate = self.record.results, self.record.gate
        head = {name: results.get(name) for name in ("target", "started", "seed", "defects", "fault", "command", "exit_status",
                                                      "counts", "findings", "unmet_claims", "engine_faults")}
        for name in ("command", "engine_faults"):
            head[name] = self._told(head[name])
        found = gate.get("findings")
        head.update(label=self.record.label, stopped=self._stopped(results.get("deaths")), kernel=gate.get("kernel"),
                    death=self._told(gate.get("death")),
                    kernel_findings=[withhold.WORDS if one.get("case") in self.hidden else one.get("title")
                                     for one in found if isinstance(one, dict)] if isinstance(found, list) else [],
                    since=f"{earlier.label}, {earlier.results.get('started', '?')}" if earlier else None,
                    changes=[{"id": ident, "kind": kind, "earlier": diff.shown(before), "later": diff.shown(after)}
                             for ident, kind, before, after in rows])
        return head

    def _cell(self, ident):
        return self.cells.setdefault(ident, {"behaviours": [], "teardowns": [], "cases": [], "unreached": 0, "observed": None,
                                             "changed": None, "withheld": False})

    def _observed(self, cell, seen, brief):
        """_observed returns what a cell tells of what the observer saw."""
        told = {name: seen.get(name) for name in ("id", "verdict", "level", "count", "cases", "first")}
        first = told["first"] if isinstance(told["first"], dict) else {}
        if seen["requirement"] in self.withheld and seen["verdict"] != "note" or first.get("case") in self.hidden:
            cell["withheld"], told["cases"], told["first"] = True, [], {}
        told["cases"] = [ident for ident in told["cases"] or [] if ident not in self.hidden]
        if brief:
            del told["cases"]
        return told

    def _told(self, value):
        """_told returns value, with what names a case that is not shown left out."""
        if isinstance(value, list):
            return [self._told(item) for item in value]
        return withhold.WORDS if isinstance(value, str) and any(ident in value for ident in self.hidden) else value

    def _stopped(self, deaths):
        """_stopped says of each time that the target stopped serving who did it, as far as that is known."""
        said = []
        for death in deaths if isinstance(deaths, list) else []:
            suspects = death.get("suspects") if isinstance(death, dict) else None
            if isinstance(suspects, list) and suspects:
                names = [self.hidden.get(str(ident), str(ident)) for ident in [death.get("killer"), *suspects[:SUSPECTS_SHOWN]] if ident]
                who = names[0] if death.get("killer") else f"in or after one of: {', '.join(dict.fromkeys(names))}"
                said.append(f"{who} ({death.get('seen') or '?'})")
        return said

    def _mark(self, cell, ident):
        kind = self.changes.get(ident)
        order = list(diff.KINDS)
        if kind and (not cell["changed"] or order.index(kind) < order.index(cell["changed"])):
            cell["changed"] = kind

    def _case(self, case, events, kernel, budget):
        named = case.get("requirement") or (case.get("checks") or [""])[0]
        checks = list(dict.fromkeys([*case.get("checks", []), *([named] if named else [])]))
        ended = case.get("teardown_requirement") or named
        # A run that is older than the member `judged` cannot tell, and is read as if each row came to everything.
        if case["behaviour"] == "pass" and "judged" in case:
            checks = case["judged"]
        for ident in dict.fromkeys([*checks, *([ended] if ended and case["teardown"] != "none" else [])]):
            cell = self._cell(ident)
            if case["id"] in self.hidden:
                cell["withheld"] = True
            else:
                cell["cases"].append(case["id"])
            if ident in checks and (case["behaviour"] not in ("fail", "warn") or ident == named):
                cell["behaviours"].append(case["behaviour"])
            elif ident in checks:
                cell["unreached"] += 1
            if case["teardown"] == "pass" or (case["teardown"] != "none" and ident == ended):
                cell["teardowns"].append(case["teardown"])
            self._mark(cell, case["id"])
        if case["id"] in self.hidden:
            return
        # A page that is kept is to be small, too: without conversations a clean case says that it is clean.
        brief = budget is None and _spotless(case)
        fields = BRIEF_FIELDS if brief else CASE_FIELDS if budget is None else CASE_FIELDS + PACKET_FIELDS
        shown = {name: case[name] for name in fields if case.get(name)}
        if not brief:
            shown["again"] = case.get("again") or self._again(case["id"])
        if case["id"] in self.changes:
            shown["changed"] = self.changes[case["id"]]
        if events:
            shown["events"], shown["left_out"] = _shorten(events) if budget[0] > 0 else ([], len(events))
            budget[0] -= len(shown["events"])
        if kernel:
            shown["kernel"] = kernel[:KERNEL_LINES]
        self.results[case["id"]] = shown

    def _again(self, ident):
        """_again returns the command of the run with one case in place of what it selected; empty where it cannot tell."""
        try:
            words = shlex.split(str(self.record.results.get("command") or ""))
        except ValueError:
            return ""
        options = next((index for index, word in enumerate(words) if index > 1 and word.startswith("-")), len(words))
        return shlex.join([*words[:2], ident, *words[options:]]) if len(words) > 1 else ""

    def cell(self, ident):
        """cell returns what this run has to say about a requirement, or None."""
        cell = self.cells.get(ident)
        if not cell:
            return None
        behaviour = _worst(cell["behaviours"]) or ("inconclusive" if cell["unreached"] else "none")
        return {"behaviour": behaviour, "teardown": _worst(cell["teardowns"]) or "none", "cases": cell["cases"],
                "observed": cell["observed"], "changed": cell["changed"], **({"withheld": True} if cell["withheld"] else {})}


def _worst(verdicts):
    return min(verdicts, key=WORST.index, default=None)


def _shorten(events):
    """_shorten returns the events of a case with what the page needs of each, and how many were left out of the middle."""
    left_out = max(0, len(events) - EVENTS_OF_A_CASE)
    if left_out:
        head = EVENTS_OF_A_CASE // 8  # how it began; what failed is at the end
        events = events[:head] + events[head + left_out :]
    return [{name: event[name] for name in EVENT_FIELDS if name in event} for event in events], left_out
