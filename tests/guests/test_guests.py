# SPDX-License-Identifier: BSD-3-Clause
"""The gate with real guests: what is left when it is killed, two at once, and everything that can go wrong in a guest.

`make check-guests` runs this. It needs QEMU and the kernel in the cache (`gate --kernel 7.3.4 --fetch`), and skips without.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from harness.vm import cache, command, fetch, gate, qemu  # noqa: E402
from harness.vm.errors import (EXIT_CANNOT_JUDGE, EXIT_INTERRUPTED, EXIT_OK, EXIT_TOOL, EXIT_UNEXPECTED,  # noqa: E402
                               GateError)

KERNEL = os.environ.get("NVME_CONFORM_CI_KERNEL", "7.3.4")
COMMAND = os.path.join(ROOT, "harness", "nvme-conform")
CASE = "auth.opens-the-queue"
# Of several hundred ms each, so that a signal comes in the middle.
LONG = "replace.*"
# A machine that is busy with other guests boots one in half a minute.
SECONDS = 240
MARK = "NVME_CONFORM_TEST_MARK"


def why_not():
    """why_not says what is missing for real guests, None when nothing is."""
    try:
        fetch.need_program(qemu.QEMU, "qemu-system-x86")
        gate.prepare(gate.Request(kernel=KERNEL, offline=True))
    except GateError as error:
        return error.message
    return None


WHY_NOT = why_not()


def marked(mark):
    """marked returns {pid: command line} of every process that was started, however indirectly, with mark."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if mark.encode() not in file.read():
                    continue
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                line = file.read().replace(b"\0", b" ").decode(errors="replace")
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                if file.read().rsplit(")", 1)[1].split()[0] != "Z":
                    found[int(pid)] = line
        except OSError:
            continue
    return found


