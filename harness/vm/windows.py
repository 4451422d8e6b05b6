# SPDX-License-Identifier: BSD-3-Clause
"""Which case ran when: what the kernel says is laid beside it by time."""

import json
import time

from . import klog
from .baseline import BOOT

ARRIVAL_SECONDS = 5


class Windows:
    """Windows notes when each case began and ended, by reading events.jsonl as it grows."""

    def __init__(self, path):
        self._path = path
        self._file = None
        self._splitter = klog.Splitter()
        self.spans = []    # [case, start, end or None], in the host's monotonic seconds
        self._begun = float("-inf")

    def begin(self):
        """begin says that the guest is up: what its kernel said until now is its boot's."""
        self._begun = time.monotonic()

    def poll(self):
        if self._file is None:
            try:
                self._file = open(self._path, "rb")    # closed by close()
            except OSError:
                return
        for line in self._splitter.feed(self._file.read(), time.monotonic()):
            self._note(line)

    def _note(self, line):
        try:
            event = json.loads(line.text)
            kind, case = event["event"], event.get("case")
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        if kind == "case-start":
            self.spans.append([case, line.time, None])
        elif kind == "verdict" and self.spans and self.spans[-1][0] == case:
            self.spans[-1][2] = line.time

    def near(self, moment):
        """near returns the cases that ran, began or ended around moment: on a busy machine the lines of
        the suite and those of the console do not arrive in the order in which they were written. BOOT stands for the boot."""
        if moment < self._begun:
            return [BOOT]
        return [case for case, start, end in self.spans
                if start <= moment + ARRIVAL_SECONDS and (end or moment) >= moment - ARRIVAL_SECONDS]

    def close(self):
        self.poll()
        if self._file:
            self._file.close()

    def case_at(self, moment):
        """case_at returns the case that ran at moment, or the last one before it, BOOT, or None.

        A kernel often complains after the answer is out, so the pause after a case counts as its.
        """
        if moment < self._begun:
            return BOOT
        before = [case for case, start, _ in self.spans if start <= moment]
        return before[-1] if before else None
