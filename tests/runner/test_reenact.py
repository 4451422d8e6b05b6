# SPDX-License-Identifier: BSD-3-Clause
"""`replay FILE --against TARGET` and --save-case with the real engine: skipped, with the reason, where it is not built."""

import glob
import json
import os
import re
import shutil
import subprocess
import unittest

from support import ROOT, SECONDS, RunnerTest

BUILD = os.path.join(ROOT, "build")
ENGINE = os.environ.get("NVME_CONFORM_ENGINE") or os.path.join(BUILD, "nvme-conform-engine")
CAPTURES = os.path.join(ROOT, "captures")
OTHER = {  # golden captures that are not the same on the reference target, and show no defect of it: status, lines there and now
    "concat-without-keys.pcapng": (125, 0, 0),
    # nvmet knows commands that the reference target does not: log pages 03h and 05h, Set Features and Identify of other kinds
    "linux-host-nvmet.pcapng": (4, 6, 6),
    # the first REPLACETLSPSK is refused by 7.0.13, and goes on here; the host had ended before 7.0.13 did
    "linux-7.0.13-target.pcapng": (4, 1, 3),
}


def golden():
    """golden returns the entries of the manifest."""
    with open(os.path.join(CAPTURES, "manifest.json"), encoding="utf-8") as file:
        return json.load(file)["captures"]


