# SPDX-License-Identifier: BSD-3-Clause
"""A guest seen from outside: its console, its control port, its process, its way out. No QEMU."""

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from harness.vm import baseline, control, gate, klog, kmemleak, linux_host, qemu, relay, slices, soak, windows  # noqa: E402
from harness.vm.errors import EXIT_CANNOT_JUDGE, EXIT_TOOL, EXIT_USAGE, GateError  # noqa: E402

OOPS = """\
[    9.1] nvmet: ctrl 1 fatal error occurred!
[    9.2] ------------[ cut here ]------------
[    9.2] WARNING: CPU: 0 PID: 7 at drivers/nvme/target/auth.c:1 nvmet_x+0x1/0x2
[    9.2] Call Trace:
[    9.2]  nvmet_y+0x1/0x2
[    9.2] ---[ end trace 0000000000000000 ]---
[    9.3] nvmet: quiet again
"""


def lines(text, start=0.0, step=0.01):
    return [klog.Line(start + step * number, each) for number, each in
            enumerate(text.splitlines())]


class FindingsTest(unittest.TestCase):
    def test_one_report_is_one_finding(self):
        found = klog.findings(lines(OOPS))
        self.assertEqual(len(found), 1)
        self.assertIn("auth.c:1", found[0].title)
        self.assertEqual(len(found[0].lines), 5)

    def test_each_kind(self):
        """One line of each kind of report, in the words of the kernel's sources."""
        for text in (
                "BUG: kernel NULL pointer dereference, address: 0000000000000010",
                "BUG: unable to handle page fault for address: ffff888012345678",
                "BUG: sleeping function called from invalid context at mm/slab.h:306",
                "BUG: scheduling while atomic: kworker/0:1/12/0x00000002",
                "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [kworker/0:1:12]",
                "kernel BUG at lib/string_helpers.c:1043!",
                "BUG kmalloc-64 (Tainted: G    B     ): Right Redzone overwritten",
                "BUG: KASAN: slab-use-after-free in nvmet_auth_reply+0x1f/0x30 [nvmet]",
                "BUG: KFENCE: out-of-bounds read in nvmet_auth_host_hash+0x1f/0x30",
                "WARNING: CPU: 0 PID: 7 at drivers/nvme/target/auth.c:1 nvmet_x+0x1/0x2",
                "WARNING: drivers/nvme/target/auth.c:1 at nvmet_x+0x1/0x2, CPU#0: kworker/0:1H/34",
                "Oops: general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] SMP NOPTI",
                "Oops: invalid opcode: 0000 [#1] SMP NOPTI", "divide error: 0000 [#1] PREEMPT SMP",
                "Kernel panic - not syncing: Fatal exception in interrupt",
                "UBSAN: array-index-out-of-bounds in drivers/nvme/target/fabrics-cmd-auth.c:42:7",
                "WARNING: possible circular locking dependency detected",
                "WARNING: possible recursive locking detected", "WARNING: inconsistent lock state",
                "WARNING: suspicious RCU usage", "INFO: trying to register non-static key.",
                "unreferenced object 0xffff888003b4e2c0 (size 64):",
                "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
                "INFO: task kworker/0:1:12 blocked for more than 120 seconds.",
                "rcu: INFO: rcu_preempt self-detected stall on CPU",
                "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
                "tlshd invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=0",
                "kworker/0:1H: page allocation failure: order:4, mode:0x40cc0(GFP_KERNEL|__GFP_COMP), nodemask=(null)"):
            self.assertEqual(len(klog.findings(lines("[    1.0] " + text))), 1, text)

    def test_what_stands_before_the_telling_line_is_quoted(self):
        found = klog.findings(lines("[    9.2] ------------[ cut here ]------------\n"
                                    "[    9.2] refcount_t: underflow; use-after-free.\n"
                                    "[    9.2] WARNING: lib/refcount.c:28 at refcount_warn_saturate+0x1/0x2, CPU#0: kworker/0:1/9\n"
                                    "[    9.2] ---[ end trace 0000000000000000 ]---\n"))
        self.assertEqual([(each.title.split()[2], len(each.lines)) for each in found], [("WARNING:", 4)])
        self.assertIn("refcount_t", found[0].lines[1])

    def test_ordinary_lines_and_our_own_are_no_findings(self):
        quiet = ("[    1.0] nvmet: ctrl 1 qid 0 failure1 (3)\n"
                 "[    1.0] traps: tlshd[97] general protection fault ip:7f0 sp:7ff error:0 in libc.so.6\n"
                 "[    1.0] rcu: Hierarchical RCU implementation.\n[    1.0] SLUB: HWalign=64, Order=0-3\n"
                 "NVME-CONFORM ERROR Oops, said init\n[    1.0] debug: bugs are fine\n")
        self.assertEqual(klog.findings(lines(quiet)), [])

    def test_a_later_report_is_another(self):
        text = "[    1.0] WARNING: one\n"
        self.assertEqual(len(klog.findings(lines(text) + lines(text, 60.0))), 2)

    def test_window(self):
        self.assertEqual([line.time for line in klog.between(lines("a\nb\nc", 1.0, 1.0), 2.0, 3.0)],
                         [2.0, 3.0])

    def test_splitter_waits_for_the_end_of_a_line(self):
        splitter = klog.Splitter()
        self.assertEqual(splitter.feed(b"one\r\ntw", 1.0), [klog.Line(1.0, "one")])
        self.assertEqual(splitter.feed(b"o\n\xff\n", 2.0),
                         [klog.Line(2.0, "two"), klog.Line(2.0, "�")])


