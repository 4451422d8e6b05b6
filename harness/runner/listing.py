# SPDX-License-Identifier: BSD-3-Clause
"""`nvme-conform list`: what there is to run, to require and to break."""

import dataclasses
import json
import sys

from . import catalogue as cat
from . import coverage, engine
from .errors import EXIT_FAIL, EXIT_OK, UsageError
from .redaction import Redactor
from .terminal import Printer, clean, table


def add_arguments(parser):
    """add_arguments adds the arguments of `list`."""
    parser.add_argument("patterns", nargs="*", metavar="GLOB", help="only ids that match")
    which = parser.add_mutually_exclusive_group()
    for name, text in (("cases", "conformance cases (default)"), ("requirements", "the catalogue of requirements"),
                       ("defects", "ways to break the reference target"), ("coverage", "what covers each requirement")):
        which.add_argument(f"--{name}", dest="what", action="store_const", const=name, help=text)
    parser.add_argument("-o", "--output-format", choices=("normal", "json", "markdown"), default="normal",
                        help="how to print it; markdown for --coverage only")


def main(args):
    """main runs `nvme-conform list` and returns its exit status: 1 when the coverage has a hole that nothing explains."""
    if args.output_format == "markdown" and args.what != "coverage":
        raise UsageError("-o markdown is for --coverage: it makes docs/requirements.md")
    catalogue = cat.read(engine.list_objects())
    what = args.what or "cases"
    store, noun = {"cases": (catalogue.cases, "case"), "requirements": (catalogue.requirements, "requirement"),
                   "defects": (catalogue.defects, "defect"), "coverage": (catalogue.requirements, "requirement")}[what]
    chosen = [store[name] for name in cat.select(args.patterns, store, noun)]
    if what == "coverage":
        rows = coverage.rows(catalogue, chosen)
    else:
        rows = [dataclasses.asdict(item) for item in chosen]
    printer = Printer(Redactor(), sys.stdout)
    if args.output_format == "json":
        printer.line(json.dumps(rows, indent=1))
    elif args.output_format == "markdown":
        printer.line(coverage.page(rows).rstrip("\n"))
    else:
        for line in _normal(what, rows):
            printer.line(line)
    holes = coverage.problems(catalogue, rows) if what == "coverage" else []
    for line in holes:
        print(f"nvme-conform: {clean(line)}", file=sys.stderr)
    return EXIT_FAIL if holes else EXIT_OK


def _normal(what, rows):
    if what == "cases":
        return table([[row["id"], " ".join(row["checks"]), clean(row["title"])] for row in rows])
    if what == "requirements":
        return table([[row["id"], row["level"], row["citation"], clean(row["statement"])] for row in rows])
    if what == "defects":
        return table([[row["name"], row["requirement"], clean(row["text"])] for row in rows])
    lines = []
    for row in rows:
        lines.append(f"{row['id']}  {row['level']}: {clean(row['statement'])} ({clean(row['citation'])})")
        named = (("cases", ", ".join(row["cases"])), ("observer", coverage.observed_where(row)),
                 ("replay", coverage.replayed_how(row)),
                 ("rules", ", ".join(row["rules"])), ("defects", ", ".join(row["defects"])),
                 ("no case", clean(row["reason"]) or "(and no reason)" * (not row["cases"])))
        lines += [f"    {label:<10}{clean(text)}" for label, text in named if text]
    return [*lines, coverage.totals(rows)]
