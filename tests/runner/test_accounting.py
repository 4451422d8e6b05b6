# SPDX-License-Identifier: BSD-3-Clause
"""Every selected case ends with one verdict, whatever the engine does, and the exit status follows from them."""

import json
import os
import re
import signal
import subprocess
import sys
import time

from support import COMMAND, REAL, SECRET, RunnerTest

REPEATS = "concat.replace.repeats"
FAIL = {"behaviour": "fail", "teardown": "pass", "requirement": "C-205", "expected": "Success1", "seen": "CONCAT_MISMATCH",
        "packets": [17]}


def observation(requirement, **more):
    return {"event": "observation", "case": REPEATS, "requirement": requirement, "expected": "0", "seen": "7", "packet": 3,
            "conn": 1, **more}


class ExitStatus(RunnerTest):
    def status(self, **fake):
        return self.run_suite(fake=fake).returncode

    def test_all_pass_is_0(self):
        self.assertEqual(self.status(), 0)

    def test_fail_is_1(self):
        self.assertEqual(self.status(cases={REPEATS: FAIL}), 1)

    def test_teardown_fail_is_1_and_leaves_the_behaviour(self):
        self.assertEqual(self.status(cases={REPEATS: {"teardown": "fail", "teardown_seen": "FIN"}}), 1)
        case = self.case(REPEATS)
        self.assertEqual((case["behaviour"], case["teardown"]), ("pass", "fail"))

    def test_warn_and_skip_are_0(self):
        self.assertEqual(self.status(cases={REPEATS: {"behaviour": "warn"},
                                            "timer.expires": {"behaviour": "skip", "reason": "no timer"}}), 0)

    def test_inconclusive_is_125(self):
        self.assertEqual(self.status(cases={REPEATS: {"behaviour": "inconclusive", "reason": "silent"}}), 125)

    def test_inconclusive_teardown_is_125(self):
        self.assertEqual(self.status(cases={REPEATS: {"teardown": "inconclusive"}}), 125)

    def test_only_skips_judge_nothing(self):
        cases = {name: {"behaviour": "skip", "teardown": "none", "reason": "r"} for name in (REPEATS, "concat.replace.once")}
        self.assertEqual(self.run_suite("concat.*", fake={"cases": cases}).returncode, 125)

    def test_fail_outranks_inconclusive(self):
        self.assertEqual(self.status(cases={REPEATS: FAIL, "timer.expires": {"behaviour": "inconclusive"}}), 1)

    def test_error_outranks_fail(self):
        self.assertEqual(self.status(cases={REPEATS: FAIL, "timer.expires": {"behaviour": "error"}}), 3)

    def test_unmet_claim_is_125(self):
        skip = {"behaviour": "skip", "teardown": "none", "reason": "probe: SC_C refused"}
        cases = {REPEATS: skip, "concat.replace.once": skip}
        done = self.run_suite(*REAL, "--concat", fake={"cases": cases}, env={"NVME_CONFORM_DHCHAP_SECRET": SECRET})
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertIn("SC_C refused", done.stdout)


class Evidence(RunnerTest):
    def test_a_packet_is_what_the_pdu_was(self):
        """What is told of a connection has the number of the PDU before it, whichever comes first."""
        told = [{"event": "packet", "case": REPEATS, "kind": kind, "n": 12, "conn": 1, "dir": "h2c", "t_ms": 1, "text": text}
                for kind, text in (("note", "not judged any more"), ("packet", "CapsuleCmd Property Get"), ("end", "FIN"), ("open", "liveness"))]
        done = self.run_suite("-j1", REPEATS, fake={"events": told, "cases": {REPEATS: {**FAIL, "packets": [12]}}})
        self.assertRegex(done.stdout, r"12 +h2c CapsuleCmd Property Get\n")
        self.assertNotRegex(done.stdout, r"12 +h2c (FIN|liveness|not judged)")


