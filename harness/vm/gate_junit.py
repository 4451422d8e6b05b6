# SPDX-License-Identifier: BSD-3-Clause
"""What a gate found as JUnit, a suite per kernel: red is what is not as the baseline expects, and nothing else.

suite/junit.xml of a run says what the suite saw; a laboratory that shows it would be red for ever.
"""

import xml.etree.ElementTree as ET

from ..runner.catalogue import area_of
from ..runner.terminal import clean
from . import baseline

KERNEL = "kernel"    # the test that stands for the kernel's own voice


def _text(text):
    return clean(text)[:2000]


def _case(suite, release, ident, area=""):
    return ET.SubElement(suite, "testcase", {"name": ident, "classname": f"nvme-conform.{release}.{area or ident}"})


def _outcome(verdict, difference, judged):
    """_outcome returns (element or None, message) of one result."""
    behaviour = verdict["verdict"].partition("/")[0]
    seen = verdict.get("seen") or verdict.get("teardown_seen", "")
    if difference:
        return ("error" if behaviour == "error" else "failure"), f"{difference['found']}: {difference['why']}"
    clean_teardown = verdict["verdict"].partition("/")[2] in ("", *baseline.CLEAN_TEARDOWNS)
    if behaviour in ("pass", "note", "warn") and clean_teardown:
        return None, ""
    if judged or behaviour == "skip":
        return "skipped", seen if behaviour == "skip" else f"{verdict['verdict']}, as the baseline expects: {seen}"
    return ("failure" if behaviour in ("fail", "pass", "note", "warn") else "error"), f"{verdict['verdict']}: {seen}"


class _Place:
    def __init__(self, ident):
        self.area, self.id = "", ident


def _suite(root, each):
    suite = ET.SubElement(root, "testsuite", {"name": f"Linux {each['release'] or each['kernel']}"})
    judged = each["baseline"]
    differences = {found["id"]: found for found in judged["differences"]} if judged else {}
    for ident, verdict in each["verdicts"].items():
        case = _case(suite, each["kernel"], ident, area_of(_Place(ident)))
        kind, message = _outcome(verdict, differences.get(ident), judged)
        if kind:
            ET.SubElement(case, kind, {"message": _text(message)})
    for ident in differences.keys() - each["verdicts"].keys():
        ET.SubElement(_case(suite, each["kernel"], ident, "observer"), "failure",
                      {"message": _text(differences[ident]["why"])})
    voice = _case(suite, each["kernel"], KERNEL)
    if each.get("reason") or not each["verdicts"]:
        ET.SubElement(voice, "error", {"message": _text(each.get("reason") or f"nothing was judged (status {each['status']})")})
    elif not each["kernel_as_expected"]:
        said = each["death"] or "; ".join(each["findings"]) or f"taint {each['taint_after']} at the end"
        quoted = "\n".join(clean(line) for found in each.get("quoted", ()) for line in found)
        ET.SubElement(voice, "failure", {"message": _text(said)}).text = quoted or None
    for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(1 for _ in suite.iter(tag))))
    suite.set("time", str(each["seconds"] or 0))


def render(columns):
    """render returns the document for the columns of a matrix (matrix.column)."""
    root = ET.Element("testsuites", {"name": "nvme-conform gate"})
    for each in columns:
        _suite(root, each)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def write(path, columns):
    """write stores the document at path."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(render(columns))
