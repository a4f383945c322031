"""The structure of the source: permitted imports, reads of the environment, file sizes, documented packages."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

import symc
import symc.tensor  # noqa: F401
from symc.compiler.passes import PASSES
from symc.graph.op import RECORDS

ROOT = Path(symc.__file__).parent.parent
PACKAGES = {"symc": ROOT / "symc", "symc_backends": ROOT / "backends", "lasagne_like": ROOT / "lasagne_like"}
FORBIDDEN = {
    "symc": {"symc_backends", "backends", "lasagne_like"},
    "symc_backends": {"lasagne_like", "backends"},
    "lasagne_like": {"symc_backends", "backends"},
}
LONGEST = 400


def modules() -> dict[str, Path]:
    """All modules of the three packages, by the names under which they are installed."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def imports(name: str, everywhere: bool) -> list[str]:
    """The modules that ``name`` imports: anywhere in its text, or only those that importing it runs."""
    nodes = ast.walk(TREES[name]) if everywhere else at_import(TREES[name].body)
    return [found for node in nodes for found in imported_by(name, node)]


def imported_by(name: str, node: ast.AST) -> list[str]:
    """The modules that one statement of the module ``name`` imports."""
    if isinstance(node, ast.Import):
        return [a.name for a in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
        above = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*above, *([node.module] if node.module else [])])
    return [f"{base}.{a.name}" if f"{base}.{a.name}" in MODULES else base for a in node.names]


def at_import(body):
    """The statements that run when a module is imported: not those in functions, nor those for type checkers alone."""
    for node in body:
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, (ast.If, ast.Try, ast.With, ast.ClassDef, ast.For)):
            for part in ("body", "orelse", "finalbody"):
                yield from at_import(getattr(node, part, []))


def test_there_is_something_to_look_at():
    assert {"symc.graph.op", "symc_backends.c.emit", "lasagne_like.layers.base"} <= MODULES.keys()
    assert "symc.graph.variables" in imports("symc.graph.op", everywhere=False)
    assert "symc.printing.layout" in imports("symc.printing.drawing", everywhere=True)
    assert "symc.printing.layout" not in imports("symc.printing.drawing", everywhere=False)


@pytest.mark.parametrize("name", MODULES)
def test_arrows_between_packages(name):
    forbidden = FORBIDDEN[name.split(".")[0]]
    wrong = sorted({m for m in imports(name, everywhere=True) if m.split(".")[0] in forbidden})
    assert not wrong, f"{name} imports {wrong}"


def test_the_one_lookup_of_back_ends():
    """Names of back-end modules stand as text in one place of the language, where entry points are looked up."""
    named = {
        name
        for name, tree in TREES.items()
        if name.startswith("symc.") or name == "symc"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("symc_backends")
        if "\n" not in node.value and " " not in node.value
    }
    assert named <= {"symc.runtime.backend", "symc.errors"}


def test_importing_symc_loads_no_back_end_no_layers_and_no_drawing():
    code = "import symc, sys; print(*sorted(m for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert "symc.runtime.function" in loaded
    assert not {
        m for m in loaded if m.split(".")[0] in ("symc_backends", "lasagne_like", "networkx", "matplotlib", "pycuda")
    }


