# SPDX-License-Identifier: BSD-3-Clause
"""The page: every verdict at its requirement, nothing of a target's as markup, no network, the same from the same runs."""

import base64
import hashlib
import html.parser
import json
import os
import re
import shutil
import unittest
from unittest import mock

import browser
import fake_engine
from support import SECRET, RunnerTest
from harness.runner import matrix

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u202e\x1b[31m @@DATA@@ &amp;"
CASES = {
    "auth.pair/sha256/null": {"behaviour": "warn", "requirement": "C-086", "expected": "0", "seen": "1"},
    "concat.replace.once": {"behaviour": "skip", "teardown": "none", "reason": "no concat here"},
    "concat.replace.repeats": {"behaviour": "fail", "teardown": "fail", "requirement": "C-205", "expected": "Success1",
                               "seen": HOSTILE, "packets": [17], "teardown_requirement": "C-001", "teardown_seen": "RST"},
}
SEEN = {"event": "observation", "case": "timer.expires", "requirement": "C-900", "expected": "0", "seen": HOSTILE, "packet": 3, "conn": 1}
VOID = {"meta", "input", "br", "img", "link", "hr"}


class Page(html.parser.HTMLParser):
    """Page reads a page, notes what matters, and counts what does not nest."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.broken, self.tags, self.ids, self.links, self.attributes, self.text = [], [], [], [], [], set(), {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href"):
                self.links.append(value)
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            self.broken.append(tag)

    def handle_data(self, data):
        if self.stack:
            self.text[self.stack[-1]] = self.text.get(self.stack[-1], "") + data


class Report(RunnerTest):
    def record(self, name, cases=None, **fake):
        self.run_suite("--seed", "7", "-j1", fake={"cases": cases or {}, **fake})
        os.rename(self.reports, self.path(name))
        return self.path(name)

    def report(self, *runs):
        """report makes a page of runs and returns its text and its object."""
        done = self.invoke("report", *runs, "--output", self.path("page.html"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        with open(self.path("page.html"), encoding="utf-8") as file:
            page = file.read()
        with open(self.path("page.json"), encoding="utf-8") as file:
            return page, json.load(file)

    @staticmethod
    def cell(report, ident, run=0):
        return next(row for row in report["requirements"] if row["id"] == ident)["cells"][run]

    @staticmethod
    def verdicts(report, ident, run=0):
        cell = Report.cell(report, ident, run)
        return (cell["behaviour"], cell["teardown"]) if cell else None


class Matrix(Report):
    def test_verdicts_at_their_requirements(self):
        _, report = self.report(self.record("bad", CASES, events=[SEEN]))
        # The warn of a case that checks C-001 names C-086; its sibling passed C-001, whose teardown another case spoilt.
        self.assertEqual(self.verdicts(report, "C-001"), ("pass", "fail"))
        self.assertEqual(self.verdicts(report, "C-086"), ("warn", "pass"))
        # A skip beside a fail hides nothing.
        self.assertEqual(self.verdicts(report, "C-205"), ("fail", "none"))
        self.assertEqual(self.verdicts(report, "C-900"), ("note", "none"))
        self.assertEqual(self.cell(report, "C-900")["observed"]["count"], 1)
        self.assertIn("concat.replace.repeats", self.cell(report, "C-001")["cases"])

    def test_what_was_not_reached_is_inconclusive(self):
        other = {**CASES["auth.pair/sha256/null"], "behaviour": "fail"}
        _, report = self.report(self.record("bad", {"auth.pair/sha256/null": other, "auth.pair/sha384/ffdhe2048": other}))
        self.assertEqual(self.verdicts(report, "C-001")[0], "inconclusive")

    def test_a_pass_counts_for_what_was_judged(self):
        rows = [{**line["case"], "checks": ["C-001", "C-086"]} for line in fake_engine.LIST if line.get("case", {}).get("area") == "auth"]
        lines = [line for line in fake_engine.LIST if "case" not in line] + [{"case": row} for row in rows]

        def verdicts(name, **said):
            _, report = self.report(self.record(name, {row["id"]: said for row in rows}, list=lines))
            return self.verdicts(report, "C-001"), self.verdicts(report, "C-086")

        # The teardown is of C-001, which none of the rows came to.
        self.assertEqual(verdicts("some", judged=["C-086"], requirement="C-001", teardown_requirement="C-001"),
                         (("none", "pass"), ("pass", "pass")))
        self.assertEqual(verdicts("no-teardown", judged=["C-086"], requirement="C-001", teardown="none"), (None, ("pass", "none")))
        # An older engine does not say.
        self.assertEqual(verdicts("old"), (("pass", "pass"), ("pass", "pass")))

    def test_judged_that_is_no_list_of_texts(self):
        run = self.record("bad")
        for wrong in ("C-001", [7]):
            with open(os.path.join(run, "results.json"), encoding="utf-8") as file:
                results = json.load(file)
            results["cases"][0]["judged"] = wrong
            self.file("bad/results.json", json.dumps(results))
            self.assert_refused(self.invoke("report", run), "is damaged")

    def test_nobody_judged_it(self):
        _, report = self.report(self.record("good"))
        self.assertIsNone(self.verdicts(report, "C-900"))

    def test_worst_first(self):
        for other in ("fail", "error", "inconclusive"):
            cases = {"concat.replace.once": {"behaviour": other, "requirement": "C-205", "reason": "r"}}
            with self.subTest(other):
                run = self.record("run", cases)
                self.assertEqual(self.verdicts(self.report(run)[1], "C-205")[0], other)
                shutil.rmtree(run)

    def test_requirement_of_another_version(self):
        run = self.record("bad", {"timer.expires": {"behaviour": "fail", "requirement": "C-777", "seen": "x"}})
        _, report = self.report(run)
        row = next(row for row in report["requirements"] if row["id"] == "C-777")
        self.assertEqual((row["area"], row["cells"][0]["behaviour"]), ("Not in the catalogue", "fail"))

    def test_evidence(self):
        _, report = self.report(self.record("bad", CASES))
        result = report["results"][0]["concat.replace.repeats"]
        self.assertIn("run concat.replace.repeats --seed 0x7", result["again"])
        self.assertEqual([event["event"] for event in result["events"]], ["step", "packet"])
        self.assertEqual(result["events"][1]["n"], 17)
        clean = report["results"][0]["auth.pair/sha384/ffdhe2048"]
        self.assertEqual([event["event"] for event in clean["events"]], ["step", "packet"])  # the run has told it, too
        self.assertIn("run auth.pair/sha384/ffdhe2048 --seed 0x7", clean["again"])

    def test_more_than_a_page_holds(self):
        run = self.record("bad", CASES)
        with mock.patch.object(matrix, "EVENTS_OF_A_CASE", 1), mock.patch.object(matrix, "EVENTS_IN_ALL", 1):
            _, report = self.report(run)
        results = {ident: result for ident, result in report["results"][0].items() if "events" in result}
        self.assertIn(next(iter(results)), CASES)  # what needs to be explained comes first
        self.assertEqual([len(result["events"]) for result in results.values()], [1, 0, 0, 0, 0])
        self.assertEqual([result["left_out"] for result in results.values()], [1, 2, 2, 2, 2])

    def test_without_conversations(self):
        _, report = self.report(self.record("bad", CASES), "--no-conversations")
        self.assertFalse([result for result in report["results"][0].values() if "events" in result or "kernel" in result])
        self.assertEqual(self.verdicts(report, "C-205")[0], "fail")

    def test_changes(self):
        good, bad = self.record("good"), self.record("bad", CASES)
        page, report = self.report(bad, "--since", good)
        self.assertEqual(self.cell(report, "C-205")["changed"], "newly-failing")
        self.assertEqual(report["results"][0]["concat.replace.repeats"]["changed"], "newly-failing")
        self.assertEqual({row["kind"] for row in report["runs"][0]["changes"]}, {"newly-failing", "no-longer-judged", "changed"})
        self.assertIn("newly failing: 1", page)
        _, report = self.report(good, "--since", good)
        self.assertEqual(report["runs"][0]["changes"], [])

    def test_a_target_that_stopped(self):
        run = self.record("bad", CASES)
        with open(os.path.join(run, "results.json"), encoding="utf-8") as file:
            results = json.load(file)
        results["deaths"] = [{"seen": "refused", "last_alive": "", "suspects": ["a.b"], "killer": "a.b", "came_back": True}, 7]
        with open(os.path.join(run, "results.json"), "w", encoding="utf-8") as file:
            json.dump(results, file)
        page, report = self.report(run)
        self.assertEqual(report["runs"][0]["stopped"], ["a.b (refused)"])
        self.assertIn("stopped serving", page)

    def test_gate(self):
        run = self.record("run", CASES)
        os.mkdir(self.path("gate"))
        os.rename(run, self.path("gate", "suite"))
        gate = {"kernel": "7.3.4", "findings": [{"case": "x", "title": "WARNING: at <here>", "lines": []}],
                "cases": [{"case": "concat.replace.repeats", "kernel": ["nvmet: oops", HOSTILE]}]}
        self.file("gate/gate.json", json.dumps(gate))
        page, report = self.report(self.path("gate"))
        self.assertEqual(report["runs"][0]["label"], "Linux 7.3.4")
        self.assertIn("WARNING: at &lt;here&gt;", page)
        self.assertEqual(report["results"][0]["concat.replace.repeats"]["kernel"][0], "nvmet: oops")
        gate["findings"] *= 4
        self.file("gate/gate.json", json.dumps(gate))
        page, _ = self.report(self.path("gate"))
        self.assertIn("4 times", page)
        self.assertEqual(page.split("<table>")[0].count("<li>WARNING: at &lt;here&gt;</li>"), 4)


class Withheld(Report):
    """What the implementer is to hear of first: the verdict of the requirement, and nothing that leads to it."""

    CASES = {"concat.replace.repeats": {"behaviour": "fail", "teardown": "fail", "requirement": "C-205", "expected": "Success1",
                                        "seen": "the way in", "packets": [17], "teardown_requirement": "C-001",
                                        "teardown_seen": "the way out"},
             "timer.expires": {"behaviour": "fail", "requirement": "C-900", "seen": "no secret"}}
    SEEN = {"event": "observation", "case": "concat.replace.repeats", "requirement": "C-086", "expected": "0", "seen": "the way in",
            "packet": 3, "conn": 1}
    LEADING = ("the way in", "the way out", "concat.replace.repeats", "concat.replace.once")

    def assert_untold(self, *texts):
        """assert_untold fails when a text has what leads to the hole. It does not print the page."""
        self.assertEqual([word for word in self.LEADING for text in texts if word in text], [])

    def withheld(self, *words, cases=None):
        run = self.record("bad", self.CASES if cases is None else cases, events=[self.SEEN])
        text, report = self.report(run, "--withhold", self.file("withheld", "# told first\nC-205  # a hole\n"), *words)
        return run, text, report

    def test_only_the_verdict_is_told(self):
        _, text, report = self.withheld()
        self.assert_untold(text, json.dumps(report))
        cell = self.cell(report, "C-205")
        self.assertEqual((cell["behaviour"], cell.get("withheld"), cell["cases"]), ("fail", True, []))
        self.assertIn("report to the implementer first", text)
        # What its case says of other requirements is told without the case; what others say is told as ever.
        self.assertEqual(self.verdicts(report, "C-001"), ("pass", "fail"))
        self.assertTrue(self.cell(report, "C-001").get("withheld"))
        self.assertEqual(self.cell(report, "C-086")["observed"]["first"], {})
        self.assertEqual(report["results"][0]["timer.expires"]["seen"], "no secret")
        self.assertNotIn("withheld", self.cell(report, "C-900"))

    def test_the_same_runs_tell_it_otherwise(self):
        text, report = self.report(self.record("bad", self.CASES, events=[self.SEEN]))
        for word in self.LEADING:
            self.assertIn(word, text)
        self.assertEqual(report["withheld"], [])

    def test_a_target_without_the_hole_hides_nothing(self):
        _, _, report = self.withheld(cases={})
        self.assertIn("concat.replace.repeats", self.cell(report, "C-205")["cases"])
        self.assertNotIn("withheld", self.cell(report, "C-205"))

    def test_changes_name_the_requirement(self):
        good = self.record("good")
        _, text, report = self.withheld("--since", good)
        self.assertIn(("C-205", "newly-failing"), {(row["id"], row["kind"]) for row in report["runs"][0]["changes"]})
        self.assert_untold(text)
        _, report = self.report(good, "--since", self.path("bad"), "--withhold", self.path("withheld"))
        self.assertIn(("C-205", "newly-passing"), {(row["id"], row["kind"]) for row in report["runs"][0]["changes"]})

    def test_killers_and_kernel_reports(self):
        run, _, _ = self.withheld()
        with open(os.path.join(run, "results.json"), encoding="utf-8") as file:
            results = json.load(file)
        results["deaths"] = [{"seen": "refused", "suspects": ["timer.expires", "concat.replace.repeats"], "killer": None}]
        results["command"] = "nvme-conform run concat.replace.repeats"
        self.file("bad/results.json", json.dumps(results))
        finding = {"case": "concat.replace.repeats", "title": "WARNING: at the_hole", "lines": []}
        self.file("bad/gate.json", json.dumps({"kernel": "7.3.4", "findings": [finding], "death": "after concat.replace.repeats"}))
        text, report = self.report(run, "--withhold", self.path("withheld"))
        self.assertEqual(report["runs"][0]["stopped"], ["in or after one of: timer.expires, C-205 (refused)"])
        self.assert_untold(text)
        self.assertNotIn("the_hole", json.dumps(report))

    def test_file_that_is_none(self):
        run = self.record("good")
        for content, said in (("replace.once\n", "line 1: 'replace.once' is not the id of a requirement"), ("\n# x\n", "names no requirement"),
                              ("C-777\n", "no requirement has the id C-777")):
            self.assert_refused(self.invoke("report", run, "--withhold", self.file("withheld", content)), said)
        self.assert_refused(self.invoke("report", run, "--withhold", self.path("nowhere")), "No such file")


class Rendering(Report):
    def test_page_is_well_formed(self):
        good, bad = self.record("good"), self.record("bad", CASES, events=[SEEN])
        text, report = self.report(good, f"vendor <x>={bad}", "--since", good, "--since", good)
        page = Page(text)
        self.assertEqual((page.stack, page.broken), ([], []))
        self.assertEqual(len(page.ids), len(set(page.ids)))
        self.assertEqual(page.tags.count("script"), 2)
        self.assertNotIn("img", page.tags)
        # Nothing is fetched, and nothing but the page's own script runs.
        self.assertTrue(all(link.startswith("#") for link in page.links), page.links)
        self.assertFalse({name for name in page.attributes if name.startswith("on") or name == "style"})
        self.assertIn("default-src 'none'", text)
        self.assertIn("vendor &lt;x&gt;", text)
        self.assertEqual(report["runs"][1]["label"], "vendor <x>")
        for row in report["requirements"]:
            self.assertIn(row["id"], page.ids)

    def test_data_is_the_report(self):
        text, report = self.report(self.record("bad", CASES, events=[SEEN]))
        data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1]
        self.assertEqual(json.loads(data), report)
        self.assertNotIn("<", data)

    def test_hostile_text_is_visible(self):
        _, report = self.report(self.record("bad", CASES))
        seen = report["results"][0]["concat.replace.repeats"]["seen"]
        self.assertIn("\\u202e", seen)
        self.assertTrue(all(char.isprintable() for char in seen), seen)

    def test_policy_covers_what_is_there(self):
        text, _ = self.report(self.record("good"))
        style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
        script = re.search(r"<script>(.*?)</script>", text, re.S)[1]
        for part in (style, script):
            self.assertIn("sha256-" + base64.b64encode(hashlib.sha256(part.encode()).digest()).decode(), text)

    def test_same_runs_same_page(self):
        run = self.record("bad", CASES)
        self.assertEqual(self.report(run), self.report(run))

    def test_no_secret(self):
        run = self.record("bad", {"timer.expires": {"behaviour": "fail", "requirement": "C-086", "seen": "x"}})
        path = os.path.join(run, "results.json")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace('"seen": "x"', f'"seen": "{SECRET}"'))
        text, report = self.report(run)
        for written in (text, json.dumps(report)):
            self.assertNotIn(SECRET.split(":")[2], written)

    def test_letters_and_colours(self):
        text, _ = self.report(self.record("bad", CASES))
        self.assertIn('<span class="b v-fail">F</span>', text)
        self.assertIn('<span class="t v-fail">F</span>', text)


class Arguments(Report):
    def test_no_run(self):
        self.assert_refused(self.invoke("report", self.path("nowhere")), "no such run")

    def test_since_of_another_target(self):
        good = self.record("good")
        self.assert_refused(self.invoke("report", good, f"b={good}", f"c={good}", "--since", f"other={good}", "--since", good),
                            "none of the runs is of the same target")

    def test_two_of_one_name(self):
        good = self.record("good")
        _, report = self.report(good, good)
        self.assertTrue(all("reference target, 20" in run["label"] for run in report["runs"]))

    def test_place_that_is_none(self):
        self.assert_refused(self.invoke("report", self.record("good"), "--output", self.path("no", "page.html")), "--output")

    def test_half_a_run(self):
        run = self.record("bad", CASES)
        with open(os.path.join(run, "events.jsonl"), "ab") as file:
            file.write(b'{"event": "step", "case": "concat.rep\xff')
        self.report(run)
        os.remove(os.path.join(run, "events.jsonl"))
        _, report = self.report(run)
        self.assertNotIn("events", report["results"][0]["concat.replace.repeats"])


class InBrowser(Report):
    """The page as a person has it: in Chromium, from a file, without a network."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not browser.find():
            raise unittest.SkipTest("no chromium here (apt-get install chromium)")
        try:
            cls.page = cls.enterClassContext(browser.Browser(browser.find()))
        except (OSError, RuntimeError, TimeoutError) as error:
            raise unittest.SkipTest(f"chromium does not run here: {error}") from error

    def setUp(self):
        super().setUp()
        self.report(self.record("bad", CASES, events=[SEEN]))
        self.page.look(1600, 1000)
        self.page.requests.clear()
        self.page.open(self.path("page.html"))

    def rows(self):
        return self.page.value("[...document.querySelectorAll('tr.req')].filter((row) => row.offsetParent).map((row) => row.querySelector('th').id)")

    def dialog(self):
        return self.page.value("document.getElementById('detail').open ? document.getElementById('detail').innerText : ''")

    def test_no_network(self):
        self.assertEqual({url.split(":")[0] for url in self.page.requests} - {"file", "about"}, set())
        self.assertEqual(self.page.value("document.getElementById('shown').textContent"), "4 of 4 requirements")

    def test_search_and_filter(self):
        self.assertEqual(len(self.rows()), 4)
        # The case judges C-205, and its teardown C-001.
        self.page.type("#search", "replace.REPEATS")
        self.assertEqual(self.rows(), ["C-205", "C-001"])
        self.page.type("#search", " no such thing")
        self.assertEqual(self.rows(), [])
        self.page.open(self.path("page.html"))
        self.page.value("(() => { const has = document.getElementById('has'); has.value = 'fail';"
                        " has.dispatchEvent(new Event('input', {bubbles: true})); })()")
        self.assertEqual(self.rows(), ["C-205"])

    def test_a_cell_opens(self):
        self.assertEqual(self.dialog(), "")
        self.page.click("a[href='#C-205/1']")
        self.page.wait("document.getElementById('detail').open")
        for text in ("concat.replace.repeats", "The conversation", "CapsuleResp", "--seed 0x7", "<script>alert(1)"):
            self.assertIn(text, self.dialog())
        self.assertEqual(self.page.value("document.querySelectorAll('.lane.c2h.shows').length"), 1)
        self.assertEqual(self.page.value("document.querySelectorAll('dialog img, dialog script').length"), 0)
        self.page.click("dialog .top button")
        self.page.wait("!document.getElementById('detail').open")
        self.assertEqual(self.dialog(), "")

    def test_a_withheld_cell_tells_the_verdict_only(self):
        run = self.record("other", Withheld.CASES, events=[Withheld.SEEN])
        self.report(run, "--withhold", self.file("withheld", "C-205\n"))
        self.page.open(self.path("page.html"), "#C-205/1")
        self.page.wait("document.getElementById('detail').open")
        self.assertIn("Report to the implementer first", self.dialog())
        self.assertIn("Base 2.2 8.3.4.4.1", self.dialog())
        self.assertEqual(self.page.value("document.querySelectorAll('dialog .case, dialog .ladder').length"), 0)
        self.page.open(self.path("page.html"))
        for word in ("replace.repeats", "way in"):
            self.page.value("document.getElementById('search').value = ''")
            self.page.type("#search", word)
            self.assertEqual(self.rows(), [], word)

    def test_every_size_fits(self):
        for width, height, narrow in browser.WIDTHS.values():
            self.page.look(width, height, narrow)
            self.assertLessEqual(self.page.value("document.documentElement.scrollWidth"), width)

    def test_dark_is_dark(self):
        colours = []
        for dark in (False, True):
            self.page.look(1600, 1000, dark=dark)
            colour = self.page.value("getComputedStyle(document.body).backgroundColor")
            colours.append(sum(int(part) for part in re.findall(r"\d+", colour)[:3]))
        self.assertGreater(colours[0], 600)
        self.assertLess(colours[1], 200)


if __name__ == "__main__":
    unittest.main()
