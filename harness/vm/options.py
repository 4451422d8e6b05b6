# SPDX-License-Identifier: BSD-3-Clause
"""The options of `nvme-conform gate`: what each is, which go together, and what of them a later run takes up again."""

import json
import math
import os

from ..runner import catalogue, engine
from ..runner import options as runner_options
from . import baseline, config, expectation, qemu, soak
from .errors import EXIT_USAGE, GateError

# What a guest of this machine needs to answer, with much to spare; more only makes hangs cost more.
ANSWER_SECONDS = "3"
CONSOLE_ANSWER_SECONDS = "30"    # tester and target share one emulated processor
# What a baseline speaks of must not depend on chance.
SEED = "1"
# What gate.json says where a gate booted and came to no verdict.
UNJUDGED = "cannot judge"
LEAST_MIB, MOST_MIB = 32, 1 << 20
EPILOG = """exit status: 0 as the baseline expects and the kernel silent; 1 not as expected, or the
kernel complained; 2 wrong argument; 3 this machine lacks something; 125 this kernel cannot be
judged (git bisect run skips it); 130 interrupted. With --bisect: 0 good, 1 bad, 125 skip, 128 and
more: the harness is broken, or the command is wrong"""
# A gate is of one of these kinds, or judges a target with the suite.
MODES = ("bisect", "console", "host", "soak")
TABLES = ("kernels", "rejudge", "merge")
# {option: those of which one must be there for it to mean anything}
NEEDS = {"modules": ("image", "uml"), "config": ("image", "uml"), "defect": ("host",), "export": ("console",),
         "shard": ("kernels",), "jobs": ("kernels",), "publish": TABLES}
# {option: those under which nothing would come of it}
EXCLUDED = {"cases": ("bisect", "host", "soak"), "keep": ("console", "host", "soak"),
            "lenient": ("no_baseline", "bisect", "host", "soak"),
            "update_baseline": ("no_baseline", "bisect", "console", "host", "soak")}
# What is looked at again is not run, so that only these mean anything.
_LOOKED_AT = {"rejudge": {"rejudge", "baseline", "lenient", "publish", "output_dir", "verbose"},
              "merge": {"merge", "publish", "output_dir", "verbose"}}


def _text(check):
    """_text is the argparse type that checks a text as the type check does, and leaves it a text."""
    def kind(text):
        check(text)
        return text
    kind.__name__ = check.__name__
    return kind


def mebibytes(text):
    """mebibytes is the argparse type of --memory: 32 to 2^20."""
    value = int(text)
    if not LEAST_MIB <= value <= MOST_MIB:
        raise ValueError
    return value


def boot_seconds(text):
    """boot_seconds is the argparse type of --boot-timeout: more than 0, and finite."""
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


