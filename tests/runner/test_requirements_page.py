# SPDX-License-Identifier: BSD-3-Clause
"""docs/requirements.md is what the catalogue, the suites and the target say today, and the coverage has no unexplained hole."""

import os
import subprocess
import sys
import unittest

from support import COMMAND, ROOT, SECONDS
from harness.runner import engine
from harness.runner.errors import ToolError

PAGE = os.path.join(ROOT, "docs", "requirements.md")


class RequirementsPage(unittest.TestCase):
    def setUp(self):
        try:
            engine.find()
        except ToolError as error:
            self.skipTest(str(error))

    def test_page_is_fresh_and_without_holes(self):
        done = subprocess.run([sys.executable, COMMAND, "list", "--coverage", "-o", "markdown"], capture_output=True, text=True,
                              timeout=SECONDS, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""), "holes that harness/runner/uncovered.json does not explain")
        with open(PAGE, encoding="utf-8") as file:
            # Not assertEqual: a difference of two thousand-line texts helps nobody.
            self.assertTrue(done.stdout == file.read(), "docs/requirements.md is stale; run: make docs")


if __name__ == "__main__":
    unittest.main()
