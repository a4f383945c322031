"""Tables of numbers from CSV files."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..naming import names_arguments

__all__ = ["Table", "read_csv"]

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of numbers and a target. It unpacks to ``X, y``.

    Attributes
    ----------
    X : numpy.ndarray
        float32 ``(rows, columns)``.
    y : numpy.ndarray or None
        ``(rows,)``: float32 numbers, or int32 labels if the target is text or whole numbers. None without a target.
    columns : tuple of str
        The names of the columns of X.
    target : str or None
        The name of the target column.
    classes : tuple of str
        The names of the classes, if the target is text: label k stands for ``classes[k]``. Else empty.
    """

    X: np.ndarray
    y: np.ndarray | None
    columns: tuple[str, ...]
    target: str | None = None
    classes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Any]:
        return iter((self.X, self.y))

    def __repr__(self) -> str:
        target = f", target {self.target!r}" + (f" of {len(self.classes)} classes" if self.classes else "")
        return (
            f"<Table {self.X.shape} of {', '.join(self.columns[:8])}{', ...' if len(self.columns) > 8 else ''}{target}>"
        )


@names_arguments
def read_csv(
    path: str | os.PathLike,
    target: str | int | None = None,
    *,
    columns: Sequence[str | int] | None = None,
    header: bool | None = None,
    delimiter: str | None = None,
    missing: str | float = "raise",
) -> Table:
    """Read a table of numbers.

    Parameters
    ----------
    path : path
        A text file with one row per line, in UTF-8.
    target : str or int, optional
        The name or position of the target column (-1 for the last). Text becomes class labels, in the order of the
        sorted names; whole numbers become int32.
    columns : sequence of str or int, optional
        The columns of X; by default all but the target.
    header : bool, optional
        Whether the first row names the columns. By default it does if none of its fields is a number.
    delimiter : str, optional
        The character between fields; by default the most frequent of ``,``, ``;`` and tab in the first row.
    missing : 'raise', 'drop', 'mean' or number
        What happens to fields of X that are empty or one of NA, N/A, NaN, null, none, ``?``, ``-``: raise and name
        them, drop their rows, replace them by the mean of the column, or by a number. Rows without a target raise or
        are dropped.

    Returns
    -------
    Table
        It unpacks to ``X, y``.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If a column does not exist or is not numeric, rows have different lengths, or values are missing. The message
        names line and column.

    Examples
    --------
    ::

        X, y = read_csv("iris.csv", target="species")
    """
    if not (missing in ("raise", "drop", "mean") if isinstance(missing, str) else isinstance(missing, (int, float))):
        raise ValueError(f"read_csv: missing={missing!r}: expected 'raise', 'drop', 'mean' or a number")
    names, rows, lines = _rows(Path(path).expanduser(), header, delimiter)
    where = _Place(path, names, lines)
    goal = None if target is None else _position(target, names, path)
    chosen = [k for k in range(len(names)) if k != goal] if columns is None else _positions(columns, names, path, goal)
    if not chosen:
        raise ValueError(f"read_csv: {path} has no column besides the target {names[goal or 0]!r}")
    X = np.empty((len(rows), len(chosen)), np.float64)
    for place, k in enumerate(chosen):
        X[:, place] = _numbers([row[k] for row in rows], k, where)
    keep = np.ones(len(rows), bool)
    absent = np.isnan(X)
    if missing == "drop":
        keep &= ~absent.any(axis=1)
    elif absent.any():
        X = _filled(X, absent, missing, chosen, where)
    y: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    if goal is not None:
        fields = [row[goal] for row in rows]
        empty = np.array([_is_missing(field) for field in fields])
        if empty.any() and missing != "drop":
            where.refuse(
                [(int(k), goal) for k in np.flatnonzero(empty)], "values of the target are missing; drop the rows"
            )
        keep &= ~empty
        y, classes = _target([field for field, kept in zip(fields, keep) if kept])
    if not keep.any():
        raise ValueError(f"read_csv: {path} has no complete row")
    name = None if goal is None else names[goal]
    return Table(X[keep].astype(np.float32), y, tuple(names[k] for k in chosen), name, classes)


