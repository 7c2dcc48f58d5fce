"""One column of numbers out of a file of rows, whatever stands between its columns and before its decimals.

`1,2.5` and `1;2,5`, with a line of titles or without one. Where a file can be read in two ways, neither is taken.
"""

import csv
import io
import re
from math import isfinite

import numpy as np

import minigrad as mg
from minigrad_plugins.tasks.reading import read_text
from minigrad_plugins.tasks.series import Numbers

DELIMITERS = "\t;|,"
NUMBER = re.compile(r"[+-]?([0-9]+[.,]?[0-9]*|[.,][0-9]+)([eE][+-]?[0-9]+)?")
THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
GAPS = {"", "?", "-", "na", "n/a", "null", "none", "nan", "inf", "-inf"}  # written where a number is missing
MOST = 100_000  # characters of a line that are looked at to find the delimiter
Row = tuple[int, list[str]]  # its line in the file, from 1 on, and its cells


class Column:
    """A column of a file: `values [n]`, `title` (empty where the file has none).

    column: its title, or its number from 1 on; without either the last one.

    Raises:
        UsageError: naming file and line, for a file that cannot be read, or in more than one way.
    """

    def __init__(self, path: str, column: int | str) -> None:
        self.path = path
        text = read_text("forecast: file=", path, "CSV")
        self.delimiter = _delimiter(text)
        rows = self._rows(text)
        if not rows:
            raise mg.errors.UsageError(f"forecast: file={path} is empty. Name a CSV file with rows in it.")
        line, titles = rows[0]
        titled = _has_titles(rows)
        self.place = self._place(rows[0], column, bool(titled))
        first = titles[self.place]
        if titled:
            doubtful = NUMBER.fullmatch(first) and first != str(column)
        else:  # the other cells do not tell, unless all are numbers
            titled = not NUMBER.fullmatch(first) and first.lower() not in GAPS
            doubtful = not titled and any(_kind(cell) == "word" for cell in titles)
        if doubtful:
            remedy = "Name the column by its title, or write a line of titles above it."
            raise self.wrong(line, f"{', '.join(titles)} may be titles or values", remedy)
        if column == "" and not titled and self.delimiter == "," and _are_decimals(rows):
            raise self.wrong(
                line,
                f"{','.join(titles)!r} may be one number or two",
                "Say column=2 if it is two; else write a line with a title above it.",
            )
        self.title = titles[self.place] if titled else ""
        self.values: Numbers = np.array(self._numbers(rows[1:] if titled else rows))

    def wrong(self, line: int, what: str, remedy: str) -> mg.errors.UsageError:
        """What is wrong in a line."""
        return mg.errors.UsageError(f"forecast: {self.path}, line {line}: {what}. {remedy}")

    def _rows(self, text: str) -> list[Row]:
        """Every row that is not blank."""
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter, strict=True)
        rows: list[Row] = []
        line = 1
        try:
            for cells in reader:
                cells = [cell.strip() for cell in cells]
                if any(cells) or len(cells) > 1:
                    rows.append((line, cells))
                    if any(cells[len(rows[0][1]) :]):
                        what = f"{len(cells)} columns, and the first row has {len(rows[0][1])}"
                        raise self.wrong(line, what, "Give each row as many.")
                line = reader.line_num + 1
        except csv.Error as error:
            raise self.wrong(line, f"this is no row of a CSV file: {error}", "Mend it.") from None
        return rows

    def _place(self, first: Row, column: int | str, titled: bool) -> int:
        """Where in a row the column stands."""
        line, titles = first
        named = [i for i, title in enumerate(titles) if title == str(column)]
        if column != "" and len(named) > 1:
            numbers = " or ".join(f"column={i + 1}" for i in named)
            raise self.wrong(line, f"{len(named)} columns are called {column!r}", f"Say {numbers}.")
        if named and (titled or not re.fullmatch("[0-9]+", str(column))):
            return named[0]
        if re.fullmatch("[0-9]{1,9}", str(column)) and 1 <= int(column) <= len(titles):
            return int(column) - 1
        if column != "":
            said = ", ".join(titles) if titled else f"1 to {len(titles)}"
            raise self.wrong(line, f"no column is called {column!r}", f"There are: {said}.")
        return len(titles) - 1

    def _numbers(self, rows: list[Row]) -> list[float]:
        """The column's numbers, all of which have the same decimal mark."""
        texts = [(line, row[self.place] if self.place < len(row) else "") for line, row in rows]
        found: list[float] = []
        marks: dict[str, int] = {}  # where each was seen first
        for line, text in texts:
            value = float(text.replace(",", ".")) if NUMBER.fullmatch(text) else float("nan")
            if not isfinite(value):
                raise self.wrong(
                    line,
                    f"column {self.place + 1} holds {text!r}, not a number",
                    "Fill gaps before, or name another column=.",
                )
            found.append(value)
            marks = {mark: line for mark in ".," if mark in text} | marks
        if len(marks) > 1:
            remedy = "Write all numbers of the column with the same mark before their decimals, and none of thousands."
            raise self.wrong(max(marks.values()), "both '.' and ',' stand in numbers of the column", remedy)
        with_comma = [(line, text) for line, text in texts if "," in text]
        if with_comma and all(THOUSANDS.fullmatch(text) for _, text in with_comma):
            if self.delimiter != ";" or len(with_comma) < len(texts):
                line, text = with_comma[0]
                remedy = "Write it with a decimal point, or without a mark of thousands."
                raise self.wrong(line, f"{text!r} may be {text.replace(',', '')} or {text.replace(',', '.')}", remedy)
        return found


def _delimiter(text: str) -> str:
    """What stands between columns: a mark that cuts the first two rows into as many parts, or else the first one."""
    lines = [line[:MOST] for line in re.split(r"\r\n?|\n", text[: 2 * MOST]) if line.strip()][:2]
    parts = {mark: [len(next(csv.reader([line], delimiter=mark))) for line in lines] for mark in DELIMITERS}
    cut = [mark for mark in DELIMITERS if parts[mark] and parts[mark][0] > 1]
    return next((mark for mark in cut if len(set(parts[mark])) == 1), cut[0] if cut else DELIMITERS[0])


def _kind(cell: str) -> str:
    """`word` without a digit in it, `figures` with one (a date), `number`, or nothing where a number may be missing."""
    if cell.lower() in GAPS:
        return ""
    return "number" if NUMBER.fullmatch(cell) else "figures" if re.search(r"\d", cell) else "word"


def _has_titles(rows: list[Row]) -> bool | None:
    """Whether the first row holds titles: a word stands above figures, or figures above a number. None: nobody can tell
    without knowing which column is meant.
    """
    kinds = [_kind(cell) for cell in rows[0][1]]
    below = [_kind(cell) for cell in rows[1][1]] if len(rows) > 1 else []
    telling = {("word", "figures"), ("word", "number"), ("figures", "number")}
    if telling & set(zip(kinds, below, strict=False)):
        return True
    return None if set(kinds) & {"word", "figures"} else False


def _are_decimals(rows: list[Row]) -> bool:
    """Whether the last two columns may be the two halves of numbers with a decimal comma: integers, the second perhaps
    with an exponent, in a file without a decimal point.
    """
    for _, row in rows:
        if (
            len(row) < 2
            or not re.fullmatch(r"[+-]?[0-9]+", row[-2])
            or not re.fullmatch("[0-9]+(e[+-]?[0-9]+)?", row[-1], re.I)
        ):
            return False
        if any("." in cell and NUMBER.fullmatch(cell) for cell in row):
            return False
    return True
