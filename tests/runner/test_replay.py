# SPDX-License-Identifier: BSD-3-Clause
"""Captures left by `run` and judged by `replay`, with the real engine: skipped, with the reason, where it is not built."""

import gzip
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest
import xml.etree.ElementTree as ET

from support import COMMAND, HOSTNQN, ROOT, SECRET, SUBNQN, RunnerTest

CTRL_SECRET = "DHHC-1:01:YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWF3F7HK:"  # 32 times "a"
WRONG_SECRET = "DHHC-1:00:YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmLUSf1H:"  # 32 times "b"
ENGINE = os.environ.get("NVME_CONFORM_ENGINE") or os.path.join(ROOT, "build", "nvme-conform-engine")


@unittest.skipUnless(os.access(ENGINE, os.X_OK), f"the engine is not built: {ENGINE}")
class Captures(RunnerTest):
    def real(self, *args):
        return self.invoke(*args, env={"NVME_CONFORM_ENGINE": ENGINE})

    def captured(self, *args):
        """captured runs cases and returns the paths of their captures."""
        self._runs += 1
        self.reports = self.path(f"reports{self._runs}")
        self.real("run", "--seed", "1", "--output-dir", self.reports, *args)
        directory = os.path.join(self.reports, "captures")
        names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
        return [os.path.join(directory, name) for name in names]

    def test_concatenation_is_clean(self):
        paths = self.captured("concat.new/*", "concat.connect-over-tls", "replace.new-psk-works", "--captures", "all")
        self.assertGreater(len(paths), 10)
        done = self.real("replay", "--summary", *paths)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), len(paths))
        self.assertTrue(all(line.startswith("CLEAN: ") for line in done.stdout.splitlines()))
        self.assertIn("over TLS", done.stdout)

    def test_only_failures_leave_a_capture(self):
        self.assertEqual(self.captured("concat.connect-over-tls"), [])
        paths = self.captured("auth.two-way/sha256/null", "--defect", "s1-zero")
        self.assertEqual([os.path.basename(path) for path in paths], ["auth.two-way_sha256_null.pcapng"])
        self.assertEqual(self.case("auth.two-way/sha256/null")["capture"], "captures/auth.two-way_sha256_null.pcapng")
        self.assertEqual(self.captured("auth.two-way/sha256/null", "--defect", "s1-zero", "--captures", "none"), [])

    def test_summary_says_whose_numbers_it_has(self):
        words = ("run", "auth.two-way/sha256/null", "--defect", "s1-zero", "--seed", "1", "--output-dir")
        said = "as the observer counts PDUs; the capture has numbers of its own"
        self.assertRegex(self.real(*words, self.path("with")).stdout, rf"(?m)^ +packets +\d+, \d+ {said}")
        done = self.real(*words, self.path("without"), "--captures", "none")
        self.assertRegex(done.stdout, r"(?m)^ +packets +\d+, \d+$")

    def test_violation_names_its_packet(self):
        (path,) = self.captured("auth.two-way/sha256/null", "--defect", "s1-zero")
        done = self.real("replay", path)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^ +11 .* controller violates C-122 \(shall\) Base 2\.2")
        self.assertRegex(done.stdout, r"(?m)seen +S1 0 \[packet 11\]$")
        self.assertIn("-> CapsuleCmd cid=1 Authentication Send", done.stdout)
        self.assertTrue(done.stdout.splitlines()[-1].startswith("VIOLATED: "))
        done = self.real("replay", "-o", "json", path)
        self.assertEqual(done.returncode, 1)
        (file,) = json.loads(done.stdout)["files"]
        self.assertEqual((file["verdict"], file["exit_status"]), ("violated", 1))
        self.assertEqual([(one["requirement"], one["side"], one["frame"]) for one in file["violations"]],
                         [("C-122", "controller", 11)])
        self.assertEqual(self.real("replay", "--judge", "host", "--summary", path).returncode, 0)

    def test_keys(self):
        keylog = self.path("keys")
        (path,) = self.captured("replace.new-psk-works", "--captures", "all", "--no-secrets", "--keylog", keylog)
        self.assertEqual(os.stat(keylog).st_mode & 0o777, 0o600)
        done = self.real("replay", "--summary", path)
        self.assertEqual(done.returncode, 125)
        self.assertIn("encrypted, and there are no keys for it", done.stdout)
        self.assertEqual(self.real("replay", "--summary", "--keylog", keylog, path).returncode, 0)
        with open(keylog, encoding="ascii") as file:
            wrong = re.sub("(?m).$", lambda digit: "1" if digit[0] == "0" else "0", file.read())
        done = self.real("replay", "--summary", "--keylog", self.file("wrong", wrong), path)
        self.assertEqual(done.returncode, 125)
        self.assertIn("the keys do not fit", done.stdout)

    def test_secrets_are_for_their_owner(self):
        (path,) = self.captured("replace.new-psk-works", "--captures", "all")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        with open(path, "rb") as file:
            self.assertIn(b"CLIENT_TRAFFIC_SECRET_0", file.read())
        (path,) = self.captured("replace.new-psk-works", "--captures", "all", "--no-secrets")
        with open(path, "rb") as file:
            self.assertNotIn(b"TRAFFIC_SECRET", file.read())

    def test_same_seed_same_capture(self):
        contents = []
        for _ in range(2):
            (path,) = self.captured("auth.two-way/sha256/null", "--captures", "all")
            with open(path, "rb") as file:
                contents.append(file.read())
        self.assertEqual(contents[0], contents[1])

    # ---- secrets ----

    def talked(self, *args, daemon_words=()):
        """talked returns captures of cases between the suite's host and the daemon, which share SECRET and CTRL_SECRET."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        peer = ("-a", "127.0.0.1", "-s", port, "-n", SUBNQN, "-q", HOSTNQN, "-S", SECRET, "-C", CTRL_SECRET)
        daemon = subprocess.Popen([sys.executable, COMMAND, "target", *peer, *daemon_words], stdout=subprocess.PIPE, text=True,
                                  env=self.environment(extra={"NVME_CONFORM_ENGINE": ENGINE}))
        try:
            self.assertTrue(select.select([daemon.stdout], [], [], 20)[0], "the daemon says nothing")
            daemon.stdout.readline()
            return self.captured(*args, *peer, "--captures", "all")
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.communicate(timeout=20)

    def test_responses_are_verified(self):
        (path,) = self.talked("auth.two-way/sha256/ffdhe2048")
        given = ("-S", SECRET, "-C", CTRL_SECRET)
        done = self.real("replay", *given, path)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("R1 of the host: verified", done.stdout)
        self.assertIn("R2 of the controller: verified", done.stdout)
        self.assertRegex(done.stdout.splitlines()[-1], r"; responses: \d+ verified$")
        self.assertNotIn(SECRET, done.stdout + done.stderr)
        done = self.real("replay", "--summary", path)
        self.assertEqual(done.returncode, 0)
        self.assertIn("not verified (no secret is given for it)", done.stdout)
        done = self.real("replay", "--summary", "-S", WRONG_SECRET, path)
        self.assertEqual(done.returncode, 125)
        self.assertIn("R1 does not verify with the secret given", done.stdout)
        done = self.real("replay", "--summary", "-S", SECRET, "-C", WRONG_SECRET, path)
        self.assertEqual(done.returncode, 125)
        self.assertIn("R2 does not verify with the secret given", done.stdout)
        done = self.real("replay", "--summary", *given, "-q", HOSTNQN + "0", path)
        self.assertEqual(done.returncode, 0)
        self.assertNotIn("verified,", done.stdout)

    def test_secrets_of_environment_file_and_profile(self):
        (path,) = self.talked("auth.two-way/sha256/ffdhe2048")
        verified = r"responses: \d+ verified$"
        done = self.invoke("replay", "--summary", path, env={"NVME_CONFORM_ENGINE": ENGINE, "NVME_CONFORM_DHCHAP_SECRET": SECRET,
                                                             "NVME_CONFORM_DHCHAP_CTRL_SECRET": CTRL_SECRET})
        self.assertRegex(done.stdout.rstrip(), verified)
        files = [self.file("host", SECRET), self.file("ctrl", CTRL_SECRET)]
        self.assertRegex(self.real("replay", "--summary", "-S", "@" + files[0], "-C", "@" + files[1], path).stdout.rstrip(), verified)
        profile = {"format": "nvme-conform-profile/1", "subnqn": SUBNQN, "addr": "127.0.0.1", "hosts": [
            {"hostnqn": HOSTNQN, "hostid": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "dhchap_secret": SECRET,
             "dhchap_ctrl_secret": CTRL_SECRET}]}
        profile = self.file("profile.json", json.dumps(profile))
        self.assertRegex(self.real("replay", "--summary", "--profile", profile, path).stdout.rstrip(), verified)
        os.chmod(profile, 0o644)
        self.assert_refused(self.real("replay", "--profile", profile, path), "open to others")

    def test_key_log_has_the_exponents(self):
        (path,) = self.talked("auth.two-way/sha256/ffdhe2048", "--no-secrets", "--keylog", self.path("keys"))
        given = ("-S", SECRET, "-C", CTRL_SECRET)
        done = self.real("replay", "--summary", *given, path)
        self.assertEqual(done.returncode, 0)
        self.assertIn("not verified (no ephemeral key of Diffie-Hellman is at hand)", done.stdout)
        done = self.real("replay", "--summary", *given, "--keylog", self.path("keys"), path)
        self.assertRegex(done.stdout.rstrip(), r"responses: \d+ verified$")

    def test_key_log_of_the_daemon_has_the_exponents_of_the_target(self):
        keylog = self.path("keys")
        (path,) = self.talked("replace.new-psk-works", "--no-secrets", daemon_words=("--keylog", keylog))
        done = self.real("replay", "--summary", "-S", SECRET, "-C", CTRL_SECRET, "--keylog", keylog, path)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"responses: \d+ verified; PSK identities: \d+ verified")

    def test_connections_of_one_association(self):
        (path,) = self.captured("replace.new-psk-works", "--captures", "all")
        done = self.real("replay", "-o", "json", path)
        (file,) = json.loads(done.stdout)["files"]
        self.assertEqual({row["association"] for row in file["associations"]}, {1})
        self.assertIn("admin queue in clear", file["associations"][0]["text"])
        self.assertIn("over TLS under its PSK", file["associations"][-1]["text"])
        self.assertEqual(list(file["proofs"]["identities"]), ["verified"])
        self.assertIn("PSK identities: ", self.real("replay", "--summary", path).stdout)

    # ---- reports ----

    def test_reports(self):
        paths = self.captured("auth.two-way/sha256/null", "--defect", "s1-zero")
        paths += self.captured("auth.two-way/sha256/null", "--captures", "all")
        directory = self.path("judged")
        done = self.real("replay", "--summary", "--output-dir", directory, *paths)
        self.assertEqual(done.returncode, 1)
        with open(os.path.join(directory, "results.json"), encoding="utf-8") as file:
            results = json.load(file)
        self.assertEqual([file["verdict"] for file in results["files"]], ["violated", "clean"])
        suites = ET.parse(os.path.join(directory, "junit.xml")).getroot()
        self.assertEqual((suites.get("tests"), suites.get("failures"), suites.get("errors")), ("3", "2", "0"))
        self.assertIn("C-122", ET.tostring(suites, encoding="unicode"))
        with open(os.path.join(directory, "ktap.txt"), encoding="utf-8") as file:
            self.assertRegex(file.read(), r"(?m)^  not ok 1 replay\..*null\.pcapng$")
        with open(os.path.join(directory, "events.jsonl"), encoding="utf-8") as file:
            self.assertEqual(json.loads(file.readlines()[-1])["event"], "replay-end")
        self.assert_refused(self.real("replay", "--output-dir", directory, *paths), "holds the reports of another run")

    # ---- following ----

    def follow(self, *args):
        return subprocess.Popen([sys.executable, COMMAND, "replay", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=self.environment(extra={"NVME_CONFORM_ENGINE": ENGINE}))

    def test_follow_until_interrupted(self):
        (path,) = self.captured("replace.new-psk-works", "--captures", "all")
        with open(path, "rb") as file:
            data = file.read()
        growing = self.path("growing.pcapng")
        with open(growing, "wb") as file:
            file.write(data[: len(data) // 2 + 1])
        process = self.follow("--follow", growing)
        bound = threading.Timer(60, process.kill)  # what ends a line that never comes
        bound.start()
        try:
            self.assertIn("connection 1", process.stdout.readline())
            with open(growing, "ab") as file:
                file.write(data[len(data) // 2 + 1 :])
            seen = " "
            while seen and "over TLS under its PSK 2" not in seen:
                seen = process.stdout.readline()
            self.assertTrue(seen, "nothing more came")
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            bound.cancel()
            process.kill()
            process.communicate()
        self.assertEqual((process.returncode, err), (0, ""), out)
        self.assertTrue(out.splitlines()[-1].startswith("CLEAN: "))

    def test_follow_for_some_seconds(self):
        (path,) = self.captured("auth.two-way/sha256/null", "--defect", "s1-zero")
        with open(path, "rb") as file:
            data = file.read()
        half = self.path("half.pcapng")
        with open(half, "wb") as file:
            file.write(data[:-10])  # in the middle of the last packet
        done = self.real("replay", "--follow", "--seconds", "1", "--summary", half)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertTrue(done.stdout.splitlines()[-1].startswith("VIOLATED: "))

    def test_follow_an_interface(self):
        done = self.real("replay", "-i", "no-such-interface", "--seconds", "1")
        self.assert_refused(done, "no-such-interface")
        # The loopback interface has what others say on it as well, so the conversation is left out.
        process = self.follow("-i", "lo", "--seconds", "10", "-o", "json")
        try:
            time.sleep(2)
            if process.poll() == 2:
                self.skipTest(f"no capturing here: {process.stderr.read().strip()}")
            self.talked("auth.two-way/sha256/null")
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            process.communicate()
        (judged,) = json.loads(out)["files"]
        self.assertEqual(judged["file"], "lo")
        self.assertTrue(any(HOSTNQN in row["text"] for row in judged["associations"]))
        self.assertIn(process.returncode, (0, 1, 125))

    # ---- bad input ----

    def rewritten(self, path, change):
        """rewritten copies a pcapng, each packet block passed through change(number, block); None leaves it out."""
        with open(path, "rb") as file:
            data = file.read()
        out, at, number = b"", 0, 0
        while at < len(data):
            kind, size = struct.unpack_from("<II", data, at)
            block = bytearray(data[at : at + size])
            if kind == 6:
                number += 1
                block = change(number, block)
            out += block or b""
            at += size
        changed = self.path("changed.pcapng")
        with open(changed, "wb") as file:
            file.write(out)
        return changed

    def verdict(self, path, *args):
        """verdict judges one file and returns the exit status and the one line about it."""
        done = self.real("replay", "--summary", *args, path)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.splitlines()[-1]

    def test_half_a_conversation(self):
        (path,) = self.captured("auth.two-way/sha256/null", "--captures", "all")
        for side in (1, 2):  # the last byte of the address of who sent it
            status, line = self.verdict(self.rewritten(path, lambda _, block, side=side: block if block[28 + 29] == side else None))
            self.assertEqual(status, 125, line)
            self.assertRegex(line, "^CANNOT JUDGE: .*(missing in the capture|no NVMe/TCP inside)")

    def test_clock_jumps(self):
        (path,) = self.captured("auth.two-way/sha256/null", "--captures", "all")

        def back(number, block):
            if number <= 10:
                struct.pack_into("<I", block, 12, 1 << 16)  # 78 hours on
            return block

        status, line = self.verdict(self.rewritten(path, back))
        self.assertEqual(status, 0, line)
        self.assertIn("the clock jumps at packet 11", line)

    def jumped(self, path, number, seconds):
        """jumped copies a pcapng whose clock goes on by `seconds` at packet `number`."""
        def on(at, block):
            if at >= number:
                high, low = struct.unpack_from("<II", block, 12)
                moved = (high << 32 | low) + seconds * 10**9
                struct.pack_into("<II", block, 12, moved >> 32, moved & 0xffffffff)
            return block

        return self.rewritten(path, on)

    def test_a_jump_hides_no_wrong_secret(self):
        path = self.jumped(os.path.join(ROOT, "captures", "auth-two-way.pcapng"), 14, 2 * 86400)
        status, line = self.verdict(path, "-S", WRONG_SECRET)
        self.assertEqual(status, 125, line)
        self.assertIn("R1 does not verify with the secret given", line)

    def test_refused_when_its_time_was_over(self):
        (path,) = self.captured("auth.one-way/sha384/ffdhe2048", "--defect", "key-hash-tied")
        status, line = self.verdict(path, "--reference", "--seed", "1")
        self.assertEqual(status, 125, line)
        self.assertIn("has it another secret?", line)
        reply = 14  # behind the Challenge, before AUTH_Failure1
        status, line = self.verdict(self.jumped(path, reply, 2 * 86400), "--reference", "--seed", "1")
        self.assertEqual(status, 125, line)
        self.assertIn("the clock of the capture does not tell", line)
        # 130 seconds is no jump: a controller may refuse what comes then.
        status, line = self.verdict(self.jumped(path, reply, 130), "--reference", "--seed", "1")
        self.assertEqual(status, 0, line)

    def test_nothing_for_us_inside(self):
        (path,) = self.captured("auth.two-way/sha256/null", "--captures", "all")
        status, line = self.verdict(self.rewritten(path, lambda *_: None))
        self.assertEqual(status, 125)
        self.assertIn("no NVMe/TCP inside", line)

    def test_mistakes(self):
        self.assert_refused(self.real("replay"), "name a FILE")
        self.assert_refused(self.real("replay", "x", "-i", "lo"), "exclude each other")
        self.assert_refused(self.real("replay", "--follow", "x", "y"), "one FILE")
        self.assert_refused(self.real("replay", "--seconds", "1", "x"), "--seconds")
        self.assert_refused(self.real("replay", "-a", "127.0.0.1", "x"), "--traddr")
        self.assert_refused(self.real("replay", "-S", "DHHC-1:00:x:", "x"), "--dhchap-secret")

    def test_bad_input_is_one_line(self):
        text = self.file("text", "no capture at all, though long enough\n")
        self.assert_refused(self.real("replay", self.path("nothing")), "nothing", "No such file")
        self.assert_refused(self.real("replay", text), "text", "is not a capture")
        self.assert_refused(self.real("replay", self.directory), "no ordinary file")
        self.assert_refused(self.real("replay", "-"), "-: is no ordinary file", "save the capture")
        os.mkfifo(self.path("fifo"))  # nobody ever writes to it
        for words in ((), ("--follow",), ("--against", "reference")):
            self.assert_refused(self.real("replay", *words, self.path("fifo")), "fifo", "no ordinary file")
        with open(os.path.join(ROOT, "captures", "failure1.pcapng"), "rb") as file, gzip.open(self.path("packed.gz"), "wb") as packed:
            packed.write(file.read())
        self.assert_refused(self.real("replay", self.path("packed.gz")), "packed.gz", "compressed (gzip)")
        self.assert_refused(self.real("replay", "--keylog", self.path("nothing"), text), "--keylog", "no such file")
        nothing = self.file("no-keys", "root:x:0:0\n")
        self.assert_refused(self.real("replay", "--keylog", nothing, text), "none of its lines is a secret")


if __name__ == "__main__":
    unittest.main()