class Groups(RunnerTest):
    """What one reason explains is told once, and each case of it with what it was to judge and how to run it again."""

    AUTH = ("auth.pair/sha256/null", "auth.pair/sha384/ffdhe2048")

    def test_skips(self):
        cases = {ident: {"behaviour": "skip", "teardown": "none", "reason": "no such host"} for ident in (*self.AUTH, REPEATS)}
        done = self.run_suite("--seed", "1", fake={"cases": cases})
        group = done.stdout.split("SKIP 3 cases: no such host\n")[1].split("\n\n")[0].splitlines()
        self.assertEqual([line.split() for line in group[:3]], [[self.AUTH[0], "C-001"], [self.AUTH[1], "C-001"], [REPEATS, "C-205"]])
        # All rows of a case are its name.
        self.assertRegex(group[3], rf"again +\S*nvme-conform run auth.pair {REPEATS} --seed 0x1$")

    def test_some_rows_are_named_one_by_one(self):
        done = self.run_suite("--seed", "1", fake={"cases": {self.AUTH[1]: {"behaviour": "skip", "teardown": "none", "reason": "x"}}})
        self.assertIn(f"run {self.AUTH[1]} --seed 0x1\n", done.stdout)

    def test_inconclusive(self):
        idents = (*self.AUTH, REPEATS, "concat.replace.once")
        silent = {"behaviour": "inconclusive", "teardown": "none", "reason": "silence", "packets": [3, 9]}
        done = self.run_suite("--seed", "1", fake={"cases": {ident: silent for ident in idents}})
        group = done.stdout.split("INCONCLUSIVE 4 cases: silence\n")[1].split("\n\n")[0]
        for ident, requirement in zip(idents, ("C-001 (shall) TCP 1.0 3.6", ) * 2 + ("C-205 (shall) Base 2.2 8.3.4.4.1", ) * 2):
            self.assertRegex(group, rf" {ident}\n +requirement +{re.escape(requirement)}\n +packets +3, 9\n +again .* run {ident} --seed 0x1\b")


class Source(RunnerTest):
    """A case that a failing walk leaves: printed, or named when it is long, and stored."""

    def run_with(self, lines):
        done = self.run_suite(REPEATS, fake={"cases": {REPEATS: {**FAIL, "source": lines}}})
        return done.stdout

    def test_short_one_is_printed(self):
        lines = ["CASE(found)", "{", "\texpect\x1b[2J(t);", "}"]
        said = self.run_with(lines)
        self.assertIn("as a case     found/concat.replace.repeats.c (4 lines)\n       CASE(found)\n       {\n           expect\\u001b[2J(t);\n       }\n",
                      said)
        self.assertEqual(self.report("found/concat.replace.repeats.c"), "\n".join(lines) + "\n")
        self.assertEqual(self.case(REPEATS)["source"], lines)

    def test_long_one_is_named(self):
        said = self.run_with(["x();"] * 41)
        self.assertIn("found/concat.replace.repeats.c (41 lines)\n", said)
        self.assertNotIn("x();", said)

    def test_nothing_else_has_one(self):
        self.assertNotIn("as a case", self.run_with(7))
        self.assertFalse(os.path.exists(os.path.join(self.reports, "found")))


class Judged(RunnerTest):
    def test_goes_into_the_results(self):
        self.run_suite(fake={"cases": {REPEATS: {"judged": ["C-001"]}, "timer.expires": {"judged": []}, "concat.replace.once": {"judged": 7}}})
        self.assertEqual((self.case(REPEATS)["judged"], self.case("timer.expires")["judged"]), (["C-001"], []))
        self.assertNotIn("judged", self.case("concat.replace.once"))


class Observations(RunnerTest):
    def test_level_decides(self):
        for requirement, status, verdict in (("C-001", 1, "fail"), ("C-086", 0, "warn"), ("C-900", 0, "note")):
            done = self.run_suite("-j1", fake={"events": [observation(requirement)] * 3})
            self.assertEqual(done.returncode, status, done.stderr)
            (seen,) = self.results()["observations"]
            self.assertEqual((seen["id"], seen["verdict"], seen["count"]), (f"observer.{requirement}", verdict, 3))

    def fresh(self, case, digest, packet):
        return {"event": "fresh", "case": case, "requirement": "C-001", "digest": digest, "packet": packet, "conn": 1}

    def test_a_value_that_comes_again_in_another_case(self):
        events = [self.fresh(REPEATS, "aa", 7), self.fresh("timer.expires", "bb", 8), self.fresh("timer.expires", "aa", 9)]
        done = self.run_suite("-j1", fake={"events": events})
        self.assertEqual(done.returncode, 1, done.stderr)
        (seen,) = self.results()["observations"]
        self.assertEqual((seen["id"], seen["count"]), ("observer.C-001", 1))
        self.assertIn(f"packet 7 of {REPEATS}", seen["first"]["seen"])

    def test_values_that_do_not(self):
        events = [self.fresh(REPEATS, "aa", 7), self.fresh(REPEATS, "aa", 8), self.fresh("timer.expires", "bb", 9)]
        self.assertEqual(self.run_suite("-j1", fake={"events": events}).returncode, 0)
        self.assertEqual(self.results()["observations"], [])

    def test_unknown_requirement_is_the_engines_fault(self):
        self.assertEqual(self.run_suite(fake={"events": [observation("C-999")]}).returncode, 3)


