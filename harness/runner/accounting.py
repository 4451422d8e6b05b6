# SPDX-License-Identifier: BSD-3-Clause
"""The account of a run: every selected case gets exactly one verdict, and nothing an engine does can lose one.

Behaviour and teardown are two verdicts and stay two. What the observer saw is collected per requirement, as results
of their own.
"""

import os
from collections import Counter
from dataclasses import dataclass, field

from . import catalogue as cat
from .errors import EXIT_CANNOT_JUDGE, EXIT_FAIL, EXIT_OK, EXIT_TOOL

BEHAVIOURS = ("pass", "warn", "fail", "skip", "inconclusive", "error")
TEARDOWNS = ("pass", "warn", "fail", "inconclusive", "none")
# What a `fresh` event is about.
VALUES = {"C-123": "the S1", "C-124": "the C1", "C-127": "the public value"}
# Faults beyond these are counted, not kept: an engine gone mad must not fill the memory.
FAULTS_KEPT = 50
STEPS_KEPT = 200
SOURCE_KEPT = 2000
# What the options say that the target can do, in the words of the cases' needs.
CLAIMS = {"concat": ("concat",), "tls": ("tls-psk", "tls-only-port")}


@dataclass
class Result:
    """Result is the verdict on one case, with its evidence."""

    case: cat.Case
    behaviour: str = ""
    teardown: str = "none"
    requirement: str = ""
    citation: str = ""
    expected: str = ""
    seen: str = ""
    reason: str = ""
    packets: list = field(default_factory=list)
    judged: list = None  # the requirements it came to; None: the engine did not say
    capture: str = ""  # the file with its packets, below the directory of the run
    teardown_requirement: str = ""
    teardown_expected: str = ""
    teardown_seen: str = ""
    teardown_reason: str = ""
    duration_ms: float = 0
    answers_lost: int = 0  # how often the case was repeated: an answer was lost with its connection, or a connection not up in time
    source: list = field(default_factory=list)  # the lines of a case in C that shows the same
    steps: list = field(default_factory=list)
    packet_text: dict = field(default_factory=dict)

    @property
    def source_file(self):
        """source_file is where `source` is stored, below the directory of the run; empty without one."""
        return os.path.join("found", self.case.id.replace("/", "_") + ".c") if self.source else ""

    @property
    def clean(self):
        """clean tells whether there is nothing to explain: a pass that ended as it should."""
        return self.behaviour == "pass" and self.teardown in ("pass", "none")


@dataclass
class Observation:
    """Observation is one requirement that the observer saw violated, however often."""

    requirement: str
    level: str
    expected: str = ""
    seen: str = ""
    case: str = ""
    packet: int = None
    conn: int = None
    beside: str = ""  # another case without which it would not have been seen
    count: int = 0
    cases: list = field(default_factory=list)

    @property
    def id(self):
        return f"observer.{self.requirement}"

    @property
    def needed(self):
        """needed are the cases to run for seeing it again."""
        return [case for case in (self.beside, self.case) if case]

    @property
    def verdict(self):
        return cat.LEVELS[self.level]


