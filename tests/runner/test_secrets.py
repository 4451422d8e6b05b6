# SPDX-License-Identifier: BSD-3-Clause
"""Secrets: every way in, what is refused and why, and that none of them ever comes out."""

import json
import os
import unittest

from support import PSK, REAL, ROOT, SECRET, RunnerTest
from harness.runner import keys, redaction
from harness.runner.errors import UsageError

BODY = SECRET.split(":")[2]
VECTORS = os.path.join(ROOT, "tests", "vectors", "vectors.json")


class Ways(RunnerTest):
    def secret(self, *args, env=None):
        return self.sent_config(*REAL, *args, env=env)["target"]["hosts"][0]["dhchap_secret"]

    def test_option_and_its_other_spelling(self):
        for option in ("-S", "--dhchap-secret", "--kxchap-secret"):
            self.assertEqual(self.secret(option, SECRET), SECRET)

    def test_file(self):
        path = self.file("secret", f"\n  {SECRET}\n\n")
        self.assertEqual(self.secret("-S", f"@{path}"), SECRET)
        self.assertEqual(self.secret("--dhchap-secret-file", path), SECRET)

    def test_environment(self):
        self.assertEqual(self.secret(env={"NVME_CONFORM_DHCHAP_SECRET": SECRET}), SECRET)

    def test_file_descriptor(self):
        read, write = os.pipe()
        os.write(write, SECRET.encode())
        os.close(write)
        stored = self.path("config.json")
        try:
            done = self.run_suite(*REAL, "-S", f"fd:{read}", fake={"config_to": stored})
        finally:
            os.close(read)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(stored, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["target"]["hosts"][0]["dhchap_secret"], SECRET)

    def test_controller_secret_and_psk(self):
        config = self.sent_config(*REAL, "-S", SECRET, "--kxchap-ctrl-secret", SECRET, "--tls", "--tls_key", PSK)
        self.assertEqual(config["target"]["hosts"][0]["dhchap_ctrl_secret"], SECRET)
        self.assertEqual(config["target"]["psks"][0]["interchange"], PSK)


class Refused(RunnerTest):
    def test_shared_file(self):
        for mode in (0o640, 0o604, 0o660):
            path = self.file("secret", SECRET, mode)
            done = self.run_suite(*REAL, "-S", f"@{path}")
            self.assert_refused(done, f"chmod 600 {path}", f"{mode:04o}")
            self.assertFalse(os.path.exists(self.reports))

    def test_missing_file(self):
        self.assert_refused(self.run_suite(*REAL, "-S", f"@{self.path('none')}"), "none", "No such file")

    def test_directory(self):
        self.assert_refused(self.run_suite(*REAL, "-S", f"@{self.directory}"), "irectory")

    def test_two_lines(self):
        path = self.file("secret", f"{SECRET}\n{SECRET}\n")
        self.assert_refused(self.run_suite(*REAL, "-S", f"@{path}"), "2 lines")

    def test_fifo_without_writer_does_not_hang(self):
        os.mkfifo(self.path("fifo"), 0o600)
        self.assert_refused(self.run_suite(*REAL, "-S", f"@{self.path('fifo')}"), "0 lines")

    def test_descriptor_that_is_none(self):
        self.assert_refused(self.run_suite(*REAL, "-S", "fd:99"), "fd:99")
        self.assert_refused(self.run_suite(*REAL, "-S", "fd:x"), "fd:x")

    def test_malformed_secret_names_the_place_and_hides_the_secret(self):
        broken = SECRET[:20] + "!" + SECRET[21:]
        done = self.run_suite(*REAL, "-S", broken)
        self.assert_refused(done, "--dhchap-secret", "character 21")
        self.assertNotIn(BODY[:8], done.stderr)
        done = self.run_suite(*REAL, env={"NVME_CONFORM_DHCHAP_SECRET": SECRET[:-9]})
        self.assert_refused(done, "environment variable NVME_CONFORM_DHCHAP_SECRET", "last colon")

    def test_wrong_crc(self):
        self.assert_refused(self.run_suite(*REAL, "-S", SECRET.replace("ia6z", "ia7z")), "CRC-32")

    def test_value_and_file(self):
        path = self.file("secret", SECRET)
        self.assert_refused(self.run_suite(*REAL, "-S", SECRET, "--dhchap-secret-file", path), "exclude each other")


class Redaction(RunnerTest):
    def test_nothing_written_holds_a_secret(self):
        value = keys.parse(SECRET, "dhchap", "test")
        leak = f"saw {SECRET} and {BODY} and {value.hex()} and {PSK}"
        fake = {"cases": {"timer.expires": {"behaviour": "fail", "seen": leak, "expected": leak},
                          "concat.replace.once": {"behaviour": "skip", "teardown": "none", "reason": leak}},
                "events": [{"event": "probe", "capabilities": {}, "findings": [leak]},
                           {"event": "log", "case": "timer.expires", "text": leak}],
                "argv_to": self.path("argv")}
        done = self.run_suite(*REAL, "-v", fake=fake, env={"NVME_CONFORM_DHCHAP_SECRET": SECRET})
        self.assertEqual(done.returncode, 1, done.stderr)
        written = {name: self.report(name) for name in os.listdir(self.reports)}
        self.assertEqual(set(written), {"events.jsonl", "results.json", "ktap.txt", "junit.xml"})
        with open(self.path("argv"), encoding="utf-8") as file:
            written["argv of the engine"] = file.read()
        written["terminal"] = done.stdout + done.stderr
        for name, text in written.items():
            for secret in (BODY, BODY.replace("/", "\\/"), value.hex(), PSK.split(":")[2]):
                self.assertNotIn(secret, text, name)
        self.assertIn(redaction.fingerprint(value), done.stdout)

    def test_secrets_of_a_profile(self):
        profile = {"format": "nvme-conform-profile/1", "subnqn": "nqn.x", "addr": "127.0.0.1", "ports": {"concat": 4420}, "psks": [],
                   "hosts": [{"hostnqn": "nqn.h", "dhchap_secret": SECRET}]}
        path = self.file("profile.json", json.dumps(profile))
        done = self.run_suite("--profile", path, fake={"cases": {"timer.expires": {"behaviour": "fail", "seen": BODY}}})
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertNotIn(BODY, done.stdout + self.report("results.json"))
        os.chmod(path, 0o644)
        self.assert_refused(self.run_suite("--profile", path), "chmod 600")

    def test_a_sentence_about_the_format_stays(self):
        self.assertEqual(redaction.Redactor().text("DHHC-1:hh:<base64>:"), "DHHC-1:hh:<base64>:")

    def test_json_spelling(self):
        text = json.dumps({"k": PSK}).replace("/", "\\/")
        self.assertEqual(json.loads(redaction.Redactor().text(text)), {"k": "NVMeTLSkey-1:01:<redacted>"})


@unittest.skipUnless(os.path.exists(VECTORS), "tests/vectors/vectors.json is not there")
class Vectors(unittest.TestCase):
    """The same texts that prove the C parsers prove this one."""

    def check(self, entries, member, kind):
        for entry in entries:
            with self.subTest(entry["name"]):
                if entry["spec_valid"]:
                    keys.parse(entry[member], kind, "test")
                else:
                    self.assertRaises(UsageError, keys.parse, entry[member], kind, "test")

    def test_vectors(self):
        with open(VECTORS, encoding="utf-8") as file:
            vectors = json.load(file)
        self.check(vectors["dhchap_secret_parse"], "secret", "dhchap")
        self.check(vectors["tls_interchange_parse"], "key", "psk")
