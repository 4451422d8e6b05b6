# SPDX-License-Identifier: BSD-3-Clause
"""`nvme-conform gate`: boot a kernel, let the suite judge it, add what the kernel itself said."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import traceback

from ..runner import engine as runner_engine
from ..runner import options as runner_options
from ..runner import reports as runner_reports
from ..runner.errors import RunnerError
from . import cache as cache_module
from . import (baseline, config, console, evidence, expectation, gate, host_story, initramfs, matrix, options,
               soak)
from .windows import Windows
from .errors import (EXIT_CANNOT_JUDGE, EXIT_INTERRUPTED, EXIT_OK, EXIT_TOOL, EXIT_UNEXPECTED,
                     EXIT_USAGE, GateError)

PROGRAM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "nvme-conform")
SUITE_SECONDS = 3600
GRACE_SECONDS = 15
POLL_SECONDS = 0.02
SHOWN_LINES = 12
# git bisect run takes 1 to 127 as "bad" (125 as "skip") and stops at 128 and above.
BISECT_BROKEN = 128


def _suite_argv(words, guests, directory, last):
    argv = [sys.executable, PROGRAM, "run", *words.cases, "--profile", guests[0].profile_path,
            "--output-dir", directory]
    argv += [word for twin in guests[1:] for word in ("--twin", twin.profile_path)]
    argv += ["--seed", words.seed]
    argv += ["--timeout", words.timeout]
    argv += ["--verbose"] if words.verbose else []
    argv += [word for glob in last for word in ("--last", glob)]
    return runner_engine.dying_with_us(argv, "TERM")


def _end(process):
    """_end lets a suite that was interrupted with us write its reports, for a bounded time."""
    try:
        process.wait(GRACE_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


def run_suite(words, guests, directory, windows, output=None, last=()):
    """run_suite runs `nvme-conform run` against the guests, which share the cases, and returns its exit status.

    output: a file for what the suite prints, where the reader wants to see only what is news.
    last: globs of cases to run after all others.
    """
    windows.begin()
    deadline = time.monotonic() + SUITE_SECONDS
    again = shlex.join(["gate", *options.which_kernel(words)])
    process = subprocess.Popen(_suite_argv(words, guests, directory, last),
                               stdin=subprocess.DEVNULL, stdout=output,
                               env=dict(os.environ, NVME_CONFORM_AGAIN=again))
    try:
        while process.poll() is None:
            windows.poll()
            if time.monotonic() > deadline:
                raise GateError(f"the suite did not end within {SUITE_SECONDS} s")
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        # A terminal has told the suite as well; kill has not.
        process.terminate()
        _end(process)
        raise
    finally:
        if process.poll() is None:
            process.terminate()
            _end(process)
        windows.close()
    if process.returncode == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    return process.returncode if process.returncode >= 0 else EXIT_TOOL


def kernel_lines(report, windows, listed=False):
    """kernel_lines returns what the kernel's own voice adds, as text for a person. listed: the baseline knows it all."""
    lines = []
    for found in report.findings:
        case, where = windows.case_at(found), f" on guest-{found.twin + 1}" if found.twin else ""
        lines.append(f"KERNEL {'(as listed) ' if listed else ''}during {case or 'no case'}{where}: "
                     f"{found.title}")
        lines += ["     " + text for text in found.lines[1:1 if listed else SHOWN_LINES]]
    if report.death:
        lines.append(f"KERNEL the guest died: {report.death}")
    elif report.taint_after is None:
        lines.append("KERNEL the guest no longer answers")
    elif report.taint_after != report.taint_before:
        lines.append(f"KERNEL taint {report.taint_before} before, {report.taint_after} after")
    if report.tlshd_alive is False:
        lines.append("TESTER the guest's tlshd died; no verdict about TLS can be trusted")
    return lines


