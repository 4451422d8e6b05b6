# SPDX-License-Identifier: BSD-3-Clause
"""Baselines and the matrix: what is as expected, what is not, and what a file may not say."""

import contextlib
import io
import json
import os
import re
import tempfile
import time
import unittest

import support  # (puts the tree on sys.path)
from harness.vm import baseline, command, expectation, gate, klog, matrix, windows
from harness.vm.errors import EXIT_CANNOT_JUDGE, EXIT_OK, EXIT_UNEXPECTED, EXIT_USAGE, GateError


def load(text):
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write('format = "nvme-conform-baseline/1"\n' + text)
        file.flush()
        return baseline.Baseline(file.name)


def entry(cases, **members):
    lines = ["[[entry]]", f"cases = {cases!r}".replace("'", '"')]
    for name, value in members.items():
        value = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value).replace("'", '"')
        lines.append(f"{name} = {value}")
    return "\n".join(lines) + "\n"


def found(*results):
    return {result.id: result for result in results}


PASS = baseline.Found("a.ok", "pass", "pass")
FAIL = baseline.Found("a.bad/1", "fail", "none", "C-105", "RCODEEX 06h")


class Versions(unittest.TestCase):
    def test_ranges(self):
        for release, text, inside in (("7.3.4+deb13-amd64", ">=7.3", True), ("7.0.13", "<7.1", True),
                                      ("7.1.0", "<7.1", False), ("7.1", ">=7.1.0 <=7.1", True), ("6.18.15", "!=6.18.15", False),
                                      ("6.9", "<6.10", True), ("7.4.0-rc1", ">7.3.4", True), ("7.1", "", True)):
            self.assertEqual(baseline.in_range(release, text), inside, (release, text))

    def test_what_is_no_range(self):
        for text in ("7.1", "=7.1", "<seven", ">=7.1,<7.2"):
            with self.assertRaises(GateError, msg=text):
                baseline.in_range("7.1", text)


