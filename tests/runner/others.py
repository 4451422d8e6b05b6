# SPDX-License-Identifier: BSD-3-Clause
"""What parsers that others wrote make of our reports: Debian's python3-junitparser and python3-tap (harness/packages.txt).

They belong to Debian's Python, which need not be the one that runs the tests.
"""

import json
import subprocess
import sys

SECONDS = 60
_JUNIT = """
import json, junitparser, sys
suites = junitparser.JUnitXml.fromstring(sys.stdin.buffer.read())
print(json.dumps([{"name": suite.name, "tests": suite.tests, "failures": suite.failures, "errors": suite.errors,
                   "skipped": suite.skipped, "cases": {case.name: [type(each).__name__ for each in case.result] for case in suite}}
                  for suite in suites]))
"""
_TAP = """
import json, sys
from tap.parser import Parser
lines = list(Parser().parse_text(sys.stdin.read()))
print(json.dumps({"plan": [each.expected_tests for each in lines if each.category == "plan"],
                  "tests": [[each.number, each.description, each.ok, each.skip] for each in lines if each.category == "test"],
                  "unknown": sum(each.category == "unknown" for each in lines)}))
"""


def _ask(package, module, script, document):
    """_ask runs script, which reads document, with the first Python that has module. AssertionError names the package."""
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False, timeout=SECONDS).returncode == 0:
            done = subprocess.run([python, "-c", script], input=document.encode(), capture_output=True, check=False, timeout=SECONDS)
            if done.returncode:
                raise AssertionError(f"{module} refuses the document: {done.stderr.decode(errors='replace').strip()}")
            return json.loads(done.stdout)
    raise AssertionError(f"no Python here has {module}; install the Debian package {package} (harness/packages.txt)")


def junit(document):
    """junit returns junitparser's view of a JUnit document: a dictionary per suite, with its counts and {case: kinds of result}."""
    return _ask("python3-junitparser", "junitparser", _JUNIT, document)


def tap(document):
    """tap returns tap.py's view of a TAP document without subtests: plan, tests, how many lines it does not know."""
    return _ask("python3-tap", "tap", _TAP, document)


def ktap(document):
    """ktap returns tap.py's view of every level of a KTAP document, the outermost first: TAP has no subtests of this form, so
    each is shown to it by itself, moved to the left, and its first line, KTAP's version, is the one it does not know."""
    outer, blocks = [], []
    for line in document.splitlines():
        if not line.startswith("  "):
            outer.append(line)
        elif line == "  KTAP version 1":
            blocks.append([line[2:]])
        else:
            blocks[-1].append(line[2:])
    return [tap("\n".join(block) + "\n") for block in (outer, *blocks)]
