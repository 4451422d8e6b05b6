# SPDX-License-Identifier: BSD-3-Clause
"""`nvme-conform run`: select, start engines, keep the account, report. Also the heart of `defects`."""

import datetime
import json
import os
import secrets
import shlex
import signal
import sys
import tempfile
import time
from dataclasses import dataclass

from . import catalogue as cat
from . import bracket, diff, engine, options, records, selection, summary
from .accounting import Ledger
from .errors import EXIT_CANNOT_JUDGE, EXIT_INTERRUPTED, EXIT_OK, EXIT_TOOL, EXIT_USAGE, ToolError, UsageError
from .redaction import Redactor
from .reports import Reports, finish
from .terminal import Printer, Progress, clean

BATCH = 64  # cases that share a process where the reference target is tested; what is not clean is run again alone
DEFAULT_TIMEOUT = 10
# The engine reports a case when it has ended: within this time, on a real target after as many attempts as answers got lost.
CASE_SECONDS = 60
ATTEMPTS = 5
SILENCE_MARGIN = 30
# The longest wait of the protocol is the authentication timer; a slow case may wait for two of them in real time.
SLOW_SILENCE = 300


class Interrupted(BaseException):
    """Interrupted is raised in the main thread by SIGINT and SIGTERM."""


def raise_on_signals():
    """raise_on_signals makes SIGINT, SIGTERM and SIGHUP end the command in order, with its engines."""

    def handler(_number, _frame):
        raise Interrupted

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def ignore_signals():
    """ignore_signals lets the end of an interrupted command, which is bounded, come to its end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def add_arguments(parser):
    """add_arguments adds the arguments of `run`."""
    parser.add_argument("cases", nargs="*", metavar="CASE-GLOB", help="ids of cases, or globs (default: all)")
    options.add_target_options(parser)
    group = parser.add_argument_group("run")
    add = group.add_argument
    add("--reference", action="store_true", help="the embedded reference target (default without -a)")
    add("--defect", action="append", default=[], metavar="NAME", help="break the reference target this way; repeatable")
    add("-j", "--jobs", type=options.jobs, metavar="N",
        help="engine processes (default: one per CPU; 1 for a real target, at most one per host identity)")
    add("--twin", action="append", default=[], metavar="FILE",
        help="profile of a further target equal to that of --profile: the cases are shared out, one engine for each; repeatable")
    add("--seed", type=options.seed, metavar="N", help="same seed, same bytes (default: random, always shown)")
    add("--timeout", type=options.seconds, default=DEFAULT_TIMEOUT, metavar="S", help="how long the target may take to answer (default 10)")
    add("-o", "--output-format", choices=("normal", "json"), default="normal", help="what goes to standard output")
    add("--fault", choices=options.FAULTS, default="none", help="disturb the byte streams this way")
    add("--output-dir", metavar="DIR", help="where the reports go (default reports/run-TIME)")
    add("--keylog", metavar="FILE", help="write the TLS secrets and DH exponents of the run to FILE, for Wireshark and replay; keep it to yourself")
    add("--captures", choices=("fail", "all", "none"), default="fail", help="which cases leave a pcapng (default fail)")
    add("--capture-interface", metavar="IFACE",
        help="take the packets of the captures from this interface (root or CAP_NET_RAW), instead of drawing them from the streams")
    add("--no-secrets", action="store_true", help="leave the TLS secrets out of the captures")
    add("--transcript", choices=("fail", "all"), default="fail",
        help="which cases leave their conversation in events.jsonl, where report takes it from (default fail)")
    add("-v", "--verbose", action="store_true", help="a line per case, with its steps")
    add("--last", action="append", default=[], metavar="CASE-GLOB", help="run these after all others: they may break the target")
    add("--slow", action="store_true", help="also the cases that wait for minutes in real time")
    add("--restart-command", metavar="COMMAND", help="brings a real target back that stopped serving; the shell runs it")
    selection.add_arguments(group)


@dataclass
class Run:
    """Run is everything that was asked for; header() and again() tell it to the reports."""

    target: options.Target
    cases: list
    seed: int
    defects: list
    fault: str
    timeout: int
    slow: bool
    jobs: int
    started: str
    program: str
    keylog: str = None
    captures: dict = None
    transcript: str = "fail"
    chosen: tuple = ()  # the words that chose the cases
    since: records.Record = None
    restart: str = None  # the command that brings the target back
    turns: str = None  # a directory in which engines side by side take turns on the host identities
    twins: tuple = ()  # further targets equal to `target`, which share its cases

    def header(self):
        return {"target": self.target.text, "seed": self.seed, "defects": self.defects, "fault": self.fault,
                "timeout_s": self.timeout, "slow": self.slow, "started": self.started, "command": self.again(*self.chosen)}

    def again(self, *idents):
        """again returns the command that runs these cases (none: all) again, with seed and without secrets."""
        # A caller that set the target up (the gate) knows better how to come here again.
        caller = shlex.split(os.environ.get("NVME_CONFORM_AGAIN", ""))
        words = [*caller, *idents] if caller else ["run", *idents, *self.target.again]
        words += ["--seed", f"0x{self.seed:x}"]
        for name in self.defects:
            words += ["--defect", name]
        if self.fault != "none":
            words += ["--fault", self.fault]
        if self.timeout != DEFAULT_TIMEOUT:
            words += ["--timeout", str(self.timeout)]
        return options.command(self.program, words + ["--slow"] * self.slow)

    def config(self, idents, twin=0):
        """config returns what one engine gets on its standard input. twin: which of the equal targets it is for."""
        config = {"target": (self.target, *self.twins)[twin].config, "defects": self.defects, "seed": self.seed, "cases": idents,
                  "timeout_s": self.timeout, "fault": self.fault, "transcript": self.transcript, "keylog": self.keylog,
                  "hdr_digest": self.target.hdr_digest, "data_digest": self.target.data_digest, "slow": self.slow}
        if self.captures:
            config["captures"] = self.captures
        if self.target.is_reference and not self.keylog and "all" not in ((self.captures or {}).get("mode"), self.transcript):
            config["batch"] = BATCH
        if self.turns:
            config["turns"] = self.turns
        if self.target.keep_alive_tmo is not None:
            config["keep_alive_tmo"] = self.target.keep_alive_tmo
        return config


def program_name():
    """program_name returns how this command was called, for lines that the user is to type again."""
    path = sys.argv[0]
    if not os.path.isfile(path):
        return "nvme-conform"
    on_path = [os.path.join(folder, "nvme-conform") for folder in os.environ.get("PATH", "").split(os.pathsep)]
    if any(os.path.realpath(candidate) == os.path.realpath(path) for candidate in on_path if os.path.isfile(candidate)):
        return "nvme-conform"
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def prepare(args, catalogue, redactor):
    """prepare checks everything that was asked for and returns it as a Run; UsageError before anything is started."""
    if args.reference and (args.traddr or args.profile):
        raise UsageError("--reference and --traddr or --profile exclude each other")
    target = options.build_target(args, redactor)
    if args.restart_command and target.is_reference:
        raise UsageError("--restart-command is for a real target; the reference target is a new one for each case")
    if args.twin and not args.profile:
        raise UsageError("--twin names an equal of the target of --profile; add --profile FILE")
    if args.twin and (args.jobs or args.restart_command):
        raise UsageError(f"--twin and {'--jobs' if args.jobs else '--restart-command'} exclude each other: "
                         "each target gets one engine, and what dies stays away")
    twins = tuple(options.build_twin(path, args, target, redactor) for path in args.twin)
    if args.defect and not target.is_reference:
        raise UsageError("--defect breaks the reference target only; leave out the options of a real one")
    cat.check_defects(args.defect, catalogue)
    earlier = records.load(args.rerun_failed) if args.rerun_failed else None
    since = records.load(args.only_changed_since) if args.only_changed_since else None
    for option, path, record in (("--rerun-failed", args.rerun_failed, earlier), ("--only-changed-since", args.only_changed_since, since)):
        if record:
            selection.compare_targets(option, path, record, args, target)
    idents = selection.cases(args, catalogue, earlier)
    if args.last:
        last = set(cat.select(args.last, catalogue.cases, "case"))
        idents = [ident for ident in idents if ident not in last] + [ident for ident in idents if ident in last]
    # A controller keeps one transaction per host identity, so a real target never meets two cases as one.
    jobs = args.jobs or ((os.cpu_count() or 1) if target.is_reference else 1)
    jobs = min(jobs, len(idents), jobs if target.is_reference else target.num_hosts)
    seed = selection.seed_of(earlier) if earlier and args.seed is None else args.seed
    seed = secrets.randbits(32) if seed is None else seed
    chosen = args.cases + ([] if args.level == "all" else ["--level", args.level])
    chosen += ["--rerun-failed", args.rerun_failed] if args.rerun_failed else []
    started = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return Run(target, [catalogue.cases[ident] for ident in idents], seed, sorted(set(args.defect)), args.fault,
               args.timeout, args.slow, jobs, started, program_name(), args.keylog,
               transcript=args.transcript, chosen=tuple(chosen), since=since, restart=args.restart_command, twins=twins)


def silence(run):
    """silence returns for how many seconds an engine of this run may write nothing."""
    longest = max([CASE_SECONDS] + [case.timeout_s for case in run.cases])
    if run.slow and any(case.slow for case in run.cases):
        longest = max(longest, SLOW_SILENCE)
    return longest * (1 if run.target.is_reference else ATTEMPTS) + SILENCE_MARGIN


class Conductor:
    """Conductor feeds the engines of one run and books what they say. on_result(Result) is called as verdicts come."""

    def __init__(self, run, ledger, on_line=None, on_result=None):
        self.run = run
        self.ledger = ledger
        self.serving = list(range(1 + len(run.twins)))  # the targets that live
        self._on_line = on_line or (lambda event, line: None)
        self._on_result = on_result or (lambda result: None)
        self._ended = set()
        self._began = set()
        self._deaths = {}  # of a target, by the engine that tells
        self._unreached = []  # what engines say that did not get to their first case

    def jobs(self, idents, **more):
        """jobs deals the cases in turn to run.jobs engines, or to one for each of several targets: neighbours cost alike, as they
        differ in one parameter. more: members of their configuration."""
        limit = silence(self.run)
        targets = self.serving if self.run.twins else [0] * self.run.jobs
        num = min(len(targets), len(idents))
        return [engine.Job({**self.run.config(idents[first::num], twin), **more}, limit, tag=self, twin=twin)
                for first, twin in enumerate(targets[:num])]

    def retire(self, twin):
        """retire gives a target that does not come back no more cases, and tells whether another one is left."""
        self.serving = [each for each in self.serving if each != twin]
        return bool(self.serving)

    def take_deaths(self):
        """take_deaths returns what the engines said of a target that stopped serving, once."""
        deaths, self._deaths = list(self._deaths.values()), {}
        if deaths:
            self._unreached = []  # that is why
        return deaths

    def lose_unreached(self):
        """lose_unreached settles the cases of engines that did not reach the target at all."""
        for idents, why in self._unreached:
            self.lose(idents, why, "inconclusive")
        self._unreached = []

    def event(self, job, event, line):
        """event books one line of an engine."""
        if event is None:
            self.ledger.fault(f"the engine wrote a line that is no JSON object: {line[:80]!r}")
            return
        if job.twin:
            event = {**event, "twin": job.twin}
            line = json.dumps(event)
        if event.get("event") == "run-end":
            self._ended.add(id(job))
        if event.get("event") == "case-start":
            self._began.add(id(job))
        if event.get("event") == "dead" and not self.run.target.is_reference:
            death = bracket.death_of(event)
            if death and set(death.suspects) <= set(job.config["cases"]):
                self._deaths[id(job)] = death
            else:
                self.ledger.fault("the engine said that the target is dead, but not in which of its cases")
        self._on_line(event, line)
        result = self.ledger.take(event)
        if result:
            self._on_result(result)

    def end(self, job, outcome):
        """end settles the cases of an engine that has ended. UsageError when it refused its configuration."""
        if outcome.status == EXIT_USAGE and not outcome.stopped and id(job) not in self._began:
            raise UsageError(engine.last_line(outcome.stderr))
        if outcome.status == engine.STATUS_UNREACHABLE and not outcome.stopped and not self.run.target.is_reference:
            if id(job) not in self._deaths:
                self._unreached.append((job.config["cases"], engine.last_line(outcome.stderr)))
            return  # the bracket settles its cases
        fault = outcome.fault()
        if not fault and id(job) not in self._ended:
            fault = "engine ended without saying run-end"
        if fault:
            self.ledger.fault(fault)
        self.lose(job.config["cases"], fault or "the engine gave no verdict")

    def reopen(self, ident, why):
        """reopen takes the verdict on a case back."""
        self.ledger.reopen(ident)
        event = {"event": "reopened", "case": ident, "reason": why, "by": "runner"}
        self._on_line(event, json.dumps(event))

    def convict(self, ident, requirement, expected, seen):
        """convict turns what is no fail yet into one of this requirement."""
        result = self.ledger.convict(ident, requirement, expected, seen)
        self._tell(result, requirement=result.requirement, expected=result.expected, seen=result.seen)

    def lose(self, idents, why, verdict="error"):
        """lose books a verdict for cases without one."""
        for result in self.ledger.lose(idents, why, verdict):
            self._tell(result, reason=why)
            self._on_result(result)

    def _tell(self, result, **fields):
        """_tell writes a verdict of the runner's own, which events.jsonl marks as such."""
        event = {"event": "verdict", "case": result.case.id, "behaviour": result.behaviour, "teardown": result.teardown, **fields,
                 "by": "runner"}
        self._on_line(event, json.dumps(event))