class Comparing(unittest.TestCase):
    def kinds(self, text, *results, **options):
        comparison = load(text).compare(found(*results), "7.3.4+deb13-amd64", **options)
        return [difference.kind for difference in comparison.differences]

    def test_clean_needs_no_entry(self):
        self.assertEqual(self.kinds("", PASS, baseline.Found("observer.C-1", "note")), [])

    def test_what_is_not_clean_needs_one(self):
        for behaviour, teardown in (("fail", "none"), ("warn", "none"), ("skip", "none"), ("error", "none"),
                                    ("inconclusive", "none"), ("pass", "fail"), ("pass", "inconclusive")):
            self.assertEqual(self.kinds("", baseline.Found("a.b", behaviour, teardown)), ["unlisted"], behaviour + teardown)

    def test_as_listed(self):
        text = entry(["a.bad"], behaviour="fail", requirement="C-105", seen="06h", reason="because")
        self.assertEqual(self.kinds(text, FAIL), [])

    def test_another_cause_is_no_expected_fail(self):
        for members in ({"seen": "04h"}, {"requirement": "C-10"}, {"behaviour": "warn"}):
            text = entry(["a.bad/*"], **{"behaviour": "fail", "reason": "because", **members})
            self.assertEqual(self.kinds(text, FAIL), ["other"], members)

    def test_teardown_is_judged_apart(self):
        text = entry(["a.bad"], behaviour="fail", reason="because")
        torn = baseline.Found("a.bad/1", "fail", "fail", "C-105", "", "C-105", "still open")
        self.assertEqual(self.kinds(text, torn), ["other"])
        self.assertEqual(self.kinds(text + 'teardown = "any"\n', torn), [])
        self.assertEqual(self.kinds(text + 'teardown = "fail"\nteardown_seen = "FIN"\n', torn), ["other"])

    def test_unexpected_pass(self):
        text = entry(["a.ok"], behaviour="fail", reason="because")
        self.assertEqual(self.kinds(text, PASS), ["other"])
        self.assertEqual(self.kinds(text, PASS, lenient=True), [])

    def test_unexplained_counts(self):
        text = entry(["a.bad"], behaviour="fail", reason=baseline.UNEXPLAINED)
        self.assertEqual(self.kinds(text, FAIL), ["unexplained"])

    def test_flaky_asks_an_inconclusive_result_for_the_cause(self):
        one = load(entry(["a.bad"], behaviour="fail", flaky=True, seen="in mid handshake", reason="because")).entries[0]
        for seen, right in (("the server ended in mid handshake", True), ("nobody answers", False)):
            self.assertEqual(one.wrong(baseline.Found("a.bad", "inconclusive", seen=seen)) == "", right, seen)

    def test_what_is_no_file(self):
        with self.assertRaisesRegex(GateError, "no ordinary file"):
            baseline.Baseline(os.devnull)

    def test_flaky_takes_both(self):
        text = entry(["a.bad", "a.ok"], behaviour="fail", flaky=True, reason="because")
        self.assertEqual(self.kinds(text, FAIL, PASS), [])

    def test_observation_that_did_not_come(self):
        text = entry(["observer.C-093"], behaviour="fail", reason="because")
        self.assertEqual(self.kinds(text, PASS), ["missing"])
        self.assertEqual(self.kinds(text, PASS, whole=False), [])
        self.assertEqual(self.kinds(entry(["observer.C-093"], kernels="<7", behaviour="fail", reason="x"), PASS), [])

    def test_another_kernel_s_entry_says_nothing(self):
        self.assertEqual(self.kinds(entry(["a.bad"], kernels="<7.1", behaviour="fail", reason="x"), FAIL), ["unlisted"])

    def test_lost_answers_are_counted_and_bounded(self):
        lost = [baseline.Found(f"a.{number}", "inconclusive", answers_lost=5) for number in range(4)]
        many = [baseline.Found(f"b.{number}", "pass") for number in range(400)]
        self.assertEqual(self.kinds("", *lost, *many), [])
        self.assertEqual(self.kinds("", *lost), ["other"] * 4)

    def test_exact_before_plain_before_glob(self):
        text = entry(["a.*"], behaviour="warn", reason="x") + entry(["a.bad"], behaviour="pass", reason="x") \
            + entry(["a.bad/1"], behaviour="fail", reason="x")
        self.assertEqual(load(text).entry_for("a.bad/1", "7.1").number, 3)
        self.assertEqual(load(text).entry_for("a.bad/2", "7.1").number, 2)
        self.assertEqual(load(text).entry_for("a.c", "7.1").number, 1)

    def test_two_entries_of_one_rank(self):
        text = entry(["a.*"], reason="x") + entry(["a.b*"], reason="x")
        with self.assertRaises(GateError):
            load(text).entry_for("a.bad", "7.1")

    def test_contradictions_are_told_before_a_boot(self):
        for ranges, there in ((("", ""), True), (("<7.1", ">=7.1"), False), ((">=6.18 <7.1", ">=7.0.13"), True), (("==7.1", ">=7.1.1"), False)):
            one = load("".join(entry(["a.bad"], kernels=each, behaviour="fail", reason="x") for each in ranges))
            with self.assertRaises(GateError) if there else contextlib.nullcontext():
                one.check_contradictions({"a.bad/1"})
        load(entry(["a.*"], reason="x") + entry(["a.bad"], reason="x")).check_contradictions({"a.bad"})

    def test_stale(self):
        one = load(entry(["a.gone"], behaviour="fail", reason="x"))
        with self.assertRaises(GateError) as caught:
            one.check_stale({"a.bad/1"})
        self.assertEqual(caught.exception.exit_status, EXIT_USAGE)
        load(entry(["a.bad", "a.*"], behaviour="fail", reason="x")).check_stale({"a.bad/1"})

    def test_splats(self):
        one = load('[[splat]]\ncases = ["a.bad"]\nkernels = "<7.1"\nseen = "invalid opcode"\nreason = "x"\n')
        self.assertTrue(one.splat_listed(["a.ok", "a.bad/1"], ["Oops: invalid opcode"], "7.0.13"))
        self.assertFalse(one.splat_listed(["a.ok", "a.bad/1"], ["Oops: invalid opcode"], "7.1.3"))
        self.assertFalse(one.splat_listed(["a.ok"], ["Oops: invalid opcode"], "7.0.13"))
        self.assertFalse(one.splat_listed([None], ["Oops: invalid opcode"], "7.0.13"))
        self.assertEqual(one.dangerous("7.0.13"), ["a.bad"])
        self.assertEqual(one.dangerous("7.1.3"), [])

    def test_splat_of_the_boot(self):
        one = load('[[splat]]\ncases = ["boot"]\nseen = "vector_poll"\nreason = "x"\n')
        one.check_stale({"a.bad"})
        self.assertEqual(one.dangerous("7.3.4"), [])
        began = windows.Windows("/none")
        boot = klog.Finding(1.0, "WARNING: x")
        self.assertEqual((began.near(boot), began.case_at(boot)), ([], None))
        began.begin()
        began.spans = [windows.Span("a.bad", time.monotonic())]
        self.assertEqual((began.near(boot), began.case_at(boot)), ([baseline.BOOT], baseline.BOOT))
        self.assertTrue(one.splat_listed(began.near(boot), ["at: vector_poll+0xa0"], "7.3.4"))
        self.assertEqual(began.near(klog.Line(time.monotonic(), "x")), ["a.bad"])