class BrokenEngine(RunnerTest):
    def verdicts(self):
        return {case["id"]: case["behaviour"] for case in self.results()["cases"]}

    def test_crash_loses_no_case(self):
        done = self.run_suite("-j1", fake={"cases": {"concat.replace.once": "crash"}})
        self.assertEqual(done.returncode, 3)
        self.assertEqual(list(self.verdicts().values()), ["pass", "pass", "error", "error", "error"])
        self.assertIn("SIGSEGV", self.case(REPEATS)["reason"])

    def test_crash_of_one_of_two_engines(self):
        self.assertEqual(self.run_suite("-j2", fake={"cases": {"concat.replace.once": "crash"}}).returncode, 3)
        self.assertEqual(self.verdicts()[REPEATS], "pass")
        self.assertEqual(self.verdicts()["timer.expires"], "error")

    def test_every_lost_verdict_is_an_event_too(self):
        self.run_suite("-j1", fake={"cases": {"auth.pair/sha256/null": "crash"}})
        events = [json.loads(line) for line in self.report("events.jsonl").splitlines()]
        self.assertEqual(len([event for event in events if event["event"] == "verdict"]), 5)

    def test_missing_verdict(self):
        self.assertEqual(self.run_suite(fake={"cases": {REPEATS: "silent"}}).returncode, 3)
        self.assertEqual(self.verdicts()[REPEATS], "error")

    def test_two_verdicts_for_one_case(self):
        self.assertEqual(self.run_suite(fake={"cases": {REPEATS: "twice"}}).returncode, 3)
        self.assertEqual(self.verdicts()[REPEATS], "error")

    def test_verdict_for_a_case_not_asked_for(self):
        self.assertEqual(self.run_suite("timer.*", fake={"cases": {"timer.expires": "stranger"}}).returncode, 3)

    def test_word_that_is_no_verdict(self):
        self.assertEqual(self.run_suite(fake={"cases": {REPEATS: {"behaviour": "passed"}}}).returncode, 3)
        self.assertEqual(self.verdicts()[REPEATS], "error")

    def test_line_that_is_not_json(self):
        self.assertEqual(self.run_suite(fake={"cases": {REPEATS: "garbage"}}).returncode, 3)

    def test_early_end_with_status_0(self):
        self.assertEqual(self.run_suite("-j1", fake={"cases": {REPEATS: "end"}}).returncode, 3)
        self.assertEqual(self.verdicts()["timer.expires"], "error")

    def test_stderr_of_the_engine_is_told_without_secrets(self):
        done = self.run_suite(fake={"cases": {REPEATS: "exit3"}})
        self.assertEqual(done.returncode, 3)
        self.assertIn("DHHC-1:00:<redacted>", done.stdout)

    def test_refused_configuration(self):
        done = self.run_suite(fake={"refuse": "dhchap_secret: character 12: not base64"})
        self.assert_refused(done, "character 12")
        self.assertFalse(os.path.exists(self.reports))

    def test_unreachable_target_is_inconclusive(self):
        refuse = {"refuse": "127.0.0.1:4420: connection refused", "refuse_status": 4}
        done = self.run_suite(*REAL, fake=refuse)
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertEqual(set(self.verdicts().values()), {"inconclusive"})
        self.assertEqual(done.stdout.count("connection refused"), 1)
        self.assertEqual(self.run_suite(fake=refuse).returncode, 3)

    def test_missing_engine(self):
        done = self.invoke("run", env={"NVME_CONFORM_ENGINE": self.path("none")})
        self.assert_refused(done, "none", status=3)


class Signals(RunnerTest):
    def test_interrupt_ends_engines_and_writes_reports(self):
        reports = self.path("reports")
        argv_to = self.path("argv")
        fake = {"cases": {"concat.replace.once": "hang"}, "argv_to": argv_to}
        process = subprocess.Popen([sys.executable, COMMAND, "run", "-j1", "--output-dir", reports], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=self.environment(fake), cwd=self.directory)
        try:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and not self._started(reports):
                time.sleep(0.05)
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)
            self.assertLess(time.monotonic() - begun, 10)
        finally:
            process.kill()
            process.wait()
        self.assertEqual(process.returncode, 130)
        self.reports = reports
        self.assertEqual([case["behaviour"] for case in self.results()["cases"]], ["pass", "pass", "error", "error", "error"])
        self.assertIn("interrupted", self.case(REPEATS)["reason"])
        self.assertEqual(engines_with(argv_to), [])

    def _started(self, reports):
        try:
            with open(os.path.join(reports, "events.jsonl"), encoding="utf-8") as file:
                return '"case": "concat.replace.once"' in file.read()
        except OSError:
            return False


def engines_with(argv_to):
    """engines_with returns the processes that have the mark of this test in their environment."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                if argv_to.encode() in file.read() and int(entry) != os.getpid():
                    found.append(entry)
        except OSError:
            pass
    return found
