# SPDX-License-Identifier: BSD-3-Clause
"""Which case ran when, on which guest: what the kernel says is laid beside it by time."""

import json
import time
from dataclasses import dataclass

from . import klog
from .baseline import BOOT

ARRIVAL_SECONDS = 5


@dataclass
class Span:
    """Span is one run of a case, in the host's monotonic seconds; end is None while it goes on. twin: the guest, of several equal ones."""
    case: str
    start: float
    end: float = None
    twin: int = 0

    def said(self, lines, end):
        """said returns the text of those of the lines that its guest said from its start to end."""
        return [line.text for line in klog.between(lines, self.start, end) if line.twin == self.twin]


class Windows:
    """Windows notes when each case began and ended, by reading events.jsonl as it grows."""

    def __init__(self, path):
        self._path = path
        self._file = None
        self._splitter = klog.Splitter()
        self.spans = []
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
            kind, case, twin = event["event"], event.get("case"), event.get("twin", 0)
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        if kind == "case-start":
            self.spans.append(Span(case, line.time, twin=twin))
        elif kind == "verdict" and (of_guest := self._on(twin)) and of_guest[-1].case == case:
            of_guest[-1].end = line.time

    def _on(self, twin):
        return [span for span in self.spans if span.twin == twin]

    def near(self, said):
        """near returns the cases that ran, began or ended on the guest of a klog.Line or Finding around its time: on a busy machine
        the lines of the suite and those of the console do not arrive in the order in which they were written. BOOT stands for the boot."""
        if said.time < self._begun:
            return [BOOT]
        return [span.case for span in self._on(said.twin)
                if span.start <= said.time + ARRIVAL_SECONDS and (span.end or said.time) >= said.time - ARRIVAL_SECONDS]

    def close(self):
        self.poll()
        if self._file:
            self._file.close()

    def case_at(self, said):
        """case_at returns the case that ran on the guest of a klog.Line or Finding at its time, or the last one before it, BOOT, or None.

        A kernel often complains after the answer is out, so the pause after a case counts as its.
        """
        if said.time < self._begun:
            return BOOT
        before = [span.case for span in self._on(said.twin) if span.start <= said.time]
        return before[-1] if before else None
