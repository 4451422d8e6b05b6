# SPDX-License-Identifier: BSD-3-Clause
"""`nvme-conform replay FILE --against TARGET`: what the host of a capture did is done again to another target, and the answers of both are
shown like a diff."""

import json
import os
import re
import secrets
import sys

from . import catalogue as cat
from . import engine, options
from .errors import (EXIT_CANNOT_JUDGE, EXIT_DIFFERENT, EXIT_FAIL, EXIT_OK, EXIT_TOOL, EXIT_USAGE, ToolError, UsageError)
from .redaction import Redactor
from .terminal import Printer, clean

ENGINE_UNREACHABLE = 4
DEFAULT_TIMEOUT = 10
LONGEST_WAIT = 150
SILENCE_SECONDS = 3600  # the engine speaks when it is done, and may have to wait as long as the host did
MARKS = {"same": " ", "captured": "-", "new": "+", "note": "#", "violation": "!"}
PAINT = {"captured": "fail", "new": "pass"}
ARROWS = {"h2c": "->", "c2h": "<-"}
GRAVEST_FIRST = (EXIT_TOOL, EXIT_USAGE, EXIT_FAIL, EXIT_CANNOT_JUDGE, EXIT_DIFFERENT)
NAMES = {EXIT_OK: ("pass", "SAME"), EXIT_DIFFERENT: ("warn", "DIFFERENT"), EXIT_FAIL: ("fail", "VIOLATED"),
         EXIT_CANNOT_JUDGE: ("inconclusive", "NOT RE-ENACTED IN FULL")}


def seconds_of_wait(text):
    """seconds_of_wait is the argparse type of --longest-wait: 0 to 86400."""
    value = int(text)
    if not 0 <= value <= 86400:
        raise ValueError
    return value


def add_arguments(parser):
    """add_arguments adds the arguments of re-enacting to those of `replay`."""
    group = parser.add_argument_group("re-enacting")
    add = group.add_argument
    add("--against", metavar="TARGET", help="do to TARGET what the host of FILE did, and compare: reference, ADDR[:PORT] with the "
        "target options (-n, -q, -S, -C, ...), or profile (what --profile describes)")
    add("--save-case", metavar="OUT.c", help="write what was re-enacted as a case for suites/")
    add("--defect", action="append", default=[], metavar="NAME", help="break the reference target this way; repeatable")
    add("--seed", type=options.seed, metavar="N", help="same seed, same bytes (default: random, always shown)")
    add("--timeout", type=options.seconds, default=DEFAULT_TIMEOUT, metavar="S", help="how long the target may take to answer (default 10)")
    add("--longest-wait", type=seconds_of_wait, default=LONGEST_WAIT, metavar="S",
        help=f"where the host waited longer, wait S seconds (default {LONGEST_WAIT}); in process no wait takes time")
    add("--all-commands", action="store_true", help="also send a real target commands that write, format, or reset it")


def refuse_alone(args):
    """refuse_alone says which option of re-enacting was given without --against."""
    for name in ("save_case", "defect", "seed", "all_commands"):
        if getattr(args, name) not in (None, False, []) and not (name == "seed" and args.reference):
            raise UsageError(f"--{name.replace('_', '-')} needs --against: say which target")


def _target(args, redactor):
    """_target makes the Target that --against and the target options describe."""
    if args.against == "reference":
        if args.traddr or args.profile:
            raise UsageError("--against reference is the target of this program: leave out --traddr and --profile")
        return options.Target()
    if args.against == "profile":
        if not args.profile:
            raise UsageError("--against profile needs the profile: add --profile FILE")
        return options.build_target(args, redactor)
    found = re.fullmatch(r"\[([^\]]+)\](?::(\d+))?|([^:\[\]]+)(?::(\d+))?|([0-9a-fA-F:.]+)", args.against)
    if not found:
        raise UsageError(f"--against {args.against!r}: not reference, profile or ADDR[:PORT]")
    address, number = found[1] or found[3] or found[5], found[2] or found[4]
    if args.profile:
        raise UsageError("--profile names its address itself: use --against profile")
    if args.traddr and args.traddr != address:
        raise UsageError(f"--against {args.against} and --traddr {args.traddr} name two targets")
    args.traddr = address
    if number:
        try:
            args.trsvcid = options.port(number)
        except ValueError:
            raise UsageError(f"--against {args.against!r}: not a port from 1 to 65535") from None
    return options.build_target(args, redactor)


