# SPDX-License-Identifier: BSD-3-Clause
"""What a person reads at the end of a run: every non-pass with its evidence, counts per area, one last line."""

from collections import Counter

from .accounting import BEHAVIOURS
from .catalogue import area_of
from .diff import KINDS, shown
from .errors import EXIT_CANNOT_JUDGE, EXIT_FAIL, EXIT_OK
from .terminal import clean, indented, table

PACKETS_SHOWN = 6
LABEL = 14
SOURCE_SHOWN = 40  # lines; a longer case is only named
# A capture has frames for handshakes and for parts of PDUs as well, or the packets of an interface.
COUNTED = " as the observer counts PDUs; the capture has numbers of its own, and comments on these"
CROWD = 4  # so many cases that share a reason are shown together


def _row(label, text):
    return f"     {label:<{LABEL}}{clean(text)}"


def _requirement(catalogue, ident, citation="", brief=False):
    known = catalogue.requirement(ident)
    level = f" ({known.level})" if ident in catalogue.requirements else ""
    statement = f": {known.statement}" if known.statement and not brief else ""
    return f"{ident}{level} {citation or known.citation}{statement}".strip()


def _first(result):
    return result.requirement or (result.case.checks[0] if result.case.checks else "")


def explain(printer, ledger, result, again, note=""):
    """explain prints one Result that is not a clean pass: requirement, clause, expected, seen, packets, how to run it again."""
    worst = result.behaviour if result.behaviour != "pass" else result.teardown
    printer.line(f"{printer.paint(worst, worst.upper())} {printer.paint('bold', result.case.id)}  {clean(result.case.title)}")
    rows = []
    requirement = _first(result)
    if requirement and result.behaviour != "pass":
        rows.append(("requirement", _requirement(ledger.catalogue, requirement, result.citation)))
    rows += [("expected", result.expected), ("seen", result.seen), ("reason", result.reason)]
    if result.answers_lost:
        rows.append(("repeated", f"{result.answers_lost} times: an answer was lost with its connection, or a connection was not up in time"))
    packets = ", ".join(str(n) for n in result.packets)
    rows.append(("packets", packets + COUNTED if packets and result.capture else packets))
    rows.append(("capture", result.capture))
    for label, text in rows:
        if text:
            printer.line(_row(label, text))
    for number in result.packets[:PACKETS_SHOWN]:
        if number in result.packet_text:
            printer.line(_row(f"  {number}", result.packet_text[number]))
    if result.teardown != "none":
        _teardown(printer, ledger, result)
    if result.source:
        printer.line(_row("as a case", f"{result.source_file} ({len(result.source)} lines)"))
    for line in result.source if len(result.source) <= SOURCE_SHOWN else ():
        printer.line(f"       {indented(line)}".rstrip())
    printer.line(_row("again", again(result.case.id)) + (f"  ({note})" if note else ""))
    printer.line()


def _teardown(printer, ledger, result):
    printer.line(_row("teardown", result.teardown))
    if result.teardown == "pass":
        return
    requirement = result.teardown_requirement
    if requirement:
        printer.line(_row("  requirement", _requirement(ledger.catalogue, requirement)))
    for label, text in (("  expected", result.teardown_expected), ("  seen", result.teardown_seen)):
        if text:
            printer.line(_row(label, text))


def observed(printer, ledger, seen, again):
    """observed prints one requirement that the observer saw violated."""
    verdict = seen.verdict
    printer.line(f"{printer.paint(verdict, verdict.upper())} {printer.paint('bold', seen.id)}")
    printer.line(_row("requirement", _requirement(ledger.catalogue, seen.requirement)))
    for label, text in (("expected", seen.expected), ("seen", seen.seen)):
        if text:
            printer.line(_row(label, text))
    where = f"packet {seen.packet} of {seen.case}" if seen.packet is not None else seen.case
    printer.line(_row("times", f"{seen.count}, in {len(seen.cases)} cases; first in {where}"))
    if seen.case:
        printer.line(_row("again", again(*seen.needed)))
    printer.line()


def counts_table(ledger):
    """counts_table returns the lines of the table of counts per area; behaviour left, teardown right of the bar."""
    areas = {}
    for result in ledger.results.values():
        areas.setdefault(area_of(result.case), []).append(result)
    head = ["area", "cases", *BEHAVIOURS, "|", "teardown pass", "warn", "fail", "inconclusive"]
    rows = [head] + [_counts_row(name, results) for name, results in areas.items()]
    rows.append(_counts_row("all", list(ledger.results.values())))
    return table(rows, right=set(range(1, len(head))))


def _counts_row(name, results):
    behaviour = Counter(result.behaviour for result in results)
    teardown = Counter(result.teardown for result in results)
    cells = [str(behaviour[verdict] or ".") for verdict in BEHAVIOURS]
    ends = [str(teardown[verdict] or ".") for verdict in ("pass", "warn", "fail", "inconclusive")]
    return [name, str(len(results)), *cells, "|", *ends]