class ControlTest(unittest.TestCase):
    def setUp(self):
        ours, self.guest = socket.socketpair()
        self.control = control.Control(ours)
        self.addCleanup(self.guest.close)
        self.addCleanup(self.control.close)

    def answer(self, make):
        def serve():
            number, seconds, script = self.guest.makefile("rb").readline().split()
            self.guest.sendall(make(number, base64.b64decode(script)))
        thread = threading.Thread(target=serve)
        thread.start()
        self.addCleanup(thread.join, 5)

    def test_script_and_output(self):
        self.answer(lambda number, script: b"0 0 c3RhbGU=\n" + number + b" 3 "
                    + base64.b64encode(script.upper()) + b"\n")
        done = self.control.run("echo é", "greet")
        self.assertEqual((done.name, done.status, done.output), ("greet", 3, "ECHO é"))

    def test_no_output(self):
        self.answer(lambda number, script: number + b" 0 \n")
        self.assertEqual(self.control.run("true").output, "")

    def test_timed_out_script(self):
        self.answer(lambda number, script: number + b" 143 \n")
        self.assertTrue(self.control.run("sleep 99").timed_out)

    def test_garbage(self):
        self.answer(lambda number, script: number + b" what\n")
        with self.assertRaisesRegex(GateError, "garbage"):
            self.control.run("true")

    def test_dead_guest(self):
        self.guest.close()
        with self.assertRaisesRegex(GateError, "died") as caught:
            self.control.run("true")
        self.assertEqual(caught.exception.exit_status, EXIT_CANNOT_JUDGE)

    def test_hanging_guest(self):
        with mock.patch("harness.vm.control.GRACE_SECONDS", 0.05), \
                self.assertRaisesRegex(GateError, "hangs"):
            self.control.run("true", seconds=0.05)


