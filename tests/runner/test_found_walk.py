# SPDX-License-Identifier: BSD-3-Clause
"""A walk that fails is printed as the shortest case that shows it: pasted into a suite it compiles, fails, and passes when clean."""

import glob
import json
import os
import shlex
import subprocess
import unittest

from support import ROOT, RunnerTest
from test_bracket import WithDaemon

ENGINE = os.environ.get("NVME_CONFORM_ENGINE") or os.path.join(ROOT, "build", "nvme-conform-engine")
BUILD = os.path.dirname(os.path.abspath(ENGINE))
# A defect of each kind of proof, by name as it stands in the case's id, and a seed whose walks meet it: Success1, a command, a TLS session, a
# host that is not served.
DEFECTS = {"hl-zero-bypass": 1, "prop-set-before-auth": 1, "psk-before-success": 1, "host-lockout": 3}
SUITE = '/* SPDX-License-Identifier: BSD-3-Clause */\n#include "suites/pdu_steps.h"\n\n'
FLAGS = ("-std=c17", "-O1", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-Ilib", "-I.", "-fPIE")


def packages(what, *names):
    return shlex.split(subprocess.run(["pkg-config", what, *names], capture_output=True, text=True, check=True).stdout)


class FoundWalk(RunnerTest):
    def events(self, cases, engine=ENGINE, **config):
        """events returns what an engine says of cases with seed 1."""
        done = subprocess.run([engine, "run"], input=json.dumps({"cases": cases, "seed": 1} | config), capture_output=True, text=True,
                              timeout=120, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def verdicts(self, cases, engine, **config):
        return {event["case"]: event["behaviour"] for event in self.events(cases, engine, **config) if event["event"] == "verdict"}

    def verdict(self, case, defect, **config):
        """verdict returns the verdict on a case with a defect."""
        return next(event for event in self.events([case], defects=[defect], **config) if event["event"] == "verdict")

    def printed(self, defect):
        """printed returns the case with which the first walk ends that fails on a defect."""
        for walk in range(1, 9):
            source = self.verdict(f"robustness.walk/{walk}", defect, seed=DEFECTS[defect]).get("source")
            if source:
                self.assertIn("The shortest walk found", source[0])
                return "\n".join(source).replace('"robustness.found"', f'"robustness.found.{defect}"') + "\n"
        self.fail(f"no walk fails on {defect}")

    def engine_with(self, sources):
        """engine_with compiles the suites and returns an engine that has their cases beside all others."""
        objects = []
        for source in sources:
            objects.append(source[:-2] + ".o")
            subprocess.run(["cc", *FLAGS, *packages("--cflags", "libssl", "jansson"), "-c", source, "-o", objects[-1]], cwd=ROOT,
                           timeout=120, check=True)
        engine = self.path("engine")
        built = glob.glob(os.path.join(BUILD, "harness", "engine", "*.o")) + glob.glob(os.path.join(BUILD, "suites", "*.o"))
        subprocess.run(["cc", "-pie", "-o", engine, *objects, *built, os.path.join(BUILD, "libnvmeconform.a"),
                        *packages("--libs", "check", "libssl", "libcrypto", "jansson", "libpcap")], timeout=120, check=True)
        return engine

    def test_what_the_closing_probe_finds_is_shrunk(self):
        verdict = self.verdict("robustness.walk/5", "host-lockout", seed=3)
        self.assertEqual((verdict["behaviour"], verdict["requirement"]), ("fail", "N-002"))
        # The replays are no evidence: the packets are those of the walk and of the association after it.
        self.assertGreater(verdict["packets"][1], verdict["packets"][0] > 0)
        source = "\n".join(verdict["source"])
        self.assertIn("nvc_queue_free(admin);\n\texpect_new_association(t, REQ_N_002, host);\n}", source)
        self.assertLess(source.count("send_"), 4)

    def test_nobody_is_told(self):
        self.assertNotIn("source", self.verdict("robustness.walk/5", "host-lockout", seed=3, transcript="none"))

    @unittest.skipIf("asan" in os.path.basename(BUILD) or "cov" in os.path.basename(BUILD), "the objects want other flags")
    def test_the_printed_case_can_be_pasted(self):
        sources = [self.file(f"{defect}.c", SUITE + self.printed(defect)) for defect in DEFECTS]
        cases = [f"robustness.found.{defect}" for defect in DEFECTS]
        engine = self.engine_with(sources)
        self.assertEqual(self.verdicts(cases, engine), dict.fromkeys(cases, "pass"))
        # A target may end the connection instead of refusing the command: no answer is no success.
        self.assertIn("!done.answered || done.status != NVC_SC_SUCCESS", self.printed("prop-set-before-auth"))
        for defect, case in zip(DEFECTS, cases):
            self.assertEqual(self.verdicts([case], engine, defects=[defect]), {case: "fail"})


class OnARealTarget(WithDaemon):
    DEFECTS = ("host-lockout",)

    def test_what_cannot_be_taken_again_is_whole_and_says_so(self):
        config = {"target": self.made, "cases": [f"robustness.walk/{walk}" for walk in range(5, 9)], "seed": 3}
        done = subprocess.run([ENGINE, "run"], input=json.dumps(config), capture_output=True, text=True, timeout=120, check=True)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        failed = next(event for event in events if event["event"] == "verdict" and event["behaviour"] == "fail")
        self.assertEqual(failed["requirement"], "N-002")
        self.assertIn("could not be taken again", failed["source"][0])
        self.assertIn("expect_new_association(t, REQ_N_002, host);", failed["source"][-2])


if __name__ == "__main__":
    unittest.main()