@unittest.skipUnless(os.access(ENGINE, os.X_OK), f"the engine is not built: {ENGINE}")
class Reenacting(RunnerTest):
    def real(self, *args, engine=ENGINE):
        return self.invoke(*args, env={"NVME_CONFORM_ENGINE": engine})

    def against(self, name, *args, target="reference"):
        """against re-enacts one golden capture and returns the status and the file as JSON has it."""
        done = self.real("replay", os.path.join(CAPTURES, name), "--against", target, "--seed", "1", "-o", "json", *args)
        self.assertTrue(done.stdout, done.stderr)
        (file,) = json.loads(done.stdout)["files"]
        return done.returncode, file

    def lines(self, file, kind):
        return [line["text"] for line in file["lines"] if line["kind"] == kind]

    def test_golden_captures(self):
        for entry in golden():
            name, defects = entry["file"], entry.get("defects", [])
            with self.subTest(name):
                status, file = self.against(name)
                if name in OTHER:
                    self.assertEqual((status, file["captured"], file["new"]), OTHER[name])
                    continue
                broken = bool(defects) or "patch" in entry  # the peer of this capture is, not the one it is held against
                self.assertEqual(status, 4 if broken else 0, self.lines(file, "captured"))
                self.assertEqual(file["violations"], [])
                self.assertEqual(bool(file["captured"]), broken)
                self.assertGreater(file["same"], 10)
                if defects:
                    status, file = self.against(name, *(word for defect in defects for word in ("--defect", defect)))
                    self.assertEqual((status, file["captured"], file["new"]), (0, 0, 0))
                    self.assertEqual([item["requirement"] for item in file["violations"] if item["in_capture"]],
                                     entry["violations"])

    def test_what_was_refused_succeeds(self):
        _, file = self.against("second-replacement-refused.pcapng")
        self.assertIn("concatenation mismatch", self.lines(file, "captured")[0])
        now = self.lines(file, "new")
        self.assertIn("DH-HMAC-CHAP_Challenge", now[0])
        self.assertTrue(any("DH-HMAC-CHAP_Success1" in line for line in now), now)
        self.assertEqual(file["captured_violations"], ["C-205"])

    def test_what_succeeded_is_refused(self):
        status, file = self.against("linux-host-reference.pcapng", "--defect", "tls-queue-no-keys")
        self.assertEqual(status, 1)
        self.assertEqual([item["requirement"] for item in file["violations"] if not item["in_capture"]], ["C-204"])
        self.assertIn("DH-HMAC-CHAP_Challenge", self.lines(file, "captured")[0])
        self.assertIn("concatenation mismatch", self.lines(file, "new")[0])
        self.assertTrue(any("there is no Challenge to reply to" in line for line in self.lines(file, "note")))

    def captured(self, case, *words):
        """captured returns the capture of a case, whose target has the secrets of seed 1."""
        directory = self.path("run")
        self.real("run", case, "--seed", "1", "--captures", "all", "--output-dir", directory, *words)
        (name,) = os.listdir(os.path.join(directory, "captures"))
        return os.path.join(directory, "captures", name)

    def test_key_update_is_repeated(self):
        _, file = self.against("tls-key-update.pcapng")
        self.assertIn("(KeyUpdate)", self.lines(file, "same"))

    def test_secret_has_the_last_word_about_r1(self):
        # A right R1 that was refused: with other secrets it looks like a wrong one, which is refused here too.
        path = self.captured("auth.one-way/sha384/null", "--defect", "key-hash-tied")
        done = self.real("replay", path, "--against", "reference", "--seed", "2")
        self.assertEqual(done.returncode, 0, done.stdout)
        status, file = self.against(path)
        self.assertEqual(status, 4)
        self.assertIn("authentication failed", self.lines(file, "captured")[0])
        self.assertIn("DH-HMAC-CHAP_Success1", self.lines(file, "new")[0])

    def test_wrong_psk_under_a_right_identity(self):
        path = self.captured("concat.wrong-psk")
        status, file = self.against(path)
        self.assertEqual((status, file["captured"], file["new"]), (0, 0, 0), self.lines(file, "new"))

    def test_shown_like_a_diff(self):
        done = self.real("replay", os.path.join(CAPTURES, "s1-is-zero.pcapng"), "--against", "reference", "--seed", "1")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^- +11 +1 <- DH-HMAC-CHAP_Challenge .*seqnum=0$")
        self.assertRegex(done.stdout, r"(?m)^\+ +11 +1 <- DH-HMAC-CHAP_Challenge .*dhvlen=0$")
        self.assertRegex(done.stdout, r"(?m)^ +12 +1 -> Authentication Send .*AUTH_Failure2")
        self.assertIn("the captured target violates C-122, the new one does not", done.stdout.splitlines()[-1])

    def test_what_is_left_open_is_no_violation(self):
        path = os.path.join(CAPTURES, "linux-7.3.4-target.pcapng")
        self.assertIn("controller, on record: C-127 (implementation-defined)", self.real("replay", path).stdout)
        self.assertNotIn("violates", self.real("replay", path, "--against", "reference", "--seed", "1").stdout.splitlines()[-1])

    def test_against_a_daemon(self):
        profile = {"format": "nvme-conform-profile/1", "subnqn": "nqn.2014-08.org.nvmexpress:other", "addr": "127.0.0.1",
                   "ports": {"concat": 0, "tls": None, "plain": None}, "psks": [],
                   "hosts": [{"hostnqn": "nqn.2014-08.org.nvmexpress:someone", "hostid": "1" * 32, "hash": None, "dhgroup": None,
                              "dhchap_secret": "DHHC-1:00:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2n:",
                              "dhchap_ctrl_secret": None}]}
        with subprocess.Popen([ENGINE, "target"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as daemon:
            try:
                daemon.stdin.write(json.dumps({"target": profile}))
                daemon.stdin.close()
                event = json.loads(daemon.stdout.readline())
                self.assertEqual(event["event"], "listening")
                target = f"127.0.0.1:{event['ports']['concat']}"
                secret = self.path("secret")
                with open(secret, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                    file.write(profile["hosts"][0]["dhchap_secret"])
                options = ("-n", profile["subnqn"], "-q", profile["hosts"][0]["hostnqn"], "-S", f"@{secret}")
                status, file = self.against("concat-three-replacements.pcapng", *options, target=target)
                self.assertEqual((status, file["captured"], file["new"]), (0, 0, 0), self.lines(file, "new"))
                status, file = self.against("auth-two-way.pcapng", *options[:4], target=target)
                self.assertEqual(status, 125)
                self.assertIn("there is no secret for", file["reason"])
            finally:
                daemon.terminate()
        done = self.real("replay", os.path.join(CAPTURES, "failure1.pcapng"), "--against", target, *options)
        self.assertEqual(done.returncode, 125, done.stdout)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_bad_input(self):
        path = os.path.join(CAPTURES, "failure1.pcapng")
        for words, said in ((("--save-case", "x.c"), "--against"), (("--defect", "s1-zero"), "--against"),
                            (("--against", "1.2.3.4:99999"), "port"), (("--against", "host:port"), "ADDR"),
                            (("--against", "profile"), "--profile"), (("--against", "reference", "-a", "127.0.0.1"), "--traddr"),
                            (("--against", "127.0.0.1"), "-n NQN"), (("--against", "reference", "--defect", "no-such"), "no-such"),
                            (("--against", "127.0.0.1", "-n", "nqn.2014-08.org:x", "--defect", "s1-zero"), "reference")):
            with self.subTest(words):
                done = self.real("replay", path, *words)
                self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
                self.assertIn(said, done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        done = self.real("replay", os.path.join(CAPTURES, "manifest.json"), "--against", "reference")
        self.assertEqual(done.returncode, 2, done.stderr)

    def test_a_saved_case_says_each_write_of_cc(self):
        source = self.path("case.c")
        done = self.real("replay", os.path.join(CAPTURES, "linux-host-two-way.pcapng"), "--against", "reference", "--save-case", source)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(source, encoding="ascii") as file:
            text = file.read()
        # CC as the host wrote it: disabled, enabled, and the shutdown, in which EN is set as well
        self.assertEqual(re.findall(r"enable\(t|0x00[0-9a-f]{6}", text), ["0x00460000", "enable(t", "0x00464001"])
        comments = text.count("is not said here")
        self.assertGreater(comments, 0)
        self.assertIn(f"/* {comments} of its steps are only comments here. */", text.splitlines())
        self.assertIn(f"{comments} steps are only comments", done.stdout)

    def test_existing_file_is_kept(self):
        kept = self.path("kept.c")
        with open(kept, "w", encoding="ascii") as file:
            file.write("mine")
        done = self.real("replay", os.path.join(CAPTURES, "failure1.pcapng"), "--against", "reference", "--save-case", kept)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("File exists", done.stderr)
        with open(kept, encoding="ascii") as file:
            self.assertEqual(file.read(), "mine")


@unittest.skipUnless(os.access(ENGINE, os.X_OK), f"the engine is not built: {ENGINE}")
@unittest.skipUnless(shutil.which("cc") and glob.glob(os.path.join(BUILD, "suites", "*.o")) and
                     ENGINE == os.path.join(BUILD, "nvme-conform-engine"),
                     "no compiler, or no objects of the engine beside it")
class SavedCases(RunnerTest):
    """SavedCases compiles what --save-case wrote, under the warnings of the Makefile, into an engine and runs it."""

    def engine_with(self, names):
        with open(os.path.join(ROOT, "Makefile"), encoding="utf-8") as file:
            warn = re.search(r"^WARN +:= (.*?[^\\])\n", file.read(), re.M | re.S)[1].replace("\\\n", " ").split()
        objects = []
        for name in names:
            source = self.path(name.replace(".pcapng", ".c"))
            done = self.invoke("replay", os.path.join(CAPTURES, name), "--against", "reference", "--seed", "1", "--save-case", source,
                               env={"NVME_CONFORM_ENGINE": ENGINE})
            self.assertIn(done.returncode, (0, 4), done.stderr)
            objects.append(source[:-2] + ".o")
            subprocess.run(["cc", "-Ilib", "-I.", "-D_GNU_SOURCE", '-DNVC_VERSION="0"', "-std=c17", "-fPIE", *warn, "-c", source, "-o",
                            objects[-1]], cwd=ROOT, check=True, timeout=SECONDS)
        libraries = subprocess.run(["pkg-config", "--libs", "check", "libssl", "libcrypto", "jansson", "libpcap"], text=True,
                                   capture_output=True, check=True, timeout=SECONDS).stdout.split()
        path = self.path("engine")
        subprocess.run(["cc", "-pie", "-o", path, *glob.glob(os.path.join(BUILD, "suites", "*.o")),
                        *glob.glob(os.path.join(BUILD, "harness", "engine", "*.o")), *objects,
                        os.path.join(BUILD, "libnvmeconform.a"), *libraries], check=True, timeout=SECONDS)
        return path

    def test_they_pass_and_fail_under_their_defect(self):
        defects = {"second-replacement-refused": "free-sq-on-success", "s1-is-zero": "s1-zero", "c1-repeats": "c1-static"}
        clean = ["auth-two-way", "concat-three-replacements", "failure1", "failure2", "linux-host-reference", "linux-host-two-way"]
        engine = self.engine_with([f"{name}.pcapng" for name in [*clean, *defects]])
        env = {"NVME_CONFORM_ENGINE": engine}
        done = self.invoke("run", "captured.*", "--seed", "3", "--output-dir", self.path("clean"), env=env)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"{len(clean) + len(defects)} pass", done.stdout)
        for name, defect in defects.items():
            done = self.invoke("run", f"captured.{name}", "--seed", "3", "--defect", defect, "--output-dir", self.path(name), env=env)
            self.assertEqual(done.returncode, 1, done.stdout)
        done = self.invoke("run", "captured.concat-three-replacements", "--seed", "3", "--defect", "free-sq-on-success",
                           "--output-dir", self.path("three"), env=env)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("C-205", done.stdout)


if __name__ == "__main__":
    unittest.main()
