# SPDX-License-Identifier: BSD-3-Clause
"""`nvme-conform diff`: what changed from one run to another. The two verdicts of a case are compared one by one."""

import json
import sys

from . import records
from .errors import EXIT_CANNOT_JUDGE, EXIT_FAIL, EXIT_OK
from .redaction import Redactor
from .terminal import Printer, clean, table

NOT_THERE = "(not there)"
# The order in which a reader needs them.
KINDS = {"newly-failing": "newly failing", "no-longer-judged": "no longer judged", "changed": "changed otherwise",
         "newly-passing": "newly passing", "new": "new", "gone": "gone"}


def add_arguments(parser):
    """add_arguments adds the arguments of `diff`."""
    parser.add_argument("earlier", metavar="REPORT", help="directory of a run, or its results.json")
    parser.add_argument("later", metavar="REPORT", help="the run to hold against it")
    parser.add_argument("-o", "--output-format", choices=("normal", "json"), default="normal", help="how to print it")


def verdicts(results):
    """verdicts returns {id: (behaviour, teardown)} of the object of results.json; an observation has no teardown."""
    found = {case["id"]: (case["behaviour"], case["teardown"]) for case in results["cases"]}
    found.update({seen["id"]: (seen["verdict"], "none") for seen in results["observations"]})
    return found


def _failing(verdict):
    return {part for part, value in zip(("behaviour", "teardown"), verdict) if value == "fail"}


def _kind(old, new):
    if _failing(new or ()) - _failing(old or ()):
        return "newly-failing"
    if old is None or new is None:
        return "new" if old is None else "gone"
    if new[0] not in ("pass", "warn", "fail", "note") and old[0] in ("pass", "warn", "fail", "note"):
        return "no-longer-judged"
    return "newly-passing" if _failing(old) and not _failing(new) else "changed"


def changes(earlier, later):
    """changes returns [id, kind, earlier, later] for every id whose verdicts differ between two objects of results.json.

    A fail of an id that the earlier run does not have is newly failing, not just new. An observation that is gone although its
    cases ran is newly passing: the observer looked and saw nothing.
    """
    old, new = verdicts(earlier), verdicts(later)
    ran = {case["id"] for case in later["cases"] if case["behaviour"] in ("pass", "warn", "fail")}
    looked = {seen["id"] for seen in earlier["observations"] if seen.get("cases") and set(map(str, seen["cases"])) <= ran}
    rows = []
    for ident in dict.fromkeys([*old, *new]):
        before, after = old.get(ident), new.get(ident)
        if before == after:
            continue
        kind = _kind(before, after)
        if kind == "gone" and ident in looked:
            kind = "newly-passing" if _failing(before) else "changed"
        rows.append([ident, kind, before, after])
    return sorted(rows, key=lambda row: list(KINDS).index(row[1]))


def shown(verdict):
    """shown returns a verdict as people read it."""
    if verdict is None:
        return NOT_THERE
    return verdict[0] if verdict[1] == "none" else f"{verdict[0]}/{verdict[1]}"


def exit_status(rows):
    """exit_status is 1 when something newly fails, 125 when something judged before no longer is, else 0."""
    kinds = {row[1] for row in rows}
    if "newly-failing" in kinds:
        return EXIT_FAIL
    return EXIT_CANNOT_JUDGE if "no-longer-judged" in kinds else EXIT_OK


def main(args):
    """main runs `nvme-conform diff` and returns its exit status."""
    earlier, later = records.load(args.earlier), records.load(args.later)
    rows = changes(earlier.results, later.results)
    printer = Printer(Redactor(), sys.stdout)
    if args.output_format == "json":
        printer.line(json.dumps([{"id": ident, "kind": kind, "earlier": shown(before), "later": shown(after)}
                                 for ident, kind, before, after in rows], indent=1))
        return exit_status(rows)
    for label, record in (("earlier", earlier), ("later", later)):
        printer.line(f"{label:<9}{clean(record.label)}, {clean(record.results.get('started', '?'))}")
    for kind, title in KINDS.items():
        chosen = [row for row in rows if row[1] == kind]
        if chosen:
            printer.line(f"\n{title}: {len(chosen)}")
            for line in table([["  " + clean(ident), shown(before), "->", shown(after)] for ident, _, before, after in chosen]):
                printer.line(line)
    total = len(set(verdicts(earlier.results)) | set(verdicts(later.results)))
    printer.line(f"\n{len(rows)} of {total} results differ" if rows else f"\nnone of {total} results differs")
    return exit_status(rows)
