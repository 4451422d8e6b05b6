# SPDX-License-Identifier: BSD-3-Clause
"""`gate --soak`: the same cases over and over, and what each round leaves behind in the kernel.

After a warm-up two blocks of rounds are run. A leak is in both of them, what a kernel allocates once (a pool that grows, a
cache that fills) in one: the smaller growth counts. Generated PSKs live for an hour by design, so they are counted, compared
with what the rounds may generate, and removed before the memory is measured.
"""

import os
import re
from collections import Counter
from dataclasses import dataclass, field

from ..runner import catalogue, engine
from ..runner.errors import RunnerError, UsageError
from . import kmemleak
from .errors import EXIT_USAGE, GateError

EVENTS = "soak.jsonl"
ROUNDS = 250
BLOCKS = 2
WARM_UP_SHARE = 5       # a fifth of a block
LEAST_ROUNDS = 100      # below, chance is larger than what is looked for
MOST_CASES = 4000       # of one engine process
CASE_SECONDS = 330      # five attempts of a minute each, as `run` has it
MEASURE_SECONDS = 120
# What a round may leave behind. A leak leaves one object per round; docs/gate.md has what clean kernels were seen to leave.
OBJECTS_PER_ROUND = 0.25
BYTES_PER_ROUND = 256
PAGES_PER_ROUND = 4096  # bytes in pages that no slab cache accounts for
# A case that always passes and once does not is told; more than this share of its rounds is a difference.
CHANGES_SHARE = 0.02
# Sockets that wait out their last minute are no leak, however many.
PASSING = re.compile(r"tw_sock_")

# {what: {case: how many PSKs one attempt may generate}}; one round runs each case of a kind once.
KINDS = {
    "authentications": {"auth.two-way/sha256/ffdhe2048": 0, "reauth.rounds": 0},
    "replacements": {"replace.repeats/10": 11},
    "failures": {"auth.wrong-response/one-bit": 0, "replace.wrong-response": 1},
    "aborted": {"failure.host-leaves/after-reply": 0, "failure1.out-of-order/negotiate-after-reply": 0, "concat.wrong-psk": 1},
}

# Shrinking a cache gives back what the processor keeps of it, so that slabinfo counts objects in use and no others.
# .nvme is emptied: no case of a soak uses a PSK that the guest was configured with.
_MEASURE = f"""
sleep 3
echo psks $(grep -c ' psk .*NVMe[01]G' /proc/keys)
keyctl clear %:.nvme
if [ -e /sys/kernel/debug/kmemleak ]; then
	{kmemleak.SCAN}
fi
sleep 2
echo 3 >/proc/sys/vm/drop_caches
{kmemleak.SHRINK}
echo keys $(grep -c . /proc/keys)
sed -n 's/^\\(MemFree\\|Slab\\|SUnreclaim\\):  *\\([0-9]*\\).*/\\1 \\2/p' /proc/meminfo
sed -n 's/^/slab /p' /proc/slabinfo
[ -e /sys/kernel/debug/kmemleak ] && {{ echo kmemleak $(grep -c '^unreferenced' /sys/kernel/debug/kmemleak)
	{kmemleak.REPORT} | head -n 60 | sed 's/^/leak /'; }}
true
"""


@dataclass
class Figures:
    """Figures is what the kernel holds at one moment: objects and bytes per slab cache, keys, PSKs generated since the last
    measurement, KiB of memory (MemFree, Slab, SUnreclaim), and what kmemleak says (None: the kernel has none)."""
    slab: dict = field(default_factory=dict)
    memory: dict = field(default_factory=dict)
    keys: int = 0
    psks: int = 0
    kmemleak: int = None
    leaks: list = field(default_factory=list)


