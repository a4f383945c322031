"""``check``: read the sources of a project and report what becomes of each name of Theano and Lasagne in them."""

from __future__ import annotations

import ast
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from symc.compat import flags
from symc.compat.fates import Fate, fate
from symc.compat.modules import MODULES, is_legacy

__all__ = ["Problem", "Report", "Use", "check"]


@dataclass(frozen=True)
class Use:
    """A name in a source, and what becomes of it."""

    path: str
    line: int
    fate: Fate

    def __str__(self) -> str:
        old, kind, new, note = self.fate
        what = {"same": f"same ({new})", "renamed": f"renamed to {new}", "served": "works through symc.compat only"}
        text = what.get(kind, "missing")
        return f"{self.path}:{self.line}: {old}: {text}{f'; {note}' if note else ''}"


@dataclass(frozen=True)
class Problem:
    """A source that cannot be read as Python 3, and where."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: cannot be read: {self.message}"


@dataclass
class Report:
    """What a project uses of Theano and Lasagne.

    Attributes
    ----------
    uses : list of Use
        In the order of the sources.
    problems : list of Problem
        Sources that are not read, such as those in Python 2 alone.
    files : int
        The number of sources.
    """

    uses: list[Use] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    files: int = 0

    @property
    def ok(self) -> bool:
        """Whether every source was read and every name is served."""
        return not self.problems and not self.missing

    @property
    def missing(self) -> list[Use]:
        """The uses of names that are not served."""
        return [use for use in self.uses if use.fate.kind == "missing"]

    def summary(self) -> str:
        """The numbers of names by what becomes of them, in one line."""
        names = {use.fate.old: use.fate.kind for use in self.uses}
        counts = [f"{sum(kind == k for kind in names.values())} {k}" for k in ("same", "renamed", "served", "missing")]
        unread = f"; {len(self.problems)} sources cannot be read" if self.problems else ""
        return f"{len(names)} names in {self.files} sources: {', '.join(counts)}{unread}"

    def __str__(self) -> str:
        return "\n".join([*map(str, self.problems), *map(str, self.uses), self.summary()])


def check(path: str | Path) -> Report:
    """Report which names of Theano and Lasagne the sources of a project use, and what becomes of each.

    The sources are read, never run. Names are followed through imports and attributes, as far as they are written out:
    ``T.dot`` after ``import theano.tensor as T`` is ``theano.tensor.dot``.

    Parameters
    ----------
    path : str or Path
        A source, or a folder whose ``*.py`` files are read.

    Returns
    -------
    Report
        ``print`` shows it; ``missing`` lists what is not served.

    Raises
    ------
    FileNotFoundError
        If there is no such path.
    """
    root = Path(path)
    if not root.exists():
        raise FileNotFoundError(f"symc.compat.check: no file or folder {str(path)!r}")
    report = Report()
    known: dict[str, Fate] = {}
    for source in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
        report.files += 1
        tree = _parsed(source, report)
        if tree is None:
            continue
        for line, old in sorted(set(_Names(tree).found)):
            if old not in known:
                known[old] = fate(old)
            report.uses.append(Use(str(source), line, known[old]))
    return report


def _parsed(source: Path, report: Report) -> ast.Module | None:
    """The syntax tree of a source; None, with an entry in the report, if it has none."""
    try:
        with tokenize.open(source) as stream:  # by the encoding that the source declares
            text = stream.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in old strings
            return ast.parse(text, str(source))
    except SyntaxError as problem:
        hint = " (Python 2? 2to3 or futurize converts it)" if _looks_like_python2(problem) else ""
        report.problems.append(Problem(str(source), problem.lineno or 1, f"{problem.msg}{hint}"))
    except (UnicodeDecodeError, ValueError, OSError) as problem:
        report.problems.append(Problem(str(source), 1, str(problem)))
    return None


def _looks_like_python2(problem: SyntaxError) -> bool:
    text = f"{problem.msg} {problem.text or ''}"
    signs = (
        "print",
        "exec",
        "except",
        "backquote",
        "raise ",
        "octal",
        "leading zeros",
        "<>",
        "lambda (",
        "TabError",
        "tab",
    )
    return any(sign in text for sign in signs)


class _Names(ast.NodeVisitor):
    """Collects (line, dotted old name) of a source."""

    def __init__(self, tree: ast.Module) -> None:
        self.found: list[tuple[int, str]] = []
        self.known: dict[str, str] = {}
        self.starred: set[str] = set()
        for node in ast.walk(tree):  # imports first: functions may be written above them
            if isinstance(node, ast.Import):
                self._import(node)
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node)
        self.visit(tree)

    def _import(self, node: ast.Import) -> None:
        for entry in node.names:
            if is_legacy(entry.name):
                self.found.append((node.lineno, entry.name))
                local = entry.asname or entry.name.partition(".")[0]
                self.known[local] = entry.name if entry.asname else local

    def _import_from(self, node: ast.ImportFrom) -> None:
        if node.level or not node.module or not is_legacy(node.module):
            return
        for entry in node.names:
            if entry.name == "*":
                self.found.append((node.lineno, node.module))
                self._star(node.module)
            else:
                old = f"{node.module}.{entry.name}"
                self.found.append((node.lineno, old))
                self.known[entry.asname or entry.name] = old

    def _star(self, module: str) -> None:
        from symc.compat.serving import names_of

        if module in MODULES:
            for name in names_of(module):
                self.known.setdefault(name, f"{module}.{name}")
                self.starred.add(name)

    def visit_Assign(self, node: ast.Assign) -> None:  # noqa: N802 - named by ast
        """Follow ``floatX = theano.config.floatX`` no further than its right-hand side, and ``L = lasagne.layers``."""
        self.generic_visit(node)
        old = self._dotted(node.value)
        if old in MODULES and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            self.known[node.targets[0].id] = old
            return
        for name in _stored(node.targets):  # the program's own variable, called like one that a star import gave
            if name in self.starred:
                self.known.pop(name, None)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:  # noqa: N802
        """Names that the function binds are not those of the modules."""
        arguments = node.args
        own = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        own |= {a.arg for a in (arguments.vararg, arguments.kwarg) if a is not None}
        body = node.body if isinstance(node.body, list) else []
        own |= set(_stored(body)) - {n for b in body for g in ast.walk(b) if isinstance(g, ast.Global) for n in g.names}
        outer = dict(self.known)
        for name in own:
            self.known.pop(name, None)
        self.generic_visit(node)
        self.known = outer

    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef  # noqa: N815

    def visit_Attribute(self, node: ast.Attribute) -> None:  # noqa: N802
        """Record the longest dotted name."""
        old = self._dotted(node)
        if old is not None:
            self.found.append((node.lineno, _shortened(old)))
        else:
            self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:  # noqa: N802
        """Record names that were imported from a module."""
        old = self.known.get(node.id)
        if old is not None and isinstance(node.ctx, ast.Load) and old not in MODULES:
            self.found.append((node.lineno, old))

    def _dotted(self, node: ast.expr) -> str | None:
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        old = self.known.get(node.id) if isinstance(node, ast.Name) else None
        return ".".join([old, *reversed(parts)]) if old is not None else None


def _stored(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """The names that these statements, or targets of an assignment, bind."""
    for node in nodes:
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                yield part.id


def _shortened(old: str) -> str:
    """Cut a dotted name behind the first name in a module: further attributes are those of objects.

    Settings keep their full name.
    """
    if old.startswith("theano.config."):
        return flags.setting_of(old)
    parts = old.split(".")
    depth = max(k for k in range(1, len(parts) + 1) if ".".join(parts[:k]) in MODULES)
    return ".".join(parts[: depth + 1])
