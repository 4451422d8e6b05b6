# SPDX-License-Identifier: BSD-3-Clause
"""The gate's junit.xml: red is what the baseline does not expect."""

import unittest
import xml.etree.ElementTree as ET

import others
import support  # noqa: F401  (puts the tree on sys.path)
from harness.vm import gate_junit


def column(**changes):
    return {"kernel": "7.1.3", "release": "7.1.3+deb13-amd64", "status": 1, "seconds": 40.0, "death": None,
            "findings": [], "taint_after": 0, "kernel_as_expected": True,
            "verdicts": {"auth.one-way": {"verdict": "pass/pass"},
                         "replace.second/sha256": {"verdict": "fail/fail", "seen": "RCODEEX 03h"},
                         "reply.zero": {"verdict": "fail/none", "seen": "Success1\x01"},
                         "soak.memory": {"verdict": "skip", "seen": "not in process"},
                         "auth.torn": {"verdict": "pass/fail", "teardown_seen": "FIN"}},
            "baseline": {"differences": [{"kind": "unlisted", "id": "reply.zero", "found": "fail", "why": "C-140"},
                                         {"kind": "missing", "id": "observer.C-093", "found": "not seen",
                                          "why": "expected fail"}]}, **changes}


def outcomes(*columns):
    root = ET.fromstring(gate_junit.render(columns))
    return {case.get("name"): next((child.tag for child in case), "passed") for case in root.iter("testcase")}


class GateJunitTest(unittest.TestCase):
    def test_red_is_what_is_not_expected(self):
        self.assertEqual(outcomes(column()), {
            "auth.one-way": "passed", "replace.second/sha256": "skipped", "reply.zero": "failure",
            "soak.memory": "skipped", "auth.torn": "skipped", "observer.C-093": "failure", "kernel": "passed"})

    def test_without_a_baseline_every_fail_is_red(self):
        found = outcomes(column(baseline=None))
        self.assertEqual((found["replace.second/sha256"], found["auth.torn"], found["soak.memory"]),
                         ("failure", "failure", "skipped"))

    def test_the_kernels_voice_is_a_test(self):
        found = ET.fromstring(gate_junit.render([column(findings=["BUG: x"], kernel_as_expected=False)]))
        self.assertEqual([each.get("message") for each in found.iter("failure")][-1], "BUG: x")
        oops = column(findings=["BUG: x"], quoted=[["during auth.one-way:", "BUG: x", " f+0x1/0x2\x1b"]], kernel_as_expected=False)
        voice = next(each for each in ET.fromstring(gate_junit.render([oops])).iter("failure") if each.text)
        self.assertTrue(voice.text.startswith("during auth.one-way:\nBUG: x\nf+0x1/0x2"), voice.text)
        self.assertEqual(outcomes(column(death="panic", kernel_as_expected=False))["kernel"], "failure")

    def test_nothing_judged_is_an_error(self):
        found = outcomes(column(verdicts={}, baseline=None, status=125, kernel_as_expected=False))
        self.assertEqual(found, {"kernel": "error"})

    def test_somebody_elses_parser_reads_the_same(self):
        one = column()
        found, = others.junit(gate_junit.render([one]))
        self.assertEqual((found["name"], found["tests"], found["failures"], found["errors"], found["skipped"]),
                         ("Linux 7.1.3+deb13-amd64", 7, 2, 0, 3))
        named = {"failure": ["Failure"], "skipped": ["Skipped"], "error": ["Error"], "passed": []}
        self.assertEqual(found["cases"], {name: named[kind] for name, kind in outcomes(one).items()})
        suites = others.junit(gate_junit.render([one, column(verdicts={}, baseline=None)]))
        self.assertEqual([(each["tests"], each["errors"]) for each in suites], [(7, 0), (1, 1)])


if __name__ == "__main__":
    unittest.main()
