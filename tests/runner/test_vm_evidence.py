# SPDX-License-Identifier: BSD-3-Clause
"""What a gate leaves: gate.json and junit.xml of every kind and however it ended, and what --rerun takes of them. No QEMU."""

import contextlib
import io
import json
import os
import types
import unittest
import xml.etree.ElementTree as ET
from unittest import mock

from support import RunnerTest

from harness.vm import command, console, gate, host_story, klog, linux_host, options
from harness.vm.errors import EXIT_CANNOT_JUDGE, EXIT_OK, EXIT_TOOL, EXIT_UNEXPECTED, GateError

CASE = "replace.second/sha256"
KTAP = """KTAP version 1
1..6
ok 1 a.ok
ok 2 a.listed # XFAIL the queue forgets its key
not ok 3 a.news/1 # C-202 seen: RCODEEX 03h
ok 4 a.skipped # SKIP no TLS
# observer.C-1 fail
not ok 5 observer
ok 6 kernel
""".splitlines()


class EvidenceTest(RunnerTest):
    def booted(self):
        """booted leaves what a guest does that was begun to boot."""
        os.makedirs(self.path("guest"), exist_ok=True)
        facts = {"kernel": "7.3.4+deb13", "accel": "tcg", "kernel_files": [{"file": "a.deb", "sha256": "00", "verified": "apt"}],
                 "guest_packages": []}
        with open(self.path("guest", "versions.json"), "w", encoding="utf-8") as file:
            json.dump(facts, file)

    def gate(self, *argv):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out), mock.patch.object(command.signal, "signal"):
            status = command.main([*argv, "--output-dir", self.directory])
        return status, err.getvalue(), out.getvalue()

    def facts(self):
        with open(self.path("gate.json"), encoding="utf-8") as file:
            return json.load(file)

    def junit(self):
        """junit returns {test: its outcome} of junit.xml, and the suite's name."""
        suite = ET.parse(self.path("junit.xml")).getroot()[0]
        return {case.get("name"): [(each.tag, each.get("message")) for each in case] for case in suite.iter("testcase")}, suite.get("name")


class UnjudgedTest(EvidenceTest):
    def ended(self, error, *argv, boot=True):
        def fail(*_):
            if boot:
                self.booted()
            raise error
        with mock.patch.object(gate, "gate", fail):
            return self.gate("--kernel", "7.3.4", "--no-baseline", *argv)[0]

    def test_says_why_and_can_be_run_again(self):
        for status in (EXIT_CANNOT_JUDGE, EXIT_TOOL):
            self.assertEqual(self.ended(GateError("the guest died: panic", status), CASE, "--memory", "512"), status)
            facts = self.facts()
            self.assertEqual((facts["verdict"], facts["reason"], facts["exit_status"], facts["kernel"]),
                             ("cannot judge", "the guest died: panic", status, "7.3.4+deb13"))
            self.assertEqual(self.junit(), ({"kernel": [("error", "the guest died: panic")]}, "Linux 7.3.4+deb13"))
            again = options.parse(["--rerun", self.directory])
            self.assertEqual((again.kernel, again.cases, again.memory, again.no_baseline), ("7.3.4", [CASE], 512, True))

    def test_all_cases_again(self):
        self.ended(GateError("x", EXIT_CANNOT_JUDGE))
        self.assertEqual(options.parse(["--rerun", self.directory]).cases, [])

    def test_nothing_of_what_was_refused_before_it_booted(self):
        self.ended(GateError("no such option", EXIT_CANNOT_JUDGE), boot=False)
        self.assertEqual(os.listdir(self.directory), [])
        self.booted()    # by an earlier one
        os.utime(self.path("guest", "versions.json"), (1, 1))
        self.ended(GateError("no such option", EXIT_CANNOT_JUDGE), boot=False)
        self.assertFalse(os.path.exists(self.path("gate.json")))

    def test_a_soak_too(self):
        self.ended(GateError("x", EXIT_CANNOT_JUDGE), "--soak", "300")
        self.assertEqual(options.parse(["--rerun", self.directory]).soak, 300)
        again = options.parse(["--rerun", self.directory, CASE])
        self.assertEqual((again.soak, again.cases), (None, [CASE]))


