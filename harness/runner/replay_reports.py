# SPDX-License-Identifier: BSD-3-Clause
"""The reports of `nvme-conform replay`: those of a run, with a case for each capture."""

import datetime
import json
import shlex
import time

from . import catalogue as cat
from . import junit, ktap
from .accounting import Observation, Result
from .errors import EXIT_CANNOT_JUDGE, EXIT_FAIL, EXIT_OK
from .reports import Reports
from .run import program_name

AREA = "replay"
BEHAVIOUR = {EXIT_OK: "pass", EXIT_FAIL: "fail", EXIT_CANNOT_JUDGE: "inconclusive"}


class Book:
    """Book is to captures what Ledger is to the cases of a run, as far as reports look at it."""

    def __init__(self):
        self.results = {}
        self.observations = {}
        self.faults = []
        self.num_faults = 0

    def add(self, replay, status):
        """add books one judged capture."""
        result = Result(cat.Case(f"{AREA}.{replay.path}", title=f"the conversation in {replay.path}", area=AREA))
        result.behaviour = BEHAVIOUR.get(status, "error")
        result.reason = replay.refused or (replay.end or {}).get("reason", "")
        graded = [(cat.LEVELS[event["level"]], event) for event in replay.violations]
        for verdict, event in sorted(graded, key=lambda item: item[0] != "fail"):
            result.packets.append(event["frame"])
            if not result.requirement:
                result.requirement, result.citation = event["requirement"], event["citation"]
                result.expected, result.seen = event["expected"], event["text"]
            if result.behaviour == "pass" and verdict == "warn":
                result.behaviour = "warn"
            self._observe(event, result.case.id)
        if status == EXIT_FAIL:
            result.reason = ""
        self.results[f"{len(self.results)} {replay.path}"] = result

    def _observe(self, event, case):
        seen = self.observations.setdefault(event["requirement"], Observation(
            event["requirement"], event["level"], event["expected"], event["text"], case, event["frame"], event["conn"]))
        seen.count += 1
        if case not in seen.cases:
            seen.cases.append(case)


def begin(directory, redactor):
    """begin returns Reports over a directory that holds no other; UsageError otherwise."""
    reports = Reports(directory, redactor)
    reports.started = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    reports.clock = time.monotonic()
    return reports


def finish(reports, document, results):
    """finish writes results.json, ktap.txt and junit.xml. results: pairs of Replay and exit status."""
    book = Book()
    for replay, status in results:
        book.add(replay, status)
    paths = {result.case.id: replay.path for (replay, _), result in zip(results, book.results.values())}

    def again(ident):
        return f"{program_name()} replay {shlex.quote(paths[ident])}"

    reports.write("results.json", json.dumps(document, indent=1) + "\n")
    reports.write("ktap.txt", ktap.render(book))
    reports.write("junit.xml", junit.render(book, reports.started, time.monotonic() - reports.clock, again))
    reports.close()
