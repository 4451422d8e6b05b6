# SPDX-License-Identifier: BSD-3-Clause
"""A run as JUnit XML, the subset that Jenkins' junit-10.xsd and GitLab both take.

GitLab drops properties and suite names, so everything that matters is in the names and texts of the test cases.
"""

import re
import xml.etree.ElementTree as ET

from .catalogue import area_of

NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
ELEMENT = {"fail": "failure", "error": "error", "inconclusive": "error", "skip": "skipped"}
COUNTER = {"failure": "failures", "error": "errors", "skipped": "skipped"}


def _xml(text):
    return NOT_XML.sub("\ufffd", str(text))


def _detail(result):
    rows = (
        ("title", result.case.title),
        ("requirement", f"{result.requirement} {result.citation}".strip()),
        ("expected", result.expected),
        ("seen", result.seen),
        ("reason", result.reason),
        ("packets", ", ".join(str(n) for n in result.packets)),
        ("teardown", result.teardown if result.teardown != "none" else ""),
        ("teardown requirement", result.teardown_requirement),
        ("teardown expected", result.teardown_expected),
        ("teardown seen", result.teardown_seen),
        ("teardown not judged", result.teardown_reason),
    )
    return "\n".join(f"{name}: {value}" for name, value in rows if value)


def _entries(ledger, again):
    """_entries yields (area, name, seconds, verdict, message, text) for every verdict there is."""
    for result in ledger.results.values():
        area, name = area_of(result.case), result.case.id
        text = "" if result.clean else f"{_detail(result)}\nagain: {again(result.case.id)}"
        message = result.reason or f"expected {result.expected}; seen {result.seen}"
        yield area, name, result.duration_ms / 1000, result.behaviour, message, text
        if result.teardown != "none":
            message = f"expected {result.teardown_expected}; seen {result.teardown_seen}"
            yield area, f"{name} teardown", 0, result.teardown, message, text
    for seen in ledger.observations.values():
        message = f"expected {seen.expected}; seen {seen.seen}"
        yield "observer", seen.id, 0, seen.verdict, message, f"{message}\n{seen.count} times, first in {seen.case}"
    if ledger.num_faults:
        yield "engine", "engine", 0, "error", ledger.faults[0], "\n".join(ledger.faults)


def render(ledger, started, seconds, again):
    """render returns the document; again(id) is the command that runs one case again, started an ISO 8601 time."""
    root = ET.Element("testsuites")
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    suites, counts = {}, {}
    for area, name, duration, verdict, message, text in _entries(ledger, again):
        if area not in suites:
            suites[area] = ET.SubElement(root, "testsuite", name=_xml(area), timestamp=started)
            counts[area] = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0, "time": 0.0}
        case = ET.SubElement(suites[area], "testcase", classname=_xml(f"nvme-conform.{area}"), name=_xml(name),
                             time=f"{duration:.3f}")
        counts[area]["tests"] += 1
        counts[area]["time"] += duration
        element = ELEMENT.get(verdict)
        if element:
            counts[area][COUNTER[element]] += 1
            ET.SubElement(case, element, message=_xml(message), type=verdict).text = _xml(text)
        elif verdict in ("warn", "note"):
            ET.SubElement(case, "system-out").text = _xml(f"{verdict}: {text or message}")
    for area, suite in suites.items():
        for name in totals:
            totals[name] += counts[area][name]
            suite.set(name, str(counts[area][name]))
        suite.set("time", f"{counts[area]['time']:.3f}")
    for name in ("tests", "failures", "errors"):  # the schema has no count of skips here
        root.set(name, str(totals[name]))
    root.set("name", "nvme-conform")
    root.set("time", f"{seconds:.3f}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
