# SPDX-License-Identifier: BSD-3-Clause
"""The files of a run are well formed, carry every verdict, and say how to run one case again."""

import json
import os
import re
import shlex
import xml.etree.ElementTree as ET

import others
from support import HOSTNQN, REAL, SECRET, RunnerTest

HOSTILE = "bad # text\x1b[31m\x00\nnot ok 1 fake <&>\u202e"
CASES = {
    "auth.pair/sha256/null": {"behaviour": "warn", "requirement": "C-086", "expected": "0", "seen": "1"},
    "concat.replace.once": {"behaviour": "skip", "teardown": "none", "reason": "no concat # here"},
    "concat.replace.repeats": {"behaviour": "fail", "teardown": "fail", "requirement": "C-205", "expected": "Success1",
                               "seen": HOSTILE, "packets": [17], "teardown_seen": "FIN"},
    "timer.expires": {"behaviour": "inconclusive", "reason": "not reached"},
}
EVENTS = [{"event": "observation", "case": "auth.pair/sha256/null", "requirement": "C-001", "expected": "0", "seen": HOSTILE,
           "packet": 3, "conn": 1}]
RESULT = re.compile(r"^( *)(ok|not ok) (\d+) ([^#]*?)(?: # (SKIP|WARN|ERROR|NOTE|TODO|XFAIL|TIMEOUT)( .*)?)?$")


def check_ktap(test, text):
    """check_ktap parses KTAP version 1 and returns {name: (ok, directive)}; every line must be one KTAP knows, every plan
    kept, numbers in sequence, and a parent not ok when one of its tests is not."""
    lines = text.splitlines()
    test.assertEqual(lines[0], "KTAP version 1")
    found = {}
    stack = {0: {"plan": None, "seen": 0}}
    child_failed = False
    for line in lines[1:]:
        depth = (len(line) - len(line.lstrip(" "))) // 2
        body = line.strip()
        test.assertTrue(body.isprintable(), line)
        if body == "KTAP version 1":
            stack[depth] = {"plan": None, "seen": 0}
            child_failed = False
        elif body.startswith("1.."):
            stack[depth]["plan"] = int(body[3:])
        elif body.startswith("#"):
            continue
        else:
            match = RESULT.match(line)
            test.assertIsNotNone(match, line)
            level = stack[depth]
            level["seen"] += 1
            test.assertEqual(int(match[3]), level["seen"], line)
            ok = match[2] == "ok"
            if depth == 0:
                inner = stack.pop(1)
                test.assertEqual(inner["plan"], inner["seen"], line)
                test.assertEqual(ok, not child_failed, line)
            elif not ok:
                child_failed = True
            found[match[4].strip()] = (ok, match[5])
    test.assertEqual(stack[0]["plan"], stack[0]["seen"])
    return found