class Ledger:
    """Ledger takes the events of all engines of one run. cases: the selected ones, in order."""

    def __init__(self, catalogue, cases):
        self.catalogue = catalogue
        self.results = {case.id: Result(case) for case in cases}
        self.observations = {}
        self._values = {}  # {(target, requirement, digest): the `fresh` event that had it first}
        self.findings = []
        self.capabilities = {}
        self.faults = []
        self.num_faults = 0
        self.unmet = []
        self.deaths = []  # bracket.Death, each time that the target stopped serving

    def take(self, event):
        """take books one event of an engine and returns the Result it settles, or None."""
        kind = event.get("event")
        if kind == "verdict":
            return self._verdict(event)
        if kind == "observation":
            self._observation(event)
        elif kind == "fresh":
            self._fresh(event)
        elif kind == "probe":
            self._probe(event)
        elif kind in ("step", "log", "packet"):
            self._transcript(kind, event)
        return None

    def fault(self, text):
        """fault books a fault of the engine itself; the run ends with the status of a tester's error."""
        self.num_faults += 1
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(text)

    def lose(self, idents, why, verdict="error"):
        """lose gives a verdict (`error` or `inconclusive`) to those of the cases that have none, and returns these Results."""
        lost = [self.results[ident] for ident in idents if not self.results[ident].behaviour]
        for result in lost:
            result.behaviour = verdict
            result.reason = why
        return lost

    def reopen(self, ident):
        """reopen takes the verdict on a case back: it will get another one."""
        self.results[ident] = Result(self.results[ident].case)

    def convict(self, ident, requirement, expected, seen):
        """convict makes the case a fail of `requirement`, unless it is a fail already, which then tells both; returns its Result."""
        result = self.results[ident]
        if result.behaviour == "fail":
            result.seen = f"{result.seen}; and then: {expected}: {seen}"
            return result
        result.behaviour, result.reason = "fail", ""
        result.requirement, result.citation = requirement, self.catalogue.requirement(requirement).citation
        result.expected, result.seen = expected, seen
        result.judged = list(dict.fromkeys([*(result.judged or []), requirement]))
        return result

    def unsettled(self):
        """unsettled returns the ids without a verdict."""
        return [ident for ident, result in self.results.items() if not result.behaviour]

    def claim(self, option):
        """claim books an unmet claim when the user says by an option what the target can do, and every case that needs this
        was skipped."""
        needing = [result for result in self.results.values() if set(CLAIMS[option]) & set(result.case.needs)]
        if needing and all(result.behaviour == "skip" for result in needing):
            self.unmet.append(f"--{option} was given, but no case that needs it could run: {needing[0].reason}")

    def _verdict(self, event):
        result = self.results.get(event.get("case"))
        if not result:
            self.fault(f"verdict for {event.get('case')!r}, which was not asked for")
            return None
        if result.behaviour:
            self.fault(f"second verdict for {result.case.id}")
            result.behaviour, result.reason = "error", "the engine gave two verdicts"
            return result
        result.behaviour = event.get("behaviour")
        result.teardown = event.get("teardown") or "none"
        for name in ("requirement", "citation", "expected", "seen", "reason", "teardown_requirement", "teardown_expected",
                     "teardown_seen", "teardown_reason"):
            value = event.get(name)
            setattr(result, name, "" if value is None else str(value))
        capture = event.get("capture")
        result.capture = os.path.join("captures", os.path.basename(capture)) if isinstance(capture, str) else ""
        packets, duration, lost = event.get("packets"), event.get("duration_ms"), event.get("answers_lost")
        result.answers_lost = lost if isinstance(lost, int) else 0
        result.packets = [n for n in packets if isinstance(n, int)] if isinstance(packets, list) else []
        result.duration_ms = duration if isinstance(duration, (int, float)) and duration >= 0 else 0
        judged = event.get("judged")
        result.judged = [str(ident) for ident in judged] if isinstance(judged, list) else None
        source = event.get("source")
        result.source = [str(line) for line in source[:SOURCE_KEPT]] if isinstance(source, list) else []
        self._complete(result)
        return result

    def _complete(self, result):
        """_complete turns a verdict that is not one into `error`, and adds what the catalogue knows."""
        for value, allowed, what in ((result.behaviour, BEHAVIOURS, "behaviour"), (result.teardown, TEARDOWNS, "teardown")):
            if value not in allowed:
                self.fault(f"{result.case.id}: {what} {value!r} is no verdict")
                result.behaviour, result.teardown, result.reason = "error", "none", f"{what} {value!r} is no verdict"
                return
        if result.behaviour in ("fail", "warn") and not result.requirement:
            result.requirement = result.case.checks[0] if result.case.checks else ""
        if result.behaviour in ("skip", "inconclusive", "error") and not result.reason:
            result.reason = "the engine gave no reason"
        result.citation = result.citation or self.catalogue.requirement(result.requirement).citation
        if result.clean:
            result.steps, result.packet_text = [], {}

    def _observation(self, event):
        ident = event.get("requirement")
        known = self.catalogue.requirements.get(ident)
        if not known:
            self.fault(f"observation of {ident!r}, which is no requirement")
            return
        seen = self.observations.get(ident)
        if not seen:
            seen = self.observations[ident] = Observation(
                ident, known.level, str(event.get("expected") or ""), str(event.get("seen") or ""),
                str(event.get("case") or ""), event.get("packet"), event.get("conn"), str(event.get("beside") or ""))
        seen.count += 1
        if event.get("case") and event["case"] not in seen.cases:
            seen.cases.append(str(event["case"]))

    def _fresh(self, event):
        """_fresh books a value that came in an earlier case already. Within a case the observer sees it by itself. What two machines
        draw is not for one of them to keep apart."""
        first = self._values.setdefault((event.get("twin"), event.get("requirement"), event.get("digest")), event)
        if first.get("case") == event.get("case"):
            return
        self._observation({
            **event, "beside": first.get("case"), "expected": "a value that was not used before in the run",
            "seen": f"{VALUES.get(event.get('requirement'), 'the value')} of packet {first.get('packet')} of {first.get('case')}"})

    def _probe(self, event):
        if isinstance(event.get("capabilities"), dict):
            self.capabilities = event["capabilities"]
        for finding in event.get("findings") or []:
            if finding not in self.findings:
                self.findings.append(finding)

    def _transcript(self, kind, event):
        result = self.results.get(event.get("case"))
        if not result or result.clean:
            return
        if kind == "packet":
            # The other kinds have the number of the PDU before them, and are no evidence of what it was.
            if event.get("kind", "packet") == "packet":
                result.packet_text[event.get("n")] = f"{event.get('dir')} {event.get('text')}"
        elif len(result.steps) < STEPS_KEPT:
            result.steps.append(str(event.get("text")))

    def counts(self):
        """counts returns {"behaviour": Counter, "teardown": Counter, "observations": Counter}."""
        return {
            "behaviour": Counter(result.behaviour for result in self.results.values()),
            "teardown": Counter(result.teardown for result in self.results.values()),
            "observations": Counter(observation.verdict for observation in self.observations.values()),
        }

    def verdicts(self):
        """verdicts returns the verdicts alone, in the form of results.json."""
        return {"cases": [{"id": result.case.id, "behaviour": result.behaviour, "teardown": result.teardown}
                          for result in self.results.values()],
                "observations": [{"id": seen.id, "verdict": seen.verdict} for seen in self.observations.values()]}

    def exit_status(self):
        """exit_status weighs the whole account: the tester's error hides nothing behind it, a fail outranks what could not be
        judged, and a run that judged nothing is no clean run."""
        counts = self.counts()
        behaviour, teardown = counts["behaviour"], counts["teardown"]
        if self.num_faults or behaviour["error"]:
            return EXIT_TOOL
        if behaviour["fail"] or teardown["fail"] or counts["observations"]["fail"]:
            return EXIT_FAIL
        if behaviour["inconclusive"] or teardown["inconclusive"] or self.unmet or self.deaths:
            return EXIT_CANNOT_JUDGE
        if not behaviour["pass"] + behaviour["warn"]:
            return EXIT_CANNOT_JUDGE
        return EXIT_OK