class Screen:
    """Screen shows a run while it goes on: progress on a terminal, a line per case with --verbose."""

    def __init__(self, args, printer, run):
        self._verbose = args.verbose
        self._printer = printer
        self._progress = Progress(len(run.cases))
        self._done = self._failed = 0

    def result(self, result):
        self._done += 1
        self._failed += result.behaviour in ("fail", "error") or result.teardown == "fail"
        if self._verbose:
            self._progress.clear()
            verdict = self._printer.paint(result.behaviour, f"{result.behaviour:12}")
            teardown = "" if result.teardown == "none" else f"  (teardown {result.teardown})"
            self._printer.line(f"{verdict} {result.case.id}{teardown}")
            for step in result.steps:
                self._printer.line(f"             {clean(step)}")
        self._progress.show(self._done, self._failed, result.case.id)

    def clear(self):
        self._progress.clear()


def main(args):
    """main runs `nvme-conform run` and returns its exit status."""
    redactor = Redactor()
    try:
        catalogue = cat.read(engine.list_objects())
        run = prepare(args, catalogue, redactor)
        if args.capture_interface and run.target.is_reference:
            raise UsageError("--capture-interface: the embedded reference target sends nothing to an interface; name a target with -a")
        reports = Reports(args.output_dir, redactor)
        run.captures = {"mode": args.captures, "directory": reports.path("captures"), "secrets": not args.no_secrets,
                        "interface": args.capture_interface, "command": run.again(*run.chosen)}
    except (UsageError, ToolError) as error:
        raise type(error)(redactor.text(str(error))) from None
    try:
        return _conduct(args, run, Ledger(catalogue, run.cases), reports, redactor)
    except (UsageError, ToolError) as error:
        if isinstance(error, UsageError):
            reports.discard()
        raise type(error)(redactor.text(str(error))) from None
    finally:
        reports.close()


