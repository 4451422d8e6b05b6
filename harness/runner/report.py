# SPDX-License-Identifier: BSD-3-Clause
"""`nvme-conform report`: runs as one page for people who would rather look than read, and as plain JSON beside it.

The page is one file that needs no network: the templates in reports/templates/ with the report inside. Its policy forbids everything
but its own script and style, and everything that came from a target is text, never markup.
"""

import base64
import hashlib
import html
import json
import os
import re
import sys

from . import catalogue as cat
from . import diff, engine, matrix, records, withhold
from .errors import EXIT_OK, ToolError, UsageError
from .redaction import Redactor
from .terminal import Printer, clean

TEMPLATES = os.path.join(engine.ROOT, "reports", "templates")
LETTERS = {"pass": "P", "warn": "W", "fail": "F", "skip": "S", "inconclusive": "I", "error": "E", "note": "N", "none": "·"}
LINES_IN_SIGHT = 3
PLACE = re.compile(r"@@([A-Z]+)@@")


def add_arguments(parser):
    """add_arguments adds the arguments of `report`."""
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="directory of a run or a gate, or a results.json; NAME=RUN names the column")
    add("--since", action="append", default=[], metavar="RUN",
        help="an earlier run to show the changes from; of the same target, or one for each RUN in order")
    add("--no-conversations", action="store_true",
        help="leave out packets, steps and kernel logs: what is published before the implementer knows is to be no recipe")
    add("--withhold", metavar="FILE",
        help="requirements, one on each line, of which the page tells the verdict only, with the words \"report to the implementer first\"")
    add("--output", default="report.html", metavar="FILE", help="the page (default report.html); FILE.json goes beside it")


def _load(text):
    name, found, path = text.partition("=")
    if found and not os.path.exists(text):
        record = records.load(path)
        record.label = name
        return record
    return records.load(text)


def _columns(args):
    runs = [_load(text) for text in args.runs]
    labels = [record.label for record in runs]
    for record in runs:
        if labels.count(record.label) > 1:
            record.label += f", {record.results.get('started', '?')}"
    return runs, labels


def _earlier(args, runs, labels):
    """_earlier returns for each run the earlier one to hold against it, or None."""
    given = [_load(text) for text in args.since]
    if len(given) == len(runs):
        return given
    found = [next((record for record in given if record.label == label), None) for label in labels]
    for text, record in zip(args.since, given):
        if record not in found:
            raise UsageError(f"--since {text}: none of the runs is of the same target ({record.label})")
    return found


