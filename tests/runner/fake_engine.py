#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A stand-in for nvme-conform-engine that keeps to the contract, or breaks it where $FAKE says so.

FAKE is JSON: {"list": [...] replaces the list, "cases": {id: verdict fields, or a named misbehaviour; "note": [requirement, text]
becomes an observation}, "config_to": FILE to store what came on standard input, "argv_to": FILE for the command line,
"events": [...] extra events, "refuse": TEXT for exit 2 (or "refuse_status"), "probe": [...] events of a probe, "list_exit": N,
"reached": {id: defects that can change the case; default all}, "defects": {name: {"cases": {...}, "events": [...]}}}.
"""

import json
import os
import signal
import sys
import time

LIST = [
    {"requirement": {"id": "C-205", "level": "shall", "statement": "REPLACETLSPSK is taken", "citation": "Base 2.2 8.3.4.4.1",
                     "area": "concat"}},
    {"requirement": {"id": "C-086", "level": "should", "statement": "Zeroes behind", "citation": "Base 2.2 8.3.4.5", "area": "auth"}},
    {"requirement": {"id": "C-001", "level": "shall", "statement": "Reserved is 0", "citation": "TCP 1.0 3.6", "area": "wire"}},
    {"requirement": {"id": "C-900", "level": "implementation-defined", "statement": "Anything", "citation": "Base 2.2 1", "area": "wire"}},
    {"case": {"id": "auth.pair/sha256/null", "title": "Pairs", "area": "auth", "checks": ["C-001"], "needs": [],
              "teardown": "any", "slow": False}},
    {"case": {"id": "auth.pair/sha384/ffdhe2048", "title": "Pairs", "area": "auth", "checks": ["C-001"], "needs": [],
              "teardown": "any", "slow": False}},
    {"case": {"id": "concat.replace.once", "title": "REPLACETLSPSK succeeds", "area": "concat", "checks": ["C-205"],
              "needs": ["concat"], "teardown": "usable", "slow": False}},
    {"case": {"id": "concat.replace.repeats", "title": "REPLACETLSPSK succeeds as often as asked", "area": "concat",
              "checks": ["C-205"], "needs": ["concat"], "teardown": "usable", "slow": False}},
    {"case": {"id": "timer.expires", "title": "The timer", "area": "timer", "checks": ["C-086"], "needs": [],
              "teardown": "closed", "slow": True}},
    {"defect": {"name": "free-sq-on-success", "text": "Frees too much", "requirement": "C-205", "origin": "Linux 7.1",
                "named": True}},
    {"observer": {"requirement": "C-900"}},
    {"replay": {"requirement": "C-205"}},
    {"defect": {"name": "row-7", "text": "Row 7 is off", "requirement": "C-001", "origin": "generated", "rule": "row-7",
                "named": False}},
]
FAKE = json.loads(os.environ.get("FAKE", "{}"))


def say(**event):
    print(json.dumps(event), flush=True)


def every_defect():
    return [line["defect"]["name"] for line in FAKE.get("list", LIST) if "defect" in line]


def misbehave(how, ident):
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "exit3":
        print("internal: DHHC-1:00:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2n: leaked", file=sys.stderr)
        sys.exit(3)
    if how == "hang":
        time.sleep(600)
    if how == "garbage":
        print("this is not JSON", flush=True)
    if how == "twice":
        say(event="verdict", case=ident, behaviour="pass", teardown="none")
        say(event="verdict", case=ident, behaviour="pass", teardown="none")
    if how == "stranger":
        say(event="verdict", case="no.such.case", behaviour="pass", teardown="none")
    if how == "end":
        sys.exit(0)
    # "silent": no verdict at all


def run():
    config = json.load(sys.stdin)
    if "config_to" in FAKE:
        with open(FAKE["config_to"], "a", encoding="utf-8") as file:
            file.write(json.dumps(config) + "\n")
    if "refuse" in FAKE:
        print(FAKE["refuse"], file=sys.stderr)
        sys.exit(FAKE.get("refuse_status", 2))
    told = dict(FAKE.get("cases", {}))
    events = list(FAKE.get("events", []))
    for name in config["defects"]:
        defect = FAKE.get("defects", {}).get(name, {})
        told.update(defect.get("cases", {}))
        events += defect.get("events", [])
    say(event="run-start", version="0", seed=config["seed"], target="reference", defects=config["defects"],
        cases=len(config["cases"]))
    say(event="probe", capabilities={"concat": True}, findings=[{"need": "concat", "met": True, "finding": "NEWTLSPSK is taken"}])
    for event in events:
        say(**event)
    for ident in config["cases"]:
        say(event="case-start", case=ident)
        say(event="step", case=ident, text="sends AUTH_Negotiate", packet=3)
        say(event="packet", case=ident, n=17, conn=1, tls=False, dir="c2h", t_ms=1, text="CapsuleResp")
        verdict = told.get(ident, {})
        if isinstance(verdict, str):
            misbehave(verdict, ident)
            continue
        notes = [verdict["note"]] if "note" in verdict else []
        for note in notes:
            say(event="observation", case=ident, requirement=note[0], level="shall", expected="", seen=note[1], packet=1, conn=0)
        reached = {"reached": FAKE.get("reached", {}).get(ident, every_defect())} if config.get("reached") else {}
        say(**{"event": "verdict", "case": ident, "behaviour": "pass", "teardown": "pass", "duration_ms": 1.5, **reached,
               **{name: value for name, value in verdict.items() if name != "note"}})
    say(event="run-end")


def target():
    config = json.load(sys.stdin)
    if "config_to" in FAKE:
        with open(FAKE["config_to"], "w", encoding="utf-8") as file:
            json.dump(config, file)
    if "refuse" in FAKE:
        print(FAKE["refuse"], file=sys.stderr)
        sys.exit(2)
    say(event="listening", ports=config["target"]["ports"])
    signal.pause()


def probe():
    config = json.load(sys.stdin)
    if "config_to" in FAKE:
        with open(FAKE["config_to"], "w", encoding="utf-8") as file:
            json.dump(config, file)
    if "refuse" in FAKE:
        print(FAKE["refuse"], file=sys.stderr)
        sys.exit(FAKE.get("refuse_status", 2))
    for event in FAKE.get("probe", []):
        say(**event)


def main():
    if "argv_to" in FAKE:
        with open(FAKE["argv_to"], "a", encoding="utf-8") as file:
            file.write(" ".join(sys.argv) + "\n")
    if sys.argv[1] == "list":
        for line in FAKE.get("list", LIST):
            print(json.dumps(line))
        sys.exit(FAKE.get("list_exit", 0))
    {"run": run, "probe": probe, "target": target}[sys.argv[1]]()


if __name__ == "__main__":
    main()