def _status(ledger, changes):
    """_status weighs the account; with changes since an earlier run, only these weigh. What the tester or the user got wrong
    outranks them, and a run that judged nothing has not shown that nothing changed."""
    status = ledger.exit_status()
    judged = any(result.behaviour in ("pass", "warn", "fail") for result in ledger.results.values())
    if changes is None or status == EXIT_TOOL or not judged:
        return status
    changed = diff.exit_status(changes)
    return EXIT_CANNOT_JUDGE if changed == EXIT_OK and (ledger.unmet or ledger.deaths) else changed


def _conduct(args, run, ledger, reports, redactor):
    as_json = args.output_format == "json"
    printer = Printer(redactor, sys.stderr if as_json else sys.stdout)
    broken = f" with {', '.join(run.defects)}" if run.defects else ""
    equals = f" and {len(run.twins)} equal to it" if run.twins else ""
    printer.line(f"{len(run.cases)} cases against {clean(run.target.text)}{equals}{broken}, seed 0x{run.seed:x}")
    for line in run.target.effects():
        printer.line(line)
    # The reader of a long run, or of one that stops half-way, is to know this before it starts.
    printer.stream.flush()
    screen = Screen(args, printer, run)
    conductor = Conductor(run, ledger, lambda event, line: reports.event_line(line), screen.result)
    reports.event({"event": "session", **run.header()})
    begun = time.monotonic()
    interrupted = False

    def say(line):
        screen.clear()
        printer.line(line)

    with tempfile.TemporaryDirectory(prefix="nvme-conform-turns-") as turns:
        run.turns = turns if run.jobs > 1 and not run.target.is_reference else None
        try:
            bracket.Bracket(conductor, engine.Pool(max(run.jobs, 1 + len(run.twins))), run.restart, say).run()
        except Interrupted:
            interrupted = True
        finally:
            screen.clear()
    if interrupted:
        ignore_signals()
        conductor.lose(ledger.unsettled(), "interrupted by a signal")
    for need in run.target.claims:
        ledger.claim(need)
    seconds = time.monotonic() - begun
    # What was not run has not gone.
    changes = [row for row in diff.changes(run.since.results, ledger.verdicts()) if row[1] != "gone"] if run.since else None
    status = EXIT_INTERRUPTED if interrupted else _status(ledger, changes)
    reports.event({"event": "session-end", "exit_status": status})
    results = finish(reports, run, ledger, status, seconds)
    if as_json:
        Printer(redactor, sys.stdout).line(json.dumps(results, indent=1))
    else:
        summary.print_all(printer, ledger, run, status, seconds, changes)
        names = "results.json, events.jsonl, ktap.txt, junit.xml"
        printer.line(f"reports in {reports.shown()}: {names}")
    return status
