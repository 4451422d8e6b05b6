# SPDX-License-Identifier: BSD-3-Clause
"""The kill matrix fails on every kind of hole, and on nothing else."""

import json
import os

from fake_engine import LIST
from support import RunnerTest

KILL = {"behaviour": "fail", "requirement": "C-205", "expected": "Success1", "seen": "AUTH_Failure1 CONCAT_MISMATCH"}
DEFECTS = {"free-sq-on-success": {"cases": {"concat.replace.repeats": KILL}},
           "row-7": {"cases": {"concat.replace.once": {"teardown": "fail", "teardown_seen": "FIN"}},
                     "events": [{"event": "observation", "case": "timer.expires", "requirement": "C-001", "expected": "0",
                                 "seen": "1", "packet": 1, "conn": 1}]}}
EXPECTED = {"free-sq-on-success": {"case": "concat.replace.repeats", "passes": ["concat.replace.once"], "requirement": "C-205",
                                   "seen": "CONCAT_MISMATCH"}}
UNKILLED = {"auth.pair/*": "rows to come", "timer.*": "rows to come"}


class Matrix(RunnerTest):
    def matrix(self, *args, defects=DEFECTS, expected=EXPECTED, unkilled=UNKILLED, cases=None, equivalent=None, reached=None,
               listed=LIST):
        done = self.invoke("defects", "-o", "json", "-j2", "--expected", self.file("e.json", json.dumps(expected)),
                           "--unkilled", self.file("u.json", json.dumps(unkilled)),
                           "--equivalent", self.file("q.json", json.dumps(equivalent or {})), *args,
                           fake={"defects": defects, "cases": cases or {}, "reached": reached or {}, "list": listed})
        self.status = done.returncode
        self.assertEqual(done.stderr, "")
        data = json.loads(done.stdout)
        self.assertEqual(data["exit_status"], self.status)
        return data

    def assert_hole(self, kind, *words, args=(), **more):
        data = self.matrix(*args, **more)
        self.assertEqual(self.status, 1)
        texts = [hole["text"] for hole in data["holes"] if hole["kind"] == kind]
        self.assertTrue(any(all(word in text for word in words) for text in texts), data["holes"])

    def test_no_hole(self):
        data = self.matrix()
        self.assertEqual((self.status, data["holes"]), (0, []))
        cells = {trial["name"]: trial["cells"] for trial in data["trials"]}
        self.assertEqual(len([name for name in cells if name.startswith("clean")]), 8)
        self.assertEqual(cells["free-sq-on-success"]["concat.replace.repeats"], "F")
        self.assertEqual(cells["row-7"]["concat.replace.once"], "T")
        self.assertEqual(cells["row-7"]["observer.C-001"], "F")

    def test_defect_that_nothing_notices(self):
        self.assert_hole("defect", "row-7", "no case notices it", defects={"free-sq-on-success": DEFECTS["free-sq-on-success"]},
                         unkilled={**UNKILLED, "concat.replace.once": "r"})

    def test_only_cells_that_the_defect_can_change_are_run(self):
        reached = {"concat.replace.repeats": ["free-sq-on-success"], "concat.replace.once": ["row-7"], "timer.expires": ["row-7"],
                   "auth.pair/sha256/null": [], "auth.pair/sha384/ffdhe2048": []}
        data = self.matrix(reached=reached)
        self.assertEqual((self.status, data["holes"]), (0, []))
        cells = {trial["name"]: trial["cells"] for trial in data["trials"]}
        self.assertEqual(set(cells["free-sq-on-success"]), {"concat.replace.repeats"})
        self.assertEqual(set(cells["row-7"]), {"concat.replace.once", "timer.expires", "observer.C-001"})
        self.assertEqual(len(self.matrix("--every-cell")["trials"][-1]["cells"]), 6)

    def test_cell_that_was_said_not_to_change(self):
        reached = {"concat.replace.repeats": ["free-sq-on-success"], "concat.replace.once": []}
        self.assert_hole("shortcut", "row-7", "concat.replace.once notices it", reached=reached, args=("--every-cell",))
        self.assert_hole("defect", "row-7: no case goes by what it breaks",
                         reached={ident: ["free-sq-on-success"] for ident in
                                  ("concat.replace.repeats", "concat.replace.once", "timer.expires", "auth.pair/sha256/null",
                                   "auth.pair/sha384/ffdhe2048")})

    def test_another_reaction_where_it_is_left_open(self):
        def note(text):
            return {"auth.pair/sha256/null": {"note": ["C-001", text]}}
        checks = {**DEFECTS, "row-7": {"cases": note("other")}}
        data = self.matrix(defects=checks, cases=note("usual"), unkilled={**UNKILLED, "concat.replace.once": "r"})
        self.assertEqual(data["trials"][-1]["cells"]["auth.pair/sha256/null"], "N")
        self.assertEqual([h for h in data["holes"] if h["kind"] == "defect"], [])

    def test_defect_that_cannot_be_noticed(self):
        lone = {"free-sq-on-success": DEFECTS["free-sq-on-success"]}
        data = self.matrix(defects=lone, unkilled={**UNKILLED, "concat.replace.once": "r"}, equivalent={"row-7": "argument"})
        self.assertEqual((self.status, data["holes"]), (0, []))
        self.assert_hole("stale", "row-7 is noticed by", equivalent={"row-7": "argument"})
        self.assert_hole("stale", "gone is no defect", equivalent={"gone": "argument"})

    def test_defect_noticed_by_the_wrong_case_only(self):
        self.assert_hole("defect", "concat.replace.repeats must notice it",
                         defects={**DEFECTS, "free-sq-on-success": {"cases": {"timer.expires": KILL}}})

    def test_defect_noticed_for_the_wrong_reason(self):
        wrong = {"cases": {"concat.replace.repeats": {**KILL, "seen": "connection closed"}}}
        self.assert_hole("defect", "does not say 'CONCAT_MISMATCH'", defects={**DEFECTS, "free-sq-on-success": wrong})

    def test_case_that_must_still_pass(self):
        both = {"cases": {"concat.replace.repeats": KILL, "concat.replace.once": KILL}}
        self.assert_hole("defect", "concat.replace.once must still pass", defects={**DEFECTS, "free-sq-on-success": both})

    def test_named_defect_without_expectation(self):
        self.assert_hole("defect", "free-sq-on-success", "does not say which case", expected={})

    def test_generic_defect_needs_no_expectation(self):
        row = {"defect": {"name": "row-7-zero", "text": "Row 7 is 0", "requirement": "C-001", "origin": "generic", "rule": "row-7",
                          "named": True}}
        noticed = {**DEFECTS, "row-7-zero": {"cases": {"concat.replace.once": KILL}}}
        data = self.matrix(listed=[*LIST, row], defects=noticed)
        self.assertEqual((self.status, data["holes"]), (0, []))
        self.assert_hole("defect", "row-7-zero: no case notices it", listed=[*LIST, row])

    def test_case_that_no_defect_fails(self):
        self.assert_hole("case", "timer.expires", unkilled={"auth.pair/*": "r"})

    def test_stale_entries(self):
        self.assert_hole("stale", "gone is no defect", expected={**EXPECTED, "gone": {"case": "timer.expires"}})
        self.assert_hole("stale", "no.case is no case", expected={"free-sq-on-success": {"case": "no.case"}})
        self.assert_hole("stale", "no.case matches no case", unkilled={**UNKILLED, "no.case": "r"})
        self.assert_hole("stale", "is failed by a defect by now", unkilled={**UNKILLED, "concat.replace.once": "r"})

    def test_clean_target_that_is_not_clean(self):
        self.assert_hole("clean", "seed 2", "timer.expires", cases={"timer.expires": {"behaviour": "warn", "expected": "a"}})
        self.assert_hole("clean", "concat.replace.once is skip",
                         cases={"concat.replace.once": {"behaviour": "skip", "teardown": "none", "reason": "r"}})

    def test_what_fails_without_a_defect_notices_none(self):
        self.assert_hole("defect", "row-7: no case notices it", defects={"free-sq-on-success": DEFECTS["free-sq-on-success"]},
                         cases={"timer.expires": {"behaviour": "fail"}})

    def test_error_under_a_defect(self):
        defects = {**DEFECTS, "row-7": {"cases": {"concat.replace.once": {"behaviour": "error", "reason": "bug"}}}}
        self.assert_hole("error", "row-7", "bug", defects=defects)

    def test_engine_fault_is_3(self):
        self.matrix(defects={**DEFECTS, "row-7": {"cases": {"concat.replace.once": "crash"}}})
        self.assertEqual(self.status, 3)

    def test_one_defect_asks_nothing_of_the_other_cases(self):
        self.matrix("free-sq-on-success", unkilled={})
        self.assertEqual(self.status, 0)

    def test_unknown_defect(self):
        self.assert_refused(self.invoke("defects", "nosuch"), "nosuch")

    def test_files_that_are_wrong(self):
        for text, words in (("[]", ["not a JSON object"]), ("{", ["line 1"]), ('{"a": 1}', ["a", "case"])):
            path = self.file("bad.json", text)
            self.assert_refused(self.invoke("defects", "--expected", path), path, *words)
        regex = self.file("r.json", '{"a": {"case": "b", "seen": "("}}')
        self.assert_refused(self.invoke("defects", "--expected", regex), regex, "regular expression")
        self.assert_refused(self.invoke("defects", "--equivalent", self.file("q.json", '{"a": 1}')), "reason")
        self.assert_refused(self.invoke("defects", "--unkilled", self.file("u.json", '{"a": ""}')), "reason")

    def test_normal_output_and_files(self):
        out = self.path("matrix")
        done = self.invoke("defects", "--output-dir", out, "--expected", self.file("e.json", json.dumps(EXPECTED)),
                           "--unkilled", self.file("u.json", json.dumps(UNKILLED)),
                           "--equivalent", self.file("q.json", "{}"), fake={"defects": DEFECTS})
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("PASS: 2 of 2 defects", done.stdout)
        with open(os.path.join(out, "matrix.txt"), encoding="utf-8") as file:
            self.assertIn("concat.replace.repeats", file.read())