def runtime_imports(name: str) -> set[str]:
    """The modules that ``name`` imports at any time, in functions too: all but those for type checkers."""
    typed = {
        id(inner)
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    return {found for node in ast.walk(TREES[name]) if id(node) not in typed for found in imported_by(name, node)}


def circles(edges) -> list[set[str]]:
    return [c for c in nx.strongly_connected_components(nx.DiGraph(edges)) if len(c) > 1]


def arrows(found) -> list[tuple[str, str]]:
    """An arrow from every module to the modules that ``found`` returns for it. Packages count by their ``__init__``."""
    return [(name, other) for name in MODULES for other in found(name) if other in MODULES and other != name]


def test_no_circle_of_imports():
    """Imports inside functions count: they only hide a circle."""
    assert not circles(arrows(runtime_imports))


def test_no_circle_of_imports_for_type_checkers():
    """What a module names in its annotations is what a reader must know, too."""
    assert not circles(arrows(lambda name: imports(name, everywhere=True)))


RUNTIME = ROOT / "backends" / "c" / "runtime"


def c_sources() -> dict[Path, str]:
    """The text of the C run-time library without comments."""
    files = RUNTIME.glob("*/*.[ch]")
    return {p: re.sub(r"/\*.*?\*/", "", p.read_text(encoding="utf-8"), flags=re.DOTALL) for p in files}


def c_unit(path: Path) -> str:
    """A source, compiled for one dtype or for both."""
    return re.sub(r"_(f32|f64|typed)$", "", path.stem)


def test_no_circle_of_c_sources():
    """Neither of headers that include one another, nor of sources that call one another."""
    sources = c_sources()
    line = r'#include "(?:\w+/)?(.*)"'
    included = [(p.name, other) for p, text in sources.items() for other in re.findall(line, text)]
    assert ("pool.c", "scratch.h") in included and not circles(included)
    folders = [(p.parent.name, other) for p, text in sources.items() for other in re.findall(r'#include "(\w+)/', text)]
    assert ("convolutions", "products") in folders and not circles(folders)
    definition = r"^\w[\w *]*\b(?:FN\()?(symc_\w+)\)?\([^;{}]*\)\s*\{"
    home = {f: c_unit(p) for p, text in sources.items() for f in re.findall(definition, text, re.MULTILINE)}
    calls = [
        (c_unit(p), home[f])
        for p, text in sources.items()
        if p.suffix == ".c" or p.stem.endswith("_typed")  # other headers declare what is defined elsewhere
        for f in re.findall(r"\bsymc_\w+", text)
        if home.get(f, c_unit(p)) != c_unit(p)
    ]
    assert {("pool", "scratch"), ("gemm", "tile"), ("scatter", "band")} <= set(calls) and not circles(calls)


ARROWS = {
    "graph": set(),
    "loops": {"graph"},
    "tensor": {"graph", "loops", "gradient"},
    "gradient": {"graph", "tensor", "compiler"},
    "compiler": {"graph", "loops", "tensor", "gradient"},
    "runtime": {"graph", "loops", "tensor", "gradient", "compiler"},
    "sparse": {"graph", "loops", "tensor", "runtime"},
    "interop": {"graph", "tensor", "runtime", "printing"},
    "printing": {"graph", "loops", "compiler", "runtime"},
}
"""Which packages of the language each may import.

The three in the middle need one another: a gradient is a graph of the language, rules find the stable form of which it
is taken, and the gradient of a loop is a loop.
"""


@pytest.mark.parametrize("package", ARROWS)
def test_order_of_packages(package):
    """``__init__`` modules only collect what users find in one place; random streams make shared variables."""
    wrong = {
        (name, other)
        for name in MODULES
        if name.startswith(f"symc.{package}.") and MODULES[name].name != "__init__.py"
        for other in runtime_imports(name)
        if other.startswith("symc.") and other.split(".")[1] in ARROWS.keys() - ARROWS[package] - {package}
    }
    assert wrong <= {("symc.tensor.shared_randomstreams", "symc.runtime.shared")}


def test_loose_modules():
    assert len(list(PACKAGES["symc"].glob("*.py"))) <= 7  # six and __init__.py


READS = ("environ", "getenv", "environb", "putenv")


@pytest.mark.parametrize("name", [n for n in MODULES if n != "symc.config"])
def test_only_the_configuration_reads_the_environment(name):
    found = [
        f"{MODULES[name]}:{node.lineno}"
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.Attribute) and node.attr in READS and ast.unparse(node.value) == "os"
    ]
    assert not found