def last_line(ledger, status, seconds):
    """last_line returns the verdict of the whole run in one line."""
    counts = ledger.counts()
    behaviour, teardown = counts["behaviour"], counts["teardown"]
    parts = [f"{behaviour[verdict]} {verdict}" for verdict in BEHAVIOURS if behaviour[verdict]]
    parts += [f"{teardown[verdict]} teardown {verdict}" for verdict in ("fail", "warn", "inconclusive") if teardown[verdict]]
    repeated = sum(1 for result in ledger.results.values() if result.answers_lost)
    parts += [f"{repeated} repeated after a lost answer or connection"] if repeated else []
    parts += [f"{counts['observations'][verdict]} observed {verdict}" for verdict in ("fail", "warn", "note")
              if counts["observations"][verdict]]
    word = {EXIT_OK: "PASS", EXIT_FAIL: "FAIL", EXIT_CANNOT_JUDGE: "CANNOT JUDGE"}.get(status, "ERROR")
    return f"{word}: {len(ledger.results)} cases in {seconds:.1f} s: {', '.join(parts)}"


def print_all(printer, ledger, run, status, seconds, changes=None):
    """print_all prints the end of a run in the order a reader needs: evidence, counts, verdict. changes: what differs from the
    earlier run (diff.changes) and is alone of interest; None: everything is."""
    printer.line()
    order = ("skip", "warn", "inconclusive", "error", "fail")
    wanted = None if changes is None else {ident for ident, _, _, _ in changes}
    results = [result for result in ledger.results.values()
               if not result.clean and (wanted is None or result.case.id in wanted)]
    alike = _alike(results)
    results = [result for result in results if not any(result in group for group in alike)]
    for result in sorted(results, key=lambda r: order.index(r.behaviour) if r.behaviour in order else len(order)):
        explain(printer, ledger, result, run.again, run.target.note)
    for seen in ledger.observations.values():
        if wanted is None or seen.id in wanted:
            observed(printer, ledger, seen, run.again)
    for group in alike:
        _print_alike(printer, ledger, group, run.again)
    for text in counts_table(ledger):
        printer.line(text)
    for kind, title in KINDS.items() if changes else ():
        rows = [[f"  {clean(ident)}", shown(before), "->", shown(after)] for ident, found, before, after in changes if found == kind]
        if rows:
            for line in [f"{title} since then: {len(rows)}", *table(rows)]:
                printer.line(line)
    if changes is not None:
        printer.line(f"{len(changes)} results differ from {clean(run.since.directory)}; only these are shown and count")
    for death in ledger.deaths:
        printer.line(printer.paint("fail" if death.killer else "inconclusive", f"dead target: {clean(death.text())}"))
    for text in ledger.unmet:
        printer.line(f"claim not met: {clean(text)}")
    for text in ledger.faults:
        printer.line(f"engine fault: {clean(text)}")
    if ledger.num_faults > len(ledger.faults):
        printer.line(f"engine fault: and {ledger.num_faults - len(ledger.faults)} more")
    name = {EXIT_OK: "pass", EXIT_FAIL: "fail", EXIT_CANNOT_JUDGE: "inconclusive"}.get(status, "error")
    printer.line()
    printer.line(printer.paint(name, last_line(ledger, status, seconds)))


def _alike(results):
    """_alike returns groups of Results that one reason explains: every skip, and what is inconclusive or an error in crowds."""
    groups = {}
    for result in results:
        if result.behaviour in ("skip", "inconclusive", "error") and result.teardown == "none":
            groups.setdefault((result.behaviour, result.reason), []).append(result)
    return [group for (verdict, _), group in groups.items() if verdict == "skip" or len(group) >= CROWD]


def _print_alike(printer, ledger, group, again):
    verdict, reason = group[0].behaviour, group[0].reason
    printer.line(f"{printer.paint(verdict, verdict.upper())} {len(group)} cases: {clean(reason)}")
    if verdict == "skip":
        for text in table([[f"     {result.case.id}", " ".join(result.case.checks)] for result in group]):
            printer.line(text)
        printer.line(_row("again", again(*_names(ledger, group))))
    else:
        for result in group:
            printer.line(f"     {printer.paint('bold', result.case.id)}")
            printer.line(_row("  requirement", _requirement(ledger.catalogue, _first(result), result.citation, brief=True)))
            if result.packets:
                printer.line(_row("  packets", ", ".join(str(n) for n in result.packets)))
            printer.line(_row("  again", again(result.case.id)))
    printer.line()


def _names(ledger, group):
    """_names returns the words that select the cases of a group: a case with all of its rows by its name alone."""
    chosen = {result.case.id for result in group}
    rows = {}
    for ident in ledger.catalogue.cases:
        rows.setdefault(ident.split("/", 1)[0], set()).add(ident)
    whole = {name for name, idents in rows.items() if idents <= chosen}
    return list(dict.fromkeys(name if (name := ident.split("/", 1)[0]) in whole else ident for ident in (r.case.id for r in group)))