class Reenactment:
    """Reenactment takes the events of one file, shows them and keeps what counts."""

    def __init__(self, path, target, printer, show_all):
        self.path = path
        self.end = None
        self.lines = []
        self.faults = []
        self._target = target
        self._printer = printer
        self._show_all = show_all

    def take(self, event, line):
        """take books one event of the engine."""
        kind = event.get("event") if event else None
        if kind == "reenact-end":
            self.end = event
        elif kind == "reenact-start":
            self._printer.line(f"--- {clean(self.path)}")
            self._printer.line(f"+++ {clean(self._target)}")
        elif kind == "reenact":
            self.lines.append(event)
            if self._show_all or event["kind"] != "same":
                self._show(event)
        else:
            self.faults.append(f"the engine wrote a line that is no event: {line[:80]!r}")

    def _show(self, event):
        kind = event["kind"]
        where = f"{MARKS[kind]} {event.get('frame', ''):>7} {event.get('conn', ''):>5} {ARROWS.get(event.get('dir'), ''):2}"
        if kind == "violation":
            verb = " violates" if cat.blames(event["level"]) else ", on record:"
            head = (f"the new target{verb} {event['requirement']} ({event['level']}) {event['citation']}: {event['statement']}"
                    f"{', as the captured one does' if event['in_capture'] else ''}")
            self._printer.line(f"{where} {self._printer.paint(cat.LEVELS[event['level']], clean(head))}")
            for label, text in (("expected", event["expected"]), ("seen", event["text"])):
                self._printer.line(f"{'':20}{label:<9} {clean(text)}")
            return
        text = f"({clean(event['text'])})" if kind == "note" else clean(event["text"])
        self._printer.line(self._printer.paint(PAINT.get(kind), f"{where} {text}"))

    def _new_violations(self, level):
        return [item["requirement"] for item in self.end["violations"]
                if cat.LEVELS[item["level"]] == level and not item["in_capture"]]

    def settle(self, outcome):
        """settle returns the exit status of the file once its engine has ended."""
        if outcome.status in (EXIT_USAGE, ENGINE_UNREACHABLE) and not outcome.stopped:
            print(f"nvme-conform: {clean(engine.last_line(outcome.stderr))}", file=sys.stderr)
            return EXIT_USAGE if outcome.status == EXIT_USAGE else EXIT_CANNOT_JUDGE
        fault = outcome.fault() or ("" if self.end else "the engine did not come to its end")
        if fault or self.faults:
            raise ToolError(f"{self.path}: {fault or self.faults[0]}")
        status = self._status()
        self._printer.line(self._verdict(status))
        return status

    def _status(self):
        if self._new_violations("fail"):
            return EXIT_FAIL
        if self.end["reason"] or not self.end["same"]:
            return EXIT_CANNOT_JUDGE
        return EXIT_DIFFERENT if self.end["captured"] or self.end["new"] else EXIT_OK

    def _verdict(self, status):
        end = self.end
        parts = [f"{end['same']} lines as in the capture"]
        if end["captured"] or end["new"]:
            parts.append(f"{end['captured']} only in the capture, {end['new']} only now")
        for level, text in (("fail", "the new target violates"), ("warn", "a should is not met:")):
            names = self._new_violations(level)
            if names:
                parts.append(f"{text} {', '.join(names)}")
        both = [item["requirement"] for item in end["violations"] if item["in_capture"] and cat.blames(item["level"])]
        if both:
            parts.append(f"both violate {', '.join(both)}")
        gone = [name for name in end["captured_violations"] if name not in both]
        if gone:
            parts.append(f"the captured target violates {', '.join(gone)}, the new one does not")
        if end["attempts"] > 1:
            parts.append(f"done {end['attempts']} times, since an AUTH_Failure1 got lost")
        if end["reason"]:
            parts.append(clean(end["reason"]))
        elif not end["same"]:
            parts.append("nothing in it can be re-enacted")
        paint, name = NAMES[status]
        return self._printer.paint(paint, f"{name}: {clean(self.path)}: {'; '.join(parts)}")

    def result(self, status):
        """result returns the file as -o json has it."""
        end = {name: value for name, value in (self.end or {}).items() if name != "event"}
        return {"file": self.path, "target": self._target, "exit_status": status, **end,
                "lines": [{name: value for name, value in event.items() if name != "event"} for event in self.lines]}


def main(args):
    """main re-enacts each file: 0 as in the capture, 1 what differs violates a requirement, 4 it differs and violates nothing, 125 not
    everything could be done, 2 not a capture."""
    if args.keylog and not os.path.isfile(args.keylog):
        raise UsageError(f"--keylog {args.keylog}: no such file")
    if not args.files:
        raise UsageError("--against needs a capture: name a FILE")
    for option in ("follow", "interface", "seconds", "output_dir"):
        if getattr(args, option):
            raise UsageError(f"--{option.replace('_', '-')} and --against exclude each other")
    redactor = Redactor()
    try:
        target = _target(args, redactor)
    except UsageError as error:
        raise UsageError(redactor.text(str(error))) from None
    if args.defect and not target.is_reference:
        raise UsageError("--defect breaks the reference target only: use --against reference")
    if args.save_case and len(args.files) > 1:
        raise UsageError("--save-case writes one case: name one file")
    as_json = args.output_format == "json"
    printer = Printer(redactor, sys.stderr if as_json else sys.stdout)
    seed = args.seed if args.seed is not None else secrets.randbits(32)
    name = f"{target.text}{''.join(f', defect {name}' for name in args.defect)}, seed 0x{seed:x}"
    for line in target.effects():
        printer.line(line)
    results = []
    for path in args.files:
        done = Reenactment(path, name, printer, not args.summary)
        config = {"file": path, "keylog": args.keylog, "target": target.config, "defects": args.defect, "seed": seed,
                  "timeout_s": args.timeout, "longest_wait_s": args.longest_wait, "all_commands": args.all_commands,
                  "save_case": args.save_case}
        ended = []
        engine.Pool(1).run([engine.Job(config, SILENCE_SECONDS, subcommand="reenact")],
                           lambda _job, event, line, done=done: done.take(event, line),
                           lambda _job, outcome, ended=ended: ended.append(outcome))
        results.append((done, done.settle(ended[0])))
    if as_json:
        Printer(redactor, sys.stdout).line(json.dumps(
            {"format": "nvme-conform-reenactment/1", "files": [done.result(status) for done, status in results]}, indent=1))
    statuses = [status for _, status in results]
    return next((status for status in GRAVEST_FIRST if status in statuses), EXIT_OK)
