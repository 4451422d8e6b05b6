#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What it costs a live run to leave the captures of all its cases, over one that leaves none: against the daemon on loopback, and there
with the packets of the interface (where that is allowed). In process as well, with a process for each case on both sides: without captures
they would share one.

Times are those of the processor, of the command and all it starts (the daemon is not among them), the least of some rounds in turn, so that
other work on the machine counts little; against the daemon those of the clock too, since there most of a run is waiting.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, ROOT)

from harness.vm import host_story, profile  # noqa: E402  (the path must be known first)

PROGRAM = os.path.join(ROOT, "harness", "nvme-conform")
ROUNDS = 3
MOST_PERCENT = 5
LIVE_CASES = ("auth.two-way/*", "replace.*")


def run(words, captures):
    """run returns the seconds of the processor and of the clock that a run takes with these captures."""
    with tempfile.TemporaryDirectory() as directory:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run([sys.executable, PROGRAM, "run", *words, *captures, "--seed", "1", "--output-dir", os.path.join(directory, "run")],
                              capture_output=True, text=True, check=False)
        after, clock = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
        if done.returncode not in (0, 125):
            raise SystemExit(f"bench: the run ended with status {done.returncode}: {done.stderr.strip()}")
        if captures[-1] != "none" and not os.listdir(os.path.join(directory, "run", "captures")):
            raise SystemExit("bench: the run left no captures")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, clock


def compare(name, words, captures):
    """compare prints what the captures cost."""
    taken = {"none": [], "all": []}
    for _ in range(ROUNDS):
        taken["none"].append(run(words, ("--captures", "none")))
        taken["all"].append(run(words, captures))
    least = {kind: [min(column) for column in zip(*rows)] for kind, rows in taken.items()}
    processor, clock = (100 * (least["all"][i] / least["none"][i] - 1) for i in (0, 1))
    good = processor <= MOST_PERCENT
    print(f"captures {name:34} {processor:+6.1f} % of {least['none'][0]:.2f} s of the processor, {clock:+6.1f} % of "
          f"{least['none'][1]:.2f} s of the clock   {'' if good else 'NOT '}within {MOST_PERCENT} %")


def main():
    """main compares. It judges nothing: that is for whoever reads the figures."""
    with tempfile.TemporaryDirectory() as directory:
        compare("in process", ("--reference", "--keylog", os.path.join(directory, "keylog")), ("--captures", "all"))
    with tempfile.TemporaryDirectory() as directory, host_story.ReferenceTarget(PROGRAM, directory) as target:
        path = os.path.join(directory, "run.json")
        profile.write(target.profile, path)
        words = (*LIVE_CASES, "--profile", path)
        compare("against the daemon", words, ("--captures", "all"))
        if os.geteuid() == 0:
            compare("... from the interface", words, ("--capture-interface", "lo", "--captures", "all"))


if __name__ == "__main__":
    main()
