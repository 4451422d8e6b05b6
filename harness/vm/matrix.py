# SPDX-License-Identifier: BSD-3-Clause
"""`gate --kernels`: one gate per kernel, each a process of its own, and one table of them all."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

from ..runner import engine, withhold
from ..runner.catalogue import area_of
from ..runner.matrix import WORST
from ..runner.terminal import table
from . import baseline, expectation, gate, gate_junit, kernel, options
from .errors import EXIT_CANNOT_JUDGE, EXIT_OK, EXIT_TOOL, EXIT_UNEXPECTED, EXIT_USAGE, GateError

FORMAT = "nvme-conform-matrix/1"
GATE_SECONDS = 1800
POLL_SECONDS = 0.2
SHORT = {"pass": "pass", "warn": "warn", "fail": "FAIL", "skip": "skip", "inconclusive": "inc.",
         "error": "ERR", "note": "note"}
# Every option of the gate is in exactly one of these: each kernel's gate gets it, it is about all of them together, or it is refused.
PASSED_ON = ("accel", "append", "baseline", "boot_timeout", "cache", "cases", "fetch", "lenient", "memory", "mirror", "no_baseline",
             "offline", "seed", "timeout", "update_baseline")
OWN = ("guests", "jobs", "kernels", "merge", "output_dir", "publish", "rejudge", "shard", "verbose")
REFUSED = ("bisect", "config", "console", "deb", "defect", "export", "host", "image", "keep", "kernel", "modules", "print_config",
           "rerun", "soak", "tree", "uml")


def kernels(text):
    """kernels returns the versions of "A,B,C", or of a file with one per line; each names a directory too."""
    if os.path.isfile(text):
        try:
            with open(text, encoding="utf-8") as file:
                found = [line.split("#", 1)[0].strip() for line in file]
        except (OSError, UnicodeDecodeError) as error:
            raise GateError(f"--kernels {text}: no list of kernels, one version per line ({error})", EXIT_USAGE) from None
    elif os.sep in text:
        raise GateError(f"--kernels {text}: no such file", EXIT_USAGE)
    else:
        found = [word.strip() for word in text.split(",")]
    found = list(dict.fromkeys(word for word in found if word))
    if not found:
        raise GateError(f"--kernels {text!r} names no kernel", EXIT_USAGE)
    for each in found:
        kernel.check_version(each)
    return found


def share(wanted, text):
    """share returns the I-th of N shares of the kernels, for "I/N" with 1 <= I <= N."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    index, count = map(int, match.groups()) if match else (0, 0)
    if not 1 <= index <= count:
        raise GateError(f"--shard {text!r} is not I/N with I from 1 to N", EXIT_USAGE)
    return wanted[index - 1::count]


# What is read of a column of matrix.json, whoever wrote it.
_MEMBERS = {"kernel": str, "release": str, "status": int, "findings": list, "verdicts": dict, "kernel_files": list}


def _is_column(each):
    return isinstance(each, dict) and all(isinstance(each.get(name), kind) for name, kind in _MEMBERS.items()) \
        and column("0", os.devnull, 0).keys() - {"reason"} <= each.keys() \
        and all(isinstance(verdict, dict) and isinstance(verdict.get("verdict"), str) for verdict in each["verdicts"].values())


def _columns(option, directory):
    """_columns returns the columns of the matrix of an earlier run; anything else is a GateError."""
    path = os.path.join(directory, "matrix.json")
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError) as error:
        raise GateError(f"{option} {directory}: no matrix of a gate --kernels there ({path}: {error})", EXIT_USAGE) from None
    columns = found.get("kernels") if isinstance(found, dict) and found.get("format") == FORMAT else None
    if not isinstance(columns, list):
        raise GateError(f"{option} {directory}: {path} is no matrix of a gate --kernels", EXIT_USAGE)
    for number, each in enumerate(columns, 1):
        if not _is_column(each):
            raise GateError(f"{option} {directory}: {path}, kernel {number}: members of a gate's table are missing; a published table "
                            "has verdicts alone, name the directory of the run", EXIT_USAGE)
        kernel.check_version(each["kernel"])
    return columns


