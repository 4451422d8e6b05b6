# SPDX-License-Identifier: BSD-3-Clause
"""`nvme-conform replay`: judge captures. What is in them is shown as a conversation, and who broke which rule at which packet."""

import json
import math
import os
import signal
import sys

from . import catalogue as cat
from . import engine, options, reenact, replay_reports, run
from .errors import EXIT_CANNOT_JUDGE, EXIT_FAIL, EXIT_OK, EXIT_TOOL, EXIT_USAGE, ToolError, UsageError
from .redaction import Redactor
from .terminal import Printer, clean

SILENCE_SECONDS = 600  # reading a large file may say nothing for long
PROOFS = {"responses": "responses", "identities": "PSK identities", "binders": "PSK binders"}
STATUS = {"clean": EXIT_OK, "violated": EXIT_FAIL, "cannot-judge": EXIT_CANNOT_JUDGE}
GRAVEST_FIRST = (EXIT_TOOL, EXIT_USAGE, EXIT_FAIL, EXIT_CANNOT_JUDGE)
ARROWS = {"h2c": "->", "c2h": "<-"}


def add_arguments(parser):
    """add_arguments adds the arguments of `replay`."""
    parser.add_argument("files", nargs="*", metavar="FILE", help="pcap or pcapng")
    add = parser.add_argument
    add("--keylog", metavar="FILE", help="TLS secrets and DH exponents (NSS key log), beside those that a pcapng holds")
    add("--reference", action="store_true", help="verify with the secrets of the embedded reference target, under the --seed of the run")
    add("--judge", choices=("host", "controller", "both"), default="both", help="whose side is judged (default both)")
    add("--summary", action="store_true", help="violations and verdict only, not the conversation")
    add("-o", "--output-format", choices=("normal", "json"), default="normal", help="what goes to standard output")
    add("--output-dir", metavar="DIR", help="also leave events.jsonl, results.json, ktap.txt and junit.xml there")
    add("--follow", action="store_true", help="go on where FILE ends for now, until Ctrl-C")
    add("-i", "--interface", metavar="IFACE", help="follow a network interface instead of a file")
    add("--seconds", type=options.seconds, metavar="N", help="end the following after N seconds")
    reenact.add_arguments(parser)
    options.add_target_options(parser)


