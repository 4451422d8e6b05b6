# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the runner share: the command with the fake engine behind it."""

import atexit
import contextlib
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, ROOT)

from harness.runner import cli  # noqa: E402  (the path must be known first)

COMMAND = os.path.join(ROOT, "harness", "nvme-conform")
SECONDS = 60

SUBNQN = "nqn.2014-08.org.nvmexpress:nvme-conform:subsystem"
HOSTNQN = "nqn.2014-08.org.nvmexpress:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
# The example of Base 2.2 8.3.4.5.8 and of TCP 1.0 3.6.1.5: public, so no secret.
SECRET = "DHHC-1:00:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2n:"
PSK = "NVMeTLSkey-1:01:VRLbtnN9AQb2WXW3c9+wEf/DRLz0QuLdbYvEhwtdWwNf9LrZ:"
REAL = ("-a", "127.0.0.1", "-n", SUBNQN, "-q", HOSTNQN)


def free_port():
    """free_port returns a port of 127.0.0.1 that nobody listens on, below those that the kernel gives to connections going out: one of
    those would be taken again before the caller listens."""
    while True:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(20000, 32000))) as free:
            return free.getsockname()[1]


def _quick_engine():
    """_quick_engine returns a copy of the fake engine that starts without site packages, in half the time."""
    directory = tempfile.mkdtemp(prefix="nvme-conform-test-")
    atexit.register(shutil.rmtree, directory)
    path = os.path.join(directory, "engine")
    with open(os.path.join(HERE, "fake_engine.py"), encoding="utf-8") as source, open(path, "w", encoding="utf-8") as copy:
        source.readline()
        copy.write(f"#!{sys.executable} -IS\n" + source.read())
    os.chmod(path, 0o700)
    return path


FAKE_ENGINE = _quick_engine()


class RunnerTest(unittest.TestCase):
    """RunnerTest gives every test a directory of its own, removed afterwards."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="nvme-conform-test-")
        self.addCleanup(shutil.rmtree, self.directory)
        self._runs = 0

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def file(self, name, text, mode=0o600):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def environment(self, fake=None, extra=None):
        env = {name: value for name, value in os.environ.items() if not name.startswith("NVME_CONFORM")}
        env.update({"NVME_CONFORM_ENGINE": FAKE_ENGINE, "FAKE": json.dumps(fake or {})}, **(extra or {}))
        return env

    def invoke(self, *args, fake=None, env=None):
        """invoke runs the command and returns what a process would leave. It runs in this process, which saves starting
        Python some hundred times; test_target.py and Signals start it as what it is."""
        out, err = io.StringIO(), io.StringIO()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        before = os.getcwd()
        os.chdir(self.directory)
        try:
            with mock.patch.dict(os.environ, self.environment(fake, env), clear=True), \
                 mock.patch.object(sys, "argv", [COMMAND, *args]), \
                 contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                try:
                    status = cli.main(list(args))
                except SystemExit as end:
                    status = end.code
        finally:
            os.chdir(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return subprocess.CompletedProcess(args, status, out.getvalue(), err.getvalue())

    def run_suite(self, *args, fake=None, env=None):
        """run_suite runs `nvme-conform run` into a fresh report directory, kept in self.reports."""
        self._runs += 1
        self.reports = self.path(f"reports{self._runs}")
        return self.invoke("run", "--output-dir", self.reports, *args, fake=fake, env=env)

    def report(self, name):
        with open(os.path.join(self.reports, name), encoding="utf-8") as file:
            return file.read()

    def results(self):
        return json.loads(self.report("results.json"))

    def case(self, ident):
        return next(case for case in self.results()["cases"] if case["id"] == ident)

    def assert_refused(self, done, *words, status=2):
        """assert_refused checks for one line on stderr with these words, the status, and nothing run."""
        self.assertEqual(done.returncode, status, done.stderr + done.stdout)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        for word in words:
            self.assertIn(word, lines[0])
        self.assertNotIn("Traceback", done.stderr)

    def sent_config(self, *args, fake=None, env=None):
        """sent_config returns what the first engine of a run got on its standard input."""
        stored = self.path("sent.json")
        done = self.run_suite(*args, fake={"config_to": stored, **(fake or {})}, env=env)
        self.assertIn(done.returncode, (0, 1, 125), done.stderr)
        with open(stored, encoding="utf-8") as file:
            return json.loads(file.readline())
