#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Nothing but the target changes a verdict: not the seed, not how bytes arrive, not how busy the machine is.

The clean reference target is judged under many seeds and every stream fault, in process; then behind sockets, on an idle machine and
beside busy processes. Under load a verdict may become inconclusive, and nothing else.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(0, ROOT)

from harness.runner import engine, options  # noqa: E402  (the path must be known first)
from harness.vm import profile as identities  # noqa: E402

COMMAND = [sys.executable, os.path.join(ROOT, "harness", "nvme-conform"), "run"]
RUN_SECONDS = 1200
LISTEN_SECONDS = 30
BUSY_PER_CPU = 3
SHOWN = 10


def verdicts(directory, words):
    """verdicts runs the suite and returns {result: verdict}: behaviour and teardown of cases, what the observer holds against the target."""
    done = subprocess.run([*COMMAND, *words, "--captures", "none", "--output-dir", directory], capture_output=True, text=True,
                          check=False, timeout=RUN_SECONDS)
    path = os.path.join(directory, "results.json")
    if not os.path.exists(path):
        raise SystemExit(f"soundness: {' '.join(words)}: {done.stderr.strip() or 'no results'}")
    with open(path, encoding="utf-8") as file:
        results = json.load(file)
    found = {case["id"]: (case["behaviour"], case["teardown"]) for case in results["cases"]}
    found.update({seen["id"]: (seen["verdict"], "none") for seen in results["observations"] if seen["verdict"] != "note"})
    return found


def differences(expected, found):
    """differences returns the results that are not as expected: [(result, before, after)]."""
    absent = ("absent", "none")
    return [(ident, expected.get(ident, absent), found.get(ident, absent)) for ident in sorted({*expected, *found})
            if expected.get(ident) != found.get(ident)]


def lost(before, after):
    """lost tells whether a verdict only became inconclusive, in its behaviour (then the teardown is not judged) or its teardown."""
    return after[0] == "inconclusive" or (after[0] == before[0] and after[1] == "inconclusive")


def say(name, found, wrong, seconds, note=""):
    """say prints the outcome of one run and returns whether it was sound."""
    print(f"{'ok' if not wrong else 'NOT SOUND':9} {name}: {len(found)} results in {seconds:.1f} s{note}", flush=True)
    for ident, before, after in wrong[:SHOWN]:
        print(f"          {ident}: {'/'.join(before)} -> {'/'.join(after)}")
    return not wrong


def in_process(args, words, name, expected):
    """in_process judges the reference target in process; expected None: this run is what the others are laid beside."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        found = verdicts(directory, ["--reference", "-j", str(args.jobs), *words, *args.cases])
    wrong = [(ident, ("pass", ""), verdict) for ident, verdict in found.items()
             if verdict[0] != "pass" or verdict[1] not in ("pass", "none")] if expected is None else differences(expected, found)
    return found, say(name, found, wrong, time.monotonic() - begun)


@contextlib.contextmanager
def busy(number):
    """busy keeps so many processes at full speed."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextlib.contextmanager
def daemon(directory):
    """daemon serves the reference target on loopback ports and gives the path of its profile."""
    profile = identities.make(b"soundness")
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    profile.update(addr="127.0.0.1", ports=dict(zip(("concat", "tls", "plain"), (one.getsockname()[1] for one in listening))))
    for one in listening:
        one.close()
    path = os.path.join(directory, "profile.json")
    identities.write(profile, path)
    with open(os.path.join(directory, "target.log"), "wb") as log:
        process = subprocess.Popen([sys.executable, COMMAND[1], "target", "--profile", path], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + LISTEN_SECONDS
        while b"listening" not in open(os.path.join(directory, "target.log"), "rb").read():
            if time.monotonic() > deadline or process.poll() is not None:
                raise SystemExit("soundness: the target daemon does not listen")
            time.sleep(0.1)
        yield path
    finally:
        process.terminate()
        process.wait()


def behind_sockets(args):
    """behind_sockets judges the daemon on an idle machine and on a busy one."""
    with tempfile.TemporaryDirectory() as directory, daemon(directory) as profile:
        words = ["--profile", profile, "--seed", "1", *args.cases]
        begun = time.monotonic()
        idle = verdicts(os.path.join(directory, "idle"), words)
        bad = [(ident, ("pass", ""), verdict) for ident, verdict in idle.items() if {"fail", "warn", "error"} & set(verdict)]
        good = say("the daemon, idle machine", idle, bad, time.monotonic() - begun)
        number = BUSY_PER_CPU * (os.cpu_count() or 1)
        begun = time.monotonic()
        with busy(number):
            loaded = verdicts(os.path.join(directory, "busy"), words)
        changed = differences(idle, loaded)
        wrong = [row for row in changed if not lost(row[1], row[2]) and row[1][0] != "inconclusive"]
        note = f"; {len(changed) - len(wrong)} inconclusive in one of the two only"
        return say(f"the daemon beside {number} busy processes", loaded, wrong, time.monotonic() - begun, note) and good


def main():
    """main returns 0 when no verdict depends on what it must not depend on."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE-GLOB", help="only these")
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="how many seeds (default 20)")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="engine processes in process")
    args = parser.parse_args()
    engine.find()
    expected, sound = in_process(args, ["--seed", "1"], "seed 1", None)
    for seed in range(2, args.seeds + 1):
        sound &= in_process(args, ["--seed", str(seed)], f"seed {seed}", expected)[1]
    for fault in options.FAULTS:
        if fault != "none":
            sound &= in_process(args, ["--seed", "1", "--fault", fault], f"fault {fault}", expected)[1]
    sound &= behind_sockets(args)
    print("sound: no verdict depends on seed, stream or load" if sound else "NOT SOUND")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