def exit_status(report, comparison=None, listed=False):
    """exit_status joins the verdicts with the kernel's voice: a complaint is never a pass.

    With a comparison the baseline says what the suite's verdicts are worth.
    """
    if report.tlshd_alive is False:
        return EXIT_TOOL
    if report.result in (EXIT_TOOL, EXIT_USAGE):
        return report.result
    status = report.result
    if comparison is not None:
        status = comparison.exit_status()
    if status == EXIT_UNEXPECTED:
        return status
    return status if report.kernel_silent or listed else EXIT_UNEXPECTED


def bisect_verdict(report, directory):
    """bisect_verdict is the status of --bisect: of the case alone, whatever the observer saw beside it.

    What the kernel complained about while it booted is not the case's doing.
    """
    if report.tlshd_alive is False or report.result in (EXIT_TOOL, EXIT_USAGE):
        return EXIT_TOOL if report.tlshd_alive is False else report.result
    found = expectation.results_in(directory).values()
    cases = [result for result in found if not result.id.startswith(baseline.OBSERVER)]
    complained = [each for each in report.findings if each.time >= report.started]
    if report.death or complained or any("fail" in (each.behaviour, each.teardown) for each in cases):
        return EXIT_UNEXPECTED
    judged = all(each.behaviour in ("pass", "warn") and each.teardown != "inconclusive" for each in cases)
    return EXIT_OK if judged and report.taint_after is not None else EXIT_CANNOT_JUDGE


def bisect_status(status):
    """bisect_status turns an exit status into one that git bisect run cannot misread."""
    if status in (EXIT_OK, EXIT_UNEXPECTED, EXIT_CANNOT_JUDGE) or status >= BISECT_BROKEN:
        return status
    return BISECT_BROKEN + status


def _keep(guest):
    """_keep leaves the guest to the user, until an empty line; any other is for the guest's shell."""
    ports = " ".join(f"{name}={guest.machine.address}:{port}" for name, port in guest.ports.items())
    print(f"the guest runs: {ports}\n"
          f"the suite:   {guest.machine.way_in()}nvme-conform run CASE --profile {guest.profile_path}\n"
          f"its console: tail -f {guest.log.path}\n"
          "its shell:   type a command here; Enter alone ends the guest", flush=True)
    while guest.alive() and (line := sys.stdin.readline().strip()):
        try:
            print(guest.run(line, "typed").output, end="", flush=True)
        except GateError as error:
            print(error.message, flush=True)


def _introduce(*guests):
    prepared, boot = guests[0].prepared, max(guest.timings["boot"] for guest in guests)
    number = f", {len(guests)} guests" if len(guests) > 1 else ""
    print(f"Linux {prepared.kernel.release} under {prepared.accel.upper()} "
          f"({prepared.accel_reason.split(': ')[0]}){number}, ready in {boot:.1f} s", flush=True)


def _suite_output(words, directory):
    """_suite_output returns a context with the file for the suite's own text, None where it belongs on the screen."""
    if words.no_baseline or words.cases or words.verbose:
        return contextlib.nullcontext()
    return open(os.path.join(directory, "suite.txt"), "wb")


def _judge(words, request, directory):
    suite_directory = os.path.join(directory, "suite")
    windows = Windows(os.path.join(suite_directory, "events.jsonl"))
    expected = None if words.no_baseline else expectation.Expectation(words.baseline)

    def runner(*guests):
        _introduce(*guests)
        last = expected.baseline.dangerous(guests[0].kernel.release) if expected else ()
        with _suite_output(words, directory) as output:
            status = run_suite(words, guests, suite_directory, windows, output, last)
        if words.keep:
            _keep(guests[0])
        return status

    report = gate.gate(request, runner)
    comparison = None
    if expected and report.result not in (EXIT_TOOL, EXIT_USAGE):
        comparison = expected.compare(suite_directory, report, windows.near, not words.cases,
                                      words.lenient)
    listed = bool(comparison and comparison.kernel_as_expected)
    status = bisect_verdict(report, suite_directory) if words.bisect else exit_status(report, comparison, listed)
    for line in kernel_lines(report, windows, listed):
        print(line)
    for line in comparison.lines(shlex.join(["gate", *options.which_kernel(words)])) if comparison else ():
        print(line)
    if comparison and words.update_baseline:
        print(expected.update(comparison, report.release))
    evidence.write_run(directory, words, report, windows, status, comparison)
    _conclude(report, directory)
    return status


