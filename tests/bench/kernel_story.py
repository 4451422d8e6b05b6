#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""From a kernel image to the verdict of the story this tool began with, and of every case, in seconds of the clock and of the processor."""

import os
import sys
import tempfile

from timed import timed

STORY = "replace.second/sha256"


def main():
    """main runs the gate with a kernel that the cache holds, and says so where it holds none."""
    kernel = sys.argv[1]
    for name, words in ((STORY, [STORY]), ("every case", [])):
        with tempfile.TemporaryDirectory() as directory:
            done, seconds, processor = timed("gate", "--kernel", kernel, "--offline", *words, "--seed", "1", "--output-dir",
                                             os.path.join(directory, "out"))
        if done.returncode in (2, 3):  # no such kernel in the cache, no QEMU: the line says which
            print(f"kernel: not measured: {done.stderr.strip().splitlines()[-1]}")
            return 0
        if done.returncode != 0:
            print(f"bench: the gate ended with status {done.returncode}\n{done.stdout}{done.stderr}", file=sys.stderr)
            return 1
        ready = next((line for line in (done.stdout + done.stderr).splitlines() if "ready in" in line), "")
        print(f"kernel: {name} on {ready}, verdict after {seconds:.1f} s ({processor:.1f} s of the processor)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
