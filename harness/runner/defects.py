# SPDX-License-Identifier: BSD-3-Clause
"""`nvme-conform defects`: the kill matrix. It proves that every case can fail and every defect is noticed.

A case notices a defect when its behaviour or its teardown is fail or warn; so does the observer. Where the specification leaves
the reaction open a case cannot fail: it notices the defect when it reports another reaction than that of the clean target.
Everything that is not as it should be is a hole, and one hole fails the command.

Same seed, same bytes: a case in which the clean target never goes by the row that a defect breaks is the same conversation with
the defect. Such cells are not run; --every-cell runs them and fails when one differs.
"""

import datetime
import fnmatch
import json
import os
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from . import catalogue as cat
from . import engine, options, reports
from .accounting import Ledger
from .errors import EXIT_FAIL, EXIT_OK, EXIT_TOOL, ToolError, UsageError
from .redaction import Redactor
from .run import DEFAULT_TIMEOUT, Conductor, Run, program_name, silence
from .terminal import Printer, Progress, clean, table

HERE = os.path.dirname(os.path.realpath(__file__))
EXPECTED = os.path.join(HERE, "expected_kills.json")
UNKILLED = os.path.join(HERE, "unkilled.json")
EQUIVALENT = os.path.join(HERE, "equivalent.json")
CLEAN_SEEDS = 3
DEFAULT_SEED = 1
# What a cell of the matrix shows.
UNREACHED = "-"
NOTED = "N"
NOTICED = "FTW" + NOTED
SYMBOL = {"pass": ".", "warn": "W", "fail": "F", "skip": "s", "inconclusive": "i", "error": "E"}
LEGEND = ". pass  F fails by behaviour  T by teardown  W warns  N reports another reaction  s skip  i inconclusive  E error  - does not go by what is broken"


def add_arguments(parser):
    """add_arguments adds the arguments of `defects`."""
    add = parser.add_argument
    add("defects", nargs="*", metavar="DEFECT-GLOB", help="only these (then cases that nothing fails are no holes)")
    add("--named", action="store_true", help="only the defects written by hand")
    add("--every-cell", action="store_true", help="also the cells in which the clean target does not go by what is broken")
    add("-j", "--jobs", type=options.jobs, default=os.cpu_count() or 1, metavar="N", help="engine processes")
    add("--seed", type=options.seed, default=DEFAULT_SEED, metavar="N", help="first seed (default 1)")
    add("--timeout", type=options.seconds, default=DEFAULT_TIMEOUT, metavar="S", help="how long the target may take to answer (default 10)")
    add("--expected", default=EXPECTED, metavar="FILE", help="which case must notice which defect")
    add("--unkilled", default=UNKILLED, metavar="FILE", help="cases that no defect fails yet, with the reason")
    add("--equivalent", default=EQUIVALENT, metavar="FILE", help="defects that cannot be noticed, with the argument")
    add("-o", "--output-format", choices=("normal", "json"), default="normal", help="how to print it")
    add("--output-dir", metavar="DIR", help="also write matrix.json and matrix.txt there")


@dataclass
class Trial:
    """Trial is one run: over all cases, clean with a seed or a fault, or with one defect over the cases it can change."""

    name: str
    defect: str
    conductor: Conductor = None
    noise: frozenset = frozenset()  # ids that are not clean on the unbroken target either: they notice nothing
    notes: dict = field(default_factory=dict)  # {case: what it put on record of its own requirements}
    usual: dict = field(default_factory=dict)  # the notes of the clean target under the same seed

    @property
    def ledger(self):
        return self.conductor.ledger

    def cells(self):
        """cells returns what each case, and each violated requirement of the observer, says: {id: symbol}."""
        cells = {}
        for ident, result in self.ledger.results.items():
            symbol = SYMBOL[result.behaviour]
            if result.behaviour == "pass" and result.teardown in ("fail", "warn"):
                symbol = "T"
            elif result.behaviour == "pass" and result.teardown == "inconclusive":
                symbol = "i"
            elif result.behaviour == "pass" and self.defect and self.notes.get(ident) != self.usual.get(ident):
                symbol = NOTED
            cells[ident] = symbol
        for seen in self.ledger.observations.values():
            if seen.verdict in ("fail", "warn"):
                cells[seen.id] = "F" if seen.verdict == "fail" else "W"
        return cells

    def kills(self):
        """kills returns the ids that notice the defect."""
        return [ident for ident, symbol in self.cells().items() if symbol in NOTICED and ident not in self.noise]

    def note(self, event):
        """note keeps what a case puts on record of a requirement that it checks itself; the rest is the observer's."""
        result = self.ledger.results.get(event.get("case"))
        if event.get("event") == "observation" and result and event.get("requirement") in result.case.checks:
            said = (event["requirement"], event.get("expected"), event.get("seen"))
            self.notes.setdefault(result.case.id, []).append(said)