class Replay:
    """Replay takes the events of one file, shows them as they come and keeps what counts."""

    def __init__(self, path, printer, show):
        self.path = path
        self.end = None
        self.violations = []
        self.unjudged = []
        self.checks = []
        self.associations = []
        self.faults = []
        self.refused = ""
        self._printer = printer
        self._show = show
        self._first = None

    def take(self, event, line):
        """take books one event of the engine."""
        kind = event.get("event") if event else None
        if kind == "replay-end":
            self.end = event
        elif kind == "replay":
            self._line(event)
        elif kind != "replay-start":
            self.faults.append(f"the engine wrote a line that is no event: {line[:80]!r}")

    def _line(self, event):
        kind = event["kind"]
        if self._first is None:
            self._first = event["time_ns"]
        if kind == "violation":
            self.violations.append(event)
            self._violation(event)
        elif kind == "unjudged":
            self.unjudged.append(event)
            self._row(event, "!", self._printer.paint("inconclusive", f"not judged: {clean(event['text'])}"))
        elif kind in ("check", "association"):
            (self.checks if kind == "check" else self.associations).append(event)
            if self._show:
                self._row(event, "=", clean(event["text"]))
        elif not self._show:
            return
        elif kind == "pdu":
            self._row(event, ARROWS.get(event["dir"], ""), clean(event["text"]))
        elif kind == "end":
            who = "host" if event["dir"] == "h2c" else "controller"
            self._row(event, ARROWS.get(event["dir"], ""), f"({who} ends: {clean(event['text'])})")
        elif kind == "key-update":
            self._row(event, ARROWS.get(event["dir"], ""), f"({clean(event['text'])})")
        elif kind == "open":
            self._row(event, "", f"(connection {event['conn']}: {clean(event['text'])})")
        else:
            self._row(event, "", f"({clean(event['text'])})")

    def _row(self, event, mark, text):
        seconds = (event["time_ns"] - (self._first or 0)) / 1e9
        conn = f"{event['conn']}" if event["conn"] else ""
        self._printer.line(f"{event['frame']:7} {seconds:12.6f} {conn:>5} {mark:2} {text}")

    def _violation(self, event):
        paint = cat.LEVELS[event["level"]]
        verb = " violates" if cat.blames(event["level"]) else ", on record:"
        head = f"{event['side']}{verb} {event['requirement']} ({event['level']}) {event['citation']}: {event['statement']}"
        self._row(event, "!", self._printer.paint(paint, clean(head)))
        for label, text in (("expected", event["expected"]), ("seen", f"{event['text']} [packet {event['frame']}]")):
            if text:
                self._printer.line(f"{'':30}{label:<9} {clean(text)}")

    def settle(self, outcome):
        """settle returns the exit status of the file once its engine has ended."""
        if outcome.status == EXIT_USAGE and not outcome.stopped:
            self.refused = clean(engine.last_line(outcome.stderr))
            print(f"nvme-conform: {self.refused}", file=sys.stderr)
            return EXIT_USAGE
        fault = outcome.fault() or ("" if self.end else "the engine gave no verdict")
        if fault or self.faults:
            raise ToolError(f"{self.path}: {fault or self.faults[0]}")
        self._printer.line(self._verdict())
        return STATUS.get(self.end["verdict"], EXIT_TOOL)

    def _verdict(self):
        end = self.end
        name = {"clean": "CLEAN", "violated": "VIOLATED", "cannot-judge": "CANNOT JUDGE"}.get(end["verdict"], "ERROR")
        parts = [f"{end['frames']} packets, {end['judged']} of {end['connections']} connections judged"]
        if end["judged_tls"]:
            parts.append(f"{end['judged_tls']} of them over TLS")
        parts.append(f"{end['pdus']} PDUs")
        broken = [item for item in end["violations"] if cat.LEVELS[item["level"]] == "fail"]
        for side in ("host", "controller"):
            names = [item["requirement"] for item in broken if item["side"] == side]
            if names:
                parts.append(f"the {side} violates {', '.join(names)}")
        should = [item["requirement"] for item in end["violations"] if cat.LEVELS[item["level"]] == "warn"]
        if should:
            parts.append(f"a should is not met: {', '.join(should)}")
        parts += [f"{name}: {_counted(end[member])}" for member, name in PROOFS.items() if end.get(member)]
        if end["clock_jumped"]:
            parts.append(f"the clock jumps at packet {end['clock_jumped']}, so times are not exact")
        if end["reason"]:
            parts.append(f"not everything was judged: {clean(end['reason'])}" if end["judged"] else clean(end["reason"]))
        paint = {"clean": "pass", "violated": "fail"}.get(end["verdict"], "inconclusive")
        return self._printer.paint(paint, f"{name}: {clean(self.path)}: {'; '.join(parts)}")

    def result(self, status):
        """result returns the file as -o json has it."""
        keep = ("frame", "time_ns", "conn", "pdu", "side", "requirement", "level", "citation", "expected")
        apart = ("event", "violations", "associations", *PROOFS)
        end = {name: value for name, value in (self.end or {}).items() if name not in apart}
        return {"file": self.path, "exit_status": status, **end,
                "violations": [{**{name: event[name] for name in keep}, "seen": event["text"]} for event in self.violations],
                "counts": (self.end or {}).get("violations", []),
                "associations": [{name: event[name] for name in ("association", "conn", "frame", "text")}
                                 for event in self.associations],
                "checks": [{name: event[name] for name in ("conn", "frame", "text")} for event in self.checks],
                "proofs": {member: (self.end or {}).get(member, {}) for member in PROOFS},
                "not_judged": [{"frame": event["frame"], "conn": event["conn"], "why": event["text"]}
                               for event in self.unjudged]}