def names_of_ops(name: str) -> list[int]:
    """Lines of a module that decide something by the name of an op: comparisons, and look-ups in tables."""
    found = []
    for node in ast.walk(TREES[name]):
        asked: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            asked = [node.left, *node.comparators]
        elif isinstance(node, ast.Subscript):
            asked = [node.slice]
            if ast.unparse(node.value) == "RECORDS" and isinstance(node.slice, ast.Constant):
                found.append(node.lineno)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            asked = node.args[:1]
        texts = [ast.unparse(part) for part in asked]
        found += [node.lineno for text in texts if re.search(r"(^|[.])(op|record|kind)\.name$", text)]
    return found


def test_what_counts_as_a_test_of_a_name(monkeypatch):
    text = 'a.op.name == "x"\nop.name in (1,)\nT[v.owner.op.record.name]\nT.get(op.name)\nRECORDS["x"]\nf(op.name)'
    monkeypatch.setitem(TREES, "sample", ast.parse(text))
    assert sorted(names_of_ops("sample")) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("name", [n for n in MODULES if n.startswith(("symc.", "symc_backends"))])
def test_no_test_of_the_name_of_an_op(name):
    """What a pass needs to know of an op is a trait of its record, or the record itself."""
    assert not names_of_ops(name)


NO_CASES = {
    "undefined_grad": "it has no value of its own; tests/test_gradient.py differentiates through it",
    "dim_value": "stands for a dim, inside the compiler alone",
    "absent_length": "has no value: a call that needs it fails; tests/test_compat_ops.py calls it",
    "expand": "what broadcast specialises to",
    "reshape_to": "what reshape specialises to",
    "arange_of": "what arange specialises to",
    "iota_at": "what iota specialises to",
    "depth_spread": "what depth_sums specialises to",
    "conv2d_pooled": "made by the compiler alone; tests/test_pooled_maps.py compares networks with float64",
    "conv2d_blocks": "made by the compiler alone; tests/test_channel_blocks.py compares networks with float64",
    "conv2d_to_blocks": "likewise",
    "pool2d_blocks": "likewise",
    "slice_at": "what slice specialises to",
    "write_at": "what write_slice specialises to",
    "stretch_at": "what stretch specialises to",
    "unstretch_at": "what unstretch specialises to",
    "checked_index": "covered by the cases of gather and scatter, which it serves",
    "disconnected_grad": "changes gradients alone",
    "zero_grad": "changes gradients alone",
    "grad_clip": "changes gradients alone",
    "grad_scale": "changes gradients alone",
    "lu": "what solve, matrix_inverse and det begin with; tests/test_lapack.py multiplies its factors",
    "lu_solve": "what solve becomes",
    "lu_inverse": "what matrix_inverse becomes",
    "lu_det": "what det becomes",
    "lu_slogdet": "what slogdet becomes",
    "lu_cofactors": "what cofactors becomes",
    "part": "what slices that are one piece of memory become",
    "true_places": "covered by the cases of front, which takes what it counts",
    "complex_lu": "what solve, matrix_inverse and det of complex matrices begin with",
    "complex_lu_solve": "what solve of complex matrices becomes",
    "complex_lu_inverse": "what matrix_inverse of complex matrices becomes",
    "complex_lu_det": "what det of complex matrices becomes",
    "complex_lu_slogdet": "what slogdet of complex matrices becomes",
    "complex_lu_cofactors": "what cofactors of complex matrices becomes",
    "scan_of": "what scan becomes once the number of steps is a dim",
    "branch": "what ifelse becomes once its sides hold what only they need",
    "python_step": "what python_op becomes",
    "python_run": "a Python op whose shapes are told by what it gives; covered by the cases of python_op",
    "python_take": "takes what python_run gave",
    "python_taken": "what python_take becomes",
    "checked_length": "made by the compiler alone; tests/test_scattering.py compares programs with NumPy",
    "scatter_of": "likewise",
    "framed": "likewise; tests/test_framing.py",
    "row_sums": "likewise; tests/test_row_sums.py",
    "gather_counted": "likewise; tests/test_stretches.py",
    "split_slice": "likewise; tests/test_split_slices.py",
    "carry_updates": "tells function which default updates to apply; changes no value",
}
"""Records that no generated test builds directly, and why."""


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_every_record_is_complete(name):
    record = RECORDS[name]
    forms = [record.lower, record.decompose, record.specialise, record.lazy, record.inline, record.language_only]
    assert any(forms), f"{name} has neither loops nor an expansion, and does not specialise"
    assert record.lower is None or record.decompose is None, f"{name} has loops and an expansion: which of them holds?"
    assert callable(record.infer) and callable(record.numpy)
    if name in NO_CASES:
        assert not record.cases(), f"{name} has cases now: take it off the list"
    else:
        assert record.cases(), f"{name} has no cases"