def _conclude(report, directory):
    shown = os.path.relpath(directory)
    times = ", ".join(f"{name} {report.timings[name]:.1f} s" for name in ("prepare", "boot", "run"))
    print(f"kernel {'silent' if report.kernel_silent else 'complained'}; {times}; gate.json and the guest's "
          f"logs in {directory if shown.startswith('..') else shown}")


def _soak(words, request, directory):
    """_soak runs rounds instead of the suite; what grows with their number is a leak and fails."""
    soak.check_cases()
    windows = Windows(os.path.join(directory, soak.EVENTS))
    expected = None if words.no_baseline else expectation.Expectation(words.baseline)
    kinds = []

    def runner(guest):
        _introduce(guest)
        windows.begin()
        try:
            soak.run(guest, words, directory, windows, kinds)
        except GateError:
            if guest.alive():
                raise
        return EXIT_UNEXPECTED if any(list(kind.findings()) for kind in kinds) else EXIT_OK

    report = gate.gate(request, runner)
    windows.close()
    listed = bool(expected and expected.kernel_as_expected(report, windows.near))
    status = exit_status(report, None, listed)
    for line in kernel_lines(report, windows, listed):
        print(line)
    evidence.write_run(directory, words, report, windows, status, kinds=kinds)
    leaking = [kind.name for kind in kinds if list(kind.findings())]
    print(f"NOT AS EXPECTED: {', '.join(leaking)}" if leaking else "nothing grows beyond its bound")
    _conclude(report, directory)
    return status


def _play_host(words, request, directory):
    """_play_host lets the kernel be the host of the reference target and returns an exit status."""
    os.makedirs(directory, exist_ok=True)
    broken = [word for name in words.defect for word in ("--defect", name)]
    with host_story.ReferenceTarget(PROGRAM, directory, broken) as target:
        report = host_story.run(request, target.profile, target.port)
        target_alive = target.alive()
    print(f"Linux {report.release} under {report.accel.upper()} as host of the reference target")
    for line in host_story.lines(report):
        print(line)
    if not target_alive:
        print("FAIL the reference target died")
    print(f"{sum(step.ok for step in report.steps)} of {len(report.steps)} steps as they should "
          f"be; gate.json, junit.xml and logs in {directory}")
    status = EXIT_OK if report.ok and target_alive else EXIT_UNEXPECTED
    evidence.write_host(directory, words, report, target_alive, status)
    return status


def _interrupt(*_):
    raise KeyboardInterrupt


def _dispatch(words, directory):
    options.check_names(words.cases, words.defect)
    request = gate.Request(
        kernel=words.kernel, debs=tuple(words.deb), image=words.image, tree=words.tree,
        uml=words.uml, modules=words.modules, config=words.config, cache=words.cache, mirror=words.mirror, offline=words.offline,
        accel=words.accel, directory=os.path.join(directory, "guest"), memory=words.memory,
        append=words.append, boot_seconds=words.boot_timeout, earlier=words.rerun, leaks=words.soak is None, guests=options.num_guests(words))
    if words.kernels or words.rejudge or words.merge:
        return matrix.run(words, directory, PROGRAM)
    if words.fetch:
        # Whatever comes later with --offline, also --host and --console, finds what it needs.
        prepared = gate.prepare(request, initramfs.TARGET_PROGRAMS, initramfs.HOST_PROGRAMS, initramfs.SUITE_PROGRAMS)
        print(f"Linux {prepared.kernel.release} is in {prepared.cache.directory}")
        return EXIT_OK
    if words.export:
        return console.export(words, request, words.export)
    if words.console:
        return console.run(words, request, directory)
    if words.host:
        return _play_host(words, request, directory)
    if words.soak is not None:
        return _soak(words, request, directory)
    return _judge(words, request, directory)


