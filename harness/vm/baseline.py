# SPDX-License-Identifier: BSD-3-Clause
"""What is known about a target: which verdicts are expected to differ from a clean pass, and why.

A baseline is a TOML file of [[entry]] tables; docs/gate.md has the members. What no entry lists is
expected to be clean. Whatever is not as expected is a Difference, and one Difference fails the gate.
"""

import fnmatch
import os
import re
import tomllib
from collections import Counter
from dataclasses import dataclass, field

from ..runner.terminal import clean
from .errors import EXIT_USAGE, GateError

FORMAT = "nvme-conform-baseline/1"
UNEXPLAINED = "not yet explained"
OBSERVER = "observer."
BOOT = "boot"    # in the place of a case: what a kernel reports before the first one
ANY = "any"
# So many results may stay open because the target lost its own answers, before that is news by itself.
LOST_SHARE = 0.03
_LOST = re.compile(r"ended the connection|connection ended")
BEHAVIOURS = {"pass", "warn", "fail", "skip", "inconclusive", "error", "note"}
TEARDOWNS = {"pass", "warn", "fail", "inconclusive", "none"}
CLEAN_TEARDOWNS = {"pass", "none"}
_MEMBERS = {"cases", "kernels", "behaviour", "teardown", "requirement", "seen", "teardown_seen",
            "reason", "source", "fix", "link", "flaky"}
_SPLAT_MEMBERS = {"cases", "kernels", "seen", "reason", "source", "fix", "link"}
_TERM = re.compile(r"(>=|<=|==|!=|>|<)(\d+(?:\.\d+)*)$")
_COMPARE = {">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b, "==": lambda a, b: a == b,
            "!=": lambda a, b: a != b, ">": lambda a, b: a > b, "<": lambda a, b: a < b}


def version(text):
    """version returns the numbers at the beginning of a kernel release: 7.3.4+deb13 is (7, 3, 4)."""
    numbers = re.match(r"\d+(\.\d+)*", text)
    if not numbers:
        raise GateError(f"{text!r} is not a kernel release", EXIT_USAGE)
    parts = [int(part) for part in numbers.group().split(".")]
    return tuple(parts + [0] * (3 - len(parts)))


def in_range(release, text):
    """in_range tells whether a release satisfies every term of a range such as ">=6.15 <7.1.3"."""
    for term in text.split():
        match = _TERM.match(term)
        if not match:
            raise GateError(f"{term!r} is not a term of a version range such as '>=6.15 <7.1.3'",
                            EXIT_USAGE)
        if not _COMPARE[match.group(1)](version(release), version(match.group(2))):
            return False
    return True


@dataclass(frozen=True)
class Found:
    """Found is one result of a run: a case, or with the prefix "observer." a requirement."""
    id: str
    behaviour: str
    teardown: str = "none"
    requirement: str = ""
    seen: str = ""
    teardown_requirement: str = ""
    teardown_seen: str = ""
    answers_lost: int = 0

    @property
    def verdict(self):
        return self.behaviour if self.teardown == "none" else f"{self.behaviour}/{self.teardown}"

    @property
    def clean(self):
        return self.behaviour in ("pass", "note") and self.teardown in CLEAN_TEARDOWNS


def results_of(results):
    """results_of returns {id: Found} of the object of results.json."""
    found = {}
    for case in results["cases"]:
        seen = " ".join(case[name] for name in ("seen", "reason") if case.get(name))
        found[case["id"]] = Found(
            case["id"], case["behaviour"], case["teardown"], case.get("requirement", ""), seen,
            case.get("teardown_requirement", ""), case.get("teardown_seen", ""),
            case.get("answers_lost", 0))
    for observation in results["observations"]:
        found[observation["id"]] = Found(
            observation["id"], observation["verdict"], "none", observation["requirement"],
            observation["first"].get("seen") or "")
    return found