class MachineTest(unittest.TestCase):
    """A shell script stands in for QEMU."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.serial = os.path.join(self.directory, "serial.log")

    def machine(self, script, forwards=()):
        machine = qemu.Machine(qemu.Setup("vmlinux", "initrd", self.directory, forwards=forwards))
        self.addCleanup(machine.stop)
        patch = mock.patch("harness.vm.qemu.command_line", side_effect=lambda setup, ports, fd:
                           ["sh", "-c", script, "qemu", self.serial, *map(str, ports)])
        self.addCleanup(patch.stop)
        patch.start()
        return machine

    def test_ready_and_stopped(self):
        machine = self.machine('echo "NVME-CONFORM READY 7.3.4 taint 0" >>$1; sleep 60').start()
        self.assertEqual(machine.wait_ready(seconds=5), "7.3.4 taint 0")
        pid = machine.pid
        self.assertIsNone(machine.death())
        machine.stop()
        with self.assertRaises(ProcessLookupError):
            os.kill(pid, 0)
        machine.stop()

    def assert_cannot_judge(self, script, pattern, seconds=5, status=EXIT_CANNOT_JUDGE):
        machine = self.machine(script).start()
        with self.assertRaisesRegex(GateError, pattern) as caught:
            machine.wait_ready(seconds=seconds)
        self.assertEqual(caught.exception.exit_status, status)

    def test_panic(self):
        self.assert_cannot_judge('echo "[    1.0] Kernel panic - not syncing: VFS" >>$1; sleep 0.1',
                                 "died at boot: kernel panic: Kernel panic - not syncing: VFS")

    def test_init_gives_up(self):
        self.assert_cannot_judge('echo "NVME-CONFORM ERROR insmod tls" >>$1; exec sleep 60',
                                 "gave up: insmod tls")

    def test_tlshd_is_ours(self):
        self.assert_cannot_judge('echo "NVME-CONFORM ERROR tlshd died: no such library" >>$1; exec sleep 60',
                                 "gave up: tlshd died: no such library", status=EXIT_TOOL)

    def test_too_little_memory_is_said_to_be_it(self):
        self.assert_cannot_judge('echo "[    1.0] Kernel panic - not syncing: System is deadlocked on memory" >>$1; sleep 0.1',
                                 "it had 384 MiB; give it more with --memory")

    def test_hang(self):
        self.assert_cannot_judge('echo "[    1.0] thinking" >>$1; exec sleep 60',
                                 "not ready in 0 s .*thinking", 0.2)

    def test_qemu_refuses(self):
        with self.assertRaisesRegex(GateError, "QEMU cannot start: no such machine") as caught:
            self.machine('echo "no such machine" >&2; exit 1').start()
        self.assertEqual(caught.exception.exit_status, EXIT_TOOL)

    def test_taken_port_is_retried(self):
        mark = os.path.join(self.directory, "second")
        script = (f'echo "up $2" >>$1; [ -e {mark} ] && exec sleep 60; : >{mark}; : >$1\n'
                  'echo "Could not set up host forwarding rule" >&2; exit 1')
        machine = self.machine(script.replace('echo "up $2" >>$1; ', "", 1), (4420,)).start()
        self.assertTrue(machine.alive())
        self.assertEqual(list(machine.ports), [4420])


class CommandLineTest(unittest.TestCase):
    def test_guest_is_confined(self):
        setup = qemu.Setup("vmlinux", "initrd", "/run/x", forwards=(4420, 4422),
                           relays={4420: 5555})
        with mock.patch("harness.vm.fetch.need_program", return_value="/usr/bin/qemu"):
            argv = qemu.command_line(setup, [1111, 2222], 9)
        network = argv[argv.index("-netdev") + 1]
        self.assertIn("restrict=on", network)
        self.assertIn("hostfwd=tcp:127.0.0.1:1111-:4420,hostfwd=tcp:127.0.0.1:2222-:4422", network)
        self.assertRegex(network, r"guestfwd=tcp:10\.0\.2\.100:4420-cmd:.*relay\.py 5555$")
        self.assertIn("init_on_alloc=0", argv[argv.index("-append") + 1])

    def test_loopback_is_needed_and_told_from_a_guest_that_does_not_answer(self):
        qemu.need_loopback()
        with mock.patch.object(qemu.socket, "create_connection", side_effect=OSError(101, "Network is unreachable")), \
                self.assertRaisesRegex(GateError, "Network is unreachable.*ip link set lo up") as caught:
            qemu.need_loopback()
        self.assertEqual(caught.exception.exit_status, EXIT_TOOL)

    def test_free_ports_differ(self):
        self.assertEqual(len(set(qemu.free_ports(8))), 8)


class RelayTest(unittest.TestCase):
    def joined(self, silence_seconds=5):
        guest, inner = socket.socketpair()
        target, outer = socket.socketpair()
        thread = threading.Thread(target=lambda: (relay.join(inner, outer, silence_seconds),
                                                  inner.close(), outer.close()))
        thread.start()
        self.addCleanup(thread.join, 5)
        self.addCleanup(guest.close)
        self.addCleanup(target.close)
        for each in (guest, target):
            each.settimeout(5)
        return guest, target, thread

    def test_half_close_is_passed_on(self):
        guest, target, thread = self.joined()
        guest.sendall(b"question")
        guest.shutdown(socket.SHUT_WR)
        self.assertEqual(target.recv(100), b"question")
        self.assertEqual(target.recv(100), b"")
        target.sendall(b"answer")
        target.close()
        self.assertEqual(guest.recv(100), b"answer")
        self.assertEqual(guest.recv(100), b"")
        thread.join(5)
        self.assertFalse(thread.is_alive())

    def test_silent_target_does_not_keep_it(self):
        guest, _, thread = self.joined(0.05)
        guest.close()
        thread.join(5)
        self.assertFalse(thread.is_alive())

    def test_nobody_listens(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            done = subprocess.run([sys.executable, "-S", relay.__file__,
                                   str(qemu.free_ports(1)[0])], stdin=theirs, timeout=10,
                                  check=False)
        self.assertEqual(done.returncode, 1)


class SlicesTest(unittest.TestCase):
    """Two cases one after the other; the kernel's report on the first comes when it has ended."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.windows = windows.Windows("/none")
        self.windows.spans = [windows.Span("reply.late/1", 1.0, 2.0), windows.Span("reply.mute", 3.0, 4.0),
                              windows.Span("auth.pass", 5.0, 6.0)]
        said = [klog.Line(1.5, "[    1.5] nvmet: ctrl 1 qid 0 failure1 (3)"), *lines(OOPS, 2.2), klog.Line(5.5, "[    5.5] nvmet: fine")]
        self.report = gate.Report("7", "tcg", "", self.directory, findings=klog.findings(said), lines=said)

    def read(self, name):
        with open(os.path.join(self.directory, name), encoding="utf-8") as file:
            return file.read()

    def test_each_fail_has_what_the_kernel_said(self):
        kept = slices.write(self.directory, ["reply.late/1", "reply.mute"], self.report, self.windows)
        self.assertEqual(kept, {"reply.late/1": "kernel/reply.late_1.log"})
        text = self.read(kept["reply.late/1"])
        self.assertTrue(text.startswith("[    1.5] nvmet: ctrl 1 qid 0 failure1 (3)\n"))
        self.assertIn("WARNING: CPU: 0 PID: 7 at drivers/nvme/target/auth.c:1", text)
        self.assertNotIn("fine", text)

    def test_a_twin_speaks_of_its_own_cases(self):
        # On the second guest another case ran when the first one's kernel spoke, and the other way round.
        self.windows.spans.append(windows.Span("auth.twin", 1.0, 6.0, 1))
        self.report.lines.append(klog.Line(5.6, "[    5.6] nvmet: of the twin", 1))
        said = klog.Finding(5.6, "BUG: of the twin", ["BUG: of the twin"], 1)
        self.assertEqual((self.windows.case_at(said), self.windows.near(said)), ("auth.twin", ["auth.twin"]))
        self.assertEqual([self.windows.case_at(each) for each in self.report.findings], ["reply.late/1"])
        self.report.findings.append(said)
        kept = slices.write(self.directory, ["auth.twin", "auth.pass"], self.report, self.windows)
        self.assertEqual(self.read(kept["auth.pass"]), "[    5.5] nvmet: fine\n")
        self.assertEqual(self.read(kept["auth.twin"]), "[    5.6] nvmet: of the twin\n\nBUG: of the twin\n")
        self.assertEqual(slices.failed({}, self.report.findings, self.windows), ["reply.late/1", "auth.twin"])

    def test_windows_read_of_which_guest_a_case_is(self):
        path = os.path.join(self.directory, "events.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            for event in ({"event": "case-start", "case": "a"}, {"event": "case-start", "case": "b", "twin": 1},
                          {"event": "verdict", "case": "a"}, {"event": "case-start", "case": "c"},
                          {"event": "verdict", "case": "b", "twin": 1}):
                file.write(json.dumps(event) + "\n")
        read = windows.Windows(path)
        read.close()
        self.assertEqual([(span.case, span.twin, span.end is None) for span in read.spans],
                         [("a", 0, False), ("b", 1, False), ("c", 0, True)])

    def test_what_deserves_one(self):
        found = {"auth.pass": baseline.Found("auth.pass", "pass", "pass"), "reply.mute": baseline.Found("reply.mute", "pass", "fail")}
        self.assertEqual(slices.failed(found, self.report.findings, self.windows), ["reply.mute", "reply.late/1"])