class BadFiles(unittest.TestCase):
    def test_each_is_one_line_and_a_usage_error(self):
        for text in ("[[entry]]\n", "[[entry]]\ncases = 3\n", entry(["a"], behaviour="fails"), entry(["a"], colour="red"),
                     entry(["a"], seen="("), entry(["a"], kernels="7"), entry(["a"], flaky=True), "[[entry]\n",
                     '[[splat]]\ncases = ["a"]\n', "entry = 3\n", "entry = [1]\n", '[entry]\ncases = ["a"]\n', "splat = {}\n",
                     "[[entri]]\n", 'colour = "red"\n', entry(["a"], flaky="no", reason="x"), entry(["a"], behaviour=[3]),
                     entry(["a"], teardown=3), entry(["a"], kernels=7), '[[splat]]\ncases = ["a"]\nseen = 3\nreason = "x"\n',
                     '[[splat]]\ncases = "a"\nseen = "x"\nreason = "x"\n', '[[splat]]\ncases = ["a"]\nseen = "x"\nreason = "x"\nkernels = "7"\n',
                     '[[splat]]\ncases = ["a"]\nseen = "x"\nreason = "x"\nlink = 3\n'):
            with self.assertRaises(GateError, msg=text) as caught:
                load(text)
            self.assertEqual(caught.exception.exit_status, EXIT_USAGE)
            self.assertNotIn("\n", caught.exception.message)
            self.assertRegex(caught.exception.message, r"\.toml(, (entry|splat) 1)?: ", text)

    def test_a_range_that_no_version_is_in(self):
        for text in (">=7.2 <7.1", "==7.1 !=7.1", "<7.1 >7.1", ">7.1.3 <=7.1.3"):
            with self.assertRaisesRegex(GateError, "entry 1: no version is in"):
                load(entry(["a"], kernels=text))
        for text in ("==6.99", ">=7.1 <=7.1", ">=6.18 <7.1 !=6.18.15", "<7", ">7.1.3", "!=7.1"):
            load(entry(["a"], kernels=text))

    def test_another_format(self):
        with tempfile.NamedTemporaryFile("w") as file, self.assertRaises(GateError):
            file.write('format = "other"\n')
            file.flush()
            baseline.Baseline(file.name)

    def test_no_file(self):
        with self.assertRaises(GateError):
            baseline.Baseline("/does/not/exist")


class Updating(unittest.TestCase):
    def test_what_is_added_is_listed_and_unexplained(self):
        hostile = baseline.Found("a.bad/1", "fail", "none", "C-105", 'quote " back \\ bell \a')
        results = found(hostile, baseline.Found("a.torn", "pass", "fail", "", "", "C-2", "open"), PASS)
        empty = load("")
        text = baseline.new_entries(empty.compare(results, "7.3.4+deb13"), results, "7.3.4+deb13")
        again = load(text).compare(results, "7.3.4")
        self.assertEqual([each.kind for each in again.differences], ["unexplained", "unexplained"])
        self.assertEqual([each.kind for each in load(text).compare(results, "7.3.5").differences], ["unlisted"] * 2)

    def test_nothing_to_add(self):
        self.assertEqual(baseline.new_entries(load("").compare(found(PASS), "7.1"), found(PASS), "7.1"), "")


