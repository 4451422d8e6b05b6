# SPDX-License-Identifier: BSD-3-Clause
"""What the runner promises about real targets, held against the suites' sources."""

import glob
import os
import re
import unittest

from support import ROOT

WRITES = re.compile(r"\b(nvc_do_write|NVC_IO_WRITE)\b")


class Promises(unittest.TestCase):
    def test_no_case_writes_to_a_namespace(self):
        paths = glob.glob(os.path.join(ROOT, "suites", "*.[ch]"))
        self.assertTrue(paths)
        for path in paths:
            with open(path, encoding="utf-8") as file:
                self.assertIsNone(WRITES.search(file.read()),
                                  f"{path} writes; harness/runner/options.py (Target.effects) says that nothing does")


if __name__ == "__main__":
    unittest.main()
