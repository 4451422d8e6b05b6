# SPDX-License-Identifier: BSD-3-Clause
"""The real engine against targets that are absent, silent, foreign or hostile: bounded, one line or inconclusive, no crash."""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from support import HOSTNQN, PSK, ROOT, SECRET, free_port

ENGINE = os.environ.get("NVME_CONFORM_ENGINE") or os.path.join(ROOT, "build", "nvme-conform-engine")
PROGRAM = os.path.join(ROOT, "harness", "nvme-conform")
SUBNQN = "nqn.2014-08.org.nvmexpress:nvme-conform:hostile"
ICRESP = bytes([1, 0, 128, 0, 128, 0, 0, 0]) + bytes(4) + (65536).to_bytes(4, "little") + bytes(112)


def capsule_resp(cid, status=0, result=0):
    """capsule_resp is a CapsuleResp PDU."""
    cqe = result.to_bytes(8, "little") + bytes(4) + cid.to_bytes(2, "little") + (status << 1).to_bytes(2, "little")
    return bytes([5, 0, 24, 0, 24, 0, 0, 0]) + cqe


class Server:
    """Server runs `talk(socket)` for each connection on a free loopback port until it is closed."""

    def __init__(self, talk):
        self._talk = talk
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        with peer:
            try:
                peer.settimeout(20)
                self._talk(peer)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()


def read_pdu(peer):
    """read_pdu returns one PDU, or b"" at the end."""
    head = peer.recv(8, socket.MSG_WAITALL)
    if len(head) < 8:
        return b""
    return head + peer.recv(int.from_bytes(head[4:8], "little") - 8, socket.MSG_WAITALL)


def good_until_connect(peer):
    """good_until_connect answers ICReq and Connect as a target does; ATR=1."""
    read_pdu(peer)
    peer.sendall(ICRESP)
    connect = read_pdu(peer)
    peer.sendall(capsule_resp(int.from_bytes(connect[10:12], "little"), result=1 | 1 << 17))


@contextlib.contextmanager
def reference_target(*extra):
    """reference_target runs the daemon on a free port and yields it; afterwards it must still be there, and end cleanly."""
    port = free_port()
    environment = dict(os.environ, NVME_CONFORM_ENGINE=ENGINE, NVME_CONFORM_DHCHAP_SECRET=SECRET)
    daemon = subprocess.Popen([sys.executable, PROGRAM, "target", "-a", "127.0.0.1", "-s", str(port), "-n", SUBNQN, "-q", HOSTNQN, *extra],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, env=environment)
    try:
        line = b"before the first"
        # Without a buffer: select knows nothing of a line that readline took along with the one before.
        while line and not line.startswith(b"listening"):
            line = daemon.stdout.readline() if select.select([daemon.stdout], [], [], 60)[0] else b""
        if not line:
            raise AssertionError("the daemon does not listen")
        # What it says later is of no interest, but must not fill the pipe.
        threading.Thread(target=daemon.stdout.read, daemon=True).start()
        yield port
        if daemon.poll() is not None:
            raise AssertionError(f"the daemon ended with {daemon.returncode}: {daemon.stderr.read().decode()}")
    finally:
        daemon.terminate()
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        daemon.stdout.close()
        daemon.stderr.close()


def cut_behind(port, num):
    """cut_behind makes a talk that passes everything on to port and back, and ends the connection behind num bytes of answers."""
    def talk(peer):
        left = num
        with socket.create_connection(("127.0.0.1", port)) as target:
            while left:
                for ready in select.select([peer, target], [], [], 20)[0]:
                    data = ready.recv(4096 if ready is peer else left)
                    if not data:
                        return
                    (target if ready is peer else peer).sendall(data)
                    left -= len(data) if ready is target else 0
    return talk