@dataclass
class Entry:
    """Entry is one statement of a baseline; number counts from 1, for messages."""
    number: int
    cases: tuple
    kernels: str = ""
    behaviour: tuple = ("pass",)
    teardown: tuple = ("pass", "none")
    requirement: str = ""
    seen: str = ""
    teardown_seen: str = ""
    reason: str = ""
    source: str = ""
    fix: str = ""
    link: str = ""
    flaky: bool = False

    @property
    def name(self):
        return f"entry {self.number} ({self.cases[0]}{', …' if len(self.cases) > 1 else ''})"

    @property
    def explained(self):
        return self.reason.strip() not in ("", UNEXPLAINED)

    def expects_clean(self):
        return "pass" in self.behaviour and bool(CLEAN_TEARDOWNS & set(self.teardown))

    def wrong(self, found):
        """wrong returns why a result is not what this entry expects, or an empty string."""
        if self.flaky and (found.clean or found.behaviour == "inconclusive" and re.search(self.seen, found.seen)):
            return ""
        if found.behaviour not in self.behaviour:
            return f"expected {' or '.join(self.behaviour)}"
        if found.teardown not in self.teardown:
            return f"expected teardown {' or '.join(self.teardown)}"
        dirty = found.behaviour not in ("pass", "note")
        if dirty and self.requirement and found.requirement \
                and not re.fullmatch(self.requirement, found.requirement):
            return f"expected for {self.requirement}, not for {found.requirement}"
        if dirty and self.seen and not re.search(self.seen, found.seen):
            return f"expected because of /{self.seen}/"
        if found.teardown not in CLEAN_TEARDOWNS and self.teardown_seen \
                and not re.search(self.teardown_seen, found.teardown_seen):
            return f"expected teardown because of /{self.teardown_seen}/"
        return ""


@dataclass(frozen=True)
class Splat:
    """Splat is one kernel report that a known bug provokes."""
    cases: tuple
    kernels: str
    seen: str
    reason: str
    fix: str = ""
    link: str = ""


@dataclass(frozen=True)
class Difference:
    """Difference is one result that is not as expected; kind is unlisted, other, missing or unexplained."""
    kind: str
    id: str
    found: str
    why: str
    entry: Entry = None


@dataclass
class Comparison:
    """Comparison is a run laid beside a baseline."""
    differences: list = field(default_factory=list)
    as_listed: int = 0
    clean: int = 0
    flaky: Counter = field(default_factory=Counter)
    lost: list = field(default_factory=list)

    @property
    def as_expected(self):
        return not self.differences


def _words(value, allowed, default, where):
    if value == ANY:
        return tuple(sorted(allowed))
    if value == []:
        raise GateError(f"{where}: an empty list expects nothing", EXIT_USAGE)
    words = tuple(value) if isinstance(value, list) else (value,) if value else default
    for word in words:
        if not isinstance(word, str) or word not in allowed:
            raise GateError(f"{where}: {word!r} is not one of {', '.join(sorted(allowed))}", EXIT_USAGE)
    return words


def _is_globs(value):
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) and each for each in value)


def _holds(number, text):
    """_holds tells whether a version, as its numbers, satisfies every term of a valid range."""
    return all(_COMPARE[match.group(1)](number, version(match.group(2))) for match in map(_TERM.match, text.split()))


def _versions(*ranges):
    """_versions returns versions that stand for all: between two bounds all are alike, so that one beside each is enough."""
    bounds = [version(match.group(2)) for text in ranges for match in map(_TERM.match, text.split())]
    return [(0,), *(bound[:-1] + (bound[-1] + step,) for bound in bounds for step in (-0.5, 0, 0.5))]


def _check_range(text, where):
    """_check_range raises GateError for a text that is no range, or one that no version can be in."""
    try:
        in_range("0", text)
    except GateError as error:
        raise GateError(f"{where}: {error.message}", EXIT_USAGE) from None
    if not any(_holds(each, text) for each in _versions(text)):
        raise GateError(f"{where}: no version is in {text!r}", EXIT_USAGE)