class Shipped(unittest.TestCase):
    def test_fits_this_engine_and_explains_everything(self):
        shipped = expectation.Expectation(expectation.DEFAULT).baseline
        self.assertEqual([each.name for each in shipped.entries if not each.explained], [])

    def test_says_where_to_read_on_and_what_ended_it(self):
        shipped = baseline.Baseline(expectation.DEFAULT)
        self.assertEqual([each.name for each in shipped.entries if not each.link], [])
        self.assertEqual([each.name for each in shipped.entries if "<" in each.kernels and not each.fix], [])
        self.assertEqual([each.cases for each in shipped.splats if not each.link or "<" in each.kernels and not each.fix], [])
        for link in {each.link for each in (*shipped.entries, *shipped.splats)}:
            path, _, anchor = link.partition("#")
            if re.fullmatch("https://git.kernel.org/linus/[0-9a-f]{12}", link):
                continue
            with open(os.path.join(support.ROOT, path), encoding="utf-8") as file:
                headings = re.findall("^#+ (.*)$", file.read(), re.M)
            # As GitHub and GitLab make an anchor of a heading.
            anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            self.assertTrue(not anchor or anchor in anchors, link)

    def test_names_the_cause_of_what_is_not_clean(self):
        for each in baseline.Baseline(expectation.DEFAULT).entries:
            if {"fail", "warn"} & set(each.behaviour):
                self.assertTrue(each.requirement or each.seen, each.name)

    def test_speaks_of_kernels_that_were_judged(self):
        with open(os.path.join(support.ROOT, "reports", "kernels", "matrix.json"), encoding="utf-8") as file:
            judged = [each["release"] for each in json.load(file)["kernels"]]
        shipped = baseline.Baseline(expectation.DEFAULT)
        for each in (*shipped.entries, *shipped.splats):
            self.assertTrue(any(baseline.in_range(release, each.kernels) for release in judged), (each.cases, each.kernels))

    def test_speaks_with_one_voice(self):
        shipped = baseline.Baseline(expectation.DEFAULT)
        for release in ("6.16.12", "6.18.15", "7.0.13", "7.1.3", "7.1.13", "7.2.12", "7.3.4"):
            for ident in expectation.known_ids():
                shipped.entry_for(ident, release)


class Statuses(unittest.TestCase):
    def judged(self, *results, text=""):
        results = found(*results)
        return expectation.Judgement(load(text).compare(results, "7.1"), results, True).exit_status()

    def test_of_a_judgement(self):
        self.assertEqual(self.judged(PASS), EXIT_OK)
        self.assertEqual(self.judged(PASS, FAIL), EXIT_UNEXPECTED)
        self.assertEqual(self.judged(baseline.Found("a", "inconclusive")), EXIT_CANNOT_JUDGE)

    def test_bisect_never_blames_a_commit_for_the_harness(self):
        expected = {0: 0, 1: 1, 125: 125, 2: 130, 3: 131, 130: 130}
        self.assertEqual({status: command.bisect_status(status) for status in expected}, expected)


class Bisecting(unittest.TestCase):
    def status(self, behaviour, teardown="none", observed=(), **report):
        results = {"cases": [{"id": "a", "behaviour": behaviour, "teardown": teardown}],
                   "observations": [{"id": "observer.C-1", "verdict": verdict, "requirement": "C-1", "first": {}}
                                    for verdict in observed]}
        facts = gate.Report("7.1", "tcg", "", "", **{"result": 1, "taint_before": 0, "taint_after": 0, "started": 5.0, **report})
        with tempfile.TemporaryDirectory() as directory:
            with open(os.path.join(directory, "results.json"), "w", encoding="utf-8") as file:
                json.dump(results, file)
            return command.bisect_verdict(facts, directory)

    def test_the_case_decides(self):
        for behaviour, teardown, status in (("pass", "pass", 0), ("warn", "none", 0), ("fail", "none", 1), ("pass", "fail", 1),
                                            ("inconclusive", "none", 125), ("skip", "none", 125), ("pass", "inconclusive", 125)):
            self.assertEqual(self.status(behaviour, teardown), status, (behaviour, teardown))

    def test_another_requirement_seen_violated_does_not(self):
        self.assertEqual(self.status("pass", observed=("fail", "warn")), 0)

    def test_the_kernel_s_voice_during_the_case_does(self):
        during, at_boot = klog.Finding(6.0, "BUG: x"), klog.Finding(2.0, "WARNING: x")
        self.assertEqual(self.status("pass", findings=[during]), 1)
        self.assertEqual(self.status("pass", findings=[at_boot]), 0)
        self.assertEqual(self.status("inconclusive", death="panic", taint_after=None), 1)
        self.assertEqual(self.status("pass", taint_after=None), 125)

    def test_the_tester_s_own_fault_is_no_verdict(self):
        self.assertEqual(self.status("fail", result=3), 3)
        self.assertEqual(self.status("fail", tlshd_alive=False), 3)