def make_parser():
    """make_parser returns the parser of the command line."""
    parser = runner_options.Parser(prog="nvme-conform gate", epilog=EPILOG,
                                   description="Judge the NVMe target of a Linux kernel, booted in a virtual machine.")
    parser.add_argument("cases", nargs="*", metavar="CASE-GLOB")
    which = parser.add_argument_group("which kernel")
    which.add_argument("--kernel", metavar="VERSION", help="a Debian kernel, such as 7.3.4")
    which.add_argument("--kernels", metavar="A,B,C|FILE", help="several, one after the other; "
                       "ends with one table")
    which.add_argument("--deb", nargs="+", default=(), metavar="FILE", help="its packages")
    which.add_argument("--tree", metavar="DIR", help="a kernel tree after make, or its O= directory")
    which.add_argument("--image", metavar="FILE", help="a bzImage or vmlinux")
    which.add_argument("--uml", metavar="FILE", help="a User-Mode Linux (ARCH=um), run without QEMU")
    which.add_argument("--modules", metavar="DIR", help="modules of --image or --uml")
    which.add_argument("--config", metavar="FILE", help=".config of --image or --uml")
    which.add_argument("--print-config", metavar="FLAVOUR", nargs="?", const="x86",
                       choices=tuple(config.FLAVOURS), help="print the options that a kernel needs, as a "
                       f"fragment of a .config, and stop: {', '.join(config.FLAVOURS)} (default x86)")
    which.add_argument("--shard", metavar="I/N", help="with --kernels: only this share of them")
    where = parser.add_argument_group("where from and where to")
    where.add_argument("--cache", metavar="DIR", help="default ~/.cache/nvme-conform")
    where.add_argument("--mirror", metavar="URI", help="Debian archive; default: this machine's")
    where.add_argument("--offline", action="store_true", help="only what is in the cache")
    where.add_argument("--fetch", action="store_true", help="fill the cache for every kind of gate, and stop")
    where.add_argument("--publish", metavar="DIR", help="with --kernels: verdicts and tables for others")
    where.add_argument("--output-dir", metavar="DIR", help="default reports/run-TIME")
    judged = parser.add_argument_group("what is expected")
    judged.add_argument("--baseline", metavar="FILE", default=expectation.DEFAULT,
                        help="default harness/baselines/linux.toml")
    judged.add_argument("--no-baseline", action="store_true", help="every case shall pass")
    judged.add_argument("--lenient", action="store_true",
                        help="an expected fail that passes is no failure of the gate")
    judged.add_argument("--update-baseline", action="store_true",
                        help="write what is not listed into the baseline, to be explained")
    judged.add_argument("--rejudge", metavar="DIR", help="lay an earlier --kernels run beside the "
                        "baseline of today, without booting anything")
    judged.add_argument("--merge", metavar="DIR", nargs="+", help="one table of earlier --kernels runs")
    judged.add_argument("--bisect", metavar="CASE", help="judge this one case, for git bisect run")
    judged.add_argument("--soak", metavar="ROUNDS", type=int, nargs="?", const=soak.ROUNDS, help="instead of the suite: "
                        f"so many rounds of authentications, replacements, failures and aborts, twice (default {soak.ROUNDS}), "
                        "and what they leave behind in the kernel")
    judged.add_argument("--rerun", metavar="DIR", help="the kernel and the options of the run in DIR again, for CASE-GLOB, "
                        "or for what was not as expected there")
    how = parser.add_argument_group("how")
    how.add_argument("-j", "--jobs", type=runner_options.jobs, metavar="N", help="with --kernels: kernels at once")
    how.add_argument("--guests", type=int, choices=(1, 2), help="equal guests that share the cases of a kernel out (default: 2 "
                     "for all cases where two cores and the memory are there, else 1)")
    how.add_argument("--host", action="store_true", help="the other direction: the kernel is the "
                     "host, with nvme-cli, and connects to the reference target")
    how.add_argument("--console", action="store_true", help="the guest runs the suite itself, over loopback, and prints "
                     "KTAP on its console: no network")
    how.add_argument("--export", metavar="DIR", help="with --console: write vmlinux, initrd and cmdline for another "
                     "engine's QEMU, and stop")
    how.add_argument("--accel", choices=("auto", "kvm", "tcg"), default="auto")
    how.add_argument("--append", default="", help="more for the kernel's command line")
    how.add_argument("--memory", type=mebibytes, default=qemu.MEMORY_MIB, metavar="MIB",
                     help=f"of the guest (default {qemu.MEMORY_MIB}; a kernel with KASAN needs more)")
    how.add_argument("--boot-timeout", type=boot_seconds, default=120, metavar="S")
    how.add_argument("--defect", action="append", default=[], metavar="NAME",
                     help="with --host: break the reference target, to see what a host makes of it")
    how.add_argument("--keep", action="store_true", help="leave the guest running, print the ways in; Enter ends it")
    how.add_argument("--seed", type=_text(runner_options.seed), default=SEED, help=f"for the suite (default {SEED})")
    how.add_argument("--timeout", type=_text(runner_options.seconds), metavar="S",
                     help=f"how long the target may take to answer (default {ANSWER_SECONDS}; "
                     f"with --console {CONSOLE_ANSWER_SECONDS})")
    how.add_argument("-v", "--verbose", action="store_true", help="a line per case; with "
                     "--kernels: also what differs between them")
    return parser


def parse(argv):
    """parse returns the options, and as `given` the names of those that differ from their defaults."""
    parser = make_parser()
    words = parser.parse_args(argv)
    if words.rerun:
        words = _as_in(words.rerun, parser, argv)
    words.given = {name for name, value in vars(words).items() if value not in (parser.get_default(name), [])}
    words.timeout = words.timeout or (CONSOLE_ANSWER_SECONDS if words.console else ANSWER_SECONDS)
    check(words)
    if words.bisect:
        words.cases, words.no_baseline = [words.bisect], True
    return words


def spelled(name):
    """spelled returns an option's name as it is typed."""
    return "CASE-GLOB" if name == "cases" else "--" + name.replace("_", "-")


def _one_of(names, given):
    """_one_of raises GateError where more than one of the names is given."""
    if len(both := [name for name in names if name in given]) > 1:
        raise GateError(f"{spelled(both[0])} does not go with {spelled(both[1])}", EXIT_USAGE)