class KmemleakTest(unittest.TestCase):
    """What a kernel with kmemleak lost: asked once, by place, at the time of the allocation, without its octets."""

    PLACES = """now 4294939000 60.00
now 4294939700 67.02
unreferenced object 0xffff888012345680 (size 32):
  comm "kworker/0:0H", pid 6, jiffies 4294937700
  backtrace (crc 6aaebf60):
    kmemleak_alloc+0x4a/0x90
    __kmalloc_cache_noprof+0x2c9/0x3b0
    nvmet_auth_insert_psk+0x3a8/0x7d0
    nvmet_execute_auth_send+0x11/0x22
unreferenced object 0xffff8880123456a0 (size 32):
  comm "kworker/0:0H", pid 6, jiffies 4294938700
  backtrace (crc 1dc77258):
    kmemleak_alloc+0x4a/0x90
    __kmalloc_cache_noprof+0x2c9/0x3b0
    nvmet_auth_insert_psk+0x3a8/0x7d0
    nvmet_execute_auth_send+0x11/0x22
unreferenced object 0xffff888012345780 (size 64):
  comm "tlshd", pid 60, jiffies 4294938900
  backtrace (crc 429abcf5):
"""

    def test_a_finding_a_place_at_the_time_of_its_first_object(self):
        found = kmemleak.findings(self.PLACES, 1000.0)
        self.assertEqual([each.title for each in found], [
            "kmemleak: 2 unreferenced objects of 32 bytes, from nvmet_auth_insert_psk",
            "kmemleak: an unreferenced object of 64 bytes, from tlshd"])
        self.assertEqual([each.time for each in found], [980.0, 992.0])
        self.assertIn("    nvmet_auth_insert_psk+0x3a8/0x7d0", found[0].lines)

    def test_a_kernel_that_does_not_tell_the_time(self):
        text = self.PLACES.replace("now 4294939", "now ")
        for odd in (text.replace("now 000", "now"), "\n".join(self.PLACES.splitlines()[2:])):
            self.assertEqual({each.time for each in kmemleak.findings(odd, 1000.0)}, {1000.0})
        self.assertEqual(kmemleak.findings("now 1 1.0\nnow 2 2.0\n", 1000.0), [])

    def guest(self, options, **said):
        return mock.Mock(kernel=mock.Mock(config=options), run=mock.Mock(**said))

    def test_who_is_asked(self):
        done = control.StepResult("kmemleak", 0, self.PLACES, 7.0)
        for options, number in (({"DEBUG_KMEMLEAK": "y"}, 2), ({}, 2), ({"TLS": "y"}, 0)):
            found, scanned = kmemleak.scan(self.guest(options, return_value=done))
            self.assertEqual((len(found), scanned), (number, bool(number)))
        late = control.StepResult("kmemleak", 124, "", 120.0)
        self.assertIn("did not end", kmemleak.scan(self.guest({}, return_value=late))[0][0].title)
        self.assertEqual(kmemleak.scan(self.guest({}, side_effect=GateError("dead"))), ([], True))

    def test_the_scan_s_own_words_do_not_count_twice(self):
        said = [klog.Finding(1.0, "BUG: x"), klog.Finding(9.0, "kmemleak: 3 new suspected memory leaks (see ...)")]
        leak = klog.Finding(5.0, "kmemleak: an unreferenced object")
        self.assertEqual([each.time for each in kmemleak.joined(said, [leak], True)], [1.0, 5.0])
        self.assertEqual([each.time for each in kmemleak.joined(said, [], False)], [1.0, 9.0])

    def test_no_octets_leave_the_guest(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "kmemleak")
            with open(path, "w", encoding="ascii") as file:
                file.write('unreferenced object 0x1 (size 32):\n  comm "x", pid 6, jiffies 4\n  hex dump (first 32 bytes):\n'
                           "    2b 67 46 25 3c 99 e0 e6 01 e9 e7 04 9c 8b 15 7a  +gF%\n  backtrace (crc 1):\n    f+0x1/0x2\n")
            script = kmemleak.REPORT.replace("/sys/kernel/debug/kmemleak", path)
            done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, timeout=10)
        self.assertEqual(done.stdout, 'unreferenced object 0x1 (size 32):\n  comm "x", pid 6, jiffies 4\n  backtrace (crc 1):\n    f+0x1/0x2\n')
        self.assertIn(kmemleak.REPORT, soak._MEASURE)