def _tables(data, name, path):
    """_tables returns the tables of the array called name, each a dictionary."""
    found = data.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise GateError(f"baseline {path}: {name} is no array of tables: write [[{name}]]", EXIT_USAGE)
    return found


def _entry(number, table, path):
    where = f"{path}, entry {number}"
    if unknown := set(table) - _MEMBERS:
        raise GateError(f"{where}: unknown {', '.join(sorted(unknown))}", EXIT_USAGE)
    cases = table.get("cases")
    cases = [cases] if isinstance(cases, str) else cases
    if not _is_globs(cases):
        raise GateError(f"{where}: cases is not a list of globs", EXIT_USAGE)
    for name in _MEMBERS - {"cases", "behaviour", "teardown", "flaky"}:
        if not isinstance(table.get(name, ""), str):
            raise GateError(f"{where}: {name} is not a string", EXIT_USAGE)
    _check_range(table.get("kernels", ""), where)
    if not isinstance(table.get("flaky", False), bool):
        raise GateError(f"{where}: flaky is neither true nor false", EXIT_USAGE)
    entry = Entry(number, tuple(cases), table.get("kernels", ""),
                  _words(table.get("behaviour"), BEHAVIOURS, ("pass",), where),
                  _words(table.get("teardown"), TEARDOWNS, ("pass", "none"), where),
                  table.get("requirement", ""), table.get("seen", ""),
                  table.get("teardown_seen", ""), table.get("reason", ""),
                  table.get("source", ""), table.get("fix", ""), table.get("link", ""),
                  table.get("flaky", False))
    if entry.flaky and not entry.explained:
        raise GateError(f"{where}: flaky needs a reason", EXIT_USAGE)
    for name in ("requirement", "seen", "teardown_seen"):
        try:
            re.compile(getattr(entry, name))
        except re.error as error:
            raise GateError(f"{where}: {name} is no regular expression: {error}", EXIT_USAGE) from None
    return entry


def _splat(number, table, path):
    where = f"{path}, splat {number}"
    if set(table) - _SPLAT_MEMBERS or not {"cases", "seen", "reason"} <= set(table):
        raise GateError(f"{where}: needs cases, seen and reason, and knows "
                        f"{', '.join(sorted(_SPLAT_MEMBERS))}", EXIT_USAGE)
    if not _is_globs(table["cases"]):
        raise GateError(f"{where}: cases is not a list of globs", EXIT_USAGE)
    for name in set(table) - {"cases"}:
        if not isinstance(table[name], str):
            raise GateError(f"{where}: {name} is not a string", EXIT_USAGE)
    _check_range(table.get("kernels", ""), where)
    try:
        re.compile(table["seen"])
    except re.error as error:
        raise GateError(f"{where}: seen is no regular expression: {error}", EXIT_USAGE) from None
    return Splat(tuple(table["cases"]), table.get("kernels", ""), table["seen"], table["reason"],
                 table.get("fix", ""), table.get("link", ""))


def _matches(pattern, ident):
    return ident == pattern or fnmatch.fnmatchcase(ident, pattern) \
        or (not set(pattern) & set("*?[") and ident.startswith(pattern + "/"))


def _best(ranked, number):
    """_best returns the entries of the highest rank that hold for a version; more than one contradict each other."""
    there = [(rank, entry) for rank, entry in ranked if _holds(number, entry.kernels)]
    highest = min((rank for rank, _ in there), default=0)
    return [entry for rank, entry in there if rank == highest]


