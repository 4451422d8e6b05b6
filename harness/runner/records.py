# SPDX-License-Identifier: BSD-3-Clause
"""Runs as they lie on disk, read back for `report`, `diff` and the options of `run` that look at an earlier run.

They may come from somebody else: what is not as this runner writes it is refused in one line.
"""

import json
import os
from dataclasses import dataclass, field

from . import nvmeconfig
from .accounting import BEHAVIOURS, TEARDOWNS
from .compare import RESULTS_FORMAT
from .errors import UsageError

RESULTS = "results.json"
LARGEST_EVENTS = 1 << 28
OBSERVED = ("fail", "warn", "note")
TEXTS = ("title", "area", "requirement", "citation", "expected", "seen", "reason", "capture", "teardown_requirement",
         "teardown_expected", "teardown_seen", "teardown_reason", "again")


@dataclass
class Record:
    """Record is one run: its results.json, where it lay, and what the gate added to it."""

    directory: str
    results: dict
    gate: dict = field(default_factory=dict)
    label: str = ""

    @property
    def cases(self):
        return self.results["cases"]

    @property
    def observations(self):
        return self.results["observations"]


def load(path):
    """load returns the Record of a run's directory, a gate's directory, or a results.json; UsageError for anything else."""
    place = os.path.abspath(path)
    for candidate in (os.path.join(place, RESULTS), os.path.join(place, "suite", RESULTS), place):
        if os.path.isfile(candidate):
            return _read(candidate, path)
    if os.path.isdir(place):
        raise UsageError(f"{path}: holds no {RESULTS}; name the directory of a run")
    raise UsageError(f"{path}: no such run")


def _read(file, path):
    results, _ = nvmeconfig.load_json(file, "run")
    if not isinstance(results, dict) or results.get("format") != RESULTS_FORMAT:
        raise UsageError(f"{path}: is not a run of the format {RESULTS_FORMAT}")
    _check(results, path)
    directory = os.path.dirname(file)
    record = Record(directory, results, _gate(os.path.dirname(directory) if os.path.basename(directory) == "suite" else directory))
    kernel = record.gate.get("kernel")
    record.label = f"Linux {kernel}" if isinstance(kernel, str) and kernel else str(results.get("target") or "?")
    if results.get("defects"):
        record.label += f" with {', '.join(str(name) for name in results['defects'])}"
    return record


def _check(results, path):
    """_check refuses what could not be a run's, so that nobody behind it has to look twice."""
    for name in ("cases", "observations"):
        items = results.get(name)
        if not isinstance(items, list) or not all(isinstance(item, dict) and isinstance(item.get("id"), str) for item in items):
            raise UsageError(f"{path}: {name} is not a list of results")
    for case in results["cases"]:
        good = case.get("behaviour") in BEHAVIOURS and case.get("teardown") in TEARDOWNS
        good = good and all(isinstance(case.get(name, ""), str) for name in TEXTS)
        good = good and all(isinstance(case.get(name, []), list) for name in ("checks", "judged", "packets", "source", "steps"))
        if not good or not all(isinstance(ident, str) for ident in case.get("checks", []) + case.get("judged", [])):
            raise UsageError(f"{path}: the result of {case['id']} is damaged")
    for seen in results["observations"]:
        if seen.get("verdict") not in OBSERVED or not isinstance(seen.get("requirement"), str) \
                or not isinstance(seen.get("cases", []), list) or not isinstance(seen.get("first", {}), dict):
            raise UsageError(f"{path}: {seen['id']} is damaged")


def _gate(directory):
    path = os.path.join(directory, "gate.json")
    if not os.path.isfile(path):
        return {}
    gate, _ = nvmeconfig.load_json(path, "gate")
    return gate if isinstance(gate, dict) else {}


def conversations(record):
    """conversations returns {case: its events, in order} of what events.jsonl tells of the cases; none where that is missing.

    Only the last attempt of a case is kept: what was repeated is no evidence.
    """
    found = {}
    path = os.path.join(record.directory, "events.jsonl")
    if not os.path.isfile(path) or os.path.getsize(path) > LARGEST_EVENTS:
        return found
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue  # a run that was killed leaves half a line
            case = event.get("case") if isinstance(event, dict) else None
            if not isinstance(case, str):
                continue
            if event.get("event") == "case-start":
                found[case] = []
            elif event.get("event") in ("step", "log", "packet", "observation", "judged"):
                found.setdefault(case, []).append(event)
    return found


def kernel_log(record):
    """kernel_log returns {case: what the kernel said meanwhile, line by line} of a gate's run."""
    spans = record.gate.get("cases")
    said = {}
    for span in spans if isinstance(spans, list) else []:
        lines = span.get("kernel") if isinstance(span, dict) else None
        if isinstance(lines, list) and isinstance(span.get("case"), str):
            said[span["case"]] = [str(line) for line in lines]
    return said
