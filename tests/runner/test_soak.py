# SPDX-License-Identifier: BSD-3-Clause
"""What a soak makes of the kernel's figures. No guest; docs/gate.md has what real kernels leave behind."""

import os
import sys
import tempfile
import types
import unittest
from collections import Counter
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)

from harness.vm import soak  # noqa: E402
from harness.vm.errors import EXIT_USAGE, GateError  # noqa: E402

PRINTED = """\
psks 11
keys 25
MemFree 278384
Slab 12776
SUnreclaim 11932
slab slabinfo - version: 2.1
slab # name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>
slab kmalloc-32        4000   4096     32  128    1 : tunables    0    0    0 : slabdata     32     32      0
slab tw_sock_TCP          7     15    272   15    1 : tunables    0    0    0 : slabdata      1      1      0
kmemleak 1
leak unreferenced object 0xffff888003b4e2c0 (size 32):
leak   comm "kworker/0:1H", pid 34, jiffies 4294901234
"""


def figures(objects=4000, **members):
    values = {"slab": {"kmalloc-32": (objects, 32), "tw_sock_TCP": (0, 272)}, "memory": {"MemFree": 200000, "Slab": 12000},
              "keys": 25, **members}
    return soak.Figures(**values)


def kind(*blocks, psks=0):
    """kind returns a Kind whose blocks of 100 rounds go from each of the Figures to the next."""
    return soak.Kind("replacements", [soak.Block(100, before, after, psks)
                                      for before, after in zip(blocks, blocks[1:])])


class FiguresTest(unittest.TestCase):
    def test_what_the_guest_prints(self):
        read = soak.read(PRINTED)
        self.assertEqual(read.slab, {"kmalloc-32": (4000, 32), "tw_sock_TCP": (7, 272)})
        self.assertEqual((read.psks, read.keys, read.kmemleak), (11, 25, 1))
        self.assertEqual(read.memory["MemFree"], 278384)
        self.assertIn("size 32", read.leaks[0])

    def test_without_kmemleak(self):
        self.assertIsNone(soak.read(PRINTED.split("kmemleak")[0]).kmemleak)

    def test_a_kernel_that_does_not_tell(self):
        with self.assertRaises(GateError) as caught:
            soak.read("psks 0\nkeys 25\n")
        self.assertIn("/proc/slabinfo", caught.exception.message)


class GrowthTest(unittest.TestCase):
    def findings(self, *blocks, **options):
        return list(kind(*blocks, **options).findings())

    def test_a_clean_kernel(self):
        self.assertEqual(self.findings(figures(), figures(4003), figures(3990)), [])

    def test_an_object_in_each_round(self):
        self.assertIn("kmalloc-32 grows by 1.00 objects", self.findings(figures(), figures(4100), figures(4201))[0])

    def test_what_is_allocated_once_is_no_leak(self):
        self.assertEqual(self.findings(figures(), figures(4900), figures(4900)), [])

    def test_sockets_in_their_last_minute_are_none(self):
        after = [figures(slab={"kmalloc-32": (4000, 32), "tw_sock_TCP": (number, 272)}) for number in (100, 200)]
        self.assertEqual(self.findings(figures(), *after), [])

    def test_a_large_object_now_and_then(self):
        sizes = [figures(slab={"kmalloc-8k": (number, 8192)}) for number in (0, 20, 40)]
        self.assertIn("the slab caches grow by 1638 bytes", " ".join(self.findings(*sizes)))

    def test_pages_that_no_cache_has(self):
        free = [figures(memory={"MemFree": 200000 - gone, "Slab": 12000}) for gone in (0, 800, 1600)]
        self.assertIn("shrinks by 8192 bytes", self.findings(*free)[0])

    def test_generated_psks_are_allowed_and_counted(self):
        after = figures(psks=1100)
        self.assertEqual(self.findings(figures(), after, after, psks=1100), [])
        self.assertIn("1100 generated PSKs where 1000 could be", self.findings(figures(), after, after, psks=1000)[0])

    def test_keys_that_stay(self):
        self.assertIn("3 keys stay", self.findings(figures(), figures(keys=28), figures(keys=28))[0])

    def test_kmemleak_has_the_last_word(self):
        self.assertIn("kmemleak has 2", self.findings(figures(kmemleak=1), figures(kmemleak=3), figures(kmemleak=3))[0])

    def test_a_verdict_that_changes(self):
        each = kind(figures(), figures(), figures())
        each.verdicts = {"replace.repeats/10": Counter({"pass": 90, "fail": 10}), "a": Counter({"pass": 99, "fail": 1}),
                         "b": Counter({"fail": 80, "inconclusive": 20})}
        self.assertEqual(len(list(each.findings())), 1)
        self.assertIn("replace.repeats/10 changes", list(each.findings())[0])


class RoundsTest(unittest.TestCase):
    def test_the_engine_has_the_cases(self):
        soak.check_rounds(soak.ROUNDS)
        soak.check_cases()

    def test_too_few_rounds(self):
        with self.assertRaises(GateError) as caught:
            soak.check_rounds(5)
        self.assertEqual(caught.exception.exit_status, EXIT_USAGE)

    def test_rounds_reach_the_engine_and_are_counted(self):
        """An attempt whose answer was lost may have generated its PSKs too."""
        asked = []

        class Pool:
            def __init__(self, limit):
                self.limit = limit

            def run(self, jobs, on_event, on_end):
                for job in jobs:
                    asked.append(job.config["cases"])
                    for case in job.config["cases"]:
                        event = {"event": "verdict", "case": case, "behaviour": "pass"}
                        on_event(job, dict(event, answers_lost=1) if len(asked[-1]) == 20 else event, "{}")
                    on_end(job, types.SimpleNamespace(fault=lambda: ""))

        guest = types.SimpleNamespace(profile={}, run=lambda *_: types.SimpleNamespace(output=PRINTED))
        words = types.SimpleNamespace(seed="1", timeout="3")
        with tempfile.TemporaryDirectory() as directory, mock.patch.object(soak.engine, "Pool", Pool):
            soaking = soak.Soak(guest, words, os.path.join(directory, soak.EVENTS), mock.Mock())
            found = soaking.kind("replacements", 100)
        self.assertEqual([len(cases) for cases in asked], [20, 100, 100])
        self.assertEqual([block.psks_allowed for block in found.blocks], [1100, 1100])
        self.assertEqual(found.verdicts["replace.repeats/10"], {"pass": 220})


if __name__ == "__main__":
    unittest.main()
