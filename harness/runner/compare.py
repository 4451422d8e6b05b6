# SPDX-License-Identifier: BSD-3-Clause
"""`nvme-conform compare`: the verdicts of a run against recorded ones. Only what differs is news.

A recorded file says for each case "behaviour/teardown" and for each observation its verdict, and why the fails among them are
there ("reasons", free text by id, kept when it is recorded anew).
"""

import json
import os
import sys

from .errors import EXIT_FAIL, EXIT_OK, UsageError
from .redaction import Redactor
from .terminal import Printer, clean, table

FORMAT = "nvme-conform-verdicts/1"
RESULTS_FORMAT = "nvme-conform-results/1"


def add_arguments(parser):
    """add_arguments adds the arguments of `compare`."""
    parser.add_argument("recorded", metavar="RECORDED", help="file of recorded verdicts")
    parser.add_argument("results", metavar="RESULTS", help="results.json of a run")
    parser.add_argument("--record", action="store_true", help="write RECORDED from RESULTS; reasons in it are kept")
    parser.add_argument("-o", "--output-format", choices=("normal", "json"), default="normal", help="how to print it")


def load(path, form):
    """load returns a JSON object of the given format; UsageError for anything else."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None
    if not isinstance(data, dict) or data.get("format") != form:
        raise UsageError(f"{path}: is not a file of the format {form}")
    return data


def verdicts(results):
    """verdicts returns {id: verdict} of the object of results.json."""
    try:
        found = {case["id"]: f"{case['behaviour']}/{case['teardown']}" for case in results["cases"]}
        found.update({seen["id"]: seen["verdict"] for seen in results["observations"]})
    except (KeyError, TypeError):
        raise UsageError("the results lack cases or observations with their verdicts") from None
    return found


def differences(recorded, found):
    """differences returns [id, recorded, found] for every id whose verdict is not the recorded one."""
    idents = list(dict.fromkeys([*recorded, *found]))
    rows = [[ident, str(recorded.get(ident, "(not recorded)")), found.get(ident, "(not there)")] for ident in idents]
    return [row for row in rows if row[1] != row[2]]


def record(path, results, found):
    """record writes the verdicts of a run as the recorded ones."""
    spoilt = [ident for ident, verdict in found.items() if verdict.startswith("error")]
    if spoilt or results.get("engine_faults"):
        raise UsageError(f"this run has errors of the tester ({', '.join(spoilt[:3]) or 'engine faults'}); nothing recorded")
    reasons = load(path, FORMAT).get("reasons", {}) if os.path.exists(path) else {}
    data = {"format": FORMAT, "target": results.get("target"), "verdicts": dict(sorted(found.items())),
            "reasons": {ident: reason for ident, reason in reasons.items() if ident in found}}
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(Redactor().text(json.dumps(data, indent=1)) + "\n")
    os.replace(path + ".new", path)


def main(args):
    """main runs `nvme-conform compare` and returns its exit status: 0 nothing differs, 1 something does."""
    results = load(args.results, RESULTS_FORMAT)
    found = verdicts(results)
    printer = Printer(Redactor(), sys.stdout)
    if args.record:
        record(args.recorded, results, found)
        printer.line(f"recorded {len(found)} verdicts in {args.recorded}")
        return EXIT_OK
    recorded = load(args.recorded, FORMAT).get("verdicts")
    if not isinstance(recorded, dict):
        raise UsageError(f"{args.recorded}: \"verdicts\" is not an object")
    rows = differences(recorded, found)
    if args.output_format == "json":
        names = ("id", "recorded", "found")
        printer.line(json.dumps([dict(zip(names, row)) for row in rows], indent=1))
    else:
        for line in table([["id", "recorded", "found"], *[[clean(cell) for cell in row] for row in rows]] if rows else [[""]]):
            if line:
                printer.line(line)
        printer.line(f"{len(rows)} of {len(set(recorded) | set(found))} verdicts differ from the recorded ones")
    return EXIT_FAIL if rows else EXIT_OK
