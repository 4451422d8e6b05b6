# SPDX-License-Identifier: BSD-3-Clause
"""The gate's command line: what is asked for, what is taken up again, what is refused. No QEMU."""

import concurrent.futures
import contextlib
import errno
import io
import json
import multiprocessing
import os
import types
import unittest
from unittest import mock

from support import RunnerTest

from harness.runner import reports
from harness.runner.errors import RunnerError
from harness.vm import command, fetch, gate, initramfs, matrix, options, soak
from harness.vm.errors import (EXIT_CANNOT_JUDGE, EXIT_OK, EXIT_TOOL, EXIT_UNEXPECTED, EXIT_USAGE,
                               GateError)

CASE = "replace.second/sha256"


class CommandTest(RunnerTest):
    def gate(self, *argv):
        """gate runs `nvme-conform gate` in this process and returns (exit status, standard error, standard output)."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out), mock.patch.object(command.signal, "signal"):
            status = command.main([*argv, "--output-dir", self.directory])
        return status, err.getvalue(), out.getvalue()

    def earlier(self, differences=(), **members):
        """earlier writes the gate.json of an earlier run and returns its directory."""
        facts = {"again": ["--kernel", "7.1.3", "--seed", "7", "--memory", "512"],
                 "baseline": {"differences": [{"id": ident} for ident in differences]}, **members}
        with open(os.path.join(self.directory, "gate.json"), "w", encoding="utf-8") as file:
            json.dump(facts, file)
        return self.directory


class DirectoryTest(CommandTest):
    """Where a gate writes: a directory of its own, and none when there is nothing to write."""

    def setUp(self):
        super().setUp()
        with open(self.path("Makefile"), "w", encoding="ascii"):
            pass
        patch = mock.patch.object(reports, "ROOT", self.directory)
        patch.start()
        self.addCleanup(patch.stop)

    def test_together(self):
        with concurrent.futures.ProcessPoolExecutor(4, multiprocessing.get_context("fork")) as pool:
            made = list(pool.map(_default_directory, range(12)))
        self.assertEqual(len(set(made)), 12)
        self.assertEqual({os.path.join(self.path("reports"), name) for name in os.listdir(self.path("reports"))}, set(made))

    def test_nowhere_to_write(self):
        with open(self.path("reports"), "w", encoding="ascii"):
            pass
        status, err, _ = self.without_directory("--kernel", "7.3.4")
        self.assertEqual((status, len(err.splitlines())), (EXIT_USAGE, 1), err)
        self.assertIn("--output-dir", err)

    def test_where_a_copy_goes_to_is_what_is_named(self):
        full = OSError(28, "No space left on device", "/elsewhere/x.deb", None, self.path("cache", "x.deb"))
        status, err, _ = self.without_directory("--kernel", "7.3.4", "--cache", self.path("cache"), side_effect=full)
        self.assertEqual((status, len(err.splitlines())), (EXIT_TOOL, 1), err)
        self.assertIn(f"{self.path('cache', 'x.deb')}: No space left on device", err)
        self.assertIn("--cache DIR", err)

    def without_directory(self, *argv, **raised):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out), mock.patch.object(command.signal, "signal"), \
                mock.patch.object(gate, "gate", mock.Mock(**raised)):
            status = command.main(list(argv))
        return status, err.getvalue(), out.getvalue()

    def test_no_room_or_no_rights(self):
        for name, option in ((self.path("cache", "built", "x"), "--cache"), (self.path("guest", "initrd"), "--output-dir")):
            error = OSError(errno.ENOSPC, "No space left on device", name)
            status, err, _ = self.without_directory("--kernel", "7.3.4", "--cache", self.path("cache"), side_effect=error)
            self.assertEqual(status, EXIT_TOOL)
            self.assertEqual(err, f"nvme-conform gate: {name}: No space left on device; make room or rights there, or name another place "
                             f"with {option} DIR\n")

    def test_refused(self):
        self.assertEqual(self.without_directory("--kernel", "7.3.4", side_effect=GateError("no QEMU"))[0], EXIT_TOOL)
        self.assertEqual(self.without_directory("--kernel", "7.3.4", "nosuch.case")[0], EXIT_USAGE)
        self.assertEqual(os.listdir(self.path("reports")), [])
        os.rmdir(self.path("reports"))
        self.assertEqual(self.without_directory("--print-config")[0], EXIT_OK)
        self.assertFalse(os.path.exists(self.path("reports")))

    def test_a_list_of_kernels_that_is_none(self):
        binary = self.path("binary")
        with open(binary, "wb") as file:
            file.write(b"\x7fELF\xff\xfe\0")
        for text in (self.path("typo", "file"), "../7.3.4", binary, "7.3.4,a/b", "7.3.4,..", "seven"):
            status, err, _ = self.without_directory("--kernels", text)
            self.assertEqual((status, len(err.splitlines())), (EXIT_USAGE, 1), (text, err))
        self.assertEqual(sorted(os.listdir(self.directory)), ["Makefile", "binary", "reports"])

    def test_fetching_is_for_every_kind_of_gate(self):
        fetched = []
        made = mock.Mock(release="7.3.4", uml=True)
        with mock.patch.object(gate, "_kernel", return_value=made), mock.patch.object(fetch, "need_program"), \
                mock.patch.object(initramfs, "programs", side_effect=lambda _, wanted: (fetched.append(wanted), [])):
            status, err, _ = self.without_directory("--kernel", "7.3.4", "--fetch", "--cache", self.path("cache"))
        self.assertEqual((status, err), (EXIT_OK, ""))
        self.assertEqual(fetched, [initramfs.TARGET_PROGRAMS, initramfs.HOST_PROGRAMS, initramfs.SUITE_PROGRAMS])


def _default_directory(_):
    return reports.default_directory()


class MistakeTest(CommandTest):
    def test_each_is_one_line(self):
        for argv, word in ((["--nosuch"], "--nosuch"), (["--accel", "fast"], "fast"), (["--kern", "7.3.4"], "--kern")):
            with self.subTest(argv):
                status, err, _ = self.gate(*argv)
                self.assertEqual((status, err.count("\n")), (2, 1), err)
                self.assertIn(word, err)
                self.assertIn("see nvme-conform gate --help", err)


class RerunTest(CommandTest):
    def test_kernel_and_options_are_those_of_the_run(self):
        words = options.parse(["--rerun", self.earlier(), "replace.second/sha256", "--keep"])
        self.assertEqual((words.kernel, words.seed, words.memory, words.cases, words.keep),
                         ("7.1.3", "7", 512, ["replace.second/sha256"], True))

    def test_what_is_said_now_goes_before(self):
        self.assertEqual(options.parse(["--rerun", self.earlier(), "--seed", "8", "a"]).seed, "8")

    def test_without_a_case_what_was_not_as_expected(self):
        earlier = self.earlier(["observer.C-086", "replace.once/sha256/ffdhe2048"])
        self.assertEqual(options.parse(["--rerun", earlier]).cases, ["replace.once/sha256/ffdhe2048"])

    def test_nothing_to_run(self):
        status, err, _ = self.gate("--rerun", self.earlier(["observer.C-086"]))
        self.assertEqual((status, len(err.splitlines())), (EXIT_USAGE, 1))
        self.assertIn("name one", err)

    def test_no_run_there(self):
        for contents in (None, "{", "[]", "{}", '{"again": 7}', '{"again": [7]}', '{"again": [], "chosen": 7}',
                         '{"again": [], "baseline": {"differences": [{}]}}', '{"again": [], "baseline": {"differences": [{"id": 7}]}}'):
            if contents is not None:
                with open(os.path.join(self.directory, "gate.json"), "w", encoding="utf-8") as file:
                    file.write(contents)
            status, err, _ = self.gate("--rerun", self.directory, "a")
            self.assertEqual((status, len(err.splitlines())), (EXIT_USAGE, 1), contents)
            self.assertIn("gate.json", err)

    def test_what_a_run_writes_is_taken_up(self):
        image = os.path.join(self.directory, "bzImage")
        with open(image, "wb"):
            pass
        words = options.parse(["--image", os.path.relpath(image), "--append=slub_debug=FZ", "--timeout", "9", "a"])
        again = options.parse(["--rerun", self.earlier(again=options.again_words(words)), "b"])
        self.assertEqual((again.image, again.append, again.timeout, again.cases), (image, "slub_debug=FZ", "9", ["b"]))


class BisectTest(CommandTest):
    """What is wrong with us or with the command never reads as a verdict about a commit."""

    def bisected(self, *argv, **raised):
        with mock.patch.object(gate, "gate", mock.Mock(**raised)):
            return self.gate("--bisect", "replace.second/sha256", "--no-baseline", *argv)[0]

    def test_wrong_argument(self):
        self.assertEqual(self.bisected("--kernel", "7.3.4", "--no-such-option"), 130)
        self.assertEqual(self.bisected("--rerun", self.path("nothing")), 130)

    def test_our_own_fault(self):
        for error in (GateError("no QEMU"), RuntimeError("a bug of ours"), RunnerError("no engine"), OSError("disk full")):
            self.assertGreaterEqual(self.bisected("--kernel", "7.3.4", side_effect=error), 128, error)

    def test_interrupted(self):
        self.assertGreaterEqual(self.bisected("--kernel", "7.3.4", side_effect=KeyboardInterrupt), 128)

    def test_kernel_that_cannot_be_judged(self):
        self.assertEqual(self.bisected("--kernel", "7.3.4", side_effect=GateError("panic", EXIT_CANNOT_JUDGE)), 125)

    def test_without_bisect_our_fault_is_3(self):
        with mock.patch.object(gate, "gate", mock.Mock(side_effect=RuntimeError("a bug of ours"))):
            status, err, _ = self.gate("--kernel", "7.3.4", "--no-baseline", CASE)
        self.assertEqual(status, EXIT_TOOL)
        self.assertIn("a bug of ours", err)


class GuestsTest(CommandTest):
    """How many guests a command line asks for."""

    def asked(self, *argv):
        with mock.patch.object(gate, "gate", mock.Mock(side_effect=GateError("enough"))) as called:
            status, err, _ = self.gate("--no-baseline", *argv)
        return called.call_args.args[0].guests if called.called else (status, err)

    def test_all_cases_may_have_two(self):
        self.assertIsNone(self.asked("--kernel", "7.3.4"))
        self.assertEqual(self.asked("--kernel", "7.3.4", "--guests", "1"), 1)

    def test_what_wants_one(self):
        for words in ([CASE], ["--keep"], ["--soak"], ["--bisect", CASE]):
            self.assertEqual(self.asked("--kernel", "7.3.4", *words), 1)
        self.assertEqual(self.asked("--uml", "/none"), 1)
        self.assertEqual(self.asked("--kernel", "7.3.4", CASE, "--guests", "2"), 2)

    def test_two_of_what_wants_one(self):
        status, err = self.asked("--kernel", "7.3.4", "--keep", "--guests", "2")
        self.assertEqual((status, "--keep needs one guest" in err), (EXIT_USAGE, True))


class OptionsTest(CommandTest):
    """What goes together, what does not, and what a matrix does with each option."""

    # Something that each option takes, other than its default.
    VALUES = {"accel": "tcg", "boot_timeout": "7", "guests": "2", "jobs": "2", "kernels": "7.1,7.2", "memory": "512",
              "print_config": "uml", "seed": "3", "soak": "100", "timeout": "9", "shard": "1/2"}

    def refused(self, *argv):
        """refused returns the one line that a command is refused with."""
        with mock.patch.object(gate, "gate", mock.Mock(side_effect=AssertionError("booted"))), \
                mock.patch.object(matrix, "_conduct", mock.Mock(side_effect=AssertionError("booted"))):
            status, err, _ = self.gate(*argv)
        self.assertEqual((status, len(err.splitlines())), (EXIT_USAGE, 1), (argv, err))
        return err

    def actions(self):
        return {action.dest: action for action in options.make_parser()._actions if action.dest != "help"}

    def words(self, name):
        """words returns the option called name with a value that is not its default."""
        action, value = self.actions()[name], self.VALUES.get(name, "x")
        if not action.option_strings:
            return [CASE]
        return [options.spelled(name)] if action.nargs == 0 else [f"{options.spelled(name)}={value}"]

    def test_a_matrix_knows_every_option(self):
        for name in self.actions():
            lists = [each for each in ("PASSED_ON", "OWN", "REFUSED") if name in getattr(matrix, each)]
            self.assertEqual(len(lists), 1, (name, lists))
        known = {*matrix.PASSED_ON, *matrix.OWN, *matrix.REFUSED}
        self.assertEqual(known - set(self.actions()), set())

    def test_a_matrix_passes_on(self):
        for name in matrix.PASSED_ON:
            words = options.make_parser().parse_args(["--kernels", "7.1", *self.words(name)])
            argv = matrix._argv(words, "program", "7.1", "/d", None)
            again = options.make_parser().parse_args(argv[argv.index("gate") + 1:])
            self.assertEqual(getattr(again, name), getattr(words, name), name)
            self.assertNotIn(getattr(again, name), (None, False, [], options.make_parser().get_default(name)), name)

    def test_a_matrix_refuses(self):
        for name in matrix.REFUSED:
            if name not in ("bisect", "print_config", "rerun"):    # another status, stops before, brings a kernel
                self.assertRegex(self.refused("--kernels", "7.3.4", *self.words(name)), "does not go with|needs", name)
        for name in ("soak", "console", "keep", "host"):
            self.assertIn(f"--kernels does not go with --{name}", self.refused("--kernels", "7.3.4", *self.words(name)))

    def test_what_would_be_dropped_in_silence(self):
        kernel = ("--kernel", "7.3.4")
        for argv in (("--soak", "--host"), ("--console", "--soak"), ("--host", CASE), ("--soak", CASE), ("--host", "--keep"),
                     ("--modules", "/x"), ("--config", "/x"), ("--defect", "x"), ("--export", "/x"),
                     ("--shard", "1/2"), ("-j", "2"), ("--publish", "/x"), ("--no-baseline", "--update-baseline"),
                     ("--no-baseline", "--lenient")):
            self.refused(*kernel, *argv)
        self.assertIn("--rejudge runs nothing", self.refused("--rejudge", "/x", "--soak"))
        self.assertIn("--merge runs nothing", self.refused("--merge", "/x", "--baseline=/y"))
        self.assertIn("does not go with", self.refused("--kernels", "7.1", "--rejudge", "/x"))
        self.assertEqual(self.gate(*kernel, "--bisect", CASE, "--soak")[0], 130)

    def test_out_of_range(self):
        for words in (("--memory", "0"), ("--memory", "-5"), ("--memory", "x"), ("--timeout", "0"), ("--timeout", "2.5"), ("--seed", "-1"),
                      ("--seed", "x"), ("--boot-timeout", "0"), ("--boot-timeout", "nan"), ("--soak", "3"), ("-j", "0")):
            self.assertIn(words[0], self.refused("--kernel", "7.3.4", *words))

    def test_a_glob_that_chooses_nothing(self):
        for argv in (("nosuch.*",), ("--bisect", "nosuch.case")):
            with mock.patch.object(gate, "gate", mock.Mock(side_effect=AssertionError("booted"))):
                status, err, _ = self.gate("--kernel", "7.3.4", *argv)
            self.assertEqual((status, len(err.splitlines())), (EXIT_USAGE if "nosuch.*" in argv else 130, 1), err)
            self.assertIn("no case matches 'nosuch", err)
        self.assertIn("no case matches", self.refused("--kernels", "7.3.4", "nosuch.*"))

    def test_a_share_of_nothing(self):
        where = self.path("share")
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(command.main(["--kernels", "7.3.4", "--shard", "2/2", "--output-dir", where]), EXIT_OK)
            self.assertTrue(os.path.exists(os.path.join(where, "junit.xml")))
            self.assertEqual(command.main(["--kernels", "7.3.4", "--shard", "2/2", "--fetch"]), EXIT_OK)
            self.assertEqual(command.main(["--merge", where, "--output-dir", self.path("all")]), EXIT_CANNOT_JUDGE)

    def test_the_worst_of_several_kernels(self):
        for statuses, expected in (((0, 0), 0), ((0, 125), 125), ((1, 125), 1), ((125, 1), 1), ((125, 3, 1), 3), ((1, 2), 2), ((0, None), 3),
                                   ((1, -9), 3), ((0, 130), 130), ((), 125)):
            self.assertEqual(matrix.worst(statuses, EXIT_CANNOT_JUDGE), expected, statuses)

    def test_a_defect_that_there_is_not(self):
        self.assertIn("unknown defect 'nosuch'", self.refused("--kernel", "7.3.4", "--host", "--defect", "nosuch"))


class SoakTest(CommandTest):
    def report(self, **members):
        return gate.Report("7.3.4", "tcg", "", self.directory, taint_before=0, taint_after=0,
                           timings={"prepare": 0, "boot": 0, "run": 0}, **members)

    def soaked(self, run, report=None, alive=True):
        """soaked runs --soak with run() in place of the rounds against a guest."""
        guest = types.SimpleNamespace(alive=lambda: alive)
        report = report or self.report()

        def boot(_, runner):
            report.result = runner(guest)
            return report

        with mock.patch.object(gate, "gate", boot), mock.patch.object(soak, "run", run), \
                mock.patch.object(command, "_introduce"):
            return self.gate("--kernel", "7.3.4", "--soak")

    @staticmethod
    def rounds(grown):
        def run(_, words, directory, windows, kinds):
            before, after = (soak.Figures({"kmalloc-32": (number, 32)}, {"MemFree": 1000}) for number in (0, grown))
            block = soak.Block(words.soak, before, after, 0)
            kinds.append(soak.Kind("replacements", [block, block]))
        return run

    def test_clean(self):
        status, _, out = self.soaked(self.rounds(0))
        self.assertEqual(status, EXIT_OK, out)
        with open(os.path.join(self.directory, "gate.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["soak"][0]["rounds"], [soak.ROUNDS] * 2)

    def test_leak(self):
        status, _, out = self.soaked(self.rounds(soak.ROUNDS))
        self.assertEqual(status, EXIT_UNEXPECTED)
        self.assertIn("NOT AS EXPECTED: replacements", out)

    def test_a_guest_that_dies_of_it(self):
        def run(*_):
            raise GateError("the guest died", EXIT_CANNOT_JUDGE)
        status, _, out = self.soaked(run, self.report(death="kernel panic: x"), alive=False)
        self.assertEqual(status, EXIT_UNEXPECTED)
        self.assertIn("kernel panic: x", out)

    def test_a_guest_that_hangs(self):
        def run(*_):
            raise GateError("the guest did not finish", EXIT_CANNOT_JUDGE)
        self.assertEqual(self.soaked(run)[0], EXIT_CANNOT_JUDGE)

    def test_tlshd_died(self):
        self.assertEqual(self.soaked(self.rounds(0), self.report(tlshd_alive=False))[0], EXIT_TOOL)


if __name__ == "__main__":
    unittest.main()