def _counted(found):
    """_counted puts "N verified" first and what was not, with its reason, behind it."""
    words = [f"{number} {what}" if what in ("verified", "wrong") or what.startswith("made") else f"{number} not verified ({what})"
             for what, number in found.items()]
    return ", ".join(words)


def _status_of(statuses):
    """_status_of returns the gravest of several exit statuses."""
    return next((status for status in GRAVEST_FIRST if status in statuses), EXIT_OK)


def _check(args):
    if args.keylog and not os.path.isfile(args.keylog):
        raise UsageError(f"--keylog {args.keylog}: no such file")
    if args.interface and args.files:
        raise UsageError("--interface and a FILE exclude each other")
    if not args.interface and not args.files:
        raise UsageError("name a FILE, or an interface with -i")
    following = args.follow or args.interface
    if following and len(args.files) > 1:
        raise UsageError("--follow takes one FILE")
    if args.seconds and not following:
        raise UsageError("--seconds is for --follow and -i; a file ends by itself")
    if args.reference and (args.profile or args.dhchap_secret or args.dhchap_ctrl_secret or args.tls_key):
        raise UsageError("--reference has secrets of its own: leave out --profile, -S, -C and --tls-key")
    for option in ("traddr", "trsvcid", "concat", "tls"):
        if getattr(args, option):
            raise UsageError(f"--{option} describes a target, and a capture has its own; of the options of a target replay takes "
                             "names and secrets only")


def _end_in_order(pool):
    """_end_in_order makes the first signal end a following with its verdict; a second one ends the command."""

    def handler(_number, _frame):
        run.raise_on_signals()
        pool.ask_to_end()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _judge(args, path, identities, printer, reports):
    """_judge has one file, or the interface (path None), judged, and returns its Replay and exit status."""
    as_json = args.output_format == "json"
    following = bool(args.follow or args.interface)
    show = not args.summary and not as_json
    replay = Replay(path or args.interface, printer, show)
    config = {"file": path, "interface": args.interface, "keylog": args.keylog, "judge": args.judge, "conversation": show,
              "identities": identities, "follow": following, "seconds": args.seconds}
    pool, ended = engine.Pool(1), []

    def on_event(_job, event, line):
        if reports:
            reports.event_line(line)
        replay.take(event, line)
        if following:
            printer.stream.flush()

    if following:
        _end_in_order(pool)
    job = engine.Job({name: value for name, value in config.items() if value is not None},
                     math.inf if following else SILENCE_SECONDS, subcommand="replay")
    pool.run([job], on_event, lambda _job, outcome: ended.append(outcome))
    return replay, replay.settle(ended[0])


def main(args):
    """main runs `nvme-conform replay`: 0 judged and clean, 1 judged and violated, 125 could not judge, 2 not a capture."""
    for path in args.files:
        if path == "-" or (os.path.exists(path) and not os.path.isfile(path)):
            raise UsageError(f"{path}: is no ordinary file: save the capture to one, and name that (--follow reads it while it grows)")
    if args.against:
        return reenact.main(args)
    reenact.refuse_alone(args)
    _check(args)
    redactor = Redactor()
    identities = {"reference": args.seed or 0} if args.reference else options.identities(args, redactor)
    as_json = args.output_format == "json"
    printer = Printer(redactor, sys.stderr if as_json else sys.stdout)
    reports = replay_reports.begin(args.output_dir, redactor) if args.output_dir else None
    results = [_judge(args, path, identities, printer, reports) for path in args.files or [None]]
    status = _status_of([status for _, status in results])
    document = {"format": "nvme-conform-replay/1", "exit_status": status,
                "files": [replay.result(status) for replay, status in results]}
    if reports:
        replay_reports.finish(reports, document, results)
        printer.line(f"reports: {reports.shown()}")
    if as_json:
        Printer(redactor, sys.stdout).line(json.dumps(document, indent=1))
    return status
