"""The documentation: the code of every page runs, tables and API reference are complete, links lead to pages."""

from __future__ import annotations

import functools
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

from _site import api, errors, layers, ops, support, tables  # noqa: E402
from _site.pages import NOT_RUN, cells, pages  # noqa: E402

from symc.compat import fates, serving  # noqa: E402

PAGES = pages()
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in PAGES.items()}
TESTED_ELSEWHERE = {*NOT_RUN, "layers.md", "models.md"}
PROGRAMS = [name for name in PAGES if name not in TESTED_ELSEWHERE and any(cell.run for cell in cells(TEXTS[name]))]

made = functools.cache(tables.generated)

RUNNER = """
import linecache, re, sys
sys.path.insert(0, sys.argv[1])
from _site.pages import cells
names = {"__name__": "__main__"}
text = open(sys.argv[2], encoding="utf-8").read()
for number, cell in enumerate(cells(text), 1):
    if not cell.run:
        continue
    name = f"cell {number} at line {cell.line}"
    linecache.cache[name] = (len(cell.source), None, cell.source.splitlines(True), name)
    try:
        exec(compile(cell.source, name, "exec"), names)
    except Exception as problem:
        if cell.raises not in [kind.__name__ for kind in type(problem).__mro__]:
            raise
        heading = re.findall("^#+ (.*)$", text[: cell.start], re.MULTILINE)[-1:]
        if heading and heading[0].startswith("`"):  # a heading that quotes a message
            assert heading[0].strip("`") in str(problem), f"{heading[0]} is not in: {problem}"
    else:
        assert cell.raises is None, f"{name} did not raise {cell.raises}"
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_code_of_a_page_runs(name, tmp_path, monkeypatch):
    for module in re.findall(r"^(?:import|from) (sklearn|matplotlib|PIL)\b", TEXTS[name], re.MULTILINE):
        pytest.importorskip(module)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    command = [sys.executable, "-c", RUNNER, str(DOCS), str(PAGES[name])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, f"{done.stdout[-1000:]}\n{done.stderr[-3000:]}"


def test_the_runner_notices_errors(tmp_path):
    """A cell that fails, and one that does not fail as announced."""
    for text in ("```python\n1 / 0\n```\n", "```python raises=ZeroDivisionError\n1\n```\n"):
        page = tmp_path / "page.md"
        page.write_text(text)
        done = subprocess.run([sys.executable, "-c", RUNNER, str(DOCS), str(page)], capture_output=True)
        assert done.returncode != 0


def test_all_code_is_found():
    for name, text in TEXTS.items():
        assert text.count("\n```python") + text.startswith("```python") == len(cells(text)), name


def test_an_unknown_word_after_python_is_refused():
    with pytest.raises(ValueError, match="norun"):
        cells("```python norun\n1\n```\n")


# --- links ------------------------------------------------------------------------------------------------------------


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "path", [*PAGES.values(), ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"], ids=lambda p: p.name
)
def test_links(path):
    for target, anchor in re.findall(r"\]\((?!\w+:)([^)#]*)(?:#([^)]*))?\)", prose(path.read_text(encoding="utf-8"))):
        found = (path.parent / target).resolve() if target else path
        if found.is_relative_to(DOCS / "generated"):
            assert found.relative_to(DOCS / "generated").as_posix() in made(), target
            continue
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found.read_text(encoding="utf-8")), f"{target}#{anchor}"


def test_every_page_is_in_a_table_of_contents():
    listed = {"index.md"}
    for name, text in TEXTS.items():
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            entries = [line.strip() for line in block.splitlines() if line.strip() and not line.startswith(":")]
            listed |= {(Path(name).parent / f"{entry}.md").as_posix() for entry in entries}
    assert set(PAGES) <= listed
    assert {name for name in listed if name.startswith("generated/")} == {
        "generated/ops.md", "generated/layers.md", "generated/api/index.md"
    }  # fmt: skip


# --- generated pages --------------------------------------------------------------------------------------------------


def test_every_op_and_function_is_in_the_table_of_ops():
    page = made()["ops.md"]
    for name in ops.RECORDS:
        assert f"| `{name}` |" in page.split("## Ops")[1], name
    for where, name, _ in ops.functions():
        shown = name if where == "symc.tensor" else rf"(nnet\.)?{name}"
        assert re.search(rf"`{shown}[`(]", page), f"{where}.{name}"


def test_what_the_table_says_of_ops():
    page = made()["ops.md"].split("## Ops")[1]
    rows = {row[0].strip("` "): [cell.strip() for cell in row[1:]] for row in
            (re.split(r"(?<!\\)\|", line)[1:-1] for line in page.splitlines() if line.startswith("| `"))}  # fmt: skip
    assert rows["exp"] == ["`exp(x)`", "any", "loop"]
    assert rows["floor"][1] == "zero" and rows["mod"][1] == "any" and rows["eq"][1] == "-"
    assert rows["dot"][2] == "library call" and rows["softmax"][2] == "other ops"
    assert rows["svd"][2] == "a routine on the CPU, else NumPy" and rows["python_run"][2] == "NumPy"


def test_the_table_of_support_is_current_and_has_no_unexplained_hole():
    """``docs/ops.md`` is kept in the repository, so that it can be read there."""
    page = support.page()
    assert support.PAGE.read_text(encoding="utf-8") == page, "run `python -m _site.support` in docs/"
    rows = {row[0].strip("` "): row[1:] for row in (line.split(" | ") for line in page.splitlines() if "| `" in line)}
    assert {name.strip("|` ") for name in rows} == set(ops.RECORDS)
    for name, (*marks, notes) in rows.items():
        assert all(mark.strip() for mark in marks) or "[" in notes, name


def test_every_layer_is_in_the_table_of_layers():
    import lasagne_like

    page = made()["layers.md"]
    for name in lasagne_like.layers.__all__:
        assert re.search(rf"\| `{name}[`(]", page), name
    for name in layers.layer_classes():
        shown = layers.example(name)
        assert all(shown[::2]) or name in layers.NO_EXAMPLE, name
    assert "| `Conv2DLayer` | A 2D convolutional layer over images. | `(None, 3, 32, 32)` |" in page
    assert set(layers.EXAMPLES) | layers.NO_EXAMPLE <= set(layers.layer_classes())


def test_every_layer_class_has_a_formula_and_an_example():
    """Its name in the list of a section, and its use in code that is run with the page."""
    page = TEXTS["layers_by_example.md"]
    code = "\n".join(cell.source for cell in cells(page))
    for name in layers.layer_classes():
        assert f"`{name}`" in prose(page), f"{name} has no formula"
        assert re.search(rf"\blayers\.{name}\b", code), f"{name} has no example"


def test_every_public_name_is_on_a_page_of_the_api():
    for name, module in api.modules().items():
        page = made()[f"api/{name}.md"]
        for public in api.public_names(module):
            value = getattr(module, public)
            if not isinstance(value, dict) and f"{name}.{public}" not in api.PUBLIC:
                assert re.search(rf":: {re.escape(name)}\.{public}\n|`{public}`", page), f"{name}.{public}"
    assert {"symc", "symc.tensor", "lasagne_like", "lasagne_like.layers", "lasagne_like.training"} <= set(api.modules())


def test_public_functions_and_classes_have_docstrings():
    for name, module in api.modules().items():
        for public in api.public_names(module):
            value = getattr(module, public)
            if inspect.isroutine(value) or inspect.isclass(value):
                assert inspect.getdoc(value), f"{name}.{public}"


# --- errors and names -------------------------------------------------------------------------------------------------


def test_every_exception_is_explained():
    text = TEXTS["reference/errors.md"]
    headings = set(re.findall(r"^#+ (\w+)$", text, re.MULTILINE))
    for name, (_, _, meaning) in errors.exceptions().items():
        assert meaning, f"{name} has no docstring"
        assert name in headings, f"{name} has no section in docs/reference/errors.md"


def test_names_of_theano_and_lasagne():
    """What is called the same or differently exists under that name, and what does not exist has an explanation."""
    listed = {fate.old: fate for fate in fates.listed()}
    assert listed["theano.tensor.exp"].kind == "same" and listed["theano.as_op"].new == "symc.as_op"
    for old, fate in listed.items():
        if fate.new:
            assert serving.dotted(fate.new) is not None, old
        elif fate.kind == "missing":
            assert fate.note, old
        assert (fate.kind in ("same", "renamed")) == bool(fate.new), old


def test_the_extra_has_what_the_site_needs():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    required = {re.match(r"[\w.-]+", item)[0].replace("-", "_") for item in extras["docs"]}
    configured = (DOCS / "conf.py").read_text(encoding="utf-8")
    extensions = re.findall(r'^    "([a-z_.]+)",', configured, re.MULTILINE)
    assert len(extensions) >= 3
    for name in [*extensions, *re.findall(r'^html_theme = "(\w+)"', configured, re.MULTILINE)]:
        assert name.split(".")[0] in required, name
