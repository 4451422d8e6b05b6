#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""From a kernel image to the verdict of the story this tool began with, in seconds of the clock and of the processor."""

import os
import resource
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
STORY = "replace.second/sha256"
BOUND = 600


def main():
    """main runs the gate once with a kernel that the cache holds, and says so where it holds none."""
    kernel = sys.argv[1]
    with tempfile.TemporaryDirectory() as directory:
        start = time.monotonic()
        done = subprocess.run([sys.executable, os.path.join(ROOT, "harness", "nvme-conform"), "gate", "--kernel", kernel, "--offline",
                               STORY, "--seed", "1", "--output-dir", os.path.join(directory, "out")], capture_output=True, text=True,
                              timeout=BOUND, check=False)
        seconds = time.monotonic() - start
    if done.returncode in (2, 3):  # no such kernel in the cache, no QEMU: the line says which
        print(f"kernel story: not measured: {done.stderr.strip().splitlines()[-1]}")
        return 0
    if done.returncode != 0:
        print(f"bench: the gate ended with status {done.returncode}\n{done.stdout}{done.stderr}", file=sys.stderr)
        return 1
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    ready = next((line for line in (done.stdout + done.stderr).splitlines() if "ready in" in line), "")
    print(f"kernel story: {STORY} on {ready}, verdict after {seconds:.1f} s ({used.ru_utime + used.ru_stime:.1f} s of the processor)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
