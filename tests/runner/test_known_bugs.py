# SPDX-License-Identifier: BSD-3-Clause
"""docs/known-bugs.md says for every known bug which cases provoke it, or why none does; its cases and its ids are there."""

import os
import re
import unittest

from support import ROOT

from harness.runner import catalogue, engine

PAGE = os.path.join(ROOT, "docs", "known-bugs.md")
DEFECTS = os.path.join(ROOT, "lib", "target", "defects.def")
ROW = re.compile(r"\| ([AB]\d\d) \| ([^|]+) \| ([^|]+) \|")


def rows():
    """rows returns [id, what goes wrong, cases or reason] of the page."""
    with open(PAGE, encoding="utf-8") as file:
        return [ROW.fullmatch(line.strip()).groups() for line in file if line.startswith(("| A", "| B"))]


class KnownBugs(unittest.TestCase):
    """The page against the cases and the defects."""

    maxDiff = None

    def test_every_row_has_cases_that_exist_or_a_reason(self):
        known = {ident.split("/")[0] for ident in catalogue.read(engine.list_objects()).cases}
        for ident, _, told in rows():
            named = re.findall(r"`([a-z0-9]+\.[a-z0-9.-]+)`", told)
            self.assertEqual([case for case in named if case not in known], [], ident)
            self.assertTrue(named or re.fullmatch(r"\*.{10,}\*", told), ident)

    def test_no_row_is_missing_or_there_twice(self):
        idents = [ident for ident, _, _ in rows()]
        self.assertEqual(idents, sorted(set(idents)))
        self.assertEqual([ident for ident in idents if ident[0] == "A"], [f"A{number:02d}" for number in range(1, 89)])

    def test_every_origin_of_a_defect_is_here(self):
        with open(DEFECTS, encoding="utf-8") as file:
            origins = set(re.findall(r"\b[AB]\d\d\b", " ".join(re.findall(r'"((?:[AB]\d\d ?)+)"', file.read()))))
        self.assertGreater(len(origins), 50)
        self.assertEqual(origins - {ident for ident, _, _ in rows()}, set())


if __name__ == "__main__":
    unittest.main()
