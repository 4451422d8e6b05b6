#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What it costs a live run to leave the captures of all its cases, over one that leaves none: against the daemon on loopback, and there
with the packets of the interface (where that is allowed). In process as well, with a process for each case on both sides: without captures
they would share one. With a profile, as `gate --keep` names one, against that target instead.

A figure is the median of the ratios of some rounds, of which each runs both, so that a machine that is now faster and now slower counts
little: of the clock, which is what a run costs whoever waits for it, and of the processor, of the command and all it starts (the target is
not among them).
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, ROOT)

from harness.vm import host_story, profile  # noqa: E402  (the path must be known first)

PROGRAM = os.path.join(ROOT, "harness", "nvme-conform")
ROUNDS = 8
MOST_PERCENT = 5
LIVE_CASES = ("auth.two-way/*", "replace.*")


def run(words, captures):
    """run returns the seconds of the processor and of the clock that a run takes with these captures."""
    with tempfile.TemporaryDirectory() as directory:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run([sys.executable, PROGRAM, "run", *words, *captures, "--seed", "1", "--output-dir", os.path.join(directory, "run")],
                              capture_output=True, text=True, check=False)
        after, clock = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
        if done.returncode not in (0, 1, 125):
            raise SystemExit(f"bench: the run ended with status {done.returncode}: {done.stderr.strip()}")
        if captures[-1] != "none" and not os.listdir(os.path.join(directory, "run", "captures")):
            raise SystemExit("bench: the run left no captures")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, clock


def compare(name, words, captures):
    """compare prints what the captures cost."""
    without = ("--captures", "none")
    rounds = [(run(words, captures), run(words, without)) if odd else (run(words, without), run(words, captures))[::-1]
              for odd in [i % 2 for i in range(ROUNDS)]]
    processor, clock = (100 * (statistics.median(taken[i] / bare[i] for taken, bare in rounds) - 1) for i in (0, 1))
    base = [statistics.median(bare[i] for _, bare in rounds) for i in (0, 1)]
    print(f"captures {name:26} {clock:+6.1f} % of {base[1]:.2f} s {'' if clock <= MOST_PERCENT else 'NOT '}within "
          f"{MOST_PERCENT} %   ({processor:+.1f} % of {base[0]:.2f} s of the processor)")


def compare_live(name, path):
    """compare_live prints what captures of the target of a profile cost."""
    words = (*LIVE_CASES, "--profile", path)
    compare(name, words, ("--captures", "all"))
    if os.geteuid() == 0:
        compare("... from the interface", words, ("--capture-interface", "lo", "--captures", "all"))


def main():
    """main compares. It judges nothing: that is for whoever reads the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--profile", help="of a target on loopback")
    args = parser.parse_args()
    if args.profile:
        compare_live("against the profile", args.profile)
        return
    with tempfile.TemporaryDirectory() as directory:
        compare("in process", ("--reference", "--keylog", os.path.join(directory, "keylog")), ("--captures", "all"))
    with tempfile.TemporaryDirectory() as directory, host_story.ReferenceTarget(PROGRAM, directory) as target:
        path = os.path.join(directory, "run.json")
        profile.write(target.profile, path)
        compare_live("against the daemon", path)


if __name__ == "__main__":
    main()
