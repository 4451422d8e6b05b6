#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The whole default run against the reference target, in seconds and per case; and in CPU time, which other work does not change much."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
RUNS = 3


def main():
    """main runs the suites a few times and prints the middle of the times."""
    jobs = sys.argv[1] if len(sys.argv) > 1 else "2"
    times, cases = [], 0
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as directory:
            start = time.monotonic()
            done = subprocess.run([sys.executable, os.path.join(ROOT, "harness", "nvme-conform"), "run", "--reference", "-j", jobs,
                                   "--seed", "1", "--output-dir", directory], capture_output=True, check=False)
            times.append(time.monotonic() - start)
            if done.returncode != 0:
                print(f"bench: the run ended with status {done.returncode}", file=sys.stderr)
                return 1
            with open(os.path.join(directory, "results.json"), encoding="utf-8") as file:
                cases = len(json.load(file)["cases"])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) / RUNS
    middle = sorted(times)[RUNS // 2]
    print(f"whole run: {cases} results in {middle:.2f} s with -j {jobs} ({middle / cases * 1e3:.1f} ms each; {min(times):.2f} to "
          f"{max(times):.2f} s in {RUNS} runs)")
    print(f"whole run: {cpu:.2f} s of CPU, so {cpu / 2:.2f} s on two cores that have nothing else to do")
    return 0


if __name__ == "__main__":
    sys.exit(main())
