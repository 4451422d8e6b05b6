# SPDX-License-Identifier: BSD-3-Clause
"""`nvme-conform list`: what there is to run, to require and to break."""

import dataclasses
import json
import sys

from . import catalogue as cat
from . import engine
from .redaction import Redactor
from .terminal import Printer, clean, table


def add_arguments(parser):
    """add_arguments adds the arguments of `list`."""
    parser.add_argument("patterns", nargs="*", metavar="GLOB", help="only ids that match")
    which = parser.add_mutually_exclusive_group()
    for name, text in (("cases", "conformance cases (default)"), ("requirements", "the catalogue of requirements"),
                       ("defects", "ways to break the reference target"), ("coverage", "requirements and their cases")):
        which.add_argument(f"--{name}", dest="what", action="store_const", const=name, help=text)
    parser.add_argument("-o", "--output-format", choices=("normal", "json"), default="normal", help="how to print it")


def main(args):
    """main runs `nvme-conform list` and returns its exit status."""
    catalogue = cat.read(engine.list_objects())
    what = args.what or "cases"
    store, noun = {"cases": (catalogue.cases, "case"), "requirements": (catalogue.requirements, "requirement"),
                   "defects": (catalogue.defects, "defect"), "coverage": (catalogue.requirements, "requirement")}[what]
    chosen = [store[name] for name in cat.select(args.patterns, store, noun)]
    if what == "coverage":
        rows = coverage(catalogue, chosen)
    else:
        rows = [dataclasses.asdict(item) for item in chosen]
    printer = Printer(Redactor(), sys.stdout)
    if args.output_format == "json":
        printer.line(json.dumps(rows, indent=1))
        return 0
    for line in _normal(what, rows):
        printer.line(line)
    return 0


def coverage(catalogue, requirements):
    """coverage returns the requirements with the ids of the cases that judge them; instances of one case count as one."""
    cases = {}
    for case in catalogue.cases.values():
        for ident in case.checks:
            plain = case.id.split("/", 1)[0]
            if plain not in cases.setdefault(ident, []):
                cases[ident].append(plain)
    return [{**dataclasses.asdict(item), "cases": cases.get(item.id, [])} for item in requirements]


def _normal(what, rows):
    if what == "cases":
        return table([[row["id"], " ".join(row["checks"]), clean(row["title"])] for row in rows])
    if what == "requirements":
        return table([[row["id"], row["level"], row["citation"], clean(row["statement"])] for row in rows])
    if what == "defects":
        return table([[row["name"], row["requirement"], clean(row["text"])] for row in rows])
    lines = table([[row["id"], row["level"], ", ".join(row["cases"]) or "(no case)"] for row in rows])
    covered = sum(1 for row in rows if row["cases"])
    return lines + [f"{covered} of {len(rows)} requirements have a case"]
