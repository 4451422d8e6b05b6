# SPDX-License-Identifier: BSD-3-Clause
"""The coverage: every requirement has a case or a reason, and nothing names what is not there."""

import glob
import json
import os
import re
import subprocess
import unittest
from unittest import mock

from fake_engine import LIST
from support import ROOT, RunnerTest
from harness.runner import coverage, engine
from harness.runner.errors import ToolError

REQ = re.compile(r"\bREQ_([A-Z]+_[0-9]+)\b")


class Coverage(RunnerTest):
    def listed(self, reasons, *args, fake=None):
        """listed runs `list --coverage` with these reasons instead of the tree's."""
        path = self.file("uncovered.json", json.dumps(reasons))
        with mock.patch.object(coverage, "FILE", path):
            return self.invoke("list", "--coverage", *args, fake=fake)

    def test_complete(self):
        done = self.listed({"C-900": "not yet: needs thought"}, "-o", "json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        rows = {row["id"]: row for row in json.loads(done.stdout)}
        self.assertEqual(rows["C-001"]["cases"], ["auth.pair"])
        self.assertEqual(rows["C-001"]["rules"], ["row-7"])
        self.assertEqual(rows["C-001"]["defects"], ["row-7"])
        self.assertEqual(rows["C-205"]["cases"], ["concat.replace.once", "concat.replace.repeats"])
        self.assertEqual(rows["C-205"]["defects"], ["free-sq-on-success"])
        self.assertEqual((rows["C-900"]["cases"], rows["C-900"]["observer"]), ([], True))
        self.assertEqual(rows["C-900"]["reason"], "not yet: needs thought")
        self.assertEqual((rows["C-205"]["observer"], rows["C-205"]["replay"], rows["C-900"]["replay"]), (False, True, False))

    def test_hole_without_reason(self):
        for reasons in ({}, {"C-900": " "}):
            done = self.listed(reasons)
            self.assertEqual(done.returncode, 1)
            self.assertIn("C-900 has neither a case nor a reason", done.stderr)

    def test_duty_of_hosts_that_replay_judges(self):
        """The data say that it is judged; a reason beside them would say otherwise one day."""
        duty = {"requirement": {"id": "H-49", "level": "shall", "statement": "Refuses", "citation": "Base 2.2", "area": "hosts"}}
        for who in ("replay", "observer"):
            listing = [*LIST, duty, {who: {"requirement": "H-49"}}]
            with self.subTest(who):
                done = self.listed({"C-900": "x"}, "-o", "json", fake={"list": listing})
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn("replay judges it", next(row["reason"] for row in json.loads(done.stdout) if row["id"] == "H-49"))
                done = self.listed({"C-900": "x", "H-49": "not yet"}, fake={"list": listing})
                self.assertEqual(done.returncode, 1)
                self.assertIn("H-49 is judged by replay and must leave uncovered.json", done.stderr)
        done = self.listed({"C-900": "x"}, fake={"list": [*LIST, duty]})
        self.assertIn("H-49 has neither a case nor a reason", done.stderr)

    def test_reason_without_hole(self):
        done = self.listed({"C-900": "x", "C-205": "not yet"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("C-205 has a case (concat.replace.once) and must leave", done.stderr)

    def test_reason_for_nothing(self):
        done = self.listed({"C-900": "x", "C-999": "not yet"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("C-999 in uncovered.json is no requirement", done.stderr)

    def test_pattern_asks_for_these_only(self):
        self.assertEqual(self.listed({}, "C-2*").returncode, 0)

    def test_reasons_of_another_shape(self):
        for text in ("[]", '{"C-900": 1}', "{"):
            with mock.patch.object(coverage, "FILE", self.file("uncovered.json", text)):
                self.assertRaises(ToolError, coverage.reasons)

    def test_normal(self):
        done = self.listed({"C-900": "not yet: needs thought"})
        self.assertIn("C-900  implementation-defined: Anything", done.stdout)
        for text in ("cases     auth.pair", "rules     row-7", "observer  on every connection", "replay    with secrets",
                     "no case   not yet: needs thought", "3 of 4 requirements have a case"):
            self.assertIn(text, done.stdout)

    def test_page(self):
        done = self.listed({"C-900": "not yet | <b>"}, "-o", "markdown")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("## concat", done.stdout)
        self.assertIn("*no case: not yet \\| &lt;b>*", done.stdout)

    def test_page_is_of_the_coverage(self):
        self.assert_refused(self.invoke("list", "-o", "markdown"), "--coverage")

    def test_observer_of_no_requirement(self):
        listing = [{"observer": {"requirement": "C-404"}}]
        self.assert_refused(self.invoke("list", fake={"list": listing}), "C-404", "no requirement", status=3)



class Tree(unittest.TestCase):
    """Tree holds the tree as it is to its own word."""

    @staticmethod
    def objects():
        try:
            path = engine.find()
        except ToolError as error:
            raise unittest.SkipTest(str(error)) from None
        done = subprocess.run([path, "list"], capture_output=True, timeout=60, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_observer_and_replay_say_what_they_judge(self):
        objects = self.objects()
        for who, sources, where in (("observer", ["lib/observer/observe*.c"], "lib/observer/checks.c"),
                                    ("replay", [f"lib/capture/{name}.c" for name in ("responses", "channels", "psks")], "lib/capture/replay.c")):
            named = {entry[who]["requirement"] for entry in objects if who in entry}
            used = set()
            for path in (path for source in sources for path in glob.glob(os.path.join(ROOT, source))):
                with open(path, encoding="utf-8") as file:
                    used |= {found.replace("_", "-") for found in REQ.findall(file.read())}
            self.assertTrue(used)
            self.assertEqual(named, used, f"{where} lists other requirements than the checks name")


if __name__ == "__main__":
    unittest.main()
