# SPDX-License-Identifier: BSD-3-Clause
"""What changed between runs, what of a run is run again, and that only changes count where this was asked for."""

import json
import os
import shutil

from support import REAL, RunnerTest

FAIL = {"behaviour": "fail", "teardown": "pass", "requirement": "C-205", "seen": "another"}
TEARDOWN = {"behaviour": "pass", "teardown": "fail"}
SEEN = {"event": "observation", "case": "timer.expires", "requirement": "C-001", "expected": "0", "seen": "1", "packet": 3, "conn": 1}


class Runs(RunnerTest):
    def record(self, name, *args, cases=None, **fake):
        """record makes a run with these verdicts of the fake engine and returns its directory."""
        self.run_suite("--seed", "7", *args, fake={"cases": cases or {}, **fake})
        os.rename(self.reports, self.path(name))
        return self.path(name)

    def sent(self, *args):
        """sent returns what the engine of one more run got."""
        if os.path.exists(self.path("sent.json")):
            os.remove(self.path("sent.json"))
        return self.sent_config(*args, "-j1")

    def kinds(self, earlier, later):
        done = self.invoke("diff", earlier, later, "-o", "json")
        self.assertEqual(done.stderr, "")
        return done.returncode, {row["id"]: row["kind"] for row in json.loads(done.stdout)}


class Diff(Runs):
    def test_nothing_differs(self):
        good = self.record("good")
        self.assertEqual(self.kinds(good, good), (0, {}))
        self.assertIn("none of 5 results differs", self.invoke("diff", good, good).stdout)

    def test_newly_failing(self):
        good, bad = self.record("good"), self.record("bad", cases={"timer.expires": FAIL, "concat.replace.once": TEARDOWN})
        self.assertEqual(self.kinds(good, bad), (1, {"timer.expires": "newly-failing", "concat.replace.once": "newly-failing"}))
        self.assertEqual(self.kinds(bad, good), (0, {"timer.expires": "newly-passing", "concat.replace.once": "newly-passing"}))

    def test_second_verdict_of_a_known_fail(self):
        one = self.record("one", cases={"timer.expires": FAIL})
        both = self.record("both", cases={"timer.expires": {**FAIL, "teardown": "fail"}})
        self.assertEqual(self.kinds(one, both), (1, {"timer.expires": "newly-failing"}))
        self.assertEqual(self.kinds(both, one), (0, {"timer.expires": "changed"}))

    def test_no_longer_judged(self):
        good = self.record("good")
        lost = self.record("lost", cases={"timer.expires": {"behaviour": "inconclusive", "reason": "x"},
                                          "concat.replace.once": {"behaviour": "skip", "teardown": "none", "reason": "y"}})
        status, kinds = self.kinds(good, lost)
        self.assertEqual((status, set(kinds.values())), (125, {"no-longer-judged"}))

    def test_a_fail_that_became_a_skip_does_not_pass(self):
        bad = self.record("bad", cases={"timer.expires": FAIL})
        lost = self.record("lost", cases={"timer.expires": {"behaviour": "skip", "teardown": "none", "reason": "y"}})
        self.assertEqual(self.kinds(bad, lost), (125, {"timer.expires": "no-longer-judged"}))

    def test_new_and_gone(self):
        part, whole = self.record("part", "auth.*"), self.record("whole")
        status, kinds = self.kinds(part, whole)
        self.assertEqual((status, set(kinds.values()), len(kinds)), (0, {"new"}, 3))
        self.assertEqual(set(self.kinds(whole, part)[1].values()), {"gone"})

    def test_new_that_fails_is_newly_failing(self):
        part, whole = self.record("part", "auth.*"), self.record("whole", cases={"timer.expires": FAIL})
        status, kinds = self.kinds(part, whole)
        self.assertEqual((status, kinds["timer.expires"]), (1, "newly-failing"))

    def test_observations(self):
        good, seen = self.record("good"), self.record("seen", events=[SEEN])
        self.assertEqual(self.kinds(good, seen), (1, {"observer.C-001": "newly-failing"}))
        self.assertEqual(self.kinds(seen, good), (0, {"observer.C-001": "newly-passing"}))
        # Where its case did not run, nobody looked.
        part = self.record("part", "auth.*")
        self.assertEqual(self.kinds(seen, part)[1]["observer.C-001"], "gone")

    def test_directory_of_a_gate(self):
        good = self.record("good")
        os.mkdir(self.path("gate"))
        shutil.copytree(good, self.path("gate", "suite"))
        self.file("gate/gate.json", json.dumps({"kernel": "7.3.4"}))
        done = self.invoke("diff", good, self.path("gate"))
        self.assertIn("Linux 7.3.4", done.stdout)

    def test_no_run(self):
        good = self.record("good")
        os.mkdir(self.path("empty"))
        self.assert_refused(self.invoke("diff", good, self.path("nowhere")), "nowhere")
        self.assert_refused(self.invoke("diff", good, self.path("empty")), "holds no results.json")

    def test_damaged(self):
        good = self.record("good")
        with open(os.path.join(good, "results.json"), encoding="utf-8") as file:
            whole = json.load(file)
        case = whole["cases"][0]
        for damage in ({"format": "x"}, {"cases": 1}, {"cases": [1]}, {"cases": [{"id": 1}]}, {"cases": [{"id": "a"}]},
                       {"cases": [{**case, "behaviour": "good"}]}, {"cases": [{**case, "seen": []}]},
                       {"cases": [{**case, "checks": [1]}]}, {"observations": [{"id": "observer.C-1"}]},
                       {"observations": None}):
            path = self.file("damaged.json", json.dumps({**whole, **damage}))
            with self.subTest(damage):
                self.assert_refused(self.invoke("diff", good, path), "damaged.json")


