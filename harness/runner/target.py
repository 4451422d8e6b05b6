# SPDX-License-Identifier: BSD-3-Clause
"""`nvme-conform target`: the reference target as a daemon that real hosts connect to."""

import json
import sys

from . import catalogue, engine, options
from .errors import UsageError
from .redaction import Redactor
from .run import Interrupted
from .terminal import Printer, clean


def add_arguments(parser):
    """add_arguments adds the arguments of `target`."""
    options.add_target_options(parser)
    group = parser.add_argument_group("target daemon")
    add = group.add_argument
    add("--tls-port", type=options.port, metavar="PORT", help="a second port that requires TLS")
    add("--plain-port", type=options.port, metavar="PORT", help="a port that refuses TLS and concatenation")
    add("--defect", action="append", default=[], metavar="NAME", help="break it this way; repeatable")
    add("--seed", type=options.seed, metavar="N", help="same seed, same challenges (default: true randomness)")
    add("--keylog", metavar="FILE", help="write TLS secrets, for Wireshark, and DH exponents to FILE; keep it to yourself")
    add("-o", "--output-format", choices=("normal", "json"), default="normal", help="how to print what happens")


def config(args, redactor):
    """config returns what the engine gets on its standard input: a profile and the policy.

    "concat" is "required" with --concat (a host with a secret must concatenate) and "allowed" without; "tls" alike.
    """
    if not args.traddr and not args.profile and not args.config:
        raise UsageError("an address to listen on is missing: add -a 127.0.0.1")
    target = options.build_target(args, redactor, listening=True)
    profile = dict(target.config)
    if not args.profile:
        ports = profile["ports"]
        if args.tls and args.tls_port:
            raise UsageError("--tls makes PORT a TLS port already; leave out --tls-port, or --tls")
        ports["tls"], ports["plain"] = ports["tls"] or args.tls_port, args.plain_port
    elif args.tls_port or args.plain_port:
        raise UsageError("--tls-port and --plain-port are the profile's business with --profile")
    return {"target": profile, "defects": sorted(set(args.defect)), "seed": args.seed, "keylog": args.keylog,
            "concat": "required" if args.concat else "allowed", "tls": "required" if args.tls else "allowed",
            "hdr_digest": target.hdr_digest, "data_digest": target.data_digest}


def _hosts(profile):
    hosts = profile.get("hosts")
    names = [clean(host.get("hostnqn")) for host in hosts if isinstance(host, dict)] if isinstance(hosts, list) else []
    return names[0] if len(names) == 1 else f"{len(names)} hosts"


def _text(event, line):
    if not event:
        return clean(line)
    if event.get("event") == "listening":
        ports = event.get("ports") or {}
        shown = ", ".join(f"{kind} {number}" for kind, number in ports.items() if number)
        return f"listening: {shown}" if isinstance(ports, dict) else "listening"
    rest = " ".join(f"{name}={value}" for name, value in event.items() if name not in ("event", "text"))
    return clean(f"{event.get('event')}: {event.get('text', '')} {rest}")


def main(args):
    """main runs `nvme-conform target` until it is told to stop, and returns its exit status."""
    redactor = Redactor()
    try:
        if args.defect:
            catalogue.check_defects(args.defect, catalogue.read(engine.list_objects()))
        asked = config(args, redactor)
    except UsageError as error:
        raise UsageError(redactor.text(str(error))) from None
    printer = Printer(redactor, sys.stdout)
    if args.output_format == "normal":
        printer.line(f"serving {clean(asked['target'].get('subnqn'))} to {_hosts(asked['target'])}")
    outcomes = []

    def show(_job, event, line):
        printer.line(json.dumps(event) if args.output_format == "json" and event else _text(event, line))
        printer.stream.flush()

    # A target may be idle for days; it is not silent but waiting.
    job = engine.Job(asked, float("inf"), subcommand="target")
    try:
        engine.Pool(1).run([job], show, lambda _job, outcome: outcomes.append(outcome))
    except Interrupted:
        return 0
    outcome = outcomes[0]
    if outcome.status == 2:
        raise UsageError(redactor.text(engine.last_line(outcome.stderr)))
    if outcome.fault():
        raise engine.ToolError(redactor.text(outcome.fault()))
    return 0
