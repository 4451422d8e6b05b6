# SPDX-License-Identifier: BSD-3-Clause
"""Recorded verdicts: the same run is no news, every difference is."""

import json
import os

from support import RunnerTest

FAIL = {"cases": {"timer.expires": {"behaviour": "fail", "requirement": "C-086"}}}


class Compare(RunnerTest):
    def setUp(self):
        super().setUp()
        self.recorded = self.path("recorded.json")
        self.run_suite(fake=FAIL)
        done = self.compare("--record")
        self.assertEqual(done.returncode, 0, done.stderr)

    def compare(self, *args):
        return self.invoke("compare", self.recorded, os.path.join(self.reports, "results.json"), *args)

    def rows(self):
        done = self.compare("-o", "json")
        rows = json.loads(done.stdout)
        self.assertEqual(done.returncode, 1 if rows else 0)
        return {row["id"]: (row["recorded"], row["found"]) for row in rows}

    def test_same_run_is_no_news(self):
        self.run_suite(fake=FAIL)
        self.assertEqual(self.rows(), {})
        self.assertIn("0 of 5 verdicts differ", self.compare().stdout)

    def test_fixed_case_is_news(self):
        self.run_suite()
        self.assertEqual(self.rows(), {"timer.expires": ("fail/pass", "pass/pass")})

    def test_teardown_and_observation_are_news(self):
        self.run_suite(fake={"cases": {**FAIL["cases"], "concat.replace.once": {"teardown": "fail"}}, "events": [
            {"event": "observation", "case": "timer.expires", "requirement": "C-001", "expected": "0", "seen": "1"}]})
        self.assertEqual(self.rows(), {"concat.replace.once": ("pass/pass", "pass/fail"),
                                       "observer.C-001": ("(not recorded)", "fail")})

    def test_case_that_was_not_run_is_news(self):
        self.run_suite("concat.*")
        self.assertEqual(len(self.rows()), 3)

    def test_reasons_survive_a_new_record(self):
        with open(self.recorded, encoding="utf-8") as file:
            data = json.load(file)
        data["reasons"] = {"timer.expires": "nvmet has no timer", "gone": "x"}
        self.file("recorded.json", json.dumps(data))
        self.compare("--record")
        with open(self.recorded, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["reasons"], {"timer.expires": "nvmet has no timer"})

    def test_errors_are_never_recorded(self):
        self.run_suite(fake={"cases": {"timer.expires": "silent"}})
        self.assert_refused(self.compare("--record"), "timer.expires", "nothing recorded")

    def test_files_that_are_wrong(self):
        for text, words in (("{}", ["format"]), ("{", ["line 1"]), ('{"format": "nvme-conform-verdicts/1"}', ["verdicts"])):
            self.file("recorded.json", text)
            self.assert_refused(self.compare(), *words)
        os.unlink(self.recorded)
        self.assert_refused(self.compare(), "No such file")