class Reports(RunnerTest):
    def setUp(self):
        super().setUp()
        self.done = self.run_suite("--seed", "7", "-j2", "--defect", "row-7", fake={"cases": CASES, "events": EVENTS})

    def test_status(self):
        self.assertEqual(self.done.returncode, 1, self.done.stderr)

    def test_ktap(self):
        found = check_ktap(self, self.report("ktap.txt"))
        self.assertEqual(found["auth.pair/sha256/null"], (True, "WARN"))
        self.assertEqual(found["auth.pair/sha384/ffdhe2048"], (True, None))
        self.assertEqual(found["concat.replace.once"], (True, "SKIP"))
        self.assertEqual(found["concat.replace.repeats"], (False, None))
        self.assertEqual(found["concat.replace.repeats teardown"], (False, None))
        self.assertEqual(found["timer.expires"], (False, "ERROR"))
        self.assertEqual(found["observer.C-001"], (False, None))

    def test_junit(self):
        root = ET.fromstring(self.report("junit.xml"))
        self.assertEqual(root.tag, "testsuites")
        kinds = {}
        for suite in root:
            self.assertEqual(suite.tag, "testsuite")
            cases = list(suite)
            self.assertEqual(int(suite.get("tests")), len(cases))
            for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
                self.assertEqual(int(suite.get(name)), len(suite.findall(f"testcase/{tag}")))
            for case in cases:
                self.assertLessEqual(len(case), 1)
                kinds[case.get("name")] = case[0].tag if len(case) else ""
        self.assertEqual(kinds["concat.replace.repeats"], "failure")
        self.assertEqual(kinds["concat.replace.repeats teardown"], "failure")
        self.assertEqual(kinds["concat.replace.once"], "skipped")
        self.assertEqual(kinds["timer.expires"], "error")
        self.assertEqual(kinds["auth.pair/sha256/null"], "system-out")
        self.assertEqual(kinds["auth.pair/sha384/ffdhe2048"], "")
        self.assertEqual(kinds["observer.C-001"], "failure")
        self.assertEqual(int(root.get("tests")), len(kinds))

    def test_somebody_elses_parsers_read_the_same(self):
        suites = others.junit(self.report("junit.xml"))
        cases = {name: kinds for suite in suites for name, kinds in suite["cases"].items()}
        self.assertEqual((cases["concat.replace.repeats"], cases["concat.replace.once"], cases["timer.expires"],
                          cases["auth.pair/sha384/ffdhe2048"]), (["Failure"], ["Skipped"], ["Error"], []))
        for suite in suites:
            kinds = [kind for each in suite["cases"].values() for kind in each]
            self.assertEqual((suite["tests"], suite["failures"], suite["errors"], suite["skipped"]),
                             (len(suite["cases"]), kinds.count("Failure"), kinds.count("Error"), kinds.count("Skipped")))
        levels = others.ktap(self.report("ktap.txt"))
        ours = check_ktap(self, self.report("ktap.txt"))
        found = {name: (ok, skip) for level in levels for _, name, ok, skip in level["tests"]}
        self.assertEqual(found, {name: (ok, directive == "SKIP") for name, (ok, directive) in ours.items()})
        for level in levels:
            self.assertEqual((level["unknown"], level["plan"]), (1, [len(level["tests"])]))
            self.assertEqual([test[0] for test in level["tests"]], list(range(1, len(level["tests"]) + 1)))

    def test_results_json(self):
        results = self.results()
        self.assertEqual(results["exit_status"], 1)
        self.assertEqual(results["seed"], 7)
        self.assertEqual(results["counts"]["behaviour"], {"fail": 1, "inconclusive": 1, "pass": 1, "skip": 1, "warn": 1})
        self.assertEqual(self.case("concat.replace.repeats")["citation"], "Base 2.2 8.3.4.4.1")

    def test_events_are_json_lines_from_session_to_end(self):
        events = [json.loads(line) for line in self.report("events.jsonl").splitlines()]
        self.assertEqual((events[0]["event"], events[-1]["event"]), ("session", "session-end"))

    def test_terminal_shows_evidence_and_no_control_characters(self):
        for text in ("C-205 (shall) Base 2.2 8.3.4.4.1", "Success1", "17          c2h CapsuleResp", "not reached",
                     "FAIL: 5 cases", "observer.C-001"):
            self.assertIn(text, self.done.stdout)
        self.assertTrue(all(char == "\n" or char.isprintable() for char in self.done.stdout))

    def test_again_runs_just_that_case(self):
        line = next(line for line in self.done.stdout.splitlines() if "again" in line and "repeats" in line)
        words = shlex.split(line.split("again", 1)[1])
        self.assertEqual(words[1:], ["run", "concat.replace.repeats", "--seed", "0x7", "--defect", "row-7"])

    def test_json_on_standard_output(self):
        done = self.run_suite("-o", "json", fake={"cases": CASES})
        self.assertEqual(json.loads(done.stdout)["exit_status"], 1)

    def test_directory_of_another_run_is_refused(self):
        before = self.report("results.json")
        done = self.invoke("run", "--output-dir", self.reports)
        self.assert_refused(done, "another run")
        self.assertEqual(self.report("results.json"), before)
        os.remove(os.path.join(self.reports, "events.jsonl"))
        self.assert_refused(self.invoke("run", "--output-dir", self.reports), "another run")
        self.assertEqual(self.report("results.json"), before)

    def test_directory_that_cannot_be_made(self):
        self.file("file", "")
        self.assert_refused(self.invoke("run", "--output-dir", self.path("file", "x")), "--output-dir")


class Again(RunnerTest):
    def test_target_options_without_the_secret(self):
        path = self.file("secret", SECRET)
        done = self.run_suite(*REAL, "-S", f"@{path}", "-g", fake={"cases": {"timer.expires": {"behaviour": "fail"}}})
        self.assertEqual(done.returncode, 1, done.stderr)
        words = shlex.split(self.case("timer.expires")["again"])
        self.assertEqual(words[words.index("--dhchap-secret") + 1], f"@{path}")
        self.assertEqual(words[words.index("-q") + 1], HOSTNQN)
        self.assertIn("-g", words)

    def test_secret_given_as_value_is_asked_for(self):
        done = self.run_suite(*REAL, "-S", SECRET, fake={"cases": {"timer.expires": {"behaviour": "fail"}}})
        self.assertIn("(with the secret in NVME_CONFORM_DHCHAP_SECRET)", done.stdout)


    def test_caller_that_set_up_the_target(self):
        self.run_suite("timer.*", "--seed", "1", fake={"cases": {"timer.expires": {"behaviour": "fail"}}},
                       env={"NVME_CONFORM_AGAIN": "gate --kernel 7.3.4"})
        words = shlex.split(self.case("timer.expires")["again"])
        self.assertEqual(words[1:], ["gate", "--kernel", "7.3.4", "timer.expires", "--seed", "0x1"])


class Place(RunnerTest):
    def test_seed_is_random_and_shown(self):
        seeds = set()
        for _ in range(2):
            self.run_suite("timer.*")
            seeds.add(self.results()["seed"])
        self.assertEqual(len(seeds), 2)

    def test_no_color_and_no_progress_off_a_terminal(self):
        done = self.run_suite("-v")
        self.assertNotIn("\033", done.stdout + done.stderr)
        self.assertEqual(done.stderr, "")
        self.assertTrue(os.path.exists(os.path.join(self.reports, "ktap.txt")))