def read(text):
    """read returns the Figures that the script in the guest printed."""
    figures = Figures()
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        words = rest.split()
        if word == "slab" and len(words) > 3 and words[1].isdigit():
            figures.slab[words[0]] = (int(words[1]), int(words[3]))
        elif word in ("psks", "keys", "kmemleak") and rest.isdigit():
            setattr(figures, word, int(rest))
        elif word == "leak":
            figures.leaks.append(rest)
        elif rest.isdigit():
            figures.memory[word] = int(rest)
    if not figures.slab or "MemFree" not in figures.memory:
        raise GateError("the guest does not tell its memory: /proc/slabinfo or /proc/meminfo is missing (CONFIG_SLUB_DEBUG)")
    return figures


@dataclass
class Block:
    """Block is some rounds of one kind, and the figures before and after."""
    rounds: int
    before: Figures
    after: Figures
    psks_allowed: int

    def objects(self):
        """objects returns {slab cache: objects more per round}."""
        return {name: (count - self.before.slab.get(name, (0, 0))[0]) / self.rounds
                for name, (count, _) in self.after.slab.items() if not PASSING.match(name)}

    def slab_bytes(self):
        sizes = {name: size for name, (_, size) in self.after.slab.items()}
        return sum(more * sizes[name] for name, more in self.objects().items())

    def page_bytes(self):
        """page_bytes returns the bytes per round that are gone from the free memory and are in no slab."""
        gone = self.before.memory["MemFree"] - self.after.memory["MemFree"]
        slab = self.after.memory.get("Slab", 0) - self.before.memory.get("Slab", 0)
        return (gone - slab) * 1024 / self.rounds


@dataclass
class Kind:
    """Kind is one kind of round: its blocks, and the verdicts of its cases."""
    name: str
    blocks: list = field(default_factory=list)
    verdicts: dict = field(default_factory=dict)    # case -> Counter of behaviours

    def least(self, growth):
        return min(growth(block) for block in self.blocks)

    def objects(self):
        """objects returns what grew in every block: {slab cache: objects per round}, the smaller of the blocks."""
        grown = [block.objects() for block in self.blocks]
        return {name: least for name in grown[0] if (least := min(each.get(name, 0) for each in grown)) > 0}

    def findings(self):
        """findings tells what is beyond its bound, a line each; empty for a clean kind."""
        for name, more in sorted(self.objects().items(), key=lambda item: -item[1]):
            if more > OBJECTS_PER_ROUND:
                yield f"{name} grows by {more:.2f} objects a round (bound {OBJECTS_PER_ROUND})"
        if (more := self.least(Block.slab_bytes)) > BYTES_PER_ROUND:
            yield f"the slab caches grow by {more:.0f} bytes a round (bound {BYTES_PER_ROUND})"
        if (more := self.least(Block.page_bytes)) > PAGES_PER_ROUND:
            yield f"memory beside the slab caches shrinks by {more:.0f} bytes a round (bound {PAGES_PER_ROUND})"
        for block in self.blocks:
            if block.after.psks > block.psks_allowed:
                yield f"{block.after.psks} generated PSKs where {block.psks_allowed} could be"
            if block.after.keys > block.before.keys:
                yield f"{block.after.keys - block.before.keys} keys stay when .nvme is emptied"
            if (block.after.kmemleak or 0) > (block.before.kmemleak or 0):
                yield f"kmemleak has {block.after.kmemleak - (block.before.kmemleak or 0)} new objects"
        for case, counted in self.verdicts.items():
            judged = Counter({name: count for name, count in counted.items() if name != "inconclusive"})
            if judged and sum(judged.values()) - max(judged.values()) > max(1, CHANGES_SHARE * sum(judged.values())):
                yield f"{case} changes in the course of the rounds: {_counted(counted)}"

    def facts(self):
        """facts returns the kind as gate.json has it."""
        return {"kind": self.name, "rounds": [block.rounds for block in self.blocks],
                "verdicts": {case: dict(counted) for case, counted in self.verdicts.items()},
                "objects_per_round": {name: round(more, 4) for name, more in self.objects().items()},
                "slab_bytes_per_round": round(self.least(Block.slab_bytes), 1),
                "page_bytes_per_round": round(self.least(Block.page_bytes), 1),
                "psks": [[block.after.psks, block.psks_allowed] for block in self.blocks],
                "keys": [block.after.keys for block in self.blocks],
                "memory_kib": [[block.before.memory, block.after.memory] for block in self.blocks],
                "kmemleak": [block.after.kmemleak for block in self.blocks],
                "leaks": self.blocks[-1].after.leaks, "findings": list(self.findings())}