def _writes(words):
    """_writes tells whether a gate leaves a directory of its own."""
    return not (words.export or words.fetch) or bool(words.kernels)


@contextlib.contextmanager
def _directory(words):
    """_directory gives a run its directory; one that was made for it and stayed empty goes again."""
    if words.output_dir or not _writes(words):
        yield os.path.abspath(words.output_dir or "")
        return
    directory = runner_reports.default_directory()
    try:
        yield directory
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(directory)


def _advice(error, words):
    """_advice says what to do about an error of the file system."""
    # Of a copy, where it goes to: that is where room is missing.
    place = error.filename2 or error.filename
    if not place:
        return str(error)
    place = os.fsdecode(place)
    cache = os.path.abspath(words.cache or cache_module.default_directory())
    option = "--cache" if os.path.abspath(place).startswith(cache + os.sep) else "--output-dir"
    return f"{place}: {error.strerror}; make room or rights there, or name another place with {option} DIR"


def _attempt(words, directory):
    """_attempt does what is asked for; also a gate that comes to no verdict after its boot leaves its evidence."""
    started = time.time()
    try:
        return _dispatch(words, directory)
    except GateError as error:
        if _writes(words) and not words.kernels:
            evidence.write_unjudged(directory, words, error, started)
        raise


def _run(words):
    if words.print_config:
        print(config.fragment(words.print_config), end="")
        return EXIT_OK
    try:
        with _directory(words) as directory:
            return _attempt(words, directory)
    except GateError as error:
        print(f"nvme-conform gate: {error.message}", file=sys.stderr)
        return error.exit_status
    except OSError as error:
        print(f"nvme-conform gate: {_advice(error, words)}", file=sys.stderr)
        return EXIT_TOOL
    except KeyboardInterrupt:
        print("nvme-conform gate: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def merge(argv):
    """merge runs `nvme-conform merge`, which is `gate --merge` for people who ran the shares elsewhere."""
    parser = runner_options.Parser(prog="nvme-conform merge", epilog="exit status: the worst of the shares'",
                                   description="Join the reports of several shares of `gate --kernels`.")
    parser.add_argument("shares", nargs="+", metavar="DIR", help="directories of `gate --kernels … --shard I/N`")
    parser.add_argument("--output-dir", metavar="DIR", help="default reports/run-TIME")
    parser.add_argument("--publish", metavar="DIR", help="also the verdicts and tables for others")
    parser.add_argument("-v", "--verbose", action="store_true", help="also what differs between the kernels")
    words = parser.parse_args(argv)
    return main(["--merge", *words.shares] + [f"--{name.replace('_', '-')}={value}" for name in ("output_dir", "publish")
                                              if (value := getattr(words, name))] + ["-v"] * words.verbose)


def _main(argv):
    try:
        words = options.parse(argv)
    except GateError as error:
        print(f"nvme-conform gate: {error.message}", file=sys.stderr)
        return error.exit_status
    except SystemExit as end:    # argparse has said why
        return end.code
    words.command = ["nvme-conform", "gate", *argv]
    # SIGINT too, as `run` does: a shell without job control starts what is in its background with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    return _run(words)


def main(argv):
    """main runs `nvme-conform gate` and returns its exit status.

    Python ends with 1 for an exception that nobody caught, which would be a verdict about the kernel.
    """
    try:
        status = _main(argv)
    except RunnerError as error:
        print(f"nvme-conform gate: {error}", file=sys.stderr)
        status = error.exit_status
    except Exception:    # pylint: disable=broad-exception-caught
        traceback.print_exc()
        status = EXIT_TOOL
    return bisect_status(status) if any(word.startswith("--bi") for word in argv) else status