def merge(directories):
    """merge returns the columns of several matrices; a kernel that is in two of them is an error."""
    columns = [each for directory in directories for each in _columns("--merge", directory)]
    names = [each["kernel"] for each in columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise GateError(f"--merge: {', '.join(twice)} more than once", EXIT_USAGE)
    return sorted(columns, key=lambda each: baseline.version(each["kernel"]))


def _argv(words, program, version, directory, guests):
    argv = [sys.executable, program, "gate", "--kernel", version, "--output-dir", directory]
    for name in PASSED_ON:
        value, option = getattr(words, name), options.spelled(name)
        if isinstance(value, list):
            argv += value    # the cases
        elif value is True:
            argv.append(option)
        elif value not in (None, False, ""):
            argv.append(f"{option}={value}")
    argv += [f"--guests={guests}"] if guests else []
    return engine.dying_with_us(argv, "TERM")


def _jobs(words):
    """_jobs returns how many kernels run at once: each guest wants a core for itself and one for the suite."""
    if words.jobs:
        return max(1, words.jobs)
    return max(1, min((os.cpu_count() or 1) // 2, gate.free_mib() // (words.memory + gate.GUEST_MIB)))


class _Gate:
    """_Gate is one kernel's gate as a process."""

    def __init__(self, words, program, version, directory, guests):
        self.kernel = version
        self.directory = os.path.join(directory, version)
        os.makedirs(self.directory, exist_ok=True)
        self.started = time.monotonic()
        self.seconds = None
        with open(os.path.join(self.directory, "gate.txt"), "wb") as output:
            self.process = subprocess.Popen(_argv(words, program, version, self.directory, guests),
                                            stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT)

    def ended(self):
        if self.process.poll() is None and time.monotonic() - self.started > GATE_SECONDS:
            self.end()
        if self.process.poll() is None:
            return False
        self.seconds = time.monotonic() - self.started
        return True

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_line(self):
        with open(os.path.join(self.directory, "gate.txt"), encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
        telling = [line for line in lines if line.startswith(("AS EXPECTED", "NOT AS EXPECTED"))]
        return (telling or lines or [""])[-1]


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def column(version, directory, status, seconds=None):
    """column returns what the matrix keeps of one kernel's gate."""
    report = _read(os.path.join(directory, "gate.json"))
    results = _read(os.path.join(directory, "suite", "results.json"))
    found = baseline.results_of(results) if results else {}
    versions = _read(os.path.join(directory, "guest", "versions.json"))
    return {
        "kernel": version, "release": report.get("kernel", ""), "status": status,
        "seconds": round(seconds, 1) if seconds is not None else None,
        "accel": report.get("accel", ""), "timings": report.get("timings", {}),
        "suite_seed": results.get("seed"), "findings": [f["title"] for f in report.get("findings", [])],
        "quoted": [[f"during {f['case'] or 'no case'}:", *f["lines"]] for f in report.get("findings", [])],
        "taint_after": report.get("taint_after"), "death": report.get("death"), "reason": report.get("reason"),
        "baseline": report.get("baseline"), "kernel_as_expected": report.get("kernel_as_expected", False),
        "kernel_files": [{name: entry.get(name) for name in ("file", "sha256", "verified")}
                         for entry in versions.get("kernel_files", [])],
        "verdicts": {ident: {name: value for name, value in
                             (("verdict", result.verdict), ("requirement", result.requirement),
                              ("seen", result.seen), ("teardown_seen", result.teardown_seen),
                              ("answers_lost", result.answers_lost)) if value}
                     for ident, result in found.items()}}


class _Id:
    """_Id lets area_of() take an id alone."""

    def __init__(self, ident):
        self.area, self.id = "", ident


def _areas(columns):
    areas = {}
    for each in columns:
        for ident in each["verdicts"]:
            areas.setdefault(area_of(_Id(ident)), {})[ident] = None
    return areas


def cell(each, idents):
    """cell returns the counts of one area on one kernel, pass first, then what is not."""
    verdicts = [each["verdicts"][ident]["verdict"] for ident in idents if ident in each["verdicts"]]
    if not verdicts:
        return "-"
    firsts = [verdict.split("/")[0] for verdict in verdicts]
    clean = sum(verdict in ("pass", "pass/pass", "note") for verdict in verdicts)
    parts = [f"{clean}"]
    parts += [f"{firsts.count(name)}{letter}" for name, letter in
              (("fail", "F"), ("warn", "w"), ("inconclusive", "i"), ("skip", "s"), ("error", "E"))
              if firsts.count(name)]
    torn = sum(verdict.split("/")[0] == "pass" and verdict not in ("pass", "pass/pass")
               for verdict in verdicts)
    return " ".join(parts + ([f"{torn}t"] if torn else []))


def area_rows(columns):
    """area_rows returns the table area x kernel as lists of strings, with its head and its sum."""
    rows = [["area", *[each["kernel"] for each in columns]]]
    areas = _areas(columns)
    for name, idents in areas.items():
        rows.append([name, *[cell(each, idents) for each in columns]])
    everything = [ident for idents in areas.values() for ident in idents]
    rows.append(["all", *[cell(each, everything) for each in columns]])
    rows.append(["as expected", *[_outcome(each) for each in columns]])
    return rows


def _outcome(each):
    return {EXIT_OK: "yes", EXIT_UNEXPECTED: "NO"}.get(each["status"], f"status {each['status']}")


def _told(each, ident):
    """_told returns a verdict for the table: what a case that did not pass found afterwards is left out."""
    verdict = each["verdicts"].get(ident, {}).get("verdict", "-")
    behaviour, _, teardown = verdict.partition("/")
    short = SHORT.get(behaviour, behaviour)
    return f"{short}, teardown {SHORT[teardown]}" if behaviour == "pass" and teardown not in ("", "pass") \
        else short


def case_rows(columns):
    """case_rows returns the table case x kernel of what is not alike on all kernels."""
    rows = [["case", *[each["kernel"] for each in columns]]]
    for idents in _areas(columns).values():
        for ident in idents:
            cells = [_told(each, ident) for each in columns]
            if len(set(cells)) > 1:
                rows.append([ident, *cells])
    return rows


LEGEND = ("a number is what was clean; F fail, w warn, i inconclusive, s skip, E error, "
          "t only the teardown was not clean")


def markdown(rows):
    """markdown returns rows as a Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines) + "\n"


def write(directory, columns, command):
    """write stores matrix.json, matrix.md and junit.xml."""
    gate_junit.write(os.path.join(directory, "junit.xml"), columns)
    with open(os.path.join(directory, "matrix.json"), "w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, "command": command, "kernels": columns}, file, indent=1)
        file.write("\n")
    with open(os.path.join(directory, "matrix.md"), "w", encoding="utf-8") as file:
        file.write(f"{markdown(area_rows(columns))}\n{LEGEND}.\n\n{markdown(case_rows(columns))}")


_PUBLISHED = """# Kernels

What Debian's kernels make of the suite, each booted in a virtual machine and judged from outside:

```
{command}
```

{areas}
{legend}. [docs/findings.md](../../docs/findings.md) says for every result that is not clean why; "as
expected" compares with `harness/baselines/linux.toml`. `matrix.json` has every verdict with its requirement.

| kernel | packages | seconds |
|---|---|---|
{packages}

## Why

Every fail, warning and case without a verdict, and where its cause is told. Kernels to which an entry's cause does not apply pass.

{causes}
## What differs between the kernels

{cases}"""


WITHHELD = os.path.join(engine.ROOT, "harness", "baselines", "withheld.txt")


def _untold(columns, withheld):
    """_untold returns the columns with what judges a withheld requirement as that requirement, its worst verdict with it."""
    names = {ident.split("/")[0] for each in columns for ident, result in each["verdicts"].items()
             if result.get("requirement") in withheld and result["verdict"].split("/")[0] in ("fail", "warn")}
    told = []
    for each in columns:
        verdicts = {}
        for ident, result in each["verdicts"].items():
            requirement = result.get("requirement", "")
            if ident.split("/")[0] not in names:
                verdicts[ident] = result
            elif requirement in withheld:
                found = [result["verdict"].split("/")[0], *(one["verdict"] for one in [verdicts.get(requirement)] if one)]
                verdicts[requirement] = {"verdict": min(found, key=WORST.index), "requirement": requirement}
        told.append({**each, "verdicts": verdicts})
    return told


def _has(columns, kernels):
    """_has returns which of the columns' kernels these are, in few words."""
    names = [each["kernel"] for each in columns]
    places = sorted(map(names.index, kernels))
    if len(places) == len(names):
        return "all"
    if places != list(range(places[0], places[-1] + 1)) or len(places) == 1:
        return ", ".join(names[place] for place in places)
    return f"to {names[places[-1]]}" if places[0] == 0 else f"from {names[places[0]]}" if places[-1] == len(names) - 1 \
        else f"{names[places[0]]} to {names[places[-1]]}"


def cause_rows(columns, base, withheld):
    """cause_rows returns the table of the causes of all that is not clean: what the baseline says, which results, which kernels, where to
    read on."""
    found = {}
    for each in columns:
        for ident, result in each["verdicts"].items():
            if not {"fail", "warn", "inconclusive"} & set(result["verdict"].split("/")):
                continue
            entry = None if ident in withheld else base.entry_for(ident, each["release"] or each["kernel"])
            why = ("for the implementer first", "SECURITY.md") if ident in withheld else (entry.reason, entry.link) if entry \
                else ("not explained", "")
            idents, kernels = found.setdefault(why, (set(), set()))
            idents.add(ident.split("/")[0])
            kernels.add(each["kernel"])
    rows = [["cause", "results", "kernels", "read on"]]
    for (reason, link), (idents, kernels) in found.items():
        target = link if "://" in link else f"../../{link}"
        rows.append([reason.replace("|", "\\|"), ", ".join(f"`{ident}`" for ident in sorted(idents)), _has(columns, kernels),
                     f"[{link.rpartition('/')[2]}]({target})" if link else ""])
    return rows


def publish(directory, columns, command, path=expectation.DEFAULT):
    """publish stores what reports/kernels/ shows: verdicts and requirements, nothing of this machine.

    What was seen stays out, and of a hole in the newest release the requirement is all that is told. path: the baseline with the causes.
    """
    kept = ("kernel", "release", "status", "accel", "suite_seed", "findings", "kernel_files")
    withheld = withhold.load(WITHHELD)
    told = _untold(columns, withheld)
    slim = [{**{name: each[name] for name in kept},
             "verdicts": {ident: [result["verdict"], result.get("requirement", "")]
                          for ident, result in each["verdicts"].items()}} for each in told]
    packages = [f"| {each['release'] or each['kernel']} | " + ", ".join(
        f"{entry['file']} ({entry['verified']})" for entry in each["kernel_files"])
        + f" | {each['seconds']:.0f} |" for each in columns]
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "matrix.json"), "w", encoding="utf-8") as file:
        json.dump({"format": FORMAT, "command": command, "kernels": slim}, file, indent=0)
        file.write("\n")
    with open(os.path.join(directory, "README.md"), "w", encoding="utf-8") as file:
        file.write(_PUBLISHED.format(
            command=command, areas=markdown(area_rows(columns)), legend=LEGEND[0].upper() + LEGEND[1:],
            packages="\n".join(packages), causes=markdown(cause_rows(told, baseline.Baseline(path), withheld)),
            cases=markdown(case_rows(told))))


def rejudge(directory, expected, lenient):
    """rejudge returns the columns of an earlier matrix, laid beside the baseline of today; a table without the runs is refused."""
    columns = _columns("--rejudge", directory)
    if absent := [each["kernel"] for each in columns if not os.path.isdir(os.path.join(directory, each["kernel"]))]:
        raise GateError(f"--rejudge {directory}: the runs of {', '.join(absent)} are not in it; a merged table keeps verdicts alone: "
                        "rejudge its shares, and merge what comes of it", EXIT_USAGE)
    for each in columns:
        place = os.path.join(directory, each["kernel"])
        results = _read(os.path.join(place, "suite", "results.json"))
        report = _read(os.path.join(place, "gate.json"))
        if not results or not report or "reason" in report or report.get("suite_status") in (EXIT_TOOL, EXIT_USAGE):
            continue
        try:
            judgement = expected.again(results, report, lenient)
        except (KeyError, TypeError, AttributeError) as error:
            raise GateError(f"--rejudge {directory}: {place}: results.json or gate.json is not a gate's ({error!r})", EXIT_USAGE) from None
        each["baseline"] = judgement.facts()
        each["kernel_as_expected"] = judgement.kernel_as_expected
        each["status"] = judgement.exit_status() if judgement.kernel_as_expected else EXIT_UNEXPECTED
        print(f"{each['kernel']}: {list(judgement.lines(''))[-1]}")
        for difference in judgement.comparison.differences:
            print(f"     {difference.kind} {difference.id} {difference.found}: {difference.why}"[:300])
    return columns


def _conduct(words, directory, program, wanted):
    waiting, running, ended, jobs = list(wanted), [], {}, _jobs(words)
    # Side by side with others a kernel gets one guest; alone it may have the second core as well.
    guests = words.guests or (1 if jobs > 1 else None)
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(_Gate(words, program, waiting.pop(0), directory, guests))
            for each in [one for one in running if one.ended()]:
                running.remove(each)
                ended[each.kernel] = column(each.kernel, each.directory, each.process.returncode,
                                            each.seconds)
                print(f"{each.kernel}: status {each.process.returncode} in {each.seconds:.0f} s: "
                      f"{each.last_line()}", flush=True)
            time.sleep(POLL_SECONDS)
    finally:
        for each in running:
            each.end()
    return [ended[version] for version in wanted]


def worst(statuses, nothing):
    """worst returns the exit status for those of several gates, or nothing where there is none: 1 outranks 125, as in a run, and what is
    no verdict outranks both. None, or a signal, is our own fault."""
    graded = [EXIT_OK, EXIT_CANNOT_JUDGE, EXIT_UNEXPECTED]
    known = [EXIT_TOOL if each is None or each < 0 else each for each in statuses]
    return max(known, key=lambda each: graded.index(each) if each in graded else len(graded), default=nothing)


def run(words, directory, program):
    """run gates every kernel of --kernels, prints the table and returns the worst exit status."""
    for name in REFUSED:
        if name in words.given:
            raise GateError(f"--kernels does not go with {options.spelled(name)}", EXIT_USAGE)
    if words.update_baseline and (words.jobs or 1) > 1:
        raise GateError("--update-baseline writes one file; leave out -j", EXIT_USAGE)
    words.jobs = 1 if words.update_baseline else words.jobs
    if not shutil.which("setpriv"):
        print("nvme-conform gate: no setpriv here; a killed gate may leave guests", file=sys.stderr)
    if words.rejudge:
        columns = rejudge(words.rejudge, expectation.Expectation(words.baseline), words.lenient)
        wanted = [each["kernel"] for each in columns]
    elif words.merge:
        columns = merge(words.merge)
        wanted = [each["kernel"] for each in columns]
    else:
        wanted = kernels(words.kernels)
        wanted = share(wanted, words.shard) if words.shard else wanted
        columns = _conduct(words, directory, program, wanted)
    if words.fetch:
        return worst([each["status"] for each in columns], EXIT_OK)
    command = " ".join(["nvme-conform", "gate", *words.cases, "--kernels", ",".join(wanted)])
    os.makedirs(directory, exist_ok=True)
    write(directory, columns, command)
    if words.publish:
        publish(words.publish, columns, command, words.baseline)
    rows = [area_rows(columns)] + ([case_rows(columns)] if words.verbose else [])
    for each in rows:
        print()
        print("\n".join(table(each)))
    print(f"{LEGEND}\nmatrix.json, matrix.md and junit.xml in {directory}")
    # A share may be empty; what is laid together judges something, or nothing was judged.
    return worst([each["status"] for each in columns], EXIT_OK if words.shard else EXIT_CANNOT_JUDGE)