@unittest.skipUnless(os.access(ENGINE, os.X_OK), f"{ENGINE} is not built")
class Hostile(unittest.TestCase):
    """What becomes of a run against each kind of bad target."""

    def run_against(self, port, *extra, seconds=60):
        """run_against runs one case and returns (status, stdout and stderr, results)."""
        with tempfile.TemporaryDirectory() as directory:
            environment = dict(os.environ, NVME_CONFORM_ENGINE=ENGINE, NVME_CONFORM_DHCHAP_SECRET=SECRET, NO_COLOR="1")
            start = time.monotonic()
            done = subprocess.run([sys.executable, PROGRAM, "run", "-t", "tcp", "-a", "127.0.0.1", "-s", str(port), "-n", SUBNQN,
                                   "-q", HOSTNQN, "--timeout", "1", "--seed", "1", "--output-dir", directory + "/out",
                                   *(extra or ("auth.t-id/ffffh",))],
                                  capture_output=True, text=True, timeout=seconds, env=environment, check=False)
            self.elapsed = time.monotonic() - start
            path = directory + "/out/results.json"
            results = []
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    results = json.load(file)["cases"]
            self.assertNotIn(SECRET, done.stdout + done.stderr)
            self.assertNotIn("Traceback", done.stdout + done.stderr)
            return done.returncode, done.stdout + done.stderr, results

    def unreachable(self, talk, words):
        """unreachable asserts that a run against `talk` ends as "cannot judge", with `words` in what it says."""
        with Server(talk) as server:
            status, text, _ = self.run_against(server.port)
        self.assertEqual(status, 125, text)
        self.assertIn(words, text)
        self.assertLess(self.elapsed, 20)

    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        status, text, _ = self.run_against(port)
        self.assertEqual(status, 125, text)
        self.assertIn(str(port), text)

    def test_silent(self):
        self.unreachable(lambda peer: time.sleep(10), "nothing")

    def test_closes_at_once(self):
        self.unreachable(lambda peer: None, "ended")

    def test_http_server(self):
        def talk(peer):
            peer.recv(4096)
            peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            time.sleep(3)
        self.unreachable(talk, "")

    def test_tls_only_server(self):
        def talk(peer):
            peer.recv(4096)
            peer.sendall(bytes([21, 3, 3, 0, 2, 2, 10]))    # a TLS alert
        self.unreachable(talk, "")

    def test_garbage(self):
        def talk(peer):
            peer.recv(4096)
            peer.sendall(bytes(range(256)) * 64)
            time.sleep(3)
        self.unreachable(talk, "")

    def test_endless_pdu(self):
        def talk(peer):
            peer.recv(4096)
            peer.sendall(bytes([1, 0, 128, 0, 255, 255, 255, 255]))
            while True:
                peer.sendall(bytes(65536))
        self.unreachable(talk, "")

    def test_closes_at_every_stage_after_connect(self):
        def talk(peer):
            good_until_connect(peer)
            read_pdu(peer)
        with Server(talk) as server:
            status, text, results = self.run_against(server.port)
        self.assertIn(status, (1, 125), text)
        self.assertTrue(all(result["behaviour"] != "pass" for result in results if result["id"] == "auth.t-id/ffffh"), text)

    def test_never_answers_authentication(self):
        def talk(peer):
            good_until_connect(peer)
            time.sleep(15)
        with Server(talk) as server:
            status, text, results = self.run_against(server.port)
        verdicts = {result["id"]: result["behaviour"] for result in results}
        self.assertIn(verdicts.get("auth.t-id/ffffh"), ("fail", "inconclusive"), text)
        self.assertIn(status, (1, 125), text)

    def test_closes_behind_any_byte(self):
        # The units of lib/host try every byte; here it is the command, at the ends of PDUs and in the middle of each.
        with reference_target() as port:
            for num in (1, 127, 128, 129, 152, 250, 300, 400):
                with Server(cut_behind(port, num)) as server, self.subTest(num):
                    status, text, results = self.run_against(server.port)
                    self.assertIn(status, (1, 125), text)
                    for result in results:
                        self.assertNotEqual(result["behaviour"], "error", text)
                        self.assertNotEqual((result["behaviour"], result["teardown"]), ("pass", "pass"), text)
                    self.assertLess(self.elapsed, 40)
            status, text, _ = self.run_against(port)
            self.assertEqual(status, 0, text)    # nothing of it has hurt the target

    def test_tls_port_spoken_to_in_clear(self):
        with reference_target("--tls", "--tls-key", PSK) as port:
            status, text, _ = self.run_against(port)
            self.assertEqual(status, 125, text)
            self.assertIn("127.0.0.1", text)
            self.assertLess(self.elapsed, 20)

    def test_clear_port_spoken_to_in_tls(self):
        plain = free_port()
        with reference_target("--plain-port", str(plain)):
            status, text, _ = self.run_against(plain, "auth.t-id/ffffh", "--tls", "--tls-key", PSK)
            self.assertEqual(status, 125, text)
            self.assertLess(self.elapsed, 20)

    def test_lying_lengths(self):
        def talk(peer):
            good_until_connect(peer)
            while True:
                pdu = read_pdu(peer)
                if not pdu:
                    return
                cid = pdu[10:12]
                # C2HData that claims 4 GiB at an offset of 4 GiB, for whatever command.
                peer.sendall(bytes([7, 4, 24, 24, 32, 0, 0, 0]) + cid + bytes(2) + b"\xff" * 8 + bytes(4) + bytes(8))
                peer.sendall(capsule_resp(int.from_bytes(cid, "little")))
        with Server(talk) as server:
            status, text, results = self.run_against(server.port)
        self.assertIn(status, (1, 125), text)
        self.assertTrue(all(result["behaviour"] != "error" for result in results), text)

    def test_malformed_secret_names_the_fault(self):
        for secret, words in ((SECRET[:-5] + "AAAA:", "CRC"), (SECRET[:20], ""), ("DHHC-2" + SECRET[6:], "DHHC-1")):
            environment = dict(os.environ, NVME_CONFORM_ENGINE=ENGINE, NVME_CONFORM_DHCHAP_SECRET=secret)
            done = subprocess.run([sys.executable, PROGRAM, "run", "-a", "127.0.0.1", "-s", "1", "-n", SUBNQN, "-q", HOSTNQN],
                                  capture_output=True, text=True, timeout=30, env=environment, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
            self.assertIn(words, done.stderr)
            self.assertNotIn(secret[10:], done.stderr)


if __name__ == "__main__":
    unittest.main()