class Baseline:
    """Baseline is a loaded file. known: every id there can be, so that a stale glob is an error."""

    def __init__(self, path):
        self.path = path
        if os.path.exists(path) and not os.path.isfile(path):
            raise GateError(f"baseline {path}: is no ordinary file", EXIT_USAGE)
        try:
            with open(path, "rb") as file:
                data = tomllib.load(file)
        except OSError as error:
            raise GateError(f"baseline {path}: {error.strerror}", EXIT_USAGE) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise GateError(f"baseline {path}: {error}", EXIT_USAGE) from None
        if data.get("format") != FORMAT:
            raise GateError(f"baseline {path}: format is not {FORMAT}", EXIT_USAGE)
        if unknown := set(data) - {"format", "entry", "splat"}:
            raise GateError(f"baseline {path}: unknown {', '.join(sorted(unknown))}; there are [[entry]] and [[splat]]", EXIT_USAGE)
        self.entries = [_entry(number, table, path)
                        for number, table in enumerate(_tables(data, "entry", path), 1)]
        self.splats = [_splat(number, table, path)
                       for number, table in enumerate(_tables(data, "splat", path), 1)]

    def splat_listed(self, cases, lines, release):
        """splat_listed tells whether a kernel report is one that a known bug provokes in one of cases."""
        return any(in_range(release, splat.kernels)
                   and any(_matches(pattern, case or "") for pattern in splat.cases for case in cases)
                   and any(re.search(splat.seen, line) for line in lines) for splat in self.splats)

    def dangerous(self, release):
        """dangerous returns the globs of cases that make this kernel report, and perhaps die."""
        return list(dict.fromkeys(pattern for splat in self.splats if in_range(release, splat.kernels)
                                  for pattern in splat.cases if pattern != BOOT))

    def check_stale(self, known):
        """check_stale raises GateError when a glob of an entry matches none of the known ids."""
        stale = [f"{pattern!r} of entry {entry.number}" for entry in self.entries
                 for pattern in entry.cases if not any(_matches(pattern, ident) for ident in known)]
        stale += [f"{pattern!r} of a splat" for splat in self.splats
                  for pattern in splat.cases if not any(_matches(pattern, ident) for ident in {BOOT, *known})]
        if stale:
            raise GateError(f"baseline {self.path} is stale: no case matches {', '.join(stale)}",
                            EXIT_USAGE)

    def entry_for(self, ident, release):
        """entry_for returns the entry that speaks of a result, or None.

        An exact id goes before a plain case name, that before a glob; two of one rank are an error.
        """
        best = _best(self._ranked(ident), version(release))
        if len(best) > 1:
            raise self._contradiction(ident, f"on {release} ", best)
        return best[0] if best else None

    def _ranked(self, ident):
        """_ranked returns [(rank, entry)] of the entries that name a result, for whatever kernels."""
        named = [(entry, [pattern for pattern in entry.cases if _matches(pattern, ident)]) for entry in self.entries]
        return [(min(0 if pattern == ident else 2 if set(pattern) & set("*?[") else 1 for pattern in patterns), entry)
                for entry, patterns in named if patterns]

    def _contradiction(self, ident, where, entries):
        return GateError(f"baseline {self.path}: {ident} {where}is in {' and '.join(entry.name for entry in entries)}", EXIT_USAGE)

    def check_contradictions(self, known):
        """check_contradictions raises GateError when two entries of one rank speak of one of the known ids on some kernel."""
        for ident in sorted(known):
            ranked = self._ranked(ident)
            for number in _versions(*(entry.kernels for _, entry in ranked)) if len(ranked) > 1 else ():
                if len(best := _best(ranked, number)) > 1:
                    raise self._contradiction(ident, "", best)

    def compare(self, found, release, whole=True, lenient=False):
        """compare lays {id: Found} beside the entries. whole: every case ran, so that an expected
        observation that did not come is a difference. lenient forgives what is better than listed."""
        comparison = Comparison()
        for result in found.values():
            self._judge(comparison, result, self.entry_for(result.id, release), lenient)
        if len(comparison.lost) > max(2, LOST_SHARE * len(found)):
            comparison.differences += [Difference("other", ident, "inconclusive", "the target lost its "
                                                  "answers, oftener than ever seen")
                                       for ident in comparison.lost]
        if whole and not lenient:
            for ident, entry in self._expected_observations(release):
                if ident not in found:
                    comparison.differences.append(Difference(
                        "missing", ident, "not seen", f"expected {' or '.join(entry.behaviour)}", entry))
        return comparison

    def _judge(self, comparison, found, entry, lenient):
        if _lost(found, entry):
            comparison.lost.append(found.id)
        elif entry is None:
            if found.clean:
                comparison.clean += 1
            else:
                comparison.differences.append(
                    Difference("unlisted", found.id, found.verdict, cause(found)))
        else:
            self._judge_listed(comparison, found, entry, lenient)

    @staticmethod
    def _judge_listed(comparison, found, entry, lenient):
        wrong = entry.wrong(found)
        if wrong and lenient and found.clean:
            wrong = ""
        if wrong:
            comparison.differences.append(
                Difference("other", found.id, found.verdict, f"{wrong}; {cause(found)}", entry))
        elif not found.clean and not entry.explained:
            comparison.differences.append(
                Difference("unexplained", found.id, found.verdict, cause(found), entry))
        else:
            comparison.as_listed += 1
        if entry.flaky and not found.clean:
            comparison.flaky[f"{found.id}: {found.verdict}"] += 1

    def _expected_observations(self, release):
        for entry in self.entries:
            if in_range(release, entry.kernels) and not entry.flaky and not entry.expects_clean():
                for pattern in entry.cases:
                    if pattern.startswith(OBSERVER) and not set(pattern) & set("*?["):
                        yield pattern, entry


