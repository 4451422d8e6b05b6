# SPDX-License-Identifier: BSD-3-Clause
"""Captures left by `run` and judged by `replay`, with the real engine: skipped, with the reason, where it is not built."""

import json
import os
import re
import unittest

from support import ROOT, RunnerTest

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

    def test_bad_input_is_one_line(self):
        text = self.file("text", "no capture at all, though long enough\n")
        self.assert_refused(self.real("replay", self.path("nothing")), "nothing", "No such file")
        self.assert_refused(self.real("replay", text), "text", "is not a capture")
        self.assert_refused(self.real("replay", self.directory), "no ordinary file")
        self.assert_refused(self.real("replay", "--keylog", self.path("nothing"), text), "--keylog", "no such file")


if __name__ == "__main__":
    unittest.main()
