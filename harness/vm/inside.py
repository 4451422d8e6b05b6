# SPDX-License-Identifier: BSD-3-Clause
"""What a guest of `gate --console` runs: the suite against its own kernel, told as KTAP while it goes on.

One line a case, then one for what the observer saw and one for what the kernel said. A result that
the baseline lists counts as it does in the gate: ok, with XFAIL and its reason. Under LAVA every
line becomes a signal too. Configuration is in /conf (console.py).
"""

import json
import os
import shutil
import subprocess
import sys
import time

from ..runner import ktap
from . import baseline, klog
from .errors import EXIT_CANNOT_JUDGE, EXIT_OK, EXIT_TOOL, EXIT_UNEXPECTED

CONF = "/conf"
WORK = "/run/nvme-conform"
POLL_SECONDS = 0.2
LAVA = "lava-test-case"
TAINTED = "/proc/sys/kernel/tainted"
# The console is the report's: of the kernel's messages only those of its end may come between (dmesg -n).
CONSOLE_LEVEL = "1"


def _load(name):
    with open(os.path.join(CONF, name), encoding="utf-8") as file:
        return json.load(file)


def verdict_line(number, found, known, release, lenient=False):
    """verdict_line returns (line of KTAP, is it ok) for one Found. known: a Baseline, or None."""
    if known is None:
        name = found.behaviour if found.behaviour != "pass" or found.teardown in baseline.CLEAN_TEARDOWNS else "fail"
        text = ktap.line(number, found.id, name, baseline.cause(found))
        return text, not text.startswith("not")
    comparison = known.compare({found.id: found}, release, whole=False, lenient=lenient)
    if comparison.differences:
        difference = comparison.differences[0]
        return f"not ok {number} {ktap.word(found.id)} # {ktap.word(difference.why)}", False
    text = f"ok {number} {ktap.word(found.id)}"
    entry = known.entry_for(found.id, release)
    if comparison.lost:
        return f"{text} # SKIP the target lost its answer", True
    if found.behaviour == "skip":
        return f"{text} # SKIP {ktap.word(found.seen)}", True
    return (text if found.clean else f"{text} # XFAIL {ktap.word(entry.reason)}"), True


class Console:
    """Console prints the document and counts; under LAVA it signals every line as a test case."""

    def __init__(self):
        self.number = 0
        self.failed = 0
        self._lava = shutil.which(LAVA)

    def line(self, text, good, name):
        print(text, flush=True)
        self.failed += not good
        if self._lava:
            result = "skip" if " # SKIP" in text else "pass" if good else "fail"
            subprocess.run([self._lava, name.replace("/", "_"), "--result", result], check=False, timeout=30)

    def next(self):
        self.number += 1
        return self.number


def _words(options, profile_path):
    words = [sys.executable, "harness/nvme-conform", "run", *options["cases"], "--profile", profile_path,
             "--output-dir", os.path.join(WORK, "suite"), "--seed", options["seed"], "--timeout", options["timeout"],
             "--captures", "none"]
    return words + [word for glob in options["last"] for word in ("--last", glob)]


def _profile():
    """_profile writes the profile without what this kernel refused, readable by root alone, and returns its path."""
    rejected = set()
    with open("/run/said", encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if words[1:2] == ["REJECTED"]:
                rejected.add(words[2])
    path = os.path.join(WORK, "profile.json")
    profile = _load("profile.json")
    for kind in ("hosts", "psks"):
        profile[kind] = [entry for entry in profile[kind] if entry["name"] not in rejected]
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(profile, file)
    return path


def _events(path, process):
    """_events yields the events of a run as they are written, until its process has ended."""
    splitter, file = klog.Splitter(), None
    while True:
        ended = process.poll() is not None
        if file is None and os.path.exists(path):
            file = open(path, "rb")    # lives as long as this process
        for line in splitter.feed(file.read(), 0.0) if file else ():
            yield json.loads(line.text)
        if ended:
            return
        time.sleep(POLL_SECONDS)


def found_in(event):
    """found_in returns the Found of a verdict event, as baseline.results_of makes it of results.json."""
    return baseline.results_of({"cases": [{**event, "id": event["case"]}], "observations": []})[event["case"]]


def _observer(console, results, known, options):
    """_observer is one line for all that the observer saw; each observation that is not as listed is a diagnosis."""
    seen = baseline.results_of({"cases": [], "observations": results["observations"]})
    odd = [f"{found.id} {found.verdict}: {baseline.cause(found)}" for found in seen.values()
           if not verdict_line(0, found, known, options["release"], options["lenient"])[1]]
    for text in odd:
        print(f"# {ktap.word(text)}")
    number = console.next()
    console.line(f"{'not ok' if odd else 'ok'} {number} observer", not odd, "observer")


def _kernel(console, known, options, tainted):
    """_kernel is one line for the kernel's own voice. Which case a report belongs to is not known here, so that a listed
    one is accepted from any of its cases."""
    log = subprocess.run(["dmesg"], capture_output=True, text=True, check=False, timeout=60, errors="replace").stdout
    reports = klog.findings([klog.Line(0.0, text) for text in log.splitlines()])
    news = [found for found in reports
            if known is None or not known.splat_listed(known.dangerous(options["release"]), found.lines, options["release"])]
    for found in news:
        for text in found.lines:
            print(f"# {ktap.word(text)}")
    after = _tainted()
    if after != tainted:
        print(f"# taint {tainted} before, {after} after")
    good = not news and (after == tainted or bool(reports))
    number = console.next()
    console.line(f"{'ok' if good else 'not ok'} {number} kernel", good, "kernel")


def _tainted():
    with open(TAINTED, encoding="ascii") as file:
        return file.read().strip()


def run():
    """run prints the document and returns the exit status, those of the gate."""
    os.makedirs(WORK, exist_ok=True)
    options = _load("console.json")
    known = baseline.Baseline("baseline.toml") if os.path.exists("baseline.toml") else None
    subprocess.run(["dmesg", "-n", CONSOLE_LEVEL], check=False, timeout=30)
    console, tainted = Console(), _tainted()
    said = os.path.join(WORK, "suite.txt")
    judged = 0
    print("KTAP version 1", flush=True)
    with open(said, "wb") as out:
        process = subprocess.Popen(_words(options, _profile()), stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        for event in _events(os.path.join(WORK, "suite", "events.jsonl"), process):
            if event.get("event") == "run-start":
                print(f"1..{event['cases'] + 2}", flush=True)
            elif event.get("event") == "verdict":
                found = found_in(event)
                judged += found.behaviour in ("pass", "warn", "fail")
                console.line(*verdict_line(console.next(), found, known, options["release"], options["lenient"]), found.id)
    try:
        with open(os.path.join(WORK, "suite", "results.json"), encoding="utf-8") as file:
            results = json.load(file)
    except OSError:
        with open(said, encoding="utf-8", errors="replace") as file:
            print("".join(f"# {ktap.word(line.rstrip())}\n" for line in file.readlines()[-10:]), end="")
        return EXIT_TOOL
    _observer(console, results, known, options)
    _kernel(console, known, options, tainted)
    if process.returncode not in (EXIT_OK, EXIT_UNEXPECTED, EXIT_CANNOT_JUDGE):
        return EXIT_TOOL
    if not judged:
        return EXIT_CANNOT_JUDGE
    return EXIT_UNEXPECTED if console.failed else EXIT_OK


if __name__ == "__main__":
    sys.exit(run())
