# SPDX-License-Identifier: BSD-3-Clause
"""docs/findings.md explains every fail and warn: of the published kernels, and of the baseline, with a word on security in each line."""

import fnmatch
import json
import os
import re
import tomllib
import unittest

from support import ROOT

from harness.runner import catalogue, engine, withhold
from harness.vm import matrix

PAGE = os.path.join(ROOT, "docs", "findings.md")
MATRIX = os.path.join(ROOT, "reports", "kernels", "matrix.json")
WITHHELD = os.path.join(ROOT, "harness", "baselines", "withheld.txt")
INTEROP = os.path.join(ROOT, "reports", "interop")
BASELINE = os.path.join(ROOT, "harness", "baselines", "linux.toml")
FIRST = "Report to the implementer first"
ARGUMENTS = "Why `slight`"
SECURITY = {"yes", "fixed", "slight", "no"}
ONE = r"[CHN]-\d{3}"


def requirements_in(text):
    """requirements_in returns the ids that a text names, ranges spelled out."""
    named = set(re.findall(ONE, text))
    for first, last in re.findall(f"({ONE}) to ({ONE})", text):
        named.update(f"{first[0]}-{number:03d}" for number in range(int(first[2:]), int(last[2:]) + 1))
    return named


def page():
    """page returns the text of docs/findings.md."""
    with open(PAGE, encoding="utf-8") as file:
        return file.read()