def test_the_list_of_exceptions_is_true():
    assert not set(NO_CASES) - set(RECORDS)


def sizes() -> list[tuple[int, str]]:
    """Lines of every file, the longest first."""
    return sorted(((len(p.read_text(encoding="utf-8").splitlines()), n) for n, p in MODULES.items()), reverse=True)


def test_sizes_of_files(record_property):
    """Files over the customary length are listed; none may be twice as long."""
    long = [f"{name}: {lines}" for lines, name in sizes() if lines > LONGEST]
    record_property("files over 400 lines", ", ".join(long))
    print("\n".join(long))
    too_long = [f"{name}: {lines}" for lines, name in sizes() if lines > 2 * LONGEST + 50]
    assert not too_long, f"split these files: {too_long}"


def public_functions():
    for name, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                yield name, node


def test_public_functions_and_classes_say_what_they_are():
    """Short functions may speak for themselves."""
    bare = [
        f"{name}.{node.name}"
        for name, node in public_functions()
        if ast.get_docstring(node) is None and node.end_lineno - node.lineno >= 12
    ]
    assert not bare, f"no docstring: {bare}"


def test_public_functions_are_typed():
    untyped = [
        f"{name}.{node.name}"
        for name, node in public_functions()
        if isinstance(node, ast.FunctionDef) and name.startswith(("symc.", "symc_backends")) and node.returns is None
    ]
    assert not untyped, f"no return type: {untyped}"


def test_every_module_has_a_description():
    bare = [n for n, t in TREES.items() if ast.get_docstring(t) is None and MODULES[n].stat().st_size > 0]
    assert not bare


@pytest.mark.parametrize("name", MODULES)
def test_no_promises(name):
    text = MODULES[name].read_text(encoding="utf-8")
    for word in ("TODO", "FIXME", "XXX"):
        assert word not in text, f"{word} in {name}"
    several = ("lasagne_like.errors", "symc.compat.errors")  # they have exceptions of several kinds
    for line in text.splitlines():
        if "NotImplementedError" in line and name not in several:
            assert "must define" in line, f"only a method that subclasses must define may raise it: {line.strip()}"


@pytest.mark.parametrize("page", ["architecture.md"])
def test_examples_of_the_documentation(page):
    """The code blocks of a page run, one after another, as one program."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    done = subprocess.run([sys.executable, "-c", "\n".join(blocks)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    for line in re.findall(r"print\(.*\)  # (\S.*\))$", text, re.MULTILINE):
        assert line in done.stdout


HOMES = [p for package in ("symc", "backends", "lasagne_like") for p in [ROOT / package, *(ROOT / package).rglob("*/")]]


def test_the_documentation_names_what_exists():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for step in PASSES:
        assert step.__name__ in text, f"the pass {step.__name__} is not on the page"
    packages = text[text.index("## Packages and modules") : text.index("The only dependencies between")]
    named = {word for word in re.findall(r"[\w/]+\.py|\w+/", packages)}
    for word in named - {"symc/", "backends/", "lasagne_like/"}:
        assert any((p / word).exists() for p in HOMES), word
    unnamed = {
        path.relative_to(ROOT).as_posix()
        for path in MODULES.values()
        if path.is_relative_to(ROOT / "symc") and path.parent.name not in ("nnet", "signal")
        if path.name not in named | {"__init__.py"} and not path.stem.endswith("_cases")
    }
    assert not unnamed
    for path in re.findall(r"`((?:symc|backends|tests)/[\w/]+(?:\.py)?)`", text):
        assert (ROOT / path).exists(), path
