# SPDX-License-Identifier: BSD-3-Clause
"""Recorded kills: which cases are enough to show that every defect is noticed and every case can fail.

The whole matrix takes minutes; a part of it, chosen once from the whole, proves the same in seconds. An entry is a case id, or
"observer.REQ in CASE" for a defect that only the observer notices.
"""

import json
import os

HERE = os.path.dirname(os.path.realpath(__file__))
FILE = os.path.join(HERE, "recorded_kills.json")
OBSERVED_IN = " in "


def choose(kills, observed, cost):
    """choose returns {defect: [entries]}, small but complete.

    kills: {defect: ids of cases that notice it}; observed: {defect: {"observer.REQ": case}}; cost: {case: milliseconds}.
    Every case goes to the defect that fewest cases notice, every defect without a case gets its cheapest one.
    """
    chosen = {defect: [] for defect in kills}
    cases = sorted({case for noticed in kills.values() for case in noticed}, key=lambda case: (cost.get(case, 0), case))
    for case in cases:
        killers = [defect for defect, noticed in kills.items() if case in noticed]
        chosen[min(killers, key=lambda defect: (len(kills[defect]), defect))].append(case)
    for defect, noticed in kills.items():
        if not chosen[defect] and noticed:
            chosen[defect].append(min(noticed, key=lambda case: (cost.get(case, 0), case)))
        elif not chosen[defect]:
            chosen[defect] = [f"{ident}{OBSERVED_IN}{case}" for ident, case in sorted(observed.get(defect, {}).items())][:1]
    return {defect: sorted(entries) for defect, entries in sorted(chosen.items()) if entries}


def case_of(entry):
    """case_of returns the id of the case that an entry needs to be run."""
    return entry.split(OBSERVED_IN, 1)[-1]


def noticed_by(entry):
    """noticed_by returns the id that must be fail or warn: the case, or the observer's."""
    return entry.split(OBSERVED_IN, 1)[0]


def write(path, chosen):
    """write stores what choose() chose; the file appears whole or not at all."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(chosen, file, indent=1)
        file.write("\n")
    os.replace(path + ".new", path)
