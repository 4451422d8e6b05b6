# SPDX-License-Identifier: BSD-3-Clause
"""The command line as a whole: subcommands, signals, and one line for every mistake."""

import os
import sys
import traceback

from . import __version__, compare, defects, diff, listing, options, probe, replay, report, run, target
from .errors import EXIT_INTERRUPTED, EXIT_TOOL, RunnerError, ToolError

SUBCOMMANDS = {
    "list": (listing, "show cases, requirements, defects, or which case covers what"),
    "run": (run, "judge a target, or the embedded reference target"),
    "probe": (probe, "ask a target what it can do and write a first profile of it"),
    "target": (target, "be the reference target, for real hosts"),
    "defects": (defects, "break the reference target in every known way and see which case notices"),
    "replay": (replay, "judge captures: which side broke which rule, at which packet"),
    "report": (report, "show runs as one page, target by target and requirement by requirement"),
    "diff": (diff, "what changed from one run to another"),
    "compare": (compare, "compare the verdicts of a run with recorded ones"),
}
# What needs a kernel in a virtual machine, or comes of it; their arguments are harness/vm's.
GATES = {"gate": "boot a Linux kernel in a virtual machine and judge its target",
         "merge": "join the reports of several shares of `gate --kernels`"}
EPILOG = """exit status: 0 all judged, nothing failed; 1 something failed; 2 wrong argument, secret or file;
3 the tester's own error; 125 nothing failed, but not everything could be judged; 130 interrupted"""


def _parser():
    parser = options.Parser(prog="nvme-conform", description="Conformance of NVMe/TCP authentication and secure channels.",
                            epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"nvme-conform {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, text) in SUBCOMMANDS.items():
        module.add_arguments(commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", epilog=EPILOG))
    for name, text in GATES.items():
        commands.add_parser(name, help=text, add_help=False)
    return parser


def _gate(name, argv):
    try:
        from harness.vm import command
    except ImportError as error:
        raise ToolError(f"the kernel gate is not installed here ({error})") from None
    return command.main(argv) if name == "gate" else command.merge(argv)


def _discard_output():
    """_discard_output drops what could not be written: Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(argv):
    """main runs the command and returns its exit status. Whatever the user got wrong is one line on standard error.

    Python ends with 1 for an exception that nobody caught, which would be a verdict about the target.
    """
    try:
        if argv and argv[0] in GATES:
            return _gate(argv[0], argv[1:])
        args = _parser().parse_args(argv)
        run.raise_on_signals()
        status = SUBCOMMANDS[args.command][0].main(args)
        sys.stdout.flush()
        return status
    except RunnerError as error:
        print(f"nvme-conform: {error}", file=sys.stderr)
        return error.exit_status
    except run.Interrupted:
        print("nvme-conform: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone.
        _discard_output()
        return EXIT_INTERRUPTED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else "cannot write or read: "
        print(f"nvme-conform: {where}{error.strerror or error}", file=sys.stderr)
        _discard_output()
        return EXIT_TOOL
    except Exception:    # pylint: disable=broad-exception-caught
        traceback.print_exc()
        return EXIT_TOOL