@dataclass
class _Place:
    """Names the fields of a file in errors."""

    path: Any
    names: list[str]
    lines: list[int]

    def refuse(self, fields: list[tuple[int, int]], what: str) -> None:
        shown = ", ".join(f"line {self.lines[row]} column {self.names[k]!r}" for row, k in fields[:5])
        more = f" and {len(fields) - 5} more" if len(fields) > 5 else ""
        raise ValueError(f"read_csv: {self.path}: {what}: {shown}{more}")


def _rows(path: Path, header: bool | None, delimiter: str | None) -> tuple[list[str], list[list[str]], list[int]]:
    """Names of columns, rows of fields, and the line of each row; empty lines are skipped."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            if delimiter is None:
                first = file.readline()
                delimiter = max(",;\t", key=first.count)
                file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
            rows, lines = [], []
            for row in reader:
                if any(field.strip() for field in row):
                    rows.append([field.strip() for field in row])
                    lines.append(reader.line_num)
    except UnicodeDecodeError as error:
        raise ValueError(f"read_csv: {path} is no text in UTF-8 ({error})") from error
    except csv.Error as error:
        raise ValueError(f"read_csv: {path} is no table of fields ({error})") from error
    if not rows:
        raise ValueError(f"read_csv: {path} is empty")
    if header is None:
        header = not any(_is_number(field) for field in rows[0]) and len(rows) > 1
    names = [str(k) for k in range(len(rows[0]))]
    if header:
        names, rows, lines = rows[0], rows[1:], lines[1:]
    if not rows:
        raise ValueError(f"read_csv: {path} has a header but no rows")
    for row, line in zip(rows, lines):
        if len(row) != len(names):
            raise ValueError(f"read_csv: {path}: line {line} has {len(row)} fields, expected {len(names)}")
    return names, rows, lines


def _is_missing(field: str) -> bool:
    return field.lower() in MISSING


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _position(column: str | int, names: list[str], path: Any) -> int:
    if isinstance(column, str):
        if column in names:
            return names.index(column)
    elif -len(names) <= column < len(names):
        return column % len(names)
    raise ValueError(f"read_csv: {path} has no column {column!r}; the columns are {', '.join(map(repr, names))}")


def _positions(columns: Sequence[str | int], names: list[str], path: Any, goal: int | None) -> list[int]:
    chosen = [_position(column, names, path) for column in columns]
    if goal in chosen:
        raise ValueError(f"read_csv: the target {names[goal or 0]!r} is one of the columns")
    return chosen


def _numbers(fields: list[str], column: int, where: _Place) -> np.ndarray:
    try:
        return np.array(fields, np.float64)
    except ValueError:
        pass
    values = np.empty(len(fields))
    wrong = []
    for row, field in enumerate(fields):
        if _is_missing(field):
            values[row] = np.nan
        elif _is_number(field):
            values[row] = float(field)
        else:
            wrong.append((row, column))
    if wrong:
        text = fields[wrong[0][0]]
        where.refuse(wrong, f"{text!r} is not a number; choose numeric columns with columns=[...], or encode the text")
    return values


def _filled(X: np.ndarray, absent: np.ndarray, missing: str | float, chosen: list[int], where: _Place) -> np.ndarray:
    if missing == "raise":
        fields = [(int(row), chosen[k]) for row, k in zip(*np.nonzero(absent))]
        where.refuse(fields, "values are missing; pass missing='drop', 'mean' or a number")
    empty = absent.all(axis=0)
    if missing == "mean" and empty.any():
        names = ", ".join(repr(where.names[chosen[k]]) for k in np.flatnonzero(empty))
        raise ValueError(f"read_csv: {where.path}: the column {names} has no values, hence no mean")
    return np.where(absent, np.nanmean(X, axis=0) if missing == "mean" else missing, X)


def _target(fields: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    if all(map(_is_number, fields)):
        values = np.array(fields, np.float64)
        whole = (values == np.rint(values)).all() and not any("." in f or "e" in f.lower() for f in fields)
        small = whole and np.abs(values).max(initial=0) < 2**31
        return values.astype(np.int32 if small else np.float32), ()
    classes, labels = np.unique(fields, return_inverse=True)
    return labels.astype(np.int32), tuple(classes.tolist())
