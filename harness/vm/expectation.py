# SPDX-License-Identifier: BSD-3-Clause
"""The gate's use of a baseline: read before the boot, laid beside the run's results, told to a person."""

import json
import os
from collections import Counter

from ..runner import catalogue, engine
from ..runner.errors import RunnerError
from . import baseline
from .errors import EXIT_CANNOT_JUDGE, EXIT_OK, EXIT_UNEXPECTED, GateError

DEFAULT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "baselines",
                       "linux.toml")
WORDS = {"unlisted": "NOT LISTED", "other": "NOT AS LISTED", "missing": "NOT AS LISTED",
         "unexplained": "NOT EXPLAINED"}
JUDGED = ("pass", "warn", "fail")
LINE_CHARACTERS = 300


def known_ids():
    """known_ids returns every id that a result of this engine can have."""
    try:
        listed = catalogue.read(engine.list_objects())
    except RunnerError as error:
        raise GateError(error, error.exit_status) from None
    return set(listed.cases) | {baseline.OBSERVER + name for name in listed.requirements}


def results_in(directory):
    """results_in returns {id: Found} of the suite's reports in directory."""
    path = os.path.join(directory, "results.json")
    try:
        with open(path, encoding="utf-8") as file:
            return baseline.results_of(json.load(file))
    except (OSError, ValueError) as error:
        raise GateError(f"the suite left no results ({path}: {error})") from error


class Judgement:
    """Judgement is the comparison of one run with a baseline, for the gate's reports."""

    def __init__(self, comparison, found, kernel_as_expected):
        self.comparison = comparison
        self.found = found
        self.kernel_as_expected = kernel_as_expected

    def exit_status(self):
        """exit_status is 125 for a run that judged nothing, else whether all is as expected."""
        if not any(result.behaviour in JUDGED for result in self.found.values()):
            return EXIT_CANNOT_JUDGE
        return EXIT_OK if self.comparison.as_expected else EXIT_UNEXPECTED

    def lines(self, again):
        """lines tells what is not as expected, how to see it again, and the counts."""
        for difference in self.comparison.differences:
            text = f"{WORDS[difference.kind]} {difference.id} {difference.found}: {difference.why}"
            yield text[:LINE_CHARACTERS]
            if not difference.id.startswith(baseline.OBSERVER):
                yield f"     again: nvme-conform {again} {difference.id}"
        if self.comparison.flaky:
            yield f"flaky, as listed: {', '.join(sorted(self.comparison.flaky))}"
        lost = sum(result.answers_lost > 0 for result in self.found.values())
        kinds = Counter(difference.kind for difference in self.comparison.differences)
        parts = [f"{self.comparison.clean} clean", f"{self.comparison.as_listed} as listed"]
        parts += [f"{kinds[kind]} {word.lower()}" for kind, word in
                  (("unlisted", "not listed"), ("unexplained", "not explained")) if kinds[kind]]
        other = kinds["other"] + kinds["missing"]
        parts += [f"{other} not as listed"] if other else []
        parts += [f"{lost} repeated after a lost answer or connection"] if lost else []
        parts += [f"{len(self.comparison.lost)} of them in vain"] if self.comparison.lost else []
        verdict = "AS EXPECTED" if self.comparison.as_expected else "NOT AS EXPECTED"
        yield f"{verdict}: {len(self.found)} results, {', '.join(parts)}"

    def facts(self):
        """facts returns what gate.json says about the comparison."""
        return {"clean": self.comparison.clean, "as_listed": self.comparison.as_listed,
                "flaky": dict(self.comparison.flaky), "lost": self.comparison.lost,
                "differences": [{"kind": each.kind, "id": each.id, "found": each.found,
                                 "why": each.why} for each in self.comparison.differences]}


class Expectation:
    """Expectation is a baseline that fits this engine."""

    def __init__(self, path):
        self.baseline = baseline.Baseline(path)
        known = known_ids()
        self.baseline.check_stale(known)
        self.baseline.check_contradictions(known)

    def kernel_as_expected(self, report, near):
        """kernel_as_expected tells whether the kernel was silent, or said only what is listed.

        Taint is what a listed report leaves behind; a dead guest is never expected.
        """
        if report.kernel_silent:
            return True
        return report.death is None and report.taint_after is not None and bool(report.findings) \
            and all(self.baseline.splat_listed(near(found), found.lines, report.release)
                    for found in report.findings)

    def compare(self, directory, report, near, whole, lenient):
        """compare returns the Judgement of the run whose results are in directory."""
        found = results_in(directory)
        return Judgement(self.baseline.compare(found, report.release, whole, lenient), found,
                         self.kernel_as_expected(report, near))

    def again(self, results, report, lenient):
        """again judges a stored run: results.json of the suite and gate.json of the gate."""
        release, found = report["kernel"], baseline.results_of(results)
        silent = not report["findings"] and report["taint_before"] == report["taint_after"]
        listed = report["findings"] and all(
            self.baseline.splat_listed(each.get("near") or [each["case"]], each["lines"], release)
            for each in report["findings"])
        alive = report["death"] is None and report["taint_after"] is not None
        return Judgement(self.baseline.compare(found, release, True, lenient), found,
                         bool(alive and (silent or listed)))

    def update(self, judgement, release):
        """update appends what is not listed to the baseline and returns a line about it."""
        text = baseline.new_entries(judgement.comparison, judgement.found, release)
        if text:
            with open(self.baseline.path, "a", encoding="utf-8") as file:
                file.write(text)
        narrow = sorted({each.entry.name for each in judgement.comparison.differences
                         if each.kind in ("other", "missing")})
        return (f"{text.count('[[entry]]')} entries added to {self.baseline.path}, to be explained"
                + (f"; no longer true for {release}: {', '.join(narrow)}" if narrow else ""))
