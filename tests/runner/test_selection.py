# SPDX-License-Identifier: BSD-3-Clause
"""Selecting nothing, or something that does not exist, is an error that names it; an inconsistent list is one too."""

import json

from fake_engine import LIST
from support import RunnerTest


class Selection(RunnerTest):
    def selected(self, *args):
        self.assertEqual(self.run_suite(*args).returncode, 0)
        return [case["id"] for case in self.results()["cases"]]

    def test_glob(self):
        self.assertEqual(self.selected("concat.*"), ["concat.replace.once", "concat.replace.repeats"])

    def test_plain_name_selects_all_instances(self):
        self.assertEqual(self.selected("auth.pair"), ["auth.pair/sha256/null", "auth.pair/sha384/ffdhe2048"])

    def test_overlap_runs_once(self):
        self.assertEqual(self.selected("timer.expires", "timer.*"), ["timer.expires"])

    def test_last(self):
        everything = self.selected()
        self.assertEqual(self.selected("--last", "auth.pair", "-j", "1"),
                         [ident for ident in everything if not ident.startswith("auth.pair")]
                         + [ident for ident in everything if ident.startswith("auth.pair")])

    def test_unknown_id(self):
        self.assert_refused(self.run_suite("concat.replace.onec"), "concat.replace.onec", "did you mean concat.replace.once?")

    def test_glob_without_match_beside_one_with(self):
        self.assert_refused(self.run_suite("auth.*", "nothing.*"), "nothing.*")

    def test_empty_list(self):
        self.assert_refused(self.run_suite(fake={"list": []}), "no case")

    def test_unknown_defect(self):
        self.assert_refused(self.run_suite("--defect", "nosuch"), "nosuch", "--defects")


class Lint(RunnerTest):
    def assert_lint(self, entry, word):
        self.assert_refused(self.run_suite(fake={"list": [*LIST, entry]}), word, status=3)

    def test_duplicate_case(self):
        self.assert_lint(LIST[4], "duplicate case auth.pair/sha256/null")

    def test_duplicate_defect(self):
        self.assert_lint(LIST[-1], "duplicate defect")

    def test_case_that_checks_an_unknown_requirement(self):
        self.assert_lint({"case": {"id": "x.y", "checks": ["C-999"]}}, "C-999")

    def test_case_without_requirement(self):
        self.assert_lint({"case": {"id": "x.y", "checks": []}}, "x.y")

    def test_id_that_ktap_cannot_carry(self):
        self.assert_lint({"case": {"id": "x#y", "checks": ["C-001"]}}, "x#y")

    def test_case_without_id(self):
        self.assert_lint({"case": {"title": "t"}}, "without id")

    def test_list_that_fails(self):
        self.assert_refused(self.run_suite(fake={"list_exit": 3}), "exit status 3", status=3)


class List(RunnerTest):
    def listed(self, *args):
        done = self.invoke("list", "-o", "json", *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_cases(self):
        self.assertEqual(len(self.listed()), 5)

    def test_requirements(self):
        self.assertEqual([row["id"] for row in self.listed("--requirements", "C-2*")], ["C-205"])

    def test_defects(self):
        self.assertEqual([row["name"] for row in self.listed("--defects")], ["free-sq-on-success", "row-7"])

    def test_normal(self):
        done = self.invoke("list", "timer.*")
        self.assertEqual(done.stdout.split(), ["timer.expires", "C-086", "The", "timer"])

    def test_glob_without_match(self):
        self.assert_refused(self.invoke("list", "x.*"), "x.*")
