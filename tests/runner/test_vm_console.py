# SPDX-License-Identifier: BSD-3-Clause
"""`gate --console`: the lines of the document, what the console is read for, and the image."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from harness.vm import baseline, command, console, cpio, inside, klog  # noqa: E402

BASELINE = """format = "nvme-conform-baseline/1"
[[entry]]
cases = ["replace.second/sha256"]
kernels = "<7.1"
behaviour = "fail"
seen = "03h"
reason = "the queue # forgets its key"
"""
FAIL = baseline.Found("replace.second/sha256", "fail", "fail", "C-205", "AUTH_Failure1 RCODEEX 03h", "C-205", "FIN")


def known(text=BASELINE):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "b.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return baseline.Baseline(path)


class LineTest(unittest.TestCase):
    def test_clean_and_skip(self):
        passed = baseline.Found("a.b", "pass", "pass")
        self.assertEqual(inside.verdict_line(3, passed, known(), "7.0"), ("ok 3 a.b", True))
        skipped = baseline.Found("a.b", "skip", seen="no TLS")
        listed = known(BASELINE.replace("replace.second/sha256", "a.b").replace('"fail"', '"skip"').replace("03h", "TLS"))
        self.assertEqual(inside.verdict_line(3, skipped, listed, "7.0"), ("ok 3 a.b # SKIP no TLS", True))
        self.assertFalse(inside.verdict_line(3, skipped, known(), "7.0")[1])

    def test_a_listed_fail_is_expected_and_says_why(self):
        listed = known(BASELINE + 'teardown = "any"\n')
        self.assertEqual(inside.verdict_line(1, FAIL, listed, "7.0.13"),
                         ("ok 1 replace.second/sha256 # XFAIL the queue (hash) forgets its key", True))

    def test_the_same_fail_elsewhere_or_for_another_cause_is_not(self):
        listed = known(BASELINE + 'teardown = "any"\n')
        text, good = inside.verdict_line(1, FAIL, listed, "7.1.3")
        self.assertFalse(good)
        self.assertRegex(text, r"^not ok 1 replace\.second/sha256 # C-205 seen: AUTH_Failure1 RCODEEX 03h")
        other = baseline.Found(FAIL.id, "fail", "none", "C-205", "AUTH_Failure1 RCODEEX 01h")
        self.assertFalse(inside.verdict_line(1, other, listed, "7.0.13")[1])

    def test_a_listed_fail_that_passes_is_news(self):
        passed = baseline.Found(FAIL.id, "pass", "pass")
        self.assertFalse(inside.verdict_line(1, passed, known(), "7.0.13")[1])
        self.assertTrue(inside.verdict_line(1, passed, known(), "7.0.13", lenient=True)[1])

    def test_without_a_baseline_a_failed_teardown_is_no_pass(self):
        torn = baseline.Found("a.b", "pass", "fail", teardown_requirement="C-205", teardown_seen="FIN")
        text, good = inside.verdict_line(1, torn, None, "7.0")
        self.assertFalse(good)
        self.assertTrue(text.startswith("not ok 1 a.b"))

    def test_an_event_is_judged_like_the_results_file(self):
        event = {"event": "verdict", "case": "a.b", "behaviour": "fail", "teardown": "none", "requirement": "C-001",
                 "seen": "x", "reason": ""}
        self.assertEqual(inside.found_in(event), baseline.Found("a.b", "fail", "none", "C-001", "x"))


class DocumentTest(unittest.TestCase):
    def document(self, text):
        with tempfile.NamedTemporaryFile(buffering=0) as file:
            file.write(text.encode())
            log = klog.SerialLog(file.name)
            log.stop()
        return console._document(log)

    def test_only_the_document_is_taken(self):
        self.assertEqual(self.document("ok 1 too early\nKTAP version 1\n1..3\nok 1 a\n[   12.3] kernel talks\n"
                                       "# why\nnot ok 2 b # c\nNVME-CONFORM CONSOLE status 1\n"),
                         ["KTAP version 1", "1..3", "ok 1 a", "# why", "not ok 2 b # c"])

    def test_nothing_began(self):
        self.assertEqual(self.document("Kernel panic - not syncing\n"), [])


class ImageTest(unittest.TestCase):
    def parts(self):
        first, second = cpio.Archive(), cpio.Archive()
        first.file("bin/one", b"1" * 5)
        second.directory("dev")
        second.file("bin/two", b"22")
        return first.finish(), second.finish()

    def test_join_makes_one_archive(self):
        joined = cpio.join(b"".join(self.parts()))
        self.assertEqual(joined.count(b"TRAILER!!!"), 1)
        self.assertEqual(len(joined) % 512, 0)
        for name in (b"bin/one\0", b"bin/two\0", b"dev\0"):
            self.assertIn(name, joined)

    def test_join_changes_nothing_of_a_single_one(self):
        first, _ = self.parts()
        self.assertEqual(cpio.join(first), first)

    @unittest.skipUnless(shutil.which("cpio"), "cpio is not installed")
    def test_another_program_reads_it(self):
        done = subprocess.run(["cpio", "-it"], input=cpio.join(b"".join(self.parts())), capture_output=True, check=True)
        self.assertEqual(done.stdout.decode().split(), ["bin", "bin/one", "dev", "bin", "bin/two"])

    def test_the_suite_is_in_the_image(self):
        archive = console.suite_archive(None)
        for name in ("nvme-conform-engine", "harness/nvme-conform", "harness/runner/cli.py", "harness/vm/inside.py"):
            self.assertIn(f"nvme-conform/{name}\0".encode(), archive)


class ArgumentsTest(unittest.TestCase):
    def test_export_needs_console(self):
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            status = command.main(["--kernel", "7.3.4", "--export", "x"])
        self.assertEqual(status, 2)
        self.assertRegex(said.getvalue(), r"--export .*--console")


class LabFilesTest(unittest.TestCase):
    def test_the_job_runs_the_definition_that_is_there(self):
        with open(os.path.join(ROOT, "harness/labs/lava/job.yaml"), encoding="utf-8") as file:
            path = re.search(r"path: (\S+)", file.read()).group(1)
        self.assertTrue(os.path.isfile(os.path.join(ROOT, path)))


if __name__ == "__main__":
    unittest.main()
