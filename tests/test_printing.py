"""Printed forms: trees, formulas, loops, pictures."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from io import StringIO
from itertools import combinations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.compiler.passes import PASSES
from symc.loops import expr
from symc.printing import STAGES, debugprint, graph_html, graph_svg, pp, pprint
from symc.printing.layout import layered
from symc.printing.loops import expression_text
from symc.printing.tree import letters

f32 = np.float32
SVG = "{http://www.w3.org/2000/svg}"


def network():
    x = T.matrix("x")
    w = symc.shared(np.ones((3, 4), f32), "w")
    hidden = T.tanh(T.dot(x, w) + 1)
    hidden.name = "hidden"
    p = hidden / hidden.sum(axis=1, keepdims=True)
    return x, w, p


def compiled(device="interp"):
    x, w, p = network()
    return symc.function([x], p, updates={w: w * 0.5}, name="net", device=device)


def show(obj, **options):
    return debugprint(obj, file="str", **options)


# --- debugprint ---------------------------------------------------------------------------------------------------


def test_a_tree_in_full():
    x, y = T.matrices("x", "y")
    z = T.exp(x) + T.tanh(y)
    z.name = "z"
    assert show(z, print_lines=False).splitlines() == [
        "add [id A] float32(x0, x1) 'z'",
        " ├─ exp [id B] float32(x0, x1)",
        " │   └─ x [id C] float32(x0, x1)",
        " └─ tanh [id D] float32(y0, y1)",
        "     └─ y [id E] float32(y0, y1)",
    ]


def test_what_is_shared_is_written_once():
    x = T.vector("x")
    e = T.exp(T.sqr(x))
    lines = show(e * (e + e), print_type=False, print_lines=False).splitlines()
    assert lines == [
        "mul [id A]",
        " ├─ exp [id B]",
        " │   └─ sqr [id C]",
        " │       └─ x [id D]",
        " └─ add [id E]",
        "     ├─ exp [id B]",
        "     │   └─ ···",
        "     └─ exp [id B]",
        "         └─ ···",
    ]


def test_labels_are_shared_by_all_outputs():
    x = T.vector("x")
    e = T.exp(x)
    text = show([e, -e], print_type=False, print_lines=False)
    assert text.splitlines() == ["exp [id A]", " └─ x [id B]", "neg [id C]", " └─ exp [id A]", "     └─ ···"]


@pytest.mark.parametrize("ids, label", [("CHAR", "[id A]"), ("int", "[id 0]"), ("", None)])
def test_ids(ids, label):
    text = show(T.exp(T.vector("x")), ids=ids)
    assert (label in text) if label else "id" not in text


def test_depth_and_stop_on_name():
    x = T.vector("x")
    inner = T.exp(x)
    inner.name = "inner"
    z = T.tanh(T.sqr(inner))
    assert show(z, depth=2, print_type=False, print_lines=False).splitlines() == [
        "tanh [id A]",
        " └─ sqr [id B]",
        "     └─ ···",
    ]
    assert "x [id" not in show(z, stop_on_name=True) and "x [id" in show(z)


def test_the_users_line():
    z = T.tanh(T.vector("x"))
    assert f"# test_printing.py:{sys._getframe().f_lineno - 1}" in show(z)


def test_where_it_prints(capsys):
    z = T.tanh(T.vector("x"))
    debugprint(z)
    printed = capsys.readouterr().out
    stream = StringIO()
    assert debugprint(z, file=stream) is stream
    assert printed == stream.getvalue() == show(z)


@pytest.mark.parametrize("options", [{"ids": "roman"}, {"stage": "lopps"}, {"file": "out.txt"}])
def test_wrong_options(options):
    with pytest.raises(ValueError):
        debugprint(T.vector("x"), **{"file": "str", **options})


def test_a_near_stage_is_suggested():
    with pytest.raises(ValueError, match="did you mean 'loops'"):
        show(T.exp(T.vector("x")), stage="lopps")


@pytest.mark.parametrize("obj", [3, "x", None])
def test_what_cannot_be_shown(obj):
    with pytest.raises(TypeError, match="expected a variable, a list of variables or a compiled function"):
        show(obj)


def test_long_labels():
    assert [letters(k) for k in (0, 25, 26, 27, 701, 702)] == ["A", "Z", "AA", "AB", "ZZ", "AAA"]


def chain(length):
    x = v = T.vector("x")
    for _ in range(length):
        v = T.tanh(v)
    return x, v


def test_a_long_chain_prints_in_linear_space():
    _, v = chain(100_000)
    text = show(v)
    assert text.count("\n") == 100_001
    assert len(text) < 250 * 100_001
    assert "99999: tanh" in text
    assert len(pp(v)) < 20 * 100_001


# --- stages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [*STAGES, *(p.__name__ for p in PASSES)])
def test_every_stage_of_functions_and_expressions(stage):
    device = "c" if stage in ("c", "cuda", "text") else "interp"
    assert "tanh" in show(compiled(device), stage=stage)
    assert "tanh" in show(network()[2], stage=stage)


def test_stages_differ_as_they_should():
    f = compiled()
    assert "update of w:" in show(f, stage="graph")
    assert "broadcast" in show(f, stage="graph") and "broadcast" not in show(f, stage="specialised")
    assert "(x0, 3)" in show(f, stage="specialised"), "shapes of shared variables are known once specialised"
    fused = show(f, stage="fused")
    assert re.search(r"^0: library call\n    \[id \w+\] = dot\(", fused)
    assert "loops over x0, reducing over 4" in fused and fused.count("stored") == 3
    loops = show(f, stage="loops")
    assert loops.startswith("program net(x0)")
    assert re.search(r"B\d+ +update +\S+ +float32\(3, 4\)  in the memory of B\d+", loops)
    assert "parallel for" in loops and "simd for" in loops and "gemm_f32(" in loops
    m = T.matrix("m")
    assert "+=" in show(symc.function([m], m.sum(1), device="interp"), stage="loops")
    assert re.search(r"# test_printing.py:\d+", loops)


def test_the_compilers_passes_leave_the_users_graph_alone():
    x, w, p = network()
    f = symc.function([x], p, updates={w: w * 0.5}, device="interp")
    before = show(p)
    for stage in STAGES:
        show(f, stage=stage)
    assert show(p) == before
    assert f(np.zeros((2, 3), f32)).tolist() == [[0.25] * 4] * 2


def test_c_text_is_what_was_built():
    f = compiled("c")
    assert show(f, stage="c").split() == f.specialisation.text.split()
    assert "symc_entry" in show(network()[2], stage="c")
    assert "no text" in show(compiled("interp"), stage="c")


a, b = expr.var("a", "float32"), expr.var("b", "float32")


@pytest.mark.parametrize(
    "e, text",
    [
        (a + b * a, "a + b * a"),
        ((a + b) * a, "(a + b) * a"),
        (a - (b - a), "a - (b - a)"),
        (a - b - a, "a - b - a"),
        (-(a + b), "-(a + b)"),
        (expr.select(a > 0, a, -a), "a if a > 0 else -a"),
        (expr.call("exp", expr.cast(expr.var("i"), "float32")), "exp(float32(i))"),
    ],
)
def test_scalar_expressions(e, text):
    assert expression_text(e) == text


# --- formulas -----------------------------------------------------------------------------------------------------

x, y = T.matrices("x", "y")
v = T.vector("v")


@pytest.mark.parametrize(
    "z, text",
    [
        (x + y * x, "x + y * x"),
        ((x + y) * x, "(x + y) * x"),
        (x - (y - x), "x - (y - x)"),
        (-x + 1, "-x + 1"),
        (2 * x / y, "2 * x / y"),
        ((x + 1) ** 2, "(x + 1) ** 2"),
        (T.exp(-x), "exp(-x)"),
        (T.dot(x, y.T), "dot(x, y.T)"),
        (x.sum(), "sum(x)"),
        (x.sum(axis=1), "sum(x, axis=1)"),
        (x + v, "x + v"),
        (T.switch(x > 0, x, 0), "switch(x > 0, x, 0)"),
        (x + np.float32(-0.5), "x + -0.5"),
    ],
)
def test_formula(z, text):
    assert pp(z) == pprint(z) == text


def test_formulas_name_what_occurs_twice():
    t = T.exp(T.dot(x, y) + v)
    assert pp(t / (1 + t)).splitlines() == ["t1 / (1 + t1)", "  where t1 = exp(dot(x, y) + v)"]
    named = T.exp(T.dot(x, y) + v)
    named.name = "odds"
    assert pp(named / (1 + named)).startswith("odds / (1 + odds)\n  where odds = ")


def test_formulas_of_doubling_graphs_stay_small():
    z = T.tanh(v) * 2
    for _ in range(200):
        z = T.tanh(z) * z + z
    assert len(pp(z)) < 20_000


def test_examples_of_the_docstring():
    import doctest

    from symc.printing import formula

    found = doctest.testmod(formula)
    assert found.attempted and not found.failed


def test_formula_of_something_else():
    with pytest.raises(TypeError, match="symbolic variable"):
        pp(3)


# --- pictures -----------------------------------------------------------------------------------------------------


def boxes_of(svg):
    """Label, position and tooltip of every box."""
    found = []
    for g in ET.fromstring(svg).iter(f"{SVG}g"):
        if g.get("class") == "box":
            rect = {k: float(g.find(f"{SVG}rect").get(k)) for k in ("x", "y", "width", "height")}
            found.append((g.find(f"{SVG}text").text, rect, g.find(f"{SVG}title").text, g.get("data-key")))
    return found


def apart(p, q):
    return (
        p["x"] + p["width"] <= q["x"] + 0.11
        or q["x"] + q["width"] <= p["x"] + 0.11
        or p["y"] + p["height"] <= q["y"] + 0.11
        or q["y"] + q["height"] <= p["y"] + 0.11
    )


@pytest.mark.parametrize("make", [lambda: network()[2], compiled], ids=["expression", "function"])
def test_a_picture(make, tmp_path):
    svg = graph_svg(make(), tmp_path / "g.svg")
    assert (tmp_path / "g.svg").read_text(encoding="utf-8") == svg
    boxes = boxes_of(svg)
    labels = [label for label, *_ in boxes]
    assert {"x", "w", "dot", "sum"} <= set(labels)
    assert "hidden = tanh" in labels and "add(·, 1)" in labels
    for (_, p, *_), (_, q, *_) in combinations(boxes, 2):
        assert apart(p, q), "two boxes overlap"
    notes = {label: note for label, _, note, _ in boxes}
    assert "type: float32(x0, " in notes["dot"] and "library call" in notes["dot"]
    assert re.search(r"made at .*test_printing.py:\d+: hidden = T.tanh", notes["dot"])
    assert "shape of its value: (3, 4)" in notes["w"]
    keys = {key for *_, key in boxes}
    arrows = [p for p in ET.fromstring(svg).iter(f"{SVG}path") if p.get("class") == "arrow"]
    assert arrows and all(p.get("data-from") in keys and p.get("data-to") in keys for p in arrows)


def test_a_function_is_drawn_with_its_kernels():
    f = compiled()
    svg = graph_svg(f)
    frames = [g for g in ET.fromstring(svg).iter(f"{SVG}g") if g.get("class") == "frame"]
    assert len(frames) == len(f.specialisation.state.units)
    labels = [label for label, *_ in boxes_of(svg)]
    assert "output 0 = true_div" in labels and "next value of w = mul(·, 0.5)" in labels


def test_names_are_escaped():
    z = T.exp(T.vector('<a> & "b"'))
    assert boxes_of(graph_svg(z))[1][0] == '<a> & "b"' or boxes_of(graph_svg(z))[0][0] == '<a> & "b"'


def test_the_page_is_complete_in_itself(tmp_path):
    page = graph_html(compiled(), tmp_path / "g.html")
    assert (tmp_path / "g.html").read_text(encoding="utf-8") == page
    outside = re.findall(r"(?:https?:)?//[\w.]+", page.replace("http://www.w3.org/2000/svg", ""))
    assert not outside and "<link" not in page and "src=" not in page
    assert "<svg" in page and page.count("<script>") == 1


def test_only_an_input():
    assert len(boxes_of(graph_svg(T.vector("alone")))) == 1


def test_pictures_that_nobody_could_read_are_refused():
    _, deep = chain(4000)
    with pytest.raises(ValueError, match="debugprint"):
        graph_svg(deep)


def test_layout_of_a_diamond():
    sizes = dict.fromkeys("abcd", (40.0, 20.0))
    made = layered("abcd", [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d")], sizes)
    assert made.centre["a"][1] < made.centre["b"][1] == made.centre["c"][1] < made.centre["d"][1]
    assert abs(made.centre["b"][0] - made.centre["c"][0]) >= 40
    assert len(made.route["a", "d"]) == 3, "a long edge passes its rank in between"
    assert made.route["a", "b"][0] == (made.centre["a"][0], made.centre["a"][1] + 10)


def test_layout_refuses_cycles():
    with pytest.raises(Exception, match="(?i)cycle"):
        layered("ab", [("a", "b"), ("b", "a")], dict.fromkeys("ab", (1.0, 1.0)))
