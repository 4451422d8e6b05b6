# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel said while a case failed, as a file per case: the slice of the serial log that goes into a bug report."""

import os

DIRECTORY = "kernel"


def name_of(ident):
    """name_of returns the file of a case, below the directory of the run, named as its capture is."""
    return os.path.join(DIRECTORY, ident.replace("/", "_") + ".log")


def _reports(report, windows, ident, inside):
    """_reports returns the kernel's reports that count as the case's, but came when it had ended."""
    return [text for found in report.findings if windows.case_at(found) == ident
            for text in ["", *found.lines] if found.lines[0] not in inside]


def write(directory, failed, report, windows):
    """write stores a slice for every case of failed that the kernel said something about, and returns {case: file}.

    A case that ran more than once has all its slices in one file.
    """
    kept = {}
    for ident in failed:
        lines = [text for span in windows.spans if span.case == ident
                 for text in span.said(report.lines, span.end or float("inf"))]
        lines += _reports(report, windows, ident, set(lines))
        if lines:
            kept[ident] = name_of(ident)
            path = os.path.join(directory, kept[ident])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
    return kept


def failed(found, findings, windows):
    """failed returns the ids of the cases that deserve a slice: a fail of either verdict, or a report of the kernel."""
    idents = [each.id for each in found.values() if "fail" in (each.behaviour, each.teardown)]
    return list(dict.fromkeys(idents + [case for each in findings if (case := windows.case_at(each))]))