def main(args):
    """main runs `nvme-conform report` and returns its exit status."""
    withheld = withhold.load(args.withhold) if args.withhold else frozenset()
    runs, labels = _columns(args)
    since = _earlier(args, runs, labels)
    catalogue = cat.read(engine.list_objects())
    for ident in sorted(withheld - set(catalogue.requirements)):
        raise UsageError(f"--withhold {args.withhold}: no requirement has the id {ident}; see list --requirements")
    report = matrix.build(catalogue, runs, since, not args.no_conversations, withheld)
    redactor = Redactor()
    data = redactor.text(json.dumps(report, separators=(",", ":")))
    page = render(json.loads(data))
    beside = os.path.splitext(args.output)[0] + ".json"
    for path, text in ((args.output, page), (beside, data + "\n")):
        try:
            with open(path + ".new", "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(path + ".new", path)
        except OSError as error:
            raise UsageError(f"--output {path}: {error.strerror}") from error
    Printer(redactor, sys.stdout).line(f"{len(runs)} runs, {len(report['requirements'])} requirements: {clean(args.output)}, {clean(beside)}")
    return EXIT_OK


def _template(name):
    path = os.path.join(TEMPLATES, name)
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise ToolError(f"{path}: {error.strerror}") from error


def _hash(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def render(report):
    """render returns the page of the object of report.json."""
    script, style = _template("report.js"), _template("report.css")
    # Nothing in the data can end the element that holds it.
    data = json.dumps(report, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    parts = {"STYLE": style, "SCRIPT": script, "STYLEHASH": _hash(style), "SCRIPTHASH": _hash(script), "DATA": data,
             "TITLE": html.escape(", ".join(run["label"] for run in report["runs"])), "VERSION": html.escape(report["version"]),
             "RUNS": "\n".join(_run(number, run) for number, run in enumerate(report["runs"], 1)),
             "LEGEND": "".join(f"<li>{_letter(name, 'b')} {name}</li>" for name in LETTERS if name != "none"),
             "WITHHELD": f"<li><span class=\"eye\">!</span> {withhold.WORDS}: only the verdict is told</li>" if report["withheld"] else "",
             "HEAD": "".join(f'<th scope="col" class="run"><span class="num">{number}</span> '
                             f'<span class="name">{html.escape(run["label"])}</span></th>'
                             for number, run in enumerate(report["runs"], 1)),
             "ROWS": "\n".join(_areas(report))}
    # In one pass: a text that looks like a place stays what it is.
    return PLACE.sub(lambda found: parts[found[1]], _template("report.html"))


def _letter(verdict, part):
    return f'<span class="{part} v-{verdict}">{LETTERS[verdict]}</span>'


def _counts(counts):
    shown = []
    for name, letters in (("behaviour", "b"), ("teardown", "t"), ("observations", "b")):
        one = counts.get(name) if isinstance(counts, dict) else None
        chips = [f"<span class=\"chip\">{_letter(verdict, letters)} {int(number)}</span>"
                 for verdict, number in (one.items() if isinstance(one, dict) else ())
                 if verdict in LETTERS and verdict != "none" and isinstance(number, int)]
        if chips:
            shown.append(f"<dt>{name}</dt><dd>{' '.join(chips)}</dd>")
    return "".join(shown)


def _run(number, run):
    rows = [f"<dt>target</dt><dd>{html.escape(str(run['target']))}</dd>", f"<dt>started</dt><dd>{html.escape(str(run['started']))}</dd>",
            _counts(run["counts"]), f"<dt>again</dt><dd><code>{html.escape(str(run['command']))}</code></dd>"]
    for name, title in (("kernel_findings", "kernel said"), ("unmet_claims", "claims not met"), ("engine_faults", "tester's faults")):
        lines = [html.escape(str(line)) for line in run[name]] if isinstance(run[name], list) else []
        if len(lines) > LINES_IN_SIGHT:  # the table is not to begin a screen further down
            items = "".join(f"<li>{line}</li>" for line in lines)
            rows.append(f"<dt>{title}</dt><dd><details><summary class=\"loud\">{len(lines)} times</summary><ul>{items}</ul></details></dd>")
        else:
            rows += [f"<dt>{title}</dt><dd class=\"loud\">{line}</dd>" for line in lines]
    rows += [f"<dt>stopped serving</dt><dd class=\"loud\">{html.escape(str(line))}</dd>" for line in run["stopped"]]
    if run["death"]:
        rows.append(f"<dt>the guest died</dt><dd class=\"loud\">{html.escape(str(run['death']))}</dd>")
    return (f'<section class="card"><h2><span class="num">{number}</span> {html.escape(run["label"])}</h2>'
            f"<dl>{''.join(rows)}</dl>{_changes(run)}</section>")


def _changes(run):
    if not run["since"]:
        return ""
    lines = [f"<h3>Changed since {html.escape(run['since'])}</h3>"]
    for kind, title in diff.KINDS.items():
        rows = [row for row in run["changes"] if row["kind"] == kind]
        if rows:
            items = "".join(f"<li><code>{html.escape(row['id'])}</code> {html.escape(row['earlier'])} → {html.escape(row['later'])}</li>"
                            for row in rows)
            lines.append(f"<details{' open' if kind == 'newly-failing' else ''}><summary class=\"k-{kind}\">{title}: {len(rows)}</summary><ul>{items}</ul></details>")
    return "".join(lines) + ("" if run["changes"] else "<p>Nothing.</p>")


def _areas(report):
    """_areas yields the groups of the table, one tbody for each area."""
    areas = {}
    for row in report["requirements"]:
        areas.setdefault(row["area"], []).append(row)
    for area, rows in areas.items():
        tallies = "".join(f"<td class=\"tally\" data-run=\"{run + 1}\">{_tally([row['cells'][run] for row in rows])}</td>" for run in range(len(report["runs"])))
        yield f'<tbody><tr class="area"><th scope="rowgroup" colspan="2">{html.escape(area)}</th>{tallies}</tr>'
        for row in rows:
            yield _row(row)
        yield "</tbody>"


def _tally(cells):
    verdicts = [cell["behaviour"] for cell in cells if cell]
    return " ".join(f"<span class=\"n v-{name}\">{verdicts.count(name)}{LETTERS[name]}</span>" for name in matrix.WORST
                    if verdicts.count(name))


def _row(row):
    cells = [cell for cell in row["cells"] if cell]
    words = {cell["behaviour"] for cell in cells} | {f"teardown-{cell['teardown']}" for cell in cells}
    words |= {"changed" for cell in cells if cell["changed"]} | ({"unjudged"} if len(cells) < len(row["cells"]) else set())
    return (f'<tr class="req" data-level="{html.escape(row["level"])}" data-has="{html.escape(" ".join(sorted(words)))}">'
            f'<th scope="row" id="{html.escape(row["id"])}">{html.escape(row["id"])}</th>'
            f'<td class="text">{html.escape(row["statement"])} <span class="cite">{html.escape(row["citation"])}</span>'
            f' <span class="level">{html.escape(row["level"])}</span></td>'
            + "".join(_cell(row["id"], number, cell) for number, cell in enumerate(row["cells"])) + "</tr>")


def _cell(ident, number, cell):
    if not cell:
        return f"<td class=\"cell\" data-run=\"{number + 1}\">{_letter('none', 'b')}</td>"
    title = f"{cell['behaviour']}, teardown {cell['teardown']}, {withhold.WORDS if cell.get('withheld') else str(len(cell['cases'])) + ' cases'}"
    title += f", {diff.KINDS[cell['changed']]}" if cell["changed"] in diff.KINDS else ""
    mark = f" k-{cell['changed']}" if cell["changed"] in diff.KINDS else ""
    eye = '<span class="eye" title="the observer reported it">o</span>' if cell["observed"] else ""
    eye += f'<span class="eye" title="{withhold.WORDS}">!</span>' if cell.get("withheld") else ""
    link = html.escape(f"#{ident}/{number + 1}", quote=True)
    return (f'<td class="cell{mark}" data-run="{number + 1}"><a href="{link}" title="{html.escape(title, quote=True)}">{_letter(cell["behaviour"], "b")}'
            f'{_letter(cell["teardown"], "t")}{eye}</a></td>')