def _counted(counted):
    return ", ".join(f"{count} {name}" for name, count in counted.most_common())


class Soak:
    """Soak runs the rounds against a guest. windows follows the file of events, for what the kernel says meanwhile."""

    def __init__(self, guest, words, events_path, windows):
        self._guest = guest
        self._config = {"target": guest.profile, "seed": int(words.seed, 0), "timeout_s": int(words.timeout)}
        self._events_path = events_path
        self._windows = windows
        self._psks = 0

    def _measure(self):
        return read(self._guest.run(_MEASURE, "figures", MEASURE_SECONDS).output)

    def _rounds(self, kind, number):
        """_rounds runs so many rounds and returns how many PSKs they may have generated."""
        cases = list(KINDS[kind.name])
        idents = cases * number
        jobs = [engine.Job(dict(self._config, cases=idents[first:first + MOST_CASES]), CASE_SECONDS)
                for first in range(0, len(idents), MOST_CASES)]
        self._psks = 0
        faults = []
        with open(self._events_path, "a", buffering=1, encoding="utf-8") as log:
            def on_event(_, event, line):
                log.write(line + "\n")
                self._windows.poll()
                if event and event.get("event") == "verdict":
                    self._psks += KINDS[kind.name][event["case"]] * (1 + event.get("answers_lost", 0))
                    kind.verdicts.setdefault(event["case"], Counter())[event["behaviour"]] += 1

            engine.Pool(1).run(jobs, on_event, lambda _, outcome: faults.append(outcome.fault()))
        if any(faults):
            raise GateError(f"soak, {kind.name}: {next(filter(None, faults))}")
        return self._psks

    def kind(self, name, rounds):
        """kind runs one kind of rounds: a warm-up, then the blocks."""
        kind = Kind(name)
        self._rounds(kind, max(1, rounds // WARM_UP_SHARE))
        before = self._measure()
        for _ in range(BLOCKS):
            allowed = self._rounds(kind, rounds)
            after = self._measure()
            kind.blocks.append(Block(rounds, before, after, allowed))
            before = after
        return kind


def check_rounds(rounds):
    """check_rounds raises GateError for a number of rounds that says nothing."""
    if rounds < LEAST_ROUNDS:
        raise GateError(f"--soak {rounds}: at least {LEAST_ROUNDS} rounds tell a leak from chance", EXIT_USAGE)


def check_cases():
    """check_cases raises GateError when this engine lacks a case of a round."""
    try:
        listed = catalogue.read(engine.list_objects())
        catalogue.select([case for cases in KINDS.values() for case in cases], listed.cases, "case")
    except (RunnerError, UsageError) as error:
        raise GateError(error, error.exit_status) from None


def run(guest, words, directory, windows, kinds):
    """run soaks the guest, tells what it finds, and adds a Kind for each kind of round to kinds."""
    os.makedirs(directory, exist_ok=True)
    soaking = Soak(guest, words, os.path.join(directory, EVENTS), windows)
    for name, cases in KINDS.items():
        kind = soaking.kind(name, words.soak)
        kinds.append(kind)
        print(f"{name}: {BLOCKS} x {words.soak} rounds of {len(cases)} cases leave {kind.least(Block.slab_bytes):.0f} bytes of "
              f"slab and {kind.least(Block.page_bytes):.0f} bytes of pages a round; "
              f"{sum(block.after.psks for block in kind.blocks)} PSKs generated, at most "
              f"{sum(block.psks_allowed for block in kind.blocks)} expected", flush=True)
        for finding in kind.findings():
            print(f"LEAK {name}: {finding}", flush=True)
