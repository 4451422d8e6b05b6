# SPDX-License-Identifier: BSD-3-Clause
"""What the engine says it has (cases, requirements, defects), checked once and then selected from."""

import difflib
import fnmatch
from dataclasses import dataclass, field

from .errors import ToolError, UsageError

# What a violation of a requirement of this level is, when the observer sees it.
LEVELS = {"shall": "fail", "nvme-conform's own": "fail", "should": "warn", "implementation-defined": "note",
          "contradiction": "note"}
GLOB_CHARACTERS = set("*?[")


@dataclass(frozen=True)
class Case:
    """Case is one conformance case, or one instance of a case with parameters ("auth.pair/sha256/ffdhe2048")."""

    id: str
    title: str = ""
    area: str = ""
    checks: tuple = ()
    needs: tuple = ()
    teardown: str = ""
    slow: bool = False
    timeout_s: float = 0


@dataclass(frozen=True)
class Requirement:
    """Requirement is one normative statement with the clause it stands in."""

    id: str
    level: str = "shall"
    statement: str = ""
    citation: str = ""
    area: str = ""
    stimulus: str = ""
    expected: str = ""
    ends: str = ""


@dataclass(frozen=True)
class Defect:
    """Defect is one way in which the reference target can be made to break a requirement."""

    name: str
    text: str = ""
    requirement: str = ""
    origin: str = ""
    rule: str = ""
    named: bool = False


@dataclass(frozen=True)
class Observed:
    """Observed names a requirement that some check of the observer, or of replay, judges."""

    requirement: str


@dataclass
class Catalogue:
    """Catalogue is everything the engine lists, in the engine's order, by id."""

    cases: dict = field(default_factory=dict)
    requirements: dict = field(default_factory=dict)
    defects: dict = field(default_factory=dict)
    observed: dict = field(default_factory=dict)  # requirements that the observer judges
    replayed: dict = field(default_factory=dict)  # ... and replay, with secrets or over several connections

    def requirement(self, ident):
        """requirement returns the requirement with this id, or an empty one for an id that is not listed."""
        return self.requirements.get(ident) or Requirement(ident or "")


def read(objects):
    """read makes a Catalogue of the engine's list; ToolError for a list that contradicts itself."""
    catalogue = Catalogue()
    problems = []
    for entry in objects:
        for kind, maker, store, key in (
            ("case", Case, catalogue.cases, "id"),
            ("requirement", Requirement, catalogue.requirements, "id"),
            ("defect", Defect, catalogue.defects, "name"),
            ("observer", Observed, catalogue.observed, "requirement"),
            ("replay", Observed, catalogue.replayed, "requirement"),
        ):
            if not isinstance(entry, dict) or kind not in entry:
                continue
            item = _make(maker, entry[kind])
            name = getattr(item, key, "") if item else ""
            if not isinstance(name, str) or not name:
                problems.append(f"a {kind} without {key}")
            elif name in store:
                problems.append(f"duplicate {kind} {name}")
            else:
                store[name] = item
    problems += _lint(catalogue)
    if problems:
        raise ToolError(f"the engine's list is inconsistent: {'; '.join(problems[:5])} ({len(problems)} in all)")
    return catalogue


def _make(maker, fields):
    if not isinstance(fields, dict):
        return None
    known = {name: value for name, value in fields.items() if name in maker.__dataclass_fields__ and value is not None}
    for name, value in known.items():
        if isinstance(value, list):
            known[name] = tuple(value)
    try:
        return maker(**known)
    except TypeError:
        return None


def _lint(catalogue):
    problems = []
    for case in catalogue.cases.values():
        if set(case.id) & (GLOB_CHARACTERS | set("# \t\n\"'")):
            problems.append(f"case id {case.id!r} holds a character that ids must not have")
        if not case.checks:
            problems.append(f"case {case.id} checks no requirement")
        for ident in case.checks:
            if ident not in catalogue.requirements:
                problems.append(f"case {case.id} checks {ident}, which is no requirement")
    for who, idents in (("the observer", catalogue.observed), ("replay", catalogue.replayed)):
        problems += [f"{who} judges {ident}, which is no requirement" for ident in idents if ident not in catalogue.requirements]
    for requirement in catalogue.requirements.values():
        if requirement.level not in LEVELS:
            problems.append(f"requirement {requirement.id} has the unknown level {requirement.level}")
    for defect in catalogue.defects.values():
        if defect.requirement and defect.requirement not in catalogue.requirements:
            problems.append(f"defect {defect.name} breaks {defect.requirement}, which is no requirement")
    return problems


def blames(level):
    """blames tells whether what is seen of a requirement of this level is held against anybody, or only put on record."""
    return LEVELS[level] != "note"


def area_of(case):
    """area_of returns the area a case is reported under."""
    return case.area or case.id.split(".", 1)[0]


def check_defects(names, catalogue):
    """check_defects raises UsageError for a name that is no defect of the reference target."""
    for name in names:
        if name not in catalogue.defects:
            raise UsageError(f"unknown defect {name!r}; nvme-conform list --defects shows all")


def select(patterns, names, what):
    """select returns the names that the patterns (exact names or globs) choose, in the order of names.

    No pattern selects all. The plain name of a case with parameters selects all its instances. UsageError for a pattern that
    chooses nothing, and for an empty selection.
    """
    names = list(names)
    if not names:
        raise UsageError(f"the engine has no {what} at all")
    if not patterns:
        return names
    chosen = set()
    for pattern in patterns:
        if set(pattern) & GLOB_CHARACTERS:
            found = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
        else:
            found = [name for name in names if name == pattern or name.startswith(pattern + "/")]
        if not found:
            raise UsageError(_no_match(pattern, names, what))
        chosen.update(found)
    return [name for name in names if name in chosen]


def _no_match(pattern, names, what):
    near = difflib.get_close_matches(pattern, names, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"no {what} matches {pattern!r}{hint} (nvme-conform list shows all)"