class HungTaskTest(unittest.TestCase):
    def conf(self, **options):
        return gate.GuestBase(mock.Mock(kernel=mock.Mock(config=options), request=gate.Request(directory="/x"))).conf()

    def test_sooner_than_a_run_ends_and_later_with_debugging(self):
        self.assertEqual(self.conf()["hung_task_seconds"], "20")
        for name in ("KASAN", "PROVE_LOCKING"):
            self.assertEqual(self.conf(**{name: "y"})["hung_task_seconds"], "60")


class ReportTest(unittest.TestCase):
    def test_kernel_silent(self):
        report = gate.Report("7", "tcg", "", "/x", taint_before=0, taint_after=0)
        self.assertTrue(report.kernel_silent)
        for change in ({"taint_after": 512}, {"taint_after": None}, {"death": "panic"},
                       {"findings": [klog.Finding(1.0, "WARNING:")]}):
            with self.subTest(change):
                self.assertFalse(gate.Report(**{**vars(report), **change}).kernel_silent)

    def joined(self, *guests):
        """joined returns the report on guests, each (taint at boot, taint, tlshd_alive, death)."""
        report, ends = gate.Report("7", "tcg", "", "/x"), []
        for twin, (before, after, tlshd, death) in enumerate(guests):
            log = mock.Mock()
            log.lines.return_value = [klog.Line(1.0, f"line of {twin}")]
            log.findings.return_value = [klog.Finding(1.0, f"BUG: of {twin}")] if death else []
            guest = mock.Mock(twin=twin, log=log, taint_at_boot=before, timings={"boot": 1.0 + twin})
            ends.append(gate._End(guest, after, tlshd, death, 9.0))
        gate._joined(report, ends)
        return report

    def test_one_of_two_guests_counts_for_both(self):
        good = (0, 0, True, None)
        silent = self.joined(good, good)
        self.assertTrue(silent.kernel_silent and silent.tlshd_alive)
        self.assertEqual([(line.twin, line.text) for line in silent.lines], [(0, "line of 0"), (1, "line of 1")])
        self.assertEqual(silent.timings["boot"], 2.0)
        for bad in ((0, 512, True, None), (0, None, True, None), (512, 512, True, None), (0, 0, True, "panic")):
            with self.subTest(bad):
                self.assertFalse(self.joined(good, bad).kernel_silent)
                self.assertFalse(self.joined(bad, good).kernel_silent)
        self.assertFalse(self.joined((512, 512, True, None), (0, 512, True, None)).kernel_silent)
        self.assertIs(self.joined(good, (0, 0, False, None)).tlshd_alive, False)
        dead = self.joined(good, (0, None, None, "panic"))
        self.assertEqual((dead.death, dead.tlshd_alive, dead.findings[0].twin), ("panic", None, 1))

    def test_how_many_guests(self):
        kernel = mock.Mock(uml=False, config={})
        prepared = mock.Mock(kernel=kernel, request=gate.Request(guests=None))
        for cores, free, number in ((2, 4096, 2), (1, 4096, 1), (2, 1024, 1)):
            with mock.patch.object(gate.os, "sched_getaffinity", lambda _, cores=cores: set(range(cores))), \
                    mock.patch.object(gate, "free_mib", lambda free=free: free):
                self.assertEqual(gate.num_guests(prepared), number)
                kernel.config = {"KASAN": "y"}
                self.assertEqual(gate.num_guests(prepared), number)
                kernel.config = {}
        prepared.request.guests = 1
        self.assertEqual(gate.num_guests(prepared), 1)
        kernel.uml, prepared.request.guests = True, None
        self.assertEqual(gate.num_guests(prepared), 1)
        prepared.request.guests = 2
        with self.assertRaises(GateError) as caught:
            gate.num_guests(prepared)
        self.assertEqual(caught.exception.exit_status, EXIT_USAGE)

    def test_host_report_needs_steps(self):
        empty = linux_host.HostReport("7", "tcg", "/x", taint_before=0, taint_after=0)
        self.assertFalse(empty.ok)
        good = linux_host.StepOutcome("a", 0, True, "", 0.1)
        empty.steps.append(good)
        self.assertTrue(empty.ok)
        empty.steps.append(linux_host.StepOutcome("b", 1, False, "", 0.1))
        self.assertFalse(empty.ok)

    def test_steps_are_shell(self):
        peer = linux_host.Peer("nqn.sub", "nqn.host", "id")
        for step in (linux_host.connect(peer, secret="DHHC-1:00:x:", concat=True),
                     linux_host.connect(peer, expect_failure=True),
                     linux_host.replace_psk(peer, "DHHC-1:00:x:", 1), linux_host.read_blocks(),
                     linux_host.disconnect(peer)):
            done = subprocess.run(["sh", "-n"], input=step.script, text=True, timeout=5,
                                  capture_output=True, check=False)
            self.assertEqual(done.stderr, "", step.name)
        init = os.path.join(ROOT, "harness/vm/guest/init.sh")
        self.assertEqual(subprocess.run(["sh", "-n", init], timeout=5, check=False).returncode, 0)

    def test_no_answer_to_icreq(self):
        start = time.monotonic()
        self.assertFalse(gate.icreq(qemu.free_ports(1)[0], 0.2))
        self.assertLess(time.monotonic() - start, 2)


if __name__ == "__main__":
    unittest.main()