@dataclass
class Expectations:
    """Expectations is what the two data files say."""

    kills: dict = field(default_factory=dict)
    unkilled: dict = field(default_factory=dict)
    equivalent: dict = field(default_factory=dict)

    def reason(self, ident):
        """reason returns why no defect fails the case yet, or None."""
        for pattern, reason in self.unkilled.items():
            if fnmatch.fnmatchcase(ident, pattern):
                return reason
        return None


def read_expectations(expected, unkilled, equivalent):
    """read_expectations reads the three files; a file that is not what it should be is a UsageError."""
    kills, reasons, arguments = own_json(expected), own_json(unkilled), own_json(equivalent)
    for name, entry in kills.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("case"), str):
            raise UsageError(f"{expected}: {name}: expected an object with the member \"case\"")
        if not all(isinstance(ident, str) for ident in entry.get("passes", [])):
            raise UsageError(f"{expected}: {name}: \"passes\" is not a list of case ids")
        try:
            re.compile(entry.get("seen", ""))
        except (re.error, TypeError) as error:
            raise UsageError(f"{expected}: {name}: \"seen\" is no regular expression: {error}") from None
    for path, entries in ((unkilled, reasons), (equivalent, arguments)):
        for name, reason in entries.items():
            if not isinstance(reason, str) or not reason.strip():
                raise UsageError(f"{path}: {name}: the reason is missing")
    return Expectations(kills, reasons, arguments)


