# SPDX-License-Identifier: BSD-3-Clause
"""Running our program and knowing what it took."""

import os
import resource
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def timed(*words, bound=1200):
    """timed runs `nvme-conform WORDS` and returns (its CompletedProcess, seconds of the clock, seconds of the processor)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run([sys.executable, os.path.join(ROOT, "harness", "nvme-conform"), *words], capture_output=True, text=True,
                          timeout=bound, check=False)
    seconds = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
