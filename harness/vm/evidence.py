# SPDX-License-Identifier: BSD-3-Clause
"""What a gate leaves for others, whatever kind it was of and however it ended: gate.json and junit.xml."""

import json
import os
import re

from . import expectation, gate_junit, matrix, options, slices
from .errors import EXIT_CANNOT_JUDGE, EXIT_TOOL, EXIT_UNEXPECTED, EXIT_USAGE

FORMAT = "nvme-conform-gate/1"
VERSIONS = os.path.join("guest", "versions.json")
# Statuses that an error may end a gate with when its guest was booted.
_OUTCOMES = {EXIT_UNEXPECTED: "not as expected", EXIT_TOOL: options.UNJUDGED, EXIT_CANNOT_JUDGE: options.UNJUDGED}
_LINE = re.compile(r"(not )?ok \d+ (\S+)(?: # (?:(SKIP|XFAIL|WARN|NOTE) ?)?(.*))?$")
_OTHERS = ("observer", "kernel")    # lines of a console's document that are no cases


def _head(words, release, status, accel=""):
    return {"format": FORMAT, "command": words.command, "again": options.again_words(words), "chosen": words.cases,
            "kernel": release, "accel": accel, "exit_status": status}


def _write(directory, facts):
    with open(os.path.join(directory, "gate.json"), "w", encoding="utf-8") as file:
        json.dump(facts, file, indent=1)
        file.write("\n")


def _junit(directory, release, status, **members):
    """_junit stores junit.xml of the gate.json that is in directory; members replace those of its column."""
    column = {**matrix.column(release, directory, status), **members}
    gate_junit.write(os.path.join(directory, "junit.xml"), [column])


def _twin(said):
    """_twin returns the member that tells of which guest a span or a finding is; the first needs none."""
    return {"twin": said.twin} if said.twin else {}


def write_run(directory, words, report, windows, status, comparison=None, kinds=()):
    """write_run stores what a run of the suite or a soak was: gate.json, and the kernel's words on each failed case. Versions are in
    guest/versions.json, verdicts in suite/, which a soak has none of."""
    judged = words.soak is None and report.result not in (EXIT_TOOL, EXIT_USAGE)
    found = expectation.results_in(os.path.join(directory, "suite")) if judged else {}
    kept = slices.write(directory, slices.failed(found, report.findings, windows), report, windows)
    spans = [{"case": span.case, "start": round(span.start - report.started, 3), **_twin(span),
              "kernel": span.said(report.lines, span.end or span.start)} for span in windows.spans]
    facts = {**_head(words, report.release, status, report.accel),
             "accel_reason": report.accel_reason, "suite_status": report.result, "taint_before": report.taint_before,
             "taint_after": report.taint_after, "tlshd_alive": report.tlshd_alive,
             "death": report.death, "timings": report.timings,
             "kernel_as_expected": report.kernel_silent or bool(comparison and comparison.kernel_as_expected),
             "findings": [{"case": windows.case_at(found), "near": windows.near(found), **_twin(found),
                           "title": found.title,
                           "lines": found.lines} for found in report.findings],
             "cases": [span for span in spans if span["kernel"]], "kernel_logs": kept}
    if comparison is not None:
        facts["baseline"] = comparison.facts()
    if kinds:
        facts["soak"] = [kind.facts() for kind in kinds]
    _write(directory, facts)
    _junit(directory, report.release, status)


def write_host(directory, words, report, target_alive, status):
    """write_host stores what `gate --host` saw: a verdict for each step of its story."""
    steps = [{"step": step.name, "ok": step.ok, "status": step.status, "seconds": round(step.seconds, 3),
              "output": "" if step.ok else step.output, "kernel": step.kernel} for step in report.steps]
    error = report.error or (None if target_alive else "the reference target died")
    silent = not report.findings and report.taint_before == report.taint_after
    _write(directory, {**_head(words, report.release, status, report.accel), "steps": steps, "error": error,
                       "taint_before": report.taint_before, "taint_after": report.taint_after, "kernel_as_expected": silent,
                       "findings": [{"case": None, "title": found.title, "lines": found.lines} for found in report.findings]})
    verdicts = {f"host.{step.name}": {"verdict": "pass" if step.ok else "fail",
                                      "seen": "" if step.ok else " ".join([step.output, *step.kernel])} for step in report.steps}
    _junit(directory, report.release, status, verdicts=verdicts, reason=error)


def _told(lines):
    """_told returns {name: (its line was ok, verdict as in a matrix)} of a document of KTAP."""
    told = {}
    for match in filter(None, map(_LINE.match, lines)):
        bad, name, directive, text = match.groups()
        verdict = "skip" if directive == "SKIP" else "fail" if bad or directive == "XFAIL" else "pass"
        told[name] = (not bad, {"verdict": verdict, **({"seen": text} if text else {})})
    return told


def write_console(directory, words, release, accel, lines, status):
    """write_console stores what the KTAP of `gate --console` says, given as its lines."""
    told = _told(lines)
    differences = [{"kind": "other", "id": name, "found": verdict["verdict"], "why": verdict.get("seen", "")}
                   for name, (good, verdict) in told.items() if not good and name not in _OTHERS]
    silent = told.get("kernel", (False,))[0]
    _write(directory, {**_head(words, release, status, accel), "kernel_as_expected": silent, "baseline": {"differences": differences}})
    seen = [{"kind": "other", "id": "observer", "found": "fail", "why": "see ktap.txt"}] if not told.get("observer", (True,))[0] else []
    _junit(directory, release, status, verdicts={name: verdict for name, (_, verdict) in told.items() if name != "kernel"},
           baseline=None if words.no_baseline else {"differences": differences + seen})


def write_unjudged(directory, words, error, started):
    """write_unjudged stores why a gate came to no verdict, when it had begun to boot since started (seconds of the clock)."""
    path = os.path.join(directory, VERSIONS)
    if error.exit_status not in _OUTCOMES or not os.path.isfile(path) or os.path.getmtime(path) < started:
        return
    with open(path, encoding="utf-8") as file:
        versions = json.load(file)
    _write(directory, {**_head(words, versions["kernel"], error.exit_status, versions["accel"]),
                       "verdict": _OUTCOMES[error.exit_status], "reason": error.message})
    _junit(directory, versions["kernel"], error.exit_status, reason=error.message)