class Matrix(unittest.TestCase):
    def columns(self):
        one = {"a.x": {"verdict": "pass/pass"}, "a.y": {"verdict": "fail/fail"}, "b.z": {"verdict": "skip"}}
        two = {"a.x": {"verdict": "pass/fail"}, "a.y": {"verdict": "fail"}, "b.z": {"verdict": "inconclusive"}}
        return [{"kernel": "1", "status": 0, "verdicts": one}, {"kernel": "2", "status": 1, "verdicts": two}]

    def written(self, **changes):
        """A column as matrix.column makes it of a gate that left nothing."""
        with tempfile.TemporaryDirectory() as directory:
            return {**matrix.column("7.1.3", directory, 1), **changes}

    def test_areas(self):
        self.assertEqual(matrix.area_rows(self.columns()), [
            ["area", "1", "2"], ["a", "1 1F", "0 1F 1t"], ["b", "0 1s", "0 1i"], ["all", "1 1F 1s", "0 1F 1i 1t"],
            ["as expected", "yes", "NO"]])

    def test_cases_that_differ(self):
        self.assertEqual([row[0] for row in matrix.case_rows(self.columns())], ["case", "a.x", "b.z"])
        self.assertEqual(matrix.case_rows(self.columns())[1], ["a.x", "pass", "pass, teardown FAIL"])

    def test_rejudging(self):
        results = {"cases": [{"id": "a.bad/1", "behaviour": "fail", "teardown": "none", "requirement": "C-105"}],
                   "observations": []}
        facts = {"kernel": "7.1.3+deb13", "findings": [{"case": "a.bad/1", "lines": ["BUG: y"]}], "taint_before": 0,
                 "taint_after": 640, "death": None, "suite_status": 1}
        expected = object.__new__(expectation.Expectation)
        text = entry(["a.bad"], behaviour="fail", reason="x")
        with tempfile.TemporaryDirectory() as directory:
            os.makedirs(os.path.join(directory, "7.1.3", "suite"))
            matrix.write(directory, [self.written()], "x")
            for name, data in (("gate.json", facts), ("suite/results.json", results)):
                with open(os.path.join(directory, "7.1.3", name), "w", encoding="utf-8") as file:
                    json.dump(data, file)
            with contextlib.redirect_stdout(io.StringIO()):
                for more, status in (("", 1), ('[[splat]]\ncases = ["a.bad"]\nseen = "BUG: y"\nreason = "x"\n', 0)):
                    expected.baseline = load(text + more)
                    self.assertEqual(matrix.rejudge(directory, expected, False)[0]["status"], status)
            with self.assertRaises(GateError):
                matrix.rejudge(os.path.join(directory, "7.1.3"), expected, False)
            for name in ("gate.json", "suite/results.json"):
                path = os.path.join(directory, "7.1.3", name)
                with open(path, encoding="utf-8") as file:
                    whole = file.read()
                with open(path, "w", encoding="utf-8") as file:
                    file.write('{"cases": 3}')
                with self.assertRaisesRegex(GateError, "7.1.3: results.json or gate.json is not a gate's"):
                    matrix.rejudge(directory, expected, False)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(whole)
            merged = os.path.join(directory, "merged")
            os.mkdir(merged)
            matrix.write(merged, matrix.merge([directory]), "x")
            with self.assertRaisesRegex(GateError, "the runs of 7.1.3 are not in it; .*rejudge its shares"):
                matrix.rejudge(merged, expected, False)

    def test_published_says_nothing_of_what_was_seen(self):
        column = {"kernel": "7.1", "release": "7.1", "status": 0, "accel": "tcg", "suite_seed": 1, "findings": [], "seconds": 1.0,
                  "kernel_files": [{"file": "x.deb", "sha256": "00", "verified": "apt"}],
                  "verdicts": {"a.recipe/1": {"verdict": "warn/pass", "requirement": "C-140", "seen": "THE RECIPE"},
                               "a.recipe/2": {"verdict": "fail/fail", "requirement": "C-140"}, "a.recipe/3": {"verdict": "pass/pass"},
                               "b.y": {"verdict": "fail", "requirement": "C-105", "seen": "THE RECIPE"}}}
        with tempfile.TemporaryDirectory() as directory:
            matrix.publish(directory, [column], "command")
            for name in ("README.md", "matrix.json"):
                with open(os.path.join(directory, name), encoding="utf-8") as file:
                    text = file.read()
                self.assertNotIn("recipe", text.lower())
                if name == "README.md":
                    self.assertIn("| for the implementer first | `C-140` | all | [SECURITY.md](../../SECURITY.md) |", text)
                    self.assertIn("| not explained | `b.y` | all |", text)
            with open(os.path.join(directory, "matrix.json"), encoding="utf-8") as file:
                self.assertEqual(json.load(file)["kernels"][0]["verdicts"], {"C-140": ["fail", "C-140"], "b.y": ["fail", "C-105"]})

    def test_shares_are_everything_once(self):
        wanted = list("abcdefg")
        shares = [matrix.share(wanted, f"{index}/3") for index in (1, 2, 3)]
        self.assertEqual(sorted(sum(shares, [])), wanted)
        for text in ("0/3", "4/3", "1", "a/b", "1/0"):
            with self.assertRaises(GateError, msg=text):
                matrix.share(wanted, text)

    def test_merging(self):
        columns = [self.written(kernel="7.1"), self.written(kernel="6.18")]
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            matrix.write(one, columns[:1], "x")
            matrix.write(two, columns[1:], "x")
            self.assertEqual([each["kernel"] for each in matrix.merge([one, two])], ["6.18", "7.1"])
            for directories in ([one, one], [one, "/nowhere"]):
                with self.assertRaises(GateError):
                    matrix.merge(directories)

    def test_what_is_no_matrix(self):
        whole = self.written()
        published = {name: whole[name] for name in ("kernel", "release", "status", "findings", "kernel_files")}
        with tempfile.TemporaryDirectory() as directory:
            for kernels in (None, 3, {}, [3], [{}], [{**whole, "verdicts": []}], [{**whole, "verdicts": {"a": "pass"}}],
                            [{**whole, "kernel": "../../x"}], [{**published, "verdicts": {"a": ["pass", ""]}}]):
                for text in (json.dumps({"format": matrix.FORMAT, "kernels": kernels}), json.dumps(kernels), "{", "\udcff"):
                    with open(os.path.join(directory, "matrix.json"), "w", encoding="utf-8", errors="surrogateescape") as file:
                        file.write(text)
                    for judge in (lambda: matrix.merge([directory]), lambda: matrix.rejudge(directory, None, False)):
                        with self.assertRaises(GateError, msg=text) as caught:
                            judge()
                        self.assertEqual(caught.exception.exit_status, EXIT_USAGE)
            shipped = os.path.join(support.ROOT, "reports", "kernels")
            with self.assertRaisesRegex(GateError, "--rejudge .*a published table has verdicts alone"):
                matrix.rejudge(shipped, None, False)

    def test_kernels(self):
        self.assertEqual(matrix.kernels("7.1, 7.2,7.1"), ["7.1", "7.2"])
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("7.1\n# no\n7.2 # yes\n")
            file.flush()
            self.assertEqual(matrix.kernels(file.name), ["7.1", "7.2"])
        with self.assertRaises(GateError):
            matrix.kernels(",")

    def test_a_gate_that_left_nothing(self):
        with tempfile.TemporaryDirectory() as directory:
            column = matrix.column("7.1", directory, 125, 1.0)
            self.assertEqual((column["status"], column["verdicts"]), (125, {}))
            matrix.write(directory, [column], "x")
            self.assertTrue(os.path.exists(os.path.join(directory, "matrix.md")))


if __name__ == "__main__":
    unittest.main()
