# SPDX-License-Identifier: BSD-3-Clause
"""Text for people: columns, colour where wanted, and nothing a hostile target could smuggle into a terminal."""

import os
import sys
import unicodedata

COLOURS = {"pass": "32", "warn": "33", "fail": "1;31", "inconclusive": "35", "error": "1;35", "skip": "36", "bold": "1"}


def clean(text):
    """clean returns text on one line, with control and formatting characters made visible."""
    out = []
    for char in str(text):
        if char in "\n\t\r":
            out.append(" ")
        elif unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
            out.append(f"\\u{ord(char):04x}")
        else:
            out.append(char)
    return " ".join("".join(out).split())


def indented(text):
    """indented returns text as clean does, behind the tabs that it begins with, as four spaces each."""
    rest = text.lstrip("\t")
    return "    " * (len(text) - len(rest)) + clean(rest)


def wants_colour(stream):
    """wants_colour tells whether stream is a terminal that takes colour (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Printer:
    """Printer writes redacted lines to a stream, in colour where the stream takes it."""

    def __init__(self, redactor, stream=None):
        self.stream = stream or sys.stdout
        self.colour = wants_colour(self.stream)
        self._redactor = redactor

    def line(self, text=""):
        try:
            print(self._redactor.text(text), file=self.stream)
        except UnicodeEncodeError:
            print(self._redactor.text(text).encode("ascii", "replace").decode("ascii"), file=self.stream)

    def paint(self, name, text):
        """paint returns text in the colour called name, or as it is."""
        if not self.colour or name not in COLOURS:
            return text
        return f"\033[{COLOURS[name]}m{text}\033[0m"


def table(rows, right=()):
    """table returns rows (lists of strings) as aligned lines; columns whose index is in right are right-aligned."""
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(len(row) for row in rows))]
    lines = []
    for row in rows:
        cells = [cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return lines


class Progress:
    """Progress is one line on a terminal (done/total, failures, latest case); nothing elsewhere."""

    def __init__(self, total, stream=None):
        self.total = total
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty() and os.environ.get("TERM") != "dumb"

    def show(self, done, failed, latest=""):
        if not self.live:
            return
        text = f"{done}/{self.total}  failed {failed}  {clean(latest)}"
        width = self._width()
        self.stream.write("\r" + text[: width - 1].ljust(width - 1))
        self.stream.flush()

    def clear(self):
        if self.live:
            self.stream.write("\r" + " " * (self._width() - 1) + "\r")
            self.stream.flush()

    def _width(self):
        try:
            return max(os.get_terminal_size(self.stream.fileno()).columns, 20)
        except (OSError, ValueError):
            return 80