class Rerun(Runs):
    def test_what_did_not_come_out_well(self):
        bad = self.record("bad", cases={"timer.expires": {"behaviour": "inconclusive", "reason": "x"},
                                        "concat.replace.once": TEARDOWN, "auth.pair/sha256/null": FAIL})
        sent = self.sent("--rerun-failed", bad)
        self.assertEqual(set(sent["cases"]), {"timer.expires", "concat.replace.once", "auth.pair/sha256/null"})
        self.assertEqual(sent["seed"], 7)
        self.assertEqual(self.sent("--rerun-failed", bad, "auth.*", "--seed", "9")["cases"], ["auth.pair/sha256/null"])
        self.assertIn("--rerun-failed", self.results()["command"])

    def test_where_the_observer_saw_a_fail(self):
        bad = self.record("bad", events=[SEEN])
        self.assertEqual(self.sent("--rerun-failed", bad)["cases"], ["timer.expires"])

    def test_of_another_target(self):
        bad = self.record("bad", cases={"timer.expires": FAIL})
        self.assertNotIn("that run was of", self.run_suite("--rerun-failed", bad).stderr)
        shutil.rmtree(self.reports)
        done = self.run_suite("--rerun-failed", bad, "--defect", "row-7")
        self.assertIn("that run was of the reference target, this one is of the reference target with row-7", done.stderr)

    def test_a_real_target_is_not_replaced_in_silence(self):
        real = self.record("real", *REAL, cases={"timer.expires": FAIL})
        for option in ("--rerun-failed", "--only-changed-since"):
            with self.subTest(option):
                self.assert_refused(self.run_suite(option, real), option, "127.0.0.1", "--profile", "--reference")
                self.assertEqual(self.run_suite(option, real, *REAL).stderr, "")
                # Who says so means it, and is told all the same.
                done = self.run_suite(option, real, "--reference")
                self.assertEqual(done.returncode, 0)
                self.assertIn(f"{option} {real}: that run was of 127.0.0.1", done.stderr)

    def test_nothing_to_do(self):
        self.assert_refused(self.run_suite("--rerun-failed", self.record("good")), "nothing of it has to be run again")

    def test_case_that_is_gone(self):
        bad = self.record("bad", cases={"timer.expires": FAIL, "concat.replace.once": FAIL})
        path = os.path.join(bad, "results.json")
        with open(path, encoding="utf-8") as file:
            text = file.read().replace("timer.expires", "timer.expired")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        done = self.run_suite("--rerun-failed", bad)
        self.assertIn("no such case any more: timer.expired", done.stderr)
        self.assertEqual([case["id"] for case in self.results()["cases"]], ["concat.replace.once"])


class Level(Runs):
    def test_levels(self):
        everything = {case["id"] for case in json.loads(self.invoke("list", "-o", "json").stdout)}
        for level, missing in (("shall", {"timer.expires"}), ("should", set()), ("all", set())):
            sent = self.sent("--level", level)
            self.assertEqual(set(sent["cases"]), everything - missing, level)

    def test_nothing_left(self):
        self.assert_refused(self.run_suite("--level", "shall", "timer.*"), "--level shall")

    def test_command_repeats_it(self):
        self.run_suite("--level", "shall", "auth.*")
        self.assertIn("auth.*", self.results()["command"])
        self.assertIn("--level shall", self.results()["command"])


class OnlyChanged(Runs):
    def test_known_fail_is_quiet(self):
        bad = self.record("bad", cases={"timer.expires": FAIL})
        done = self.run_suite("--only-changed-since", bad, fake={"cases": {"timer.expires": FAIL}})
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertNotIn("FAIL timer.expires", done.stdout)
        self.assertIn("0 results differ", done.stdout)
        self.assertEqual(self.results()["counts"]["behaviour"]["fail"], 1)

    def test_new_fail_is_loud(self):
        bad = self.record("bad", cases={"timer.expires": FAIL})
        done = self.run_suite("--only-changed-since", bad, fake={"cases": {"timer.expires": FAIL, "concat.replace.once": FAIL}})
        self.assertEqual(done.returncode, 1)
        self.assertIn("FAIL concat.replace.once", done.stdout)
        self.assertNotIn("FAIL timer.expires", done.stdout)

    def test_part_of_a_run(self):
        done = self.run_suite("--only-changed-since", self.record("good"), "timer.*")
        self.assertEqual(done.returncode, 0)
        self.assertNotIn("auth.pair", done.stdout)

    def test_errors_stay_errors(self):
        bad = self.record("bad", cases={"timer.expires": FAIL})
        done = self.run_suite("--only-changed-since", bad, fake={"cases": {"timer.expires": "exit3"}})
        self.assertEqual(done.returncode, 3)

    def test_nothing_judged_is_no_success(self):
        skip = {ident: {"behaviour": "skip", "teardown": "none", "reason": "x"} for ident in
                ("auth.pair/sha256/null", "auth.pair/sha384/ffdhe2048", "concat.replace.once", "concat.replace.repeats", "timer.expires")}
        dead = self.record("dead", cases=skip)
        self.assertEqual(self.run_suite("--only-changed-since", dead, fake={"cases": skip}).returncode, 125)


class Effects(RunnerTest):
    def test_said_before_a_real_target(self):
        done = self.run_suite(*REAL)
        lines = done.stdout.splitlines()
        self.assertIn("PSK generated for them is replaced", done.stdout)
        self.assertIn("Nothing is written to a namespace", "\n".join(lines[:4]))

    def test_not_for_ours(self):
        self.assertNotIn("namespace", self.run_suite().stdout)
