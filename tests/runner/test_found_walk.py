# SPDX-License-Identifier: BSD-3-Clause
"""A walk that fails is printed as the shortest case that shows it: pasted into a suite it compiles, fails, and passes when clean."""

import glob
import json
import os
import shlex
import subprocess
import unittest

from support import ROOT, RunnerTest

ENGINE = os.environ.get("NVME_CONFORM_ENGINE") or os.path.join(ROOT, "build", "nvme-conform-engine")
BUILD = os.path.dirname(os.path.abspath(ENGINE))
# A defect of each kind of proof, by name as it stands in the case's id: Success1, a command, a TLS session.
DEFECTS = ("hl-zero-bypass", "prop-set-before-auth", "psk-before-success")
SUITE = '/* SPDX-License-Identifier: BSD-3-Clause */\n#include "suites/pdu_steps.h"\n\n'
FLAGS = ("-std=c17", "-O1", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-Ilib", "-I.", "-fPIE")


def packages(what, *names):
    return shlex.split(subprocess.run(["pkg-config", what, *names], capture_output=True, text=True, check=True).stdout)


class FoundWalk(RunnerTest):
    def events(self, cases, engine=ENGINE, **config):
        """events returns what an engine says of cases with seed 1."""
        done = subprocess.run([engine, "run"], input=json.dumps({"cases": cases, "seed": 1, **config}), capture_output=True, text=True,
                              timeout=120, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def verdicts(self, cases, engine, **config):
        return {event["case"]: event["behaviour"] for event in self.events(cases, engine, **config) if event["event"] == "verdict"}

    def printed(self, defect):
        """printed returns the case with which the first walk ends that fails on a defect."""
        for walk in range(1, 9):
            lines = [event["text"] for event in self.events([f"robustness.walk/{walk}"], defects=[defect]) if event["event"] == "step"]
            heads = [at for at, line in enumerate(lines) if line.startswith("---- the shortest walk")]
            if heads:
                case = lines[heads[0] + 1:]
                return "\n".join(case[:case.index("}") + 1]).replace('"robustness.found"', f'"robustness.found.{defect}"') + "\n"
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

    @unittest.skipIf("asan" in os.path.basename(BUILD) or "cov" in os.path.basename(BUILD), "the objects want other flags")
    def test_the_printed_case_can_be_pasted(self):
        sources = [self.file(f"{defect}.c", SUITE + self.printed(defect)) for defect in DEFECTS]
        cases = [f"robustness.found.{defect}" for defect in DEFECTS]
        engine = self.engine_with(sources)
        self.assertEqual(self.verdicts(cases, engine), dict.fromkeys(cases, "pass"))
        for defect, case in zip(DEFECTS, cases):
            self.assertEqual(self.verdicts([case], engine, defects=[defect]), {case: "fail"})


if __name__ == "__main__":
    unittest.main()