def own_json(path):
    """own_json returns the object in one of our own JSON files."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{path}: is not a JSON object")
    return data


class Plan:
    """Plan makes the trials: the clean target under seeds and faults first, then one trial for each chosen defect."""

    def __init__(self, args, catalogue):
        self._args = args
        self._catalogue = catalogue
        self._started = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        self._first = None
        self._reached = {}  # {case: names of the defects that can change it}, as the first clean trial says
        self.names = cat.select(args.defects, catalogue.defects, "defect")
        if args.named:
            self.names = [name for name in self.names if catalogue.defects[name].named]
            if not self.names:
                raise UsageError("no named defect among these")

    def clean(self):
        """clean returns the trials without a defect."""
        seed, cases = self._args.seed, list(self._catalogue.cases.values())
        first = self._first = self._trial(f"clean, seed {seed}", seed, cases)
        trials = [self._trial(f"clean, seed {seed + n}", seed + n, cases) for n in range(1, CLEAN_SEEDS)]
        faults = [fault for fault in options.FAULTS if fault != "none"]
        return [first] + trials + [self._trial(f"clean, fault {fault}", seed, cases, fault=fault) for fault in faults]

    def broken(self):
        """broken returns the trials with a defect; the clean ones have run. A defect that no case goes by gets a trial without cases."""
        trials = [self._trial(name, self._args.seed, self._cases_for(name), defect=name) for name in self.names]
        for trial in trials:
            trial.usual = self._first.notes
        return trials

    def reaches(self, ident, defect):
        """reaches tells whether the defect can change the case."""
        return defect in self._reached.get(ident, ())

    def _take(self, trial, event):
        trial.note(event)
        if trial is self._first and event.get("event") == "verdict" and isinstance(event.get("reached"), list):
            self._reached[event.get("case")] = frozenset(event["reached"])

    def _cases_for(self, defect):
        return [case for case in self._catalogue.cases.values() if self._args.every_cell or self.reaches(case.id, defect)]

    def _trial(self, name, seed, cases, defect="", fault="none"):
        run = Run(options.Target(), cases, seed, [defect] if defect else [], fault, self._args.timeout, True, 1, self._started,
                  program_name())
        trial = Trial(name, defect)
        trial.conductor = Conductor(run, Ledger(self._catalogue, cases), lambda event, line: self._take(trial, event))
        return trial


def run_trials(trials, jobs):
    """run_trials runs every trial in an engine of its own, `jobs` at a time."""
    work, ended = [], 0
    progress = Progress(len(trials))
    for trial in trials:
        run = trial.conductor.run
        if not run.cases:
            continue  # nothing goes by what is broken; find_holes says so
        # With virtual time a slow case costs nothing, so all of them run; the silence limit knows of real time only.
        config = {**run.config([case.id for case in run.cases]), "reached": not trial.defect, "transcript": "none"}
        work.append(engine.Job(config, silence(run), tag=trial))

    def end(job, outcome):
        nonlocal ended
        job.tag.conductor.end(job, outcome)
        ended += 1
        progress.show(ended, sum(1 for t in trials if t.ledger.num_faults), job.tag.name)

    try:
        engine.Pool(jobs).run(work, lambda job, event, line: job.tag.conductor.event(job, event, line), end)
    finally:
        progress.clear()


def find_holes(trials, expectations, catalogue, reaches=None, whole=False):
    """find_holes returns everything that is not as it should be, as (kind, text). whole: all defects were tried; reaches: Plan's, where
    cells were run that it rules out."""
    holes = []
    for trial in trials:
        holes += _clean_holes(trial, expectations) if not trial.defect else _defect_holes(trial, expectations, catalogue)
        if trial.defect and reaches:
            holes += [("shortcut", f"{trial.defect}: {ident} notices it and was said not to go by it")
                      for ident in trial.kills() if ident in trial.ledger.results and not reaches(ident, trial.defect)]
    holes += _stale_entries(expectations, catalogue)
    if whole:
        holes += _case_holes(trials, expectations, catalogue)
    return holes


def _clean_holes(trial, expectations):
    for result in trial.ledger.results.values():
        excused = result.behaviour == "skip" and expectations.reason(result.case.id)
        if not result.clean and not excused:
            what = result.reason or f"expected {result.expected or result.teardown_expected}; " \
                                    f"seen {result.seen or result.teardown_seen}"
            verdict = result.behaviour if result.behaviour != "pass" else f"teardown {result.teardown}"
            yield "clean", f"{trial.name}: {result.case.id} is {verdict}: {what}; {trial.conductor.run.again(result.case.id)}"
    for seen in trial.ledger.observations.values():
        if seen.verdict in ("fail", "warn"):
            yield "clean", f"{trial.name}: {seen.id} is {seen.verdict}: expected {seen.expected}; seen {seen.seen} " \
                           f"(in {seen.case})"


def _defect_holes(trial, expectations, catalogue):
    kills = trial.kills()
    again = trial.conductor.run.again()
    argued = trial.defect in expectations.equivalent
    if not kills and not argued:
        what = "notices it" if trial.conductor.run.cases else "goes by what it breaks"
        yield "defect", f"{trial.defect}: no case {what}; {again}"
    if kills and argued:
        yield "stale", f"{os.path.basename(EQUIVALENT)}: {trial.defect} is noticed by {kills[0]}; remove the entry"
    for result in trial.ledger.results.values():
        if result.behaviour == "error":
            yield "error", f"{trial.defect}: {result.case.id} ends in error: {result.reason}"
    defect, entry = catalogue.defects[trial.defect], expectations.kills.get(trial.defect)
    if not defect.named or argued:
        return
    if not entry:
        if defect.origin != "generic":
            yield "defect", f"{trial.defect}: {os.path.basename(EXPECTED)} does not say which case must notice it"
        return
    if entry["case"] not in kills:
        yield "defect", f"{trial.defect}: {entry['case']} must notice it and does not; {again}"
    yield from _wrong_cause(trial, entry)
    for ident in entry.get("passes", []):
        result = trial.ledger.results.get(ident)
        if result and not result.clean:
            yield "defect", f"{trial.defect}: {ident} must still pass and is {result.behaviour}"


def _wrong_cause(trial, entry):
    """_wrong_cause checks that the case fails for the reason the defect suggests, where the entry names it."""
    result = trial.ledger.results.get(entry["case"])
    if not result or entry["case"] not in trial.kills():
        return
    wanted = entry.get("requirement")
    notes = trial.notes.get(result.case.id, [])
    named = (result.requirement, result.teardown_requirement, *(requirement for requirement, _, _ in notes))
    if wanted and wanted not in named:
        yield "defect", f"{trial.defect}: {entry['case']} names {' '.join(filter(None, named)) or 'nothing'}, not {wanted}"
    pattern = entry.get("seen")
    seen = " ".join([result.seen, result.teardown_seen, *(str(text) for _, _, text in notes)])
    if pattern and not re.search(pattern, seen):
        yield "defect", f"{trial.defect}: {entry['case']} saw {seen!r}, which does not say {pattern!r}"


def _stale_entries(expectations, catalogue):
    for name, entry in expectations.kills.items():
        if name not in catalogue.defects:
            yield "stale", f"{os.path.basename(EXPECTED)}: {name} is no defect"
        for ident in [entry["case"], *entry.get("passes", [])]:
            if ident not in catalogue.cases:
                yield "stale", f"{os.path.basename(EXPECTED)}: {name}: {ident} is no case"
    for name in expectations.equivalent:
        if name not in catalogue.defects:
            yield "stale", f"{os.path.basename(EQUIVALENT)}: {name} is no defect"
    for pattern in expectations.unkilled:
        if not any(fnmatch.fnmatchcase(ident, pattern) for ident in catalogue.cases):
            yield "stale", f"{os.path.basename(UNKILLED)}: {pattern} matches no case"


def _case_holes(trials, expectations, catalogue):
    killed = {ident for trial in trials if trial.defect for ident in trial.kills()}
    for ident in catalogue.cases:
        excuse = expectations.reason(ident)
        if ident not in killed and not excuse:
            yield "case", f"{ident}: no defect fails it"
    for pattern in expectations.unkilled:
        matching = [ident for ident in catalogue.cases if fnmatch.fnmatchcase(ident, pattern)]
        if matching and all(ident in killed for ident in matching):
            yield "stale", f"{os.path.basename(UNKILLED)}: {pattern} is failed by a defect by now; remove the entry"


def matrix_lines(trials):
    """matrix_lines returns the whole matrix, one line per case, one column per defect."""
    tried = [trial for trial in trials if trial.defect]
    cells = [trial.cells() for trial in tried]
    idents = list(dict.fromkeys(ident for trial in trials for ident in trial.cells()))
    lines = [LEGEND] + [f"{number:>3} {trial.defect}" for number, trial in enumerate(tried, 1)] + [""]
    rows = [["case"] + [str(number) for number in range(1, len(tried) + 1)]]
    rows += [[ident] + [row.get(ident, "." if ident.startswith("observer.") else UNREACHED) for row in cells] for ident in idents]
    return lines + table(rows, right=set(range(1, len(tried) + 1)))


def overview(trials, expectations, catalogue):
    """overview returns a line per defect: what it breaks, how many cases notice it, in which areas, and which case must."""
    rows = [["defect", "breaks", "noticed by", "must be noticed by", "areas"]]
    for trial in trials:
        if not trial.defect:
            continue
        kills = trial.kills()
        count = Counter("observer" if ident not in catalogue.cases else cat.area_of(catalogue.cases[ident]) for ident in kills)
        entry = expectations.kills.get(trial.defect)
        must = entry["case"] if entry else "equivalent" if trial.defect in expectations.equivalent else ""
        areas = ", ".join(f"{area} {num}" for area, num in count.most_common())
        rows.append([trial.defect, catalogue.defects[trial.defect].requirement, str(len(kills)), must, areas])
    return table(rows, right={2})


def main(args):
    """main runs `nvme-conform defects` and returns its exit status: 0 no hole, 1 holes, 3 the tester's own error."""
    catalogue = cat.read(engine.list_objects())
    whole = not args.defects and not args.named
    expectations = read_expectations(args.expected, args.unkilled, args.equivalent)
    plan = Plan(args, catalogue)
    redactor = Redactor()
    directory = None
    if args.output_dir:
        directory = reports.Reports(args.output_dir, redactor)
        directory.close()
    begun = time.monotonic()
    try:
        trials = plan.clean()
        run_trials(trials, args.jobs)
        broken = plan.broken()
        run_trials(broken, args.jobs)
        trials += broken
    except UsageError as error:
        # Nothing the user gave went to the engine here.
        raise ToolError(f"the engine refused our own configuration: {error}") from None
    noise = frozenset(ident for trial in trials if not trial.defect for ident in trial.kills())
    for trial in trials:
        trial.noise = noise
    holes = find_holes(trials, expectations, catalogue, plan.reaches if args.every_cell else None, whole)
    faults = [f"{trial.name}: {text}" for trial in trials for text in trial.ledger.faults]
    status = EXIT_TOOL if faults else EXIT_FAIL if holes else EXIT_OK
    data = _as_data(args, trials, holes, faults, status)
    if directory:
        directory.write("matrix.json", json.dumps(data, indent=1) + "\n")
        directory.write("matrix.txt", "\n".join(matrix_lines(trials)) + "\n")
    printer = Printer(redactor, sys.stdout)
    if args.output_format == "json":
        printer.line(json.dumps(data, indent=1))
        return status
    _print(printer, trials, expectations, catalogue, (holes, faults, status), time.monotonic() - begun)
    if directory:
        printer.line(f"matrix in {directory.shown()}: matrix.json, matrix.txt")
    return status


