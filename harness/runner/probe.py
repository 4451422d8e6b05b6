# SPDX-License-Identifier: BSD-3-Clause
"""`nvme-conform probe`: ask a target what it can do, and write a first profile of it (docs/profile.md) to complete by hand."""

import json
import os
import secrets
import sys

from . import engine, options
from .errors import EXIT_CANNOT_JUDGE, EXIT_OK, EXIT_USAGE, RunnerError, ToolError, UsageError
from .redaction import Redactor
from .run import CASE_SECONDS, DEFAULT_TIMEOUT
from .terminal import Printer, clean, table

# What the engine calls them, and what a profile does (docs/profile.md).
HASHES = {"SHA-256": 1, "SHA-384": 2, "SHA-512": 3}
DHGROUPS = {"NULL": 0, "ffdhe2048": 1, "ffdhe3072": 2, "ffdhe4096": 3, "ffdhe6144": 4, "ffdhe8192": 5}
# Needs that say something about the target, not about what was given or where the target runs; the first takes a secret to ask.
ABOUT_TARGET = ("concat", "atr", "io", "io-atr")
# A probe connects some twenty times.
CONNECTIONS = 20


class Unreachable(RunnerError):
    """Unreachable is a target that did not answer the first question."""

    exit_status = EXIT_CANNOT_JUDGE


def add_arguments(parser):
    """add_arguments adds the arguments of `probe`."""
    options.add_target_options(parser)
    group = parser.add_argument_group("probe")
    add = group.add_argument
    add("--tls-port", type=options.port, metavar="PORT", help="a second port, which requires TLS")
    add("--plain-port", type=options.port, metavar="PORT", help="a port without TLS")
    add("--timeout", type=options.seconds, default=DEFAULT_TIMEOUT, metavar="S", help="how long the target may take to answer (default 10)")
    add("--output", default="profile.json", metavar="FILE", help="the profile (default profile.json); never overwritten")


def main(args):
    """main runs `nvme-conform probe` and returns its exit status."""
    redactor = Redactor()
    try:
        profile = _given(args, redactor)
        if os.path.lexists(args.output):
            raise UsageError(f"--output {args.output}: is there already and may hold secrets; name another file")
        event = _ask(args, profile)
        complete(profile, event)
        _write(args.output, profile)
    except RunnerError as error:
        raise type(error)(redactor.text(str(error))) from None
    printer = Printer(redactor, sys.stdout)
    rows = [["yes" if found.get("met") else "no", clean(found.get("need")), clean(found.get("finding"))] for found in _findings(event)]
    rows += [["", name, clean(event.get(name) or "not asked: no secret without a fixed hash and group")] for name in ("hashes", "dhgroups")]
    for line in table(rows):
        printer.line(line)
    printer.line(f"profile in {clean(args.output)}; it holds the secrets that were given. Add identities to it, then:")
    printer.line(options.command("nvme-conform", ["run", "--profile", args.output]))
    return EXIT_OK


def _given(args, redactor):
    """_given returns the profile that the options describe."""
    if args.profile:
        raise UsageError("--profile: probe writes a profile; describe the target by -a, -s, -n, -q, -S, ...")
    if not args.traddr and (not args.config or args.config == "none"):
        raise UsageError("the target is missing: add -a ADDR -n NQN")
    profile = options.build_target(args, redactor).config
    ports = profile["ports"]
    if ports["tls"] and args.tls_port:
        raise UsageError("--tls makes PORT a TLS port already; leave out --tls-port, or --tls")
    ports["tls"], ports["plain"] = ports["tls"] or args.tls_port, args.plain_port
    return profile


def _ask(args, profile):
    """_ask returns the engine's probe event."""
    config = {"target": profile, "defects": [], "seed": secrets.randbits(32), "cases": [], "timeout_s": args.timeout}
    events, outcomes = [], []
    job = engine.Job(config, CASE_SECONDS + CONNECTIONS * args.timeout, subcommand="probe")
    engine.Pool(1).run([job], lambda _job, event, _line: events.append(event), lambda _job, outcome: outcomes.append(outcome))
    outcome = outcomes[0]
    if outcome.status == engine.STATUS_UNREACHABLE and not outcome.stopped:
        raise Unreachable(f"{profile['addr']}: {engine.last_line(outcome.stderr)}")
    if outcome.status == EXIT_USAGE and not outcome.stopped:
        raise UsageError(engine.last_line(outcome.stderr))
    if outcome.fault():
        raise ToolError(outcome.fault())
    found = [event for event in events if event and event.get("event") == "probe"]
    if not found:
        raise ToolError("the engine ended without saying what it found")
    return found[0]


def _findings(event):
    findings = event.get("findings")
    return [found for found in findings if isinstance(found, dict)] if isinstance(findings, list) else []


def complete(profile, event):
    """complete adds to a profile what the probe found: the hash and the group, where the target takes only one, and for the
    reader what was seen and what is not supported."""
    for host in profile["hosts"]:
        if host["dhchap_secret"]:
            host["hash"] = _only(event.get("hashes"), HASHES)
            host["dhgroup"] = _only(event.get("dhgroups"), DHGROUPS)
    for number, host in enumerate(profile["hosts"], 1):
        host["name"] = f"host-{number}"
        host["purpose"] = "default" if host["dhchap_secret"] else "no-secret"
    for number, psk in enumerate(profile["psks"], 1):
        psk["name"] = f"psk-{number}"
    profile["target"] = {"kind": "probed"}
    profile["findings"] = [{"need": clean(found.get("need")), "met": found.get("met") is True, "finding": clean(found.get("finding"))}
                           for found in _findings(event)]
    asked = ABOUT_TARGET if any(host["dhchap_secret"] for host in profile["hosts"]) else ABOUT_TARGET[1:]
    profile["unsupported"] = [found["need"] for found in profile["findings"]
                              if profile["ports"]["concat"] and found["need"] in asked and not found["met"]]


def _only(names, numbers):
    known = [numbers[name] for name in str(names or "").split(", ") if name in numbers]
    return known[0] if len(known) == 1 else None


def _write(path, profile):
    """_write stores the profile for its owner's eyes only; never over another file, not even one that a link leads to."""
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(number, "w", encoding="utf-8") as file:
            json.dump(profile, file, indent=1)
            file.write("\n")
    except OSError as error:
        raise UsageError(f"--output {path}: {error.strerror}") from error
