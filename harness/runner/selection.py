# SPDX-License-Identifier: BSD-3-Clause
"""Which cases a run is made of: ids and globs, the level of what they judge, what failed in an earlier run."""

import sys

from . import catalogue as cat
from . import records
from .errors import UsageError
from .terminal import clean

LEVELS = {"shall": {"shall", "nvme-conform's own"}, "should": {"shall", "nvme-conform's own", "should"}, "all": set(cat.LEVELS)}
AGAIN = ("fail", "inconclusive", "error")


def add_arguments(group):
    """add_arguments adds the options of `run` that choose cases."""
    add = group.add_argument
    add("--level", choices=tuple(LEVELS), default="all",
        help="only cases that judge a shall, a shall or a should, or (default) all")
    add("--rerun-failed", metavar="REPORT", help="only what did not come out well in this earlier run, with its seed")
    add("--only-changed-since", metavar="REPORT", help="show, and fail on, only what differs from this earlier run")


def cases(args, catalogue, earlier=None):
    """cases returns the ids of the chosen cases. earlier is the Record of --rerun-failed, or None."""
    chosen = cat.select(args.cases, catalogue.cases, "case")
    if earlier:
        failed = unsettled(earlier)
        missing = [ident for ident in failed if ident not in catalogue.cases]
        if missing:
            print(f"nvme-conform: not run, as there is no such case any more: {clean(', '.join(sorted(missing)))}", file=sys.stderr)
        chosen = [ident for ident in chosen if ident in failed]
        if not chosen:
            raise UsageError(f"--rerun-failed {args.rerun_failed}: nothing of it has to be run again")
    wanted = LEVELS[args.level]
    chosen = [ident for ident in chosen
              if any(catalogue.requirement(check).level in wanted for check in catalogue.cases[ident].checks)]
    if not chosen:
        raise UsageError(f"--level {args.level}: none of the cases judges such a requirement")
    return chosen


def compare_targets(option, path, earlier, args, target):
    """compare_targets says on stderr when the run of an option that names an earlier one is of another target; that may be meant.
    UsageError when nobody named a target: a pass of the reference target is no news of the real one that the earlier run was of."""
    was = (earlier.results.get("target"), sorted(earlier.results.get("defects") or []))
    if target.is_reference and not args.reference and was[0] != target.text:
        raise UsageError(f"{option} {path}: that run was of {clean(earlier.label)}; name the target with its options or --profile, "
                         "or say --reference")
    if was != (target.text, sorted(set(args.defect))):
        now = target.text + (f" with {', '.join(sorted(set(args.defect)))}" if args.defect else "")
        print(f"nvme-conform: {option} {clean(path)}: that run was of {clean(earlier.label)}, this one is of {clean(now)}",
              file=sys.stderr)


def unsettled(record):
    """unsettled returns the ids of the cases of a run that failed, were not judged, or in which the observer saw a fail."""
    found = {case["id"] for case in record.cases if case["behaviour"] in AGAIN or case["teardown"] in AGAIN}
    for seen in record.observations:
        if seen["verdict"] == "fail":
            found.update(str(ident) for ident in seen.get("cases", []))
    return found


def seed_of(record):
    """seed_of returns the seed of a run, or None where it does not say."""
    seed = record.results.get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 else None