def _as_data(args, trials, holes, faults, status):
    return {
        "format": "nvme-conform-matrix/1",
        "seed": args.seed,
        "exit_status": status,
        "legend": LEGEND,
        "trials": [{"name": trial.name, "defect": trial.defect or None, "cells": trial.cells()} for trial in trials],
        "holes": [{"kind": kind, "text": text} for kind, text in holes],
        "engine_faults": faults,
    }


def _print(printer, trials, expectations, catalogue, outcome, seconds):
    holes, faults, status = outcome
    for text in overview(trials, expectations, catalogue):
        printer.line(text)
    printer.line()
    for trial in trials:
        if not trial.defect:
            behaviour = trial.ledger.counts()["behaviour"]
            counts = ", ".join(f"{behaviour[verdict]} {verdict}" for verdict in SYMBOL if behaviour[verdict])
            printer.line(f"{trial.name}: {counts}")
    for kind, text in holes:
        printer.line(f"{printer.paint('fail', 'HOLE')} ({kind}) {clean(text)}")
    for text in faults:
        printer.line(f"{printer.paint('error', 'ENGINE FAULT')} {clean(text)}")
    printer.line()
    word = {EXIT_OK: "PASS", EXIT_FAIL: "FAIL"}.get(status, "ERROR")
    printer.line(printer.paint({"PASS": "pass", "FAIL": "fail"}.get(word, "error"),
                               f"{word}: {_figures(trials, expectations, catalogue)}, {len(holes)} holes, {seconds:.1f} s"))


def _figures(trials, expectations, catalogue):
    """_figures says in one line what was tried and what came of it."""
    tried = [trial for trial in trials if trial.defect]
    noticed = sum(1 for trial in tried if trial.kills())
    reported = sum(1 for trial in tried if trial.kills() and all(trial.cells()[ident] == NOTED for ident in trial.kills()))
    argued = sum(1 for trial in tried if trial.defect in expectations.equivalent)
    failed = {ident for trial in tried for ident in trial.kills() if ident in catalogue.cases}
    return f"{noticed} of {len(tried)} defects noticed ({reported} by a report only; {argued} equivalent), " \
           f"{len(failed)} of {len(catalogue.cases)} cases notice one"