class HostTest(EvidenceTest):
    def played(self, *steps, target_alive=True, **members):
        report = linux_host.HostReport("7.3.4+deb13", "tcg", self.directory, list(steps), taint_before=0, taint_after=0)
        for name, value in members.items():
            setattr(report, name, value)
        target = mock.MagicMock()
        target.__enter__.return_value = types.SimpleNamespace(profile={}, port=1, alive=lambda: target_alive)
        with mock.patch.object(host_story, "ReferenceTarget", return_value=target), \
                mock.patch.object(host_story, "run", return_value=report):
            return self.gate("--kernel", "7.3.4", "--host", "--defect", "free-sq-on-success")[0]

    GOOD = linux_host.StepOutcome("one-way", 0, True, "state live", 0.5)
    BAD = linux_host.StepOutcome("replace-2", 1, False, "no new generated PSK", 5.0, ["nvme0: re-authentication failed"])

    def test_as_it_should_be(self):
        self.assertEqual(self.played(self.GOOD), EXIT_OK)
        self.assertEqual(self.junit(), ({"host.one-way": [], "kernel": []}, "Linux 7.3.4+deb13"))
        again = options.parse(["--rerun", self.directory])
        self.assertEqual((again.host, again.defect, again.kernel, again.cases), (True, ["free-sq-on-success"], "7.3.4", []))

    def test_a_step_that_fails(self):
        self.assertEqual(self.played(self.GOOD, self.BAD), EXIT_UNEXPECTED)
        tests, _ = self.junit()
        self.assertEqual([kind for kind, _ in tests["host.replace-2"]], ["failure"])
        self.assertIn("no new generated PSK nvme0: re-auth", tests["host.replace-2"][0][1])
        self.assertEqual(self.facts()["steps"][1]["output"], "no new generated PSK")

    def test_what_is_no_step(self):
        for changes, kind in (({"findings": [klog.Finding(1.0, "BUG: x", ["BUG: x"])]}, "failure"), ({"taint_after": 512}, "failure"),
                              ({"error": "the guest died"}, "error"), ({"target_alive": False}, "error")):
            self.assertEqual(self.played(self.GOOD, **changes), EXIT_UNEXPECTED, changes)
            self.assertEqual(self.junit()[0]["kernel"][0][0], kind, changes)


class ConsoleTest(EvidenceTest):
    def told(self, lines, status, *argv):
        guest = mock.MagicMock()
        guest.__enter__.return_value = types.SimpleNamespace(
            log=None, kernel=types.SimpleNamespace(release="7.3.4+deb13"), prepared=types.SimpleNamespace(accel="tcg"))
        with mock.patch.object(console, "_prepared", return_value=guest), mock.patch.object(console, "_follow", return_value=status), \
                mock.patch.object(console, "_document", return_value=lines):
            return self.gate("--kernel", "7.3.4", "--console", *argv)[0]

    def test_what_is_listed_is_no_failure(self):
        self.assertEqual(self.told(KTAP, EXIT_UNEXPECTED), EXIT_UNEXPECTED)
        tests, _ = self.junit()
        self.assertEqual({name: [kind for kind, _ in outcome] for name, outcome in tests.items()},
                         {"a.ok": [], "a.listed": ["skipped"], "a.news/1": ["failure"], "a.skipped": ["skipped"],
                          "observer": ["failure"], "kernel": []})
        again = options.parse(["--rerun", self.directory])
        self.assertEqual((again.console, again.cases), (True, ["a.news/1"]))

    def test_without_a_baseline(self):
        self.told(KTAP, EXIT_UNEXPECTED, "--no-baseline")
        self.assertEqual(self.junit()[0]["a.news/1"][0][0], "failure")
        self.told([line.replace("ok 6 kernel", "not ok 6 kernel") for line in KTAP], EXIT_UNEXPECTED)
        self.assertEqual(self.junit()[0]["kernel"][0][0], "failure")


class RerunTest(EvidenceTest):
    """What was judged is what is judged again, or it is said."""

    def said(self, digest):
        self.booted()
        made = mock.Mock(release="7.3.4", uml=True, provenance=[{"file": "/x/a.deb", "sha256": digest}])
        with mock.patch.object(gate, "_kernel", return_value=made), mock.patch.object(gate.fetch, "need_program"), \
                mock.patch.object(gate.initramfs, "programs", return_value=("", [])), contextlib.redirect_stderr(io.StringIO()) as err:
            gate.prepare(gate.Request(kernel="7.3.4", cache=self.path("cache"), earlier=self.directory))
        return err.getvalue()

    def test_the_same_files(self):
        self.assertEqual(self.said("00"), "")

    def test_other_files(self):
        self.assertEqual(self.said("11"), f"nvme-conform gate: --rerun {self.directory}: not the files of that run, by their SHA-256: a.deb\n")

    def test_the_command_hands_the_run_on(self):
        with open(self.path("gate.json"), "w", encoding="utf-8") as file:
            json.dump({"again": ["--kernel", "7.3.4"]}, file)
        with mock.patch.object(gate, "gate", mock.Mock(side_effect=GateError("enough"))) as called:
            self.gate("--rerun", self.directory, CASE)
        self.assertEqual(called.call_args.args[0].earlier, self.directory)


if __name__ == "__main__":
    unittest.main()
