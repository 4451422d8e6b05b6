# SPDX-License-Identifier: BSD-3-Clause
"""What the runner promises about real targets, held against the suites' sources."""

import glob
import os
import re
import shutil
import unittest

from support import ROOT, RunnerTest
from harness.runner import catalogue, engine

WRITES = re.compile(r"\b(nvc_do_write|NVC_IO_WRITE)\b")


class Promises(unittest.TestCase):
    def test_no_case_writes_to_a_namespace(self):
        paths = glob.glob(os.path.join(ROOT, "suites", "*.[ch]"))
        self.assertTrue(paths)
        for path in paths:
            with open(path, encoding="utf-8") as file:
                self.assertIsNone(WRITES.search(file.read()),
                                  f"{path} writes; harness/runner/options.py (Target.effects) says that nothing does")


class LeftOpen(RunnerTest):
    """What the specification leaves open, or contradicts itself in, is reported and fails nobody, however a target does it."""

    LEVELS = ("implementation-defined", "contradiction")

    def test_no_defect_of_it_is_a_fail(self):
        known = catalogue.read(engine.list_objects())
        left_open = {ident for ident, row in known.requirements.items() if row.level in self.LEVELS}
        cases = [case.id for case in known.cases.values() if left_open & set(case.checks)]
        defects = [defect.name for defect in known.defects.values() if defect.requirement in left_open]
        self.assertGreater(len(left_open), 20)
        self.assertGreater(len(defects), 5)
        for name in defects:
            self.run_suite(*cases, "--defect", name, "--seed", "1", env={"NVME_CONFORM_ENGINE": engine.find()})
            results = self.results()
            for result in [*results["cases"], *results["observations"]]:
                told = {result.get("behaviour"), result.get("verdict")} & {"fail", "warn"}
                self.assertFalse(told and result.get("requirement") in left_open, (name, result["id"]))
                ended = result.get("teardown") in ("fail", "warn")
                self.assertFalse(ended and (result.get("teardown_requirement") or result.get("requirement")) in left_open, (name, result["id"]))
            shutil.rmtree(self.reports)


if __name__ == "__main__":
    unittest.main()
