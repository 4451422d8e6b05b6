# SPDX-License-Identifier: BSD-3-Clause
"""The serial console as it is written: what the guest says, and what its kernel complains about.

Every line gets the host's monotonic time when it was read, so that a complaint can be laid beside
the case that was running.
"""

import re
import threading
import time
from dataclasses import dataclass, field

MARK = "NVME-CONFORM "
# How the kernel's reports begin, as its sources print them: lib/bug.c, mm/kasan, mm/kfence, mm/slub.c, mm/kmemleak.c,
# mm/oom_kill.c, lib/ubsan.c, kernel/locking/lockdep.c, kernel/hung_task.c, kernel/rcu/tree_stall.h, arch/x86/kernel/dumpstack.c.
CUT_HERE = re.compile(r"-----\[ cut here \]-----")
SPLAT = re.compile(r"BUG:|\bkernel BUG at|\bBUG [\w-]+ \(|WARNING:|\bOops\b|: [0-9a-f]{4} \[#\d+\]|Kernel panic|Call Trace"
                   r"|UBSAN|KASAN|possible (recursive|circular)|INFO: (task|trying to register non-static key)|rcu.*stall"
                   r"|unreferenced object|kmemleak: \d+ new suspected|invoked oom-killer|page allocation failure")
DEADLY = re.compile(r"Kernel panic|Attempted to kill init|System halted")
END = re.compile(r"---\[ end (trace|Kernel panic)")
SPLAT_LINES = 120       # a report longer than this is cut
SPLAT_GAP_SECONDS = 1.0  # and one line this much later belongs to something else
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Line:
    """Line is one line of the console; time is time.monotonic() of the host when it was read, twin the guest that said it, of
    several equal ones."""
    time: float
    text: str
    twin: int = 0


@dataclass
class Finding:
    """Finding is one report of the kernel: its first line, and all of it."""
    time: float
    title: str
    lines: list = field(default_factory=list)
    twin: int = 0


def findings(lines):
    """findings groups the lines of kernel reports; one report with many telling lines is one.

    Its title is the first telling line: what comes after "cut here" and before it belongs to the report.
    """
    found, current, last = [], None, 0.0
    for line in lines:
        if line.text.startswith(MARK):
            continue
        hit = SPLAT.search(line.text) or CUT_HERE.search(line.text)
        if current and (line.time - last > SPLAT_GAP_SECONDS or len(current.lines) >= SPLAT_LINES):
            current = None
        if current:
            current.lines.append(line.text)
            last = line.time
            if hit and CUT_HERE.search(current.title):
                current.title = line.text
            if END.search(line.text):
                current = None
        elif hit:
            current, last = Finding(line.time, line.text, [line.text]), line.time
            found.append(current)
    return found


def between(lines, start, end):
    """between returns the lines read from start to end (host monotonic seconds, inclusive)."""
    return [line for line in lines if start <= line.time <= end]


class Splitter:
    """Splitter turns the bytes of a console into lines; a line not ended yet waits."""

    def __init__(self):
        self._rest = b""

    def feed(self, data, now):
        *complete, self._rest = (self._rest + data).split(b"\n")
        return [Line(now, part.decode(errors="replace").strip("\r\0")) for part in complete]


class SerialLog:
    """SerialLog follows the file that QEMU writes the console to. stop() ends its thread."""

    def __init__(self, path):
        self.path = path
        self._lines = []
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._splitter = Splitter()
        self._thread = threading.Thread(target=self._follow, name="serial-log", daemon=True)
        self._thread.start()

    def _follow(self):
        with open(self.path, "rb") as file:
            while True:
                stopping = self._stopping.is_set()
                if data := file.read():
                    new = self._splitter.feed(data, time.monotonic())
                    with self._changed:
                        self._lines += new
                        self._changed.notify_all()
                if stopping:
                    return
                self._stopping.wait(POLL_SECONDS)

    def stop(self):
        """stop reads what is left and ends."""
        self._stopping.set()
        self._thread.join(5)

    def lines(self, start=float("-inf"), end=float("inf")):
        with self._changed:
            return between(self._lines, start, end)

    def said(self, word):
        """said returns what followed `NVME-CONFORM word` in every such line, oldest first."""
        prefix = MARK + word
        return [line.text[len(prefix):].strip() for line in self.lines()
                if line.text.startswith(prefix + " ") or line.text == prefix]

    def findings(self, start=float("-inf"), end=float("inf")):
        """findings returns the kernel's reports that began between start and end."""
        return [found for found in findings(self.lines()) if start <= found.time <= end]

    def settled(self):
        """settled waits until what was said by now has been read, and returns the time."""
        time.sleep(2 * POLL_SECONDS)
        return time.monotonic()

    def wait(self, condition, seconds):
        """wait returns condition(self) as soon as it is true, or its last value after seconds."""
        deadline = time.monotonic() + seconds
        while True:
            value = condition(self)
            left = deadline - time.monotonic()
            if value or left <= 0:
                return value
            with self._changed:
                self._changed.wait(min(left, 0.1))
