# SPDX-License-Identifier: BSD-3-Clause
"""Engine processes: found, started, read, bounded, ended.

An engine reads one JSON object on its standard input and writes JSON Lines. Every process has a group of its own, and
none outlives the call that started it.
"""

import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field

from .errors import ToolError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
NAME = "nvme-conform-engine"
LONGEST_LINE = 1 << 20
STDERR_KEPT = 1 << 16
LIST_SECONDS = 60
GRACE_SECONDS = 5
# The engine's exit statuses beside 0, 2 (refused configuration) and 3 (its own error).
STATUS_UNREACHABLE = 4


def find():
    """find returns the path of the engine: $NVME_CONFORM_ENGINE, the build directory, or beside the installed runner."""
    chosen = os.environ.get("NVME_CONFORM_ENGINE")
    candidates = [chosen] if chosen else [os.path.join(ROOT, "build", NAME), os.path.join(ROOT, NAME)]
    for path in candidates:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    if chosen:
        raise ToolError(f"NVME_CONFORM_ENGINE names {chosen}, which is not a program")
    raise ToolError(f"the engine is not built ({candidates[0]}); run: make -C {ROOT}")


def list_objects():
    """list_objects returns what `nvme-conform-engine list` prints, one decoded object per line."""
    path = find()
    try:
        done = subprocess.run([path, "list"], stdin=subprocess.DEVNULL, capture_output=True, timeout=LIST_SECONDS,
                              check=False)
    except subprocess.TimeoutExpired:
        raise ToolError(f"{path} list did not end within {LIST_SECONDS} s") from None
    except OSError as error:
        raise ToolError(f"cannot start {path}: {error.strerror}") from error
    if done.returncode != 0:
        raise ToolError(f"{path} list: {how_it_ended(done.returncode)}: {last_line(done.stderr)}")
    objects = []
    for number, line in enumerate(done.stdout.splitlines(), 1):
        try:
            objects.append(json.loads(line))
        except ValueError:
            raise ToolError(f"{path} list: line {number} is not JSON") from None
    return objects


def dying_with_us(argv, signal_name):
    """dying_with_us returns argv changed so that whatever ends us, SIGKILL included, ends it too.

    The kernel watches the thread that started the process, so that thread must live as long.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", signal_name, "--", *argv] if setpriv else argv


def how_it_ended(status):
    """how_it_ended says in words what a process's exit status means."""
    if status is None:
        return "still running"
    if status < 0:
        try:
            return f"killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"killed by signal {-status}"
    return f"exit status {status}"


def last_line(stderr):
    """last_line returns the last line a process wrote to its standard error, as text."""
    lines = [line for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].strip().removeprefix(f"{NAME}: ") if lines else "no message"


@dataclass
class Job:
    """Job is one engine process to be: its subcommand's JSON, and for how long it may be silent."""

    config: dict
    silence_s: float
    tag: object = None
    subcommand: str = "run"
    twin: int = 0  # which of several equal targets it is for; 0: the first


@dataclass
class Outcome:
    """Outcome is how an engine process ended."""

    status: int
    stderr: bytes
    stopped: str = ""  # why the runner stopped it, or empty

    def fault(self):
        """fault returns one line when the process did not end as it should, else an empty string."""
        if self.stopped:
            return f"engine stopped: {self.stopped}"
        if self.status != 0:
            return f"engine {how_it_ended(self.status)}: {last_line(self.stderr)}"
        return ""


@dataclass
class _Process:
    job: Job
    popen: subprocess.Popen
    heard: float
    threads: list = field(default_factory=list)
    stderr: bytearray = field(default_factory=bytearray)
    stopped: str = ""


class Pool:
    """Pool runs jobs, at most `limit` at a time, and hands their events to one thread: the caller's."""

    def __init__(self, limit):
        self.path = find()
        self.limit = max(1, limit)
        self._queue = queue.Queue()
        self._running = []

    def run(self, jobs, on_event, on_end):
        """run runs all jobs. on_event(job, event or None, line) gets every line, None for one that is not JSON;
        on_end(job, Outcome) gets every end. Whatever happens, no engine is left running."""
        waiting = list(jobs)
        try:
            while waiting or self._running:
                while waiting and len(self._running) < self.limit:
                    self._running.append(self._start(waiting.pop(0)))
                self._wait(on_event, on_end)
        finally:
            self.stop("the run ended")

    def stop(self, why):
        """stop ends every running engine: SIGTERM to its group, SIGKILL after a grace period."""
        for process in self._running:
            process.stopped = process.stopped or why
            _signal(process.popen, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for process in self._running:
            try:
                process.popen.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
            _signal(process.popen, signal.SIGKILL)
            process.popen.wait()
        self._running = []

    def ask_to_end(self):
        """ask_to_end sends SIGTERM to every running engine: one that follows something comes to its verdict then."""
        for process in self._running:
            _signal(process.popen, signal.SIGTERM)

    def _start(self, job):
        try:
            popen = subprocess.Popen(dying_with_us([self.path, job.subcommand], "TERM"), stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        except OSError as error:
            raise ToolError(f"cannot start {self.path}: {error.strerror}") from error
        process = _Process(job, popen, time.monotonic())
        for body in (self._feed, self._read, self._drain):
            thread = threading.Thread(target=body, args=(process,), daemon=True)
            process.threads.append(thread)
            thread.start()
        return process

    def _feed(self, process):
        try:
            with process.popen.stdin as stdin:
                stdin.write(json.dumps(process.job.config).encode("ascii") + b"\n")
        except OSError:
            pass  # it ended without reading: its exit status tells

    def _read(self, process):
        with process.popen.stdout as stdout:
            while line := stdout.readline(LONGEST_LINE):
                self._queue.put((process, line))
        self._queue.put((process, None))

    def _drain(self, process):
        with process.popen.stderr as stderr:
            while chunk := stderr.read1(4096):
                process.stderr += chunk
                del process.stderr[:-STDERR_KEPT]

    def _wait(self, on_event, on_end):
        try:
            process, line = self._queue.get(timeout=0.2)
        except queue.Empty:
            self._stop_silent()
            return
        if process not in self._running:
            return  # a late line of one that was stopped
        process.heard = time.monotonic()
        if line is None:
            self._running.remove(process)
            on_end(process.job, self._reap(process))
            return
        text = line.decode("utf-8", "replace").rstrip("\n")
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            event = None
        on_event(process.job, event if isinstance(event, dict) else None, text)

    def _stop_silent(self):
        now = time.monotonic()
        for process in self._running:
            if not process.stopped and now - process.heard > process.job.silence_s:
                process.stopped = f"silent for {process.job.silence_s:.0f} s"
                _signal(process.popen, signal.SIGKILL)

    def _reap(self, process):
        try:
            process.popen.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.stopped = process.stopped or f"closed its output and did not end within {GRACE_SECONDS} s"
        # Also on a good end: a child the engine may have left shares its group.
        _signal(process.popen, signal.SIGKILL)
        status = process.popen.wait()
        process.threads[2].join(GRACE_SECONDS)
        return Outcome(status, bytes(process.stderr), process.stopped)


def _signal(popen, number):
    try:
        os.killpg(popen.pid, number)
    except (ProcessLookupError, PermissionError):
        pass
