# SPDX-License-Identifier: BSD-3-Clause
"""The directory of a run: events.jsonl as it happens, the rest rendered at the end. Every byte passes the redactor."""

import contextlib
import datetime
import json
import os

from . import __version__, junit, ktap
from .engine import ROOT
from .errors import UsageError

EVENTS = "events.jsonl"
FILES = ("results.json", "ktap.txt", "junit.xml")  # and these at the end


def default_directory():
    """default_directory makes reports/run-TIME under the source tree, or under the current directory once installed, and returns it.

    Of several that ask at the same time each gets one of its own.
    """
    in_tree = os.path.isfile(os.path.join(ROOT, "Makefile"))
    base = os.path.join(ROOT if in_tree else os.getcwd(), "reports")
    stamp = datetime.datetime.now().strftime("run-%Y%m%d-%H%M%S")
    path, number = os.path.join(base, stamp), 1
    try:
        os.makedirs(base, exist_ok=True)
        while True:
            try:
                os.mkdir(path)
                return path
            except FileExistsError:
                number += 1
                path = os.path.join(base, f"{stamp}-{number}")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; name another directory with --output-dir") from error


class Reports:
    """Reports writes the files of one run into a directory that holds no other run."""

    def __init__(self, directory, redactor):
        self.directory = os.path.abspath(directory) if directory else default_directory()
        self._redactor = redactor
        self._events = None
        if any(os.path.exists(self.path(name)) for name in (EVENTS, *FILES)):
            raise UsageError(f"--output-dir {self.directory}: holds the reports of another run; name another directory")
        try:
            os.makedirs(self.directory, exist_ok=True)
            # Line by line, so that a runner that is killed leaves what it knew.
            self._events = open(self.path(EVENTS), "x", encoding="utf-8", buffering=1)
        except OSError as error:
            raise UsageError(f"--output-dir {self.directory}: {error.strerror}") from error

    def path(self, name):
        """path returns where the file called name is."""
        return os.path.join(self.directory, name)

    def event(self, event):
        """event appends one event."""
        self.event_line(json.dumps(event))

    def event_line(self, line):
        """event_line appends one event as the engine wrote it."""
        self._events.write(self._redactor.text(line) + "\n")

    def write(self, name, text):
        """write stores a whole file; it appears complete or not at all."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w", encoding="utf-8", errors="replace") as file:
            file.write(self._redactor.text(text))
        os.replace(path + ".new", path)

    def close(self):
        """close ends events.jsonl."""
        if self._events:
            self._events.close()

    def discard(self):
        """discard leaves nothing of a run that never began, so that the same command can be given again, put right."""
        self.close()
        with contextlib.suppress(OSError):
            os.remove(self.path(EVENTS))
            os.rmdir(self.directory)

    def shown(self):
        """shown returns the directory as a person would type it here."""
        relative = os.path.relpath(self.directory)
        return self.directory if relative.startswith("..") else relative


def result_fields(result, again):
    """result_fields returns a Result as results.json has it."""
    fields = {
        "id": result.case.id,
        "title": result.case.title,
        "area": result.case.area,
        "checks": list(result.case.checks),
        "behaviour": result.behaviour,
        "teardown": result.teardown,
        "duration_ms": result.duration_ms,
    }
    if result.judged is not None:
        fields["judged"] = result.judged
    for name in ("requirement", "citation", "expected", "seen", "reason", "packets", "capture", "teardown_requirement",
                 "teardown_expected", "teardown_seen", "teardown_reason", "answers_lost", "source", "steps"):
        value = getattr(result, name)
        if value:
            fields[name] = value
    if not result.clean:
        fields["again"] = again(result.case.id)
    return fields


def results(run, ledger, status):
    """results returns the object of results.json. run is the header: what was run, when and how."""
    counts = ledger.counts()
    return {
        "format": "nvme-conform-results/1",
        "version": __version__,
        **run.header(),
        "exit_status": status,
        "counts": {name: dict(sorted(counter.items())) for name, counter in counts.items()},
        "findings": ledger.findings,
        "capabilities": ledger.capabilities,
        "unmet_claims": ledger.unmet,
        "deaths": [death.fields() for death in ledger.deaths],
        "engine_faults": ledger.faults,
        "cases": [result_fields(result, run.again) for result in ledger.results.values()],
        "observations": [
            {"id": seen.id, "requirement": seen.requirement, "level": seen.level, "verdict": seen.verdict,
             "citation": ledger.catalogue.requirement(seen.requirement).citation, "count": seen.count,
             "cases": seen.cases, "first": {"case": seen.case, "packet": seen.packet, "conn": seen.conn,
                                            "expected": seen.expected, "seen": seen.seen}}
            for seen in ledger.observations.values()
        ],
    }


def finish(reports, run, ledger, status, seconds):
    """finish writes results.json, ktap.txt and junit.xml, and returns the object of results.json."""
    summary = results(run, ledger, status)
    reports.write("results.json", json.dumps(summary, indent=1) + "\n")
    for result in ledger.results.values():
        if result.source:
            reports.write(result.source_file, "\n".join(result.source) + "\n")
    reports.write("ktap.txt", ktap.render(ledger))
    reports.write("junit.xml", junit.render(ledger, run.started, seconds, run.again))
    return summary