def check(words):
    """check raises GateError for options that contradict each other, or of which nothing would come."""
    given = words.given
    if words.tree and (words.modules or words.config):
        raise GateError("--tree finds modules and configuration itself", EXIT_USAGE)
    _one_of(MODES, given)
    _one_of(TABLES, given)
    for name, wanted in NEEDS.items():
        if name in given and not given & set(wanted):
            raise GateError(f"{spelled(name)} needs {' or '.join(map(spelled, wanted))}", EXIT_USAGE)
    for name, others in EXCLUDED.items():
        if name in given and (there := [other for other in others if other in given]):
            raise GateError(f"{spelled(name)} does not go with {spelled(there[0])}", EXIT_USAGE)
    for kind, allowed in _LOOKED_AT.items():
        if kind in given and (odd := sorted(given - allowed)):
            raise GateError(f"{spelled(kind)} runs nothing; {spelled(odd[0])} does not go with it", EXIT_USAGE)
    if "soak" in given:
        soak.check_rounds(words.soak)


def check_names(globs, defects):
    """check_names raises UsageError for a glob that chooses no case of this engine, and for a defect that its target does not know,
    before anything is fetched or booted."""
    if globs or defects:
        known = catalogue.read(engine.list_objects())
        catalogue.select(globs, known.cases, "case")
        catalogue.check_defects(defects, known)


def num_guests(words):
    """num_guests returns how many guests share the cases out, None for as many as there is room for."""
    alone = [name for name in ("bisect", "keep", "soak", "uml", "host", "console") if getattr(words, name) not in (None, False)]
    if words.guests == 2 and alone:
        raise GateError(f"--guests 2 shares the cases of a run out; --{alone[0]} needs one guest", EXIT_USAGE)
    return words.guests or (1 if alone or words.cases else None)


def _as_in(directory, parser, argv):
    """_as_in returns the options of the run in directory, where argv does not say otherwise."""
    path = os.path.join(directory, "gate.json")
    try:
        with open(path, encoding="utf-8") as file:
            facts = json.load(file)
        again, differences = facts["again"], (facts.get("baseline") or {}).get("differences", [])
        if not all(isinstance(each, str) for each in [*again, *(each["id"] for each in differences), *facts.get("chosen", [])]):
            raise TypeError("words that are no text")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GateError(f"--rerun {directory}: {path} is not of a gate's run ({error!r})", EXIT_USAGE) from None
    words = parser.parse_args(argv, parser.parse_args(again))
    if words.cases and not any(word.startswith("--soak") for word in argv):
        words.soak = None    # a case of a kernel that was soaked
    if words.cases or any(getattr(words, name) not in (None, False) for name in EXCLUDED["cases"]):
        return words
    if facts.get("verdict") == UNJUDGED:
        words.cases = facts.get("chosen", [])
        return words
    words.cases = [each["id"] for each in differences if not each["id"].startswith(baseline.OBSERVER)]
    if not words.cases:
        raise GateError(f"--rerun {directory}: no case was against the baseline there; name one, as in --rerun DIR CASE", EXIT_USAGE)
    return words


def again_words(words):
    """again_words returns the options that --rerun takes up: the same kernel, booted and judged the same way."""
    chosen = [os.path.abspath(word) if os.path.exists(word) else word for word in which_kernel(words)]
    chosen += ["--seed", words.seed, "--timeout", words.timeout, "--accel", words.accel, "--memory", str(words.memory)]
    chosen += [f"--append={words.append}"] if words.append else []
    chosen += ["--cache", os.path.abspath(words.cache)] if words.cache else []
    chosen += ["--boot-timeout", str(words.boot_timeout)]
    chosen += ["--host"] * words.host + ["--console"] * words.console + [f"--defect={name}" for name in words.defect]
    chosen += [f"--soak={words.soak}"] if words.soak is not None else []
    return chosen + (["--no-baseline"] if words.no_baseline else ["--baseline", os.path.abspath(words.baseline)])


def which_kernel(words):
    """which_kernel returns the words that choose the same kernel again."""
    if words.deb:
        return ["--deb", *words.deb]
    chosen = [word for name in ("kernel", "image", "tree", "uml") if getattr(words, name)
              for word in ("--" + name, getattr(words, name))]
    for name in ("modules", "config"):
        if getattr(words, name):
            chosen += [f"--{name}", getattr(words, name)]
    return chosen