def until(condition, seconds=SECONDS):
    """until returns condition() as soon as it is true, or its last value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return value


@unittest.skipIf(WHY_NOT, WHY_NOT)
class GuestTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="nvme-conform-test-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.mark = f"{MARK}={uuid.uuid4()}"

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def argv(self, *args, directory=None):
        return [sys.executable, COMMAND, "gate", "--kernel", KERNEL, "--offline", "--output-dir", directory or self.directory, *args]

    def start(self, *args, directory=None, env=()):
        name, value = self.mark.split("=")
        process = subprocess.Popen(self.argv(*args, directory=directory), env={**os.environ, name: value, **dict(env)},
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def run_gate(self, *args, env=()):
        """run_gate returns (exit status, standard output, standard error) of a gate that ran to its end."""
        process = self.start(*args, env=env)
        out, err = process.communicate(timeout=SECONDS)
        self.assert_nothing_left()
        return process.returncode, out, err

    def assert_nothing_left(self):
        self.assertEqual(until(lambda: not marked(self.mark), 20), True, marked(self.mark))
        with open("/proc/self/mounts", encoding="utf-8") as file:
            self.assertNotIn(self.directory, file.read())

    def assert_one_line(self, err, *words):
        self.assertEqual(len(err.splitlines()), 1, err)
        for word in words:
            self.assertIn(word, err)


class KilledTest(GuestTest):
    """Whatever ends the gate, and wherever it is: nothing keeps running, nothing stays mounted."""

    def wait_for(self, moment):
        events, log = self.path("suite", "events.jsonl"), self.path("guest", "serial.log")
        if moment == "booting":
            self.assertTrue(until(lambda: os.path.exists(log) and os.path.getsize(log)))
        else:
            self.assertTrue(until(lambda: os.path.exists(events) and os.path.getsize(events) > 4096))

    def killed(self, number, moment):
        process = self.start(LONG)
        self.wait_for(moment)
        self.assertTrue(marked(self.mark))
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        self.assert_nothing_left()
        self.assertFalse(os.path.exists(self.path("guest", "initrd")) and number != signal.SIGKILL)
        return process.returncode, err

    def test_interrupted_while_booting(self):
        status, err = self.killed(signal.SIGINT, "booting")
        self.assertEqual((status, err), (EXIT_INTERRUPTED, "nvme-conform gate: interrupted\n"))

    def test_interrupted_while_judging(self):
        status, err = self.killed(signal.SIGINT, "judging")
        self.assertEqual(status, EXIT_INTERRUPTED)
        self.assertIn("nvme-conform gate: interrupted", err)
        with open(self.path("suite", "results.json"), encoding="utf-8") as file:
            self.assertTrue(json.load(file)["cases"])

    def test_terminated(self):
        self.assertEqual(self.killed(signal.SIGTERM, "judging")[0], EXIT_INTERRUPTED)

    def test_killed_while_booting(self):
        self.assertEqual(self.killed(signal.SIGKILL, "booting")[0], -signal.SIGKILL)

    def test_killed_while_judging(self):
        self.assertEqual(self.killed(signal.SIGKILL, "judging")[0], -signal.SIGKILL)

    def test_killed_in_a_soak(self):
        process = self.start("--soak", "100")
        log = self.path("soak.jsonl")
        self.assertTrue(until(lambda: os.path.exists(log) and os.path.getsize(log) > 4096))
        process.kill()
        process.wait()
        self.assert_nothing_left()


@unittest.skipUnless(os.environ.get("NVME_CONFORM_CI_UML"), "NVME_CONFORM_CI_UML names no User-Mode Linux")
class KilledUmlTest(GuestTest):
    """The same where the guest is a program in a network of its own."""

    def argv(self, *args, directory=None):
        return [sys.executable, COMMAND, "gate", "--uml", os.path.abspath(os.environ["NVME_CONFORM_CI_UML"]), "--offline",
                "--output-dir", directory or self.directory, *args]

    def killed(self, number):
        process = self.start(LONG)
        events = self.path("suite", "events.jsonl")
        self.assertTrue(until(lambda: os.path.exists(events) and os.path.getsize(events) > 4096))
        process.send_signal(number)
        process.communicate(timeout=60)
        self.assert_nothing_left()
        return process.returncode

    def test_interrupted(self):
        self.assertEqual(self.killed(signal.SIGINT), EXIT_INTERRUPTED)

    def test_terminated(self):
        self.assertEqual(self.killed(signal.SIGTERM), EXIT_INTERRUPTED)

    def test_killed(self):
        self.assertEqual(self.killed(signal.SIGKILL), -signal.SIGKILL)


class SideBySideTest(GuestTest):
    def test_two_gates_do_not_meet(self):
        directories = [self.path(name) for name in ("a", "b")]
        gates = [self.start("--no-baseline", CASE, directory=directory) for directory in directories]
        self.assertTrue(until(lambda: all(os.path.exists(os.path.join(each, "guest", "profile.json")) for each in directories)))
        self.assert_only_loopback()
        ports = []
        for each in directories:
            with open(os.path.join(each, "guest", "profile.json"), encoding="utf-8") as file:
                ports += json.load(file)["ports"].values()
        self.assertEqual(len(ports), len(set(ports)))
        for process, directory in zip(gates, directories):
            process.communicate(timeout=SECONDS)
            with open(os.path.join(directory, "suite", "results.json"), encoding="utf-8") as file:
                self.assertEqual([case["behaviour"] for case in json.load(file)["cases"]], ["pass"])
        self.assert_nothing_left()

    def assert_only_loopback(self):
        """Every port that a guest's QEMU listens on is one of 127.0.0.1."""
        inodes = set()
        for pid, line in marked(self.mark).items():
            if not line.startswith(("qemu", shutil.which(qemu.QEMU))):
                continue
            for name in os.listdir(f"/proc/{pid}/fd"):
                try:
                    inodes.update(re.findall(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{name}")))
                except OSError:
                    continue
        listening = []
        for table in ("tcp", "tcp6", "udp", "udp6"):
            with open(f"/proc/net/{table}", encoding="ascii") as file:
                rows = [row.split() for row in file.readlines()[1:]]
            listening += [row[1].split(":")[0] for row in rows if row[9] in inodes and row[3] != "01"]
        self.assertEqual(set(listening), {"%08X" % int.from_bytes(socket.inet_aton("127.0.0.1"), sys.byteorder)})


class WatchedTest(GuestTest):
    def test_a_hung_task_is_reported_while_the_gate_runs(self):
        prepared = gate.prepare(gate.Request(kernel=KERNEL, offline=True, directory=self.path("guest")))
        with gate.Guest(prepared) as guest:
            told = guest.run("cd /proc/sys/kernel; cat hung_task_timeout_secs hung_task_check_interval_secs").output.split()
        self.assertEqual(told, [str(gate.HUNG_TASK_SECONDS), "5"])


class BadGuestTest(GuestTest):
    """A guest that does not come up: one line, and 125."""

    def refused(self, *args, env=()):
        status, _, err = self.run_gate(*args, CASE, env=env)
        return status, err

    def test_panic_at_boot(self):
        status, err = self.refused("--append", "rdinit=/none root=/dev/none")
        self.assertEqual(status, EXIT_CANNOT_JUDGE)
        self.assert_one_line(err, "the guest died at boot", "kernel panic", "serial.log")

    def test_hang_at_boot(self):
        status, err = self.refused("--append", "rdinit=/bin/sh", "--boot-timeout", "60")
        self.assertEqual(status, EXIT_CANNOT_JUDGE)
        self.assert_one_line(err, "was not ready in 60 s", "serial.log")

    def test_too_little_memory(self):
        status, err = self.refused("--memory", "64")
        self.assertEqual(status, EXIT_CANNOT_JUDGE)
        self.assert_one_line(err, "it had 64 MiB", "--memory")

    def test_out_of_memory(self):
        status, err = self.refused("--memory", "96")
        self.assertEqual(status, EXIT_CANNOT_JUDGE)
        self.assert_one_line(err, "deadlocked on memory", "it had 96 MiB", "--memory")

    def test_no_qemu(self):
        os.mkdir(self.path("bin"))
        os.symlink(sys.executable, self.path("bin", "python3"))
        status, err = self.refused(env={"PATH": self.path("bin")}.items())
        self.assertEqual(status, EXIT_TOOL)
        self.assert_one_line(err, "qemu-system-x86")


def began(path, twin):
    """began tells whether the events at path have the beginning of a case on this guest."""
    if not os.path.exists(path):
        return False
    with open(path, encoding="utf-8") as file:
        events = [json.loads(line) for line in file if line.endswith("\n")]
    return any(event["event"] == "case-start" and event.get("twin", 0) == twin for event in events)


class BadMiddleTest(GuestTest):
    """A guest that goes wrong while the suite runs is never a pass."""

    def judged(self, script, *words):
        """judged runs the gate on some cases, and script in the guest once the first of them has begun; script may be a function
        of the guest."""
        real = command.run_suite

        def run_suite(words, guests, directory, windows, output=None, last=()):
            guest = guests[-1]

            def disturb():
                until(lambda: began(os.path.join(directory, "events.jsonl"), guest.twin), 60)
                try:
                    if callable(script):
                        script(guest)
                    else:
                        guest.run(script, "disturb", 10)
                except GateError:
                    pass
            thread = threading.Thread(target=disturb)
            thread.start()
            try:
                return real(words, guests, directory, windows, output, last)
            finally:
                thread.join()

        with mock.patch.object(command, "run_suite", run_suite), mock.patch.object(command.signal, "signal"):
            status = command.main(self.argv("--no-baseline", *words, "auth.one-way")[3:])
        if not os.path.exists(self.path("gate.json")):
            return status, None
        with open(self.path("gate.json"), encoding="utf-8") as file:
            return status, json.load(file)

    def test_panic(self):
        status, facts = self.judged("echo c >/proc/sysrq-trigger")
        self.assertEqual(status, EXIT_UNEXPECTED)
        self.assertIn("sysrq triggered crash", facts["death"])
        self.assertTrue(facts["findings"])
        self.assertRegex(facts["findings"][0]["case"], "^auth.one-way")

    def test_panic_of_one_of_two(self):
        """The second guest dies; the first takes over what is left, and the gate is no pass."""
        status, facts = self.judged("echo c >/proc/sysrq-trigger", "--guests", "2")
        self.assertEqual(status, EXIT_UNEXPECTED)
        self.assertRegex(facts["death"], r"sysrq triggered crash.* \(guest-2\)$")
        self.assertEqual([found["twin"] for found in facts["findings"]], [1] * len(facts["findings"]))
        self.assertRegex(facts["findings"][0]["case"], "^auth.one-way")
        with open(self.path("suite", "results.json"), encoding="utf-8") as file:
            results = json.load(file)
        self.assertEqual([(death["twin"], death["killer"]) for death in results["deaths"]], [(1, "")])
        self.assertEqual([case["id"] for case in results["cases"] if "stopped serving" in case.get("reason", "")], [])

    def test_hang(self):
        """A guest that stops in the middle, and a suite that would wait for it longer than a gate may."""
        started = []

        def stop(guest):
            started.append(guest.machine.pid)
            os.kill(guest.machine.pid, signal.SIGSTOP)

        with mock.patch.object(command, "SUITE_SECONDS", 20):
            status, facts = self.judged(stop, "--timeout", "60")
        self.assertEqual((status, facts["verdict"]), (EXIT_TOOL, "cannot judge"))
        self.assertIn("did not end within 20 s", facts["reason"])
        with self.assertRaises(ProcessLookupError):
            os.kill(started[0], 0)

    def test_tlshd_dies(self):
        status, facts = self.judged("kill -9 $(pidof tlshd)")
        self.assertEqual((status, facts["tlshd_alive"]), (EXIT_TOOL, False))

    def test_a_warning_is_no_pass(self):
        """A report that the kernel would print, put into its log: the cases pass, the gate does not."""
        status, facts = self.judged("echo '<4>WARNING: CPU: 0 PID: 1 at nowhere.c:1 f+0x1/0x2' >/dev/kmsg")
        self.assertEqual((status, len(facts["findings"])), (EXIT_UNEXPECTED, 1))
        self.assertRegex(facts["findings"][0]["case"], "^auth.one-way")


NO_NAMESPACE = subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode


class NoSpaceTest(GuestTest):
    @unittest.skipIf(NO_NAMESPACE, "no mount namespace for this user")
    def test_output_directory(self):
        self.assertEqual(self.on_small_disk("--output-dir", self.path("small", "out")), EXIT_TOOL)

    def on_small_disk(self, *args):
        os.mkdir(self.path("small"))
        script = 'mount -t tmpfs -o size=1m none "$0" && exec "$@"'
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script, self.path("small"), *self.argv(*args, CASE)],
                              capture_output=True, text=True, timeout=SECONDS, check=False)
        self.assert_one_line(done.stderr, "No space left", self.path("small"))
        return done.returncode

    @unittest.skipIf(NO_NAMESPACE, "no mount namespace for this user")
    def test_cache(self):
        known = cache.Cache()
        package = known.package(known.read_set(f"linux-{KERNEL}")[0]["sha256"])
        os.mkdir(self.path("small"))
        script = 'mount -t tmpfs -o size=1m none "$0" && exec "$@"'
        argv = [sys.executable, COMMAND, "gate", "--deb", package, "--cache", self.path("small"), "--output-dir", self.path("out")]
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script, self.path("small"), *argv], capture_output=True, text=True,
                              timeout=SECONDS, check=False)
        self.assertEqual(done.returncode, EXIT_TOOL, done.stderr)
        self.assert_one_line(done.stderr, "No space left", self.path("small"))


if __name__ == "__main__":
    unittest.main()
