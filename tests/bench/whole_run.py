#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The whole default run against the reference target, and the whole kill matrix, in seconds of the clock and of the processor."""

import json
import os
import sys
import tempfile

from timed import timed

RUNS = 3


def main():
    """main runs the suites a few times and prints the middle of the times, then the matrix once."""
    jobs = sys.argv[1] if len(sys.argv) > 1 else "2"
    taken, cases = [], 0
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as directory:
            done, seconds, processor = timed("run", "--reference", "-j", jobs, "--seed", "1", "--output-dir", directory)
            taken.append((seconds, processor))
            if done.returncode != 0:
                print(f"bench: the run ended with status {done.returncode}", file=sys.stderr)
                return 1
            with open(os.path.join(directory, "results.json"), encoding="utf-8") as file:
                cases = len(json.load(file)["cases"])
    middle, processor = sorted(taken)[RUNS // 2]
    print(f"whole run: {cases} results in {middle:.2f} s with -j {jobs} ({middle / cases * 1e3:.1f} ms each; {min(taken)[0]:.2f} to "
          f"{max(taken)[0]:.2f} s in {RUNS} runs), {processor:.2f} s of the processor ({processor / cases * 1e3:.1f} ms each)", flush=True)
    done, seconds, processor = timed("defects", "-j", jobs)
    print(f"kill matrix: {done.stdout.strip().splitlines()[-1]}; {seconds:.1f} s with -j {jobs}, {processor:.1f} s of the processor")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
