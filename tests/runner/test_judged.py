# SPDX-License-Identifier: BSD-3-Clause
"""A requirement that a case lists and no row of it judges is found, and a connection whose end nobody judged (tests/judged.py).

`make conformance-quiet` asks of the real cases.
"""

import importlib.util
import os
import unittest

from support import ROOT


def load():
    spec = importlib.util.spec_from_file_location("judged", os.path.join(ROOT, "tests", "judged.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Judged(unittest.TestCase):
    def holes(self, *rows, elsewhere=frozenset()):
        return list(load().holes({"cases": [{"id": ident, "checks": ["C-1", "C-2"], "judged": judged} for ident, judged in rows]}, elsewhere))

    def test_each_by_some_row(self):
        self.assertEqual(self.holes(("a/x", ["C-1"]), ("a/y", ["C-2", "C-3"])), [])

    def test_by_no_row(self):
        self.assertEqual(self.holes(("a/x", ["C-1"]), ("a/y", ["C-1"]), ("b", ["C-1", "C-2"])),
                         ["a says that it checks C-2, and none of its rows judges it"])

    def test_another_case_does_not_help(self):
        self.assertEqual(len(self.holes(("a", ["C-1"]), ("b", ["C-2"]))), 2)

    def test_the_observer_does(self):
        self.assertEqual(self.holes(("a", ["C-1"]), elsewhere={"C-2"}), [])

    def test_an_end_that_nobody_judged(self):
        rows = [("pass", ""), ("none", "the requirement states no end of the connection"),
                ("none", "no connection came to be"), ("none", "")]
        cases = [{"id": f"a/{number}", "teardown": verdict, "teardown_reason": reason}
                 for number, (verdict, reason) in enumerate(rows)]
        self.assertEqual(list(load().untold({"cases": cases})), ["a/2 has no teardown verdict: no connection came to be",
                                                                  "a/3 has no teardown verdict: no reason given"])


if __name__ == "__main__":
    unittest.main()