def _lost(found, entry):
    """_lost tells whether an answer that the target lost keeps a result from being what is listed.

    Either the engine said so, or a case that does not pass anyhow saw the end of the connection alone.
    """
    if found.behaviour == "inconclusive" and found.answers_lost:
        return True
    return entry is not None and not entry.expects_clean() and not found.clean \
        and found.behaviour in ("fail", "warn", "inconclusive") \
        and bool(entry.wrong(found)) and bool(_LOST.search(found.seen))


def cause(found):
    """cause returns what a result says about why it is not clean."""
    if found.clean:
        return "it passed"
    parts = []
    if found.behaviour not in ("pass", "note"):
        parts.append(f"{found.requirement} seen: {found.seen}".strip())
    if found.teardown not in CLEAN_TEARDOWNS:
        parts.append(f"teardown {found.teardown_requirement} seen: {found.teardown_seen}")
    return "; ".join(parts)


def _quoted(text):
    """_quoted returns text as a TOML basic string."""
    escaped = "".join(c if c.isprintable() and c not in '"\\' else
                      "\\" + c if c in '"\\' else f"\\u{ord(c):04x}" for c in text)
    return f'"{escaped}"'


def new_entries(comparison, found, release):
    """new_entries returns TOML text that lists every unlisted result of a run, grouped by cause."""
    groups = {}
    for difference in comparison.differences:
        if difference.kind == "unlisted":
            result = found[difference.id]
            key = (result.behaviour, result.teardown, result.requirement,
                   result.teardown_requirement)
            groups.setdefault(key, []).append(result)
    numbers = ".".join(str(part) for part in version(release))
    lines = []
    for (behaviour, teardown, requirement, _), results in groups.items():
        lines += ["", f"# seen: {clean(cause(results[0]))}"[:200], "[[entry]]", "cases = ["]
        lines += [f"\t{_quoted(result.id)}," for result in results]
        lines += ["]", f'kernels = "=={numbers}"', f"behaviour = {_quoted(behaviour)}",
                  f"teardown = {_quoted(teardown)}"]
        lines += [f"requirement = {_quoted(requirement)}"] if behaviour != "pass" and requirement else []
        lines += [f"reason = {_quoted(UNEXPLAINED)}"]
    return "\n".join(lines) + "\n" if lines else ""
