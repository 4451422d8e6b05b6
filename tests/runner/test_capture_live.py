# SPDX-License-Identifier: BSD-3-Clause
"""Captures taken from an interface, with the real engine on both sides; skipped, with the reason, where it is not built or the
machine does not let us capture."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import unittest

from support import COMMAND, HOSTNQN, REAL, ROOT, SECRET, SUBNQN, RunnerTest, free_port

ENGINE = os.environ.get("NVME_CONFORM_ENGINE") or os.path.join(ROOT, "build", "nvme-conform-engine")
BUILT = unittest.skipUnless(os.access(ENGINE, os.X_OK), f"the engine is not built: {ENGINE}")
CASE = "replace.new-psk-works"


def may_capture():
    """may_capture tells whether this process may open a packet socket."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
        return True
    except (OSError, AttributeError):
        return False


def order(port, directory):
    """order is what the runner tells the engine, for one case and the packets of lo."""
    host = {"hostnqn": HOSTNQN, "hostid": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "hash": None, "dhgroup": None,
            "dhchap_secret": SECRET, "dhchap_ctrl_secret": None}
    return json.dumps({"cases": [CASE], "captures": {"mode": "all", "directory": directory, "interface": "lo"},
                       "target": {"format": "nvme-conform-profile/1", "subnqn": SUBNQN, "addr": "127.0.0.1", "psks": [],
                                  "ports": {"concat": port}, "hosts": [host]}})


def children(pid):
    """children returns the pids of the processes that a process has started and that still run."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def runs(pid):
    """runs tells whether a process runs: one that has ended may wait for a long time for its parent, or for init, to notice."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def within(seconds, true):
    """within waits until `true` is, and tells whether it came to be."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(true())


class Refused(RunnerTest):
    def test_needs_a_target_on_the_network(self):
        self.assert_refused(self.run_suite("--capture-interface", "lo"), "--capture-interface", "-a")

    @BUILT
    def test_no_such_interface(self):
        done = self.run_suite(*REAL, "-s", str(free_port()), "--capture-interface", "nonesuch0", CASE, env={"NVME_CONFORM_ENGINE": ENGINE})
        self.assert_refused(done, "nonesuch0")

    @BUILT
    @unittest.skipUnless(os.geteuid() == 0, "only root can give up the permission to capture")
    def test_not_permitted(self):
        done = subprocess.run(["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", ENGINE, "run"],
                              input=order(1, self.path("captures")), text=True, capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assertIn("interface lo: capturing is not permitted; it takes root, or CAP_NET_RAW", done.stderr)


def is_up(name):
    """is_up tells whether an interface is up; where /sys is not mounted, as in a bare root, nobody knows."""
    try:
        with open(f"/sys/class/net/{name}/operstate", encoding="ascii") as file:
            return file.read().strip() == "up"
    except OSError:
        return False


@BUILT
@unittest.skipUnless(may_capture(), "capturing takes root or CAP_NET_RAW")
class Live(RunnerTest):
    def setUp(self):
        super().setUp()
        self.port = str(free_port())
        self.daemon = subprocess.Popen(
            [sys.executable, COMMAND, "target", "-a", "127.0.0.1", "-s", self.port, "-q", HOSTNQN, "-S", f"@{self.file('secret', SECRET)}"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment(extra={"NVME_CONFORM_ENGINE": ENGINE}))
        self.addCleanup(self.end_daemon)
        self.assertTrue(select.select([self.daemon.stdout], [], [], 20)[0], "the target said nothing within 20 s")

    def end_daemon(self):
        self.daemon.send_signal(signal.SIGTERM)
        try:
            self.daemon.wait(20)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        self.daemon.stdout.close()

    def captured(self, *args, case=CASE):
        """captured runs a case against the daemon and returns its capture as bytes, and what replay says of it."""
        done = self.run_suite("-a", "127.0.0.1", "-s", self.port, "-n", SUBNQN, "-q", HOSTNQN, "-S", f"@{self.path('secret')}", "--concat",
                              case, "--captures", "all", *args, env={"NVME_CONFORM_ENGINE": ENGINE})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        path = os.path.join(self.reports, "captures", f"{case.replace('/', '_')}.pcapng")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        with open(path, "rb") as file:
            return file.read(), self.invoke("replay", path, env={"NVME_CONFORM_ENGINE": ENGINE})

    def test_packets_of_the_interface_with_secrets_and_comments(self):
        data, judged = self.captured("--capture-interface", "lo")
        self.assertEqual(judged.returncode, 0, judged.stdout + judged.stderr)
        self.assertIn("5 of 5 connections judged; 4 of them over TLS", judged.stdout)
        for text in (f"{CASE}: verdict pass", f"{CASE}: connect over TLS", "C-205: in order", "CLIENT_TRAFFIC_SECRET_0"):
            self.assertIn(text.encode(), data)
        # Linux's own: the timestamp option in every segment, which what is drawn does not have.
        self.assertIn(bytes.fromhex("0101080a"), data)
        self.assertNotIn(b"drawn from the streams", data)

    def test_a_long_case_loses_nothing(self):
        data, judged = self.captured("--capture-interface", "lo", case="replace.repeats/10")
        self.assertEqual(judged.returncode, 0, judged.stdout + judged.stderr)
        self.assertNotIn(b"packets of the interface are missing", data)

    def test_collector_that_ends_too_early(self):
        with self.engine(int(self.port)) as engine:
            self.assertTrue(select.select([engine.stdout], [], [], 20)[0], "the run does not begin")
            os.kill(self.collector(engine), signal.SIGKILL)
            self.assertIn('"behaviour":"pass"', engine.communicate(timeout=60)[0])
        with open(self.path("captures", f"{CASE}.pcapng"), "rb") as file:
            self.assertIn(b"interface lo showed no packet of this case", file.read())

    def test_collector_ends_with_the_engine(self):
        with socket.create_server(("127.0.0.1", 0)) as silent, self.engine(silent.getsockname()[1]) as engine:
            collector = self.collector(engine)
            engine.kill()
            self.assertTrue(within(10, lambda: not runs(collector)))

    def collector(self, engine):
        """collector is the first process that the engine starts."""
        self.assertTrue(within(10, lambda: children(engine.pid)))
        return children(engine.pid)[0]

    @contextlib.contextmanager
    def engine(self, port):
        """engine runs the case against a port."""
        os.mkdir(self.path("captures"))
        with subprocess.Popen([ENGINE, "run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as engine:
            engine.stdin.write(order(port, self.path("captures")))
            engine.stdin.close()
            engine.stdin = None
            try:
                yield engine
            finally:
                engine.kill()

    def test_an_interface_that_shows_nothing_is_said(self):
        name = next((name for _, name in socket.if_nameindex() if name != "lo" and is_up(name)), None)
        if not name:
            self.skipTest("this machine shows no interface that is up beside lo")
        data, judged = self.captured("--capture-interface", name)
        self.assertEqual(judged.returncode, 0, judged.stdout + judged.stderr)
        self.assertIn(f"interface {name} showed no packet of this case: they are drawn from the streams".encode(), data)


if __name__ == "__main__":
    unittest.main()