def sections():
    """sections returns {heading: its text}."""
    parts = re.split(r"^## (.*)$", page(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def findings():
    """findings returns {heading: its text} of what has a table of findings."""
    return {heading: text for heading, text in sections().items() if heading != ARGUMENTS}


def rows(text):
    """rows returns the cells of the tables in a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines[2:]]


class Findings(unittest.TestCase):
    """The page against what it explains."""

    maxDiff = None

    def test_every_bad_verdict_of_a_published_kernel_has_a_line(self):
        named = requirements_in(page())
        with open(MATRIX, encoding="utf-8") as file:
            kernels = json.load(file)["kernels"]
        self.assertLessEqual({"7.0.13", "7.1.13", "7.2.12", "7.3.4"}, {kernel["kernel"] for kernel in kernels})
        missing = {(verdict[1], case, kernel["kernel"]) for kernel in kernels for case, verdict in kernel["verdicts"].items()
                   if re.search("fail|warn", verdict[0]) and verdict[1] not in named}
        self.assertEqual(missing, set())

    def test_the_kernels_of_a_line_are_those_that_have_it(self):
        with open(MATRIX, encoding="utf-8") as file:
            kernels = json.load(file)["kernels"]
        checked = 0
        for text in findings().values():
            for row in rows(text):
                ended, begun = (re.match(word + r" (\d[\d.]*\d)", row[-2]) for word in ("to", "from"))
                patterns = [name for name in re.findall("`([^`]+)`", row[0]) if "." in name]
                bad = [kernel["kernel"] for kernel in kernels if any(
                    re.search("fail|warn", verdict[0]) for case, verdict in kernel["verdicts"].items()
                    if any(fnmatch.fnmatchcase(case, pattern) or case.startswith(pattern + "/") for pattern in patterns))]
                if bad and (ended or begun) and not any(pattern.endswith(".*") for pattern in patterns):
                    self.assertEqual(bad[-1], ended[1] if ended else kernels[-1]["kernel"], row)
                    self.assertIn(begun[1] if begun else bad[0], bad[0], row)
                    checked += 1
        self.assertGreater(checked, 10)

    def test_every_entry_of_the_baseline_has_a_line(self):
        named = requirements_in(page())
        known = catalogue.read(engine.list_objects()).cases
        with open(BASELINE, "rb") as file:
            entries = tomllib.load(file)["entry"]
        missing = []
        for entry in entries:
            told = [entry["behaviour"]] if isinstance(entry.get("behaviour"), str) else entry.get("behaviour", [])
            if not {"fail", "warn"} & set(told):
                continue
            for pattern in entry["cases"]:
                checked = requirements_in(pattern).union(
                    *(case.checks for ident, case in known.items()
                      if fnmatch.fnmatchcase(ident, pattern) or fnmatch.fnmatchcase(ident.split("/")[0], pattern)))
                if not checked & named:
                    missing.append((pattern, entry["kernels"] if "kernels" in entry else "all", entry["reason"][:90], sorted(checked)))
        self.assertEqual(missing, [])

    def test_every_line_says_whether_it_touches_security(self):
        for heading, text in findings().items():
            for row in rows(text):
                self.assertIn(row[-1], SECURITY, row)
                self.assertEqual(row[-1] == "yes", heading == FIRST, row)

    def test_nothing_dangles(self):
        known = catalogue.read(engine.list_objects())
        self.assertEqual(sorted(requirements_in(page()) - set(known.requirements)), [])
        with open(BASELINE, "rb") as file:
            data = tomllib.load(file)
        patterns = {pattern for entries in data.values() if isinstance(entries, list) for entry in entries for pattern in entry["cases"]}
        # What a boot reports belongs to no case.
        idents = {"boot", *known.cases, *(ident.split("/")[0] for ident in known.cases), *(f"observer.{ident}" for ident in known.observed)}
        self.assertEqual([pattern for pattern in sorted(patterns) if not fnmatch.filter(idents, pattern)], [])

    def test_slight_is_argued(self):
        slight = set().union(*(requirements_in(row[0]) for text in findings().values() for row in rows(text) if row[-1] == "slight"))
        argued = rows(sections()[ARGUMENTS])
        for row in argued:
            self.assertRegex(row[2], r"\.c:[a-z_]+")
        # A line may name requirements that go wrong for the same cause; one of them is argued.
        for text in findings().values():
            for row in rows(text):
                if row[-1] == "slight":
                    self.assertTrue(requirements_in(row[0]) & {each[0] for each in argued}, row)
        self.assertLessEqual({each[0] for each in argued}, slight)

    def test_what_goes_to_the_implementer_first_is_withheld(self):
        named = set().union(*(requirements_in(row[0]) for row in rows(sections()[FIRST])))
        self.assertEqual(withhold.load(WITHHELD), named)

    def test_interop_page_withholds_it(self):
        with open(os.path.join(INTEROP, "index.json"), encoding="utf-8") as file:
            report = json.load(file)
        labels = [run["label"] for run in report["runs"]]
        self.assertEqual([label.split("+")[0] for label in labels],
                         ["the reference target", *(f"Linux {kernel}" for kernel in ("7.0.13", "7.1.13", "7.2.12", "7.3.4"))])
        self.assertEqual(set(report["withheld"]), withhold.load(WITHHELD))
        self.assertFalse([case for results in report["results"] for case in results.values() if "events" in case or "kernel" in case])
        for row in report["requirements"]:
            for cell in filter(None, row["cells"]):
                bad = {cell["behaviour"], cell["teardown"]} & {"fail", "warn"}
                if row["id"] in report["withheld"] and bad:
                    self.assertEqual((cell["cases"], cell.get("withheld")), ([], True), row["id"])
        with open(os.path.join(INTEROP, "index.html"), encoding="utf-8") as file:
            data = re.search(r'<script type="application/json" id="data">(.*?)</script>', file.read(), re.DOTALL)[1]
        self.assertEqual(json.loads(data), report)

    def test_the_readme_has_the_published_numbers(self):
        """Every published result is in one row of README's table: those whose ids a row names, and what no row names in the last of cases."""
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            table = re.search(r"^\| Linux \|.*?\n\n", file.read(), re.MULTILINE | re.DOTALL)[0]
        kernels = [cell.strip() for cell in table.splitlines()[0].strip("|").split("|")][1:]
        with open(MATRIX, encoding="utf-8") as file:
            columns = {each["kernel"]: each for each in json.load(file)["kernels"]}
        globs = [["auth.one-way/*", "auth.two-way/*"], ["concat.*"], ["replace.once*"], ["replace.second*", "replace.repeats*"], ["*"],
                 ["observer.*"]]
        told = rows(table)
        self.assertEqual(len(told), len(globs) + 1)
        for number, kernel in enumerate(kernels, 1):
            left = set(columns[kernel]["verdicts"])
            each = {"verdicts": {ident: {"verdict": verdict} for ident, (verdict, _) in columns[kernel]["verdicts"].items()}}
            for row, wanted in zip(told, globs):
                chosen = {ident for ident in left if any(fnmatch.fnmatch(ident, glob) for glob in wanted)}
                chosen = {ident for ident in chosen if ident.startswith("observer.") == (wanted == globs[-1])}
                left -= chosen
                self.assertEqual(row[number], matrix.cell(each, chosen), (kernel, row[0]))
            self.assertEqual(left, set())
            self.assertEqual(told[-1][number], "yes" if columns[kernel]["status"] == 0 else "NO")

    def test_every_line_has_a_cause(self):
        for heading, text in findings().items():
            for row in rows(text):
                self.assertTrue(requirements_in(row[0]), row)
                if heading != FIRST:
                    self.assertEqual(len(row), 5, row)
                    self.assertTrue(all(row), row)


if __name__ == "__main__":
    unittest.main()
