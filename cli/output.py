"""The one door for text to a terminal or a pipe: what a plugin or a file put into it cannot steer the terminal."""

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import click

# Control characters but for tab and new line, marks that turn the writing direction, and bytes that are no text.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

TWO_COLUMNS = 60  # of a page of help
LEAST, PLAIN = 20, 80  # columns that are made use of, however few there are, and from which on a pipe is a pipe


def safe(text: str) -> str:
    """The text with `\\x1b` written out instead of the character, and so with all that are like it."""
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def width(err: bool) -> int:
    """Columns that lines on stdout, or stderr, are folded to; 0 where they stay as long as they are: in a pipe, unless
    `COLUMNS` speaks of a terminal behind it that is narrow. Of 80 it speaks wherever a parent has loaded readline.
    """
    columns = shutil.get_terminal_size((0, 0)).columns
    stream = sys.stderr if err else sys.stdout
    is_terminal = stream is not None and stream.isatty()  # None where it was closed
    return max(columns, LEAST) if columns and (is_terminal or columns < PLAIN) else 0


def fold(line: str, columns: int) -> str:
    """The line in lines of so many columns, cut between words, the later ones set in. A longer word is cut after `/` or
    `|`, else it stays whole.
    """
    margin = " " * (len(line) - len(line.lstrip()) + 2)
    cut = {"subsequent_indent": margin, "break_long_words": False, "break_on_hyphens": False}
    folded = textwrap.wrap(line, columns, **cut)
    if max(map(len, folded), default=0) > columns:
        parts = textwrap.wrap(re.sub(r"(?<=[/|])(?=[^\s/|])", "\0 ", line), columns + 1, **cut)
        folded = [part.replace("\0 ", "").replace("\0", "") for part in parts]
    return "\n".join(folded)


def echo(text: object = "", *, err: bool = False, nl: bool = True, as_it_is: bool = False) -> None:
    """Write text to stdout, or to stderr, folded to the terminal; code, pictures and samples go `as_it_is`."""
    out, columns = safe(str(text)), 0 if as_it_is else width(err)
    if columns:
        out = "\n".join(fold(line, columns) if len(line) > columns else line for line in out.split("\n"))
    _write(out, err, nl)


def _write(text: str, err: bool, nl: bool) -> None:
    try:
        click.echo(text, err=err, nl=nl)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, "stderr" if err else "stdout") from None


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Columns as wide as they need, those numbered in `right` set to the right; plain text, to be cut and grepped."""
    lines = [[safe(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for line in lines:
        cells = [c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))]
        echo("  ".join(cells).rstrip())


def echo_json(value: Any) -> None:
    """Write a value to stdout as one line of strict JSON: a figure that is not finite is `null`."""
    from math import isfinite

    def strict(x: Any) -> Any:
        if isinstance(x, dict):
            return {key: strict(inner) for key, inner in x.items()}
        if isinstance(x, (list, tuple)):
            return [strict(inner) for inner in x]
        return None if isinstance(x, float) and not isfinite(x) else x

    _write(json.dumps(strict(value), allow_nan=False), err=False, nl=True)


class Formatter(click.HelpFormatter):
    """Pages of help for any terminal: what stands in two columns has one where there is no room for two."""

    def write_text(self, text: str) -> None:
        before = len(self.buffer)
        super().write_text(text)
        lines = "".join(self.buffer[before:]).split("\n")
        self.buffer[before:] = ["\n".join(fold(s, self.width) if len(s) > self.width else s for s in lines)]

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        if self.width >= TWO_COLUMNS:
            super().write_dl(rows, col_max, col_spacing)
            return
        for term, text in rows:
            self.write(fold(" " * self.current_indent + term, self.width) + "\n")
            with self.indentation():
                self.write_text(text)
