"""Prints in running functions, modes that look at every value, values computed while graphs are built, pictures."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.compiler.rewrite import rules
from symc.compiler.rewrite.engine import RuleList
from symc.printing import Print, debugprint, pydotprint
from symc.runtime.debug_mode import DebugModeError
from symc.runtime.watching import NanGuardError, detect_nan

DEVICES = ["c", "interp"]


def line_of(text: str) -> str:
    """The place of the first line of this file that contains a text."""
    lines = open(__file__, encoding="utf-8").read().splitlines()
    return f"test_debugging.py:{next(k for k, line in enumerate(lines, 1) if text in line)}"


# --- Print ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_print_in_order(device, capsys):
    x = T.vector("x")
    y = Print("x is", attrs=["shape", "__str__"])(x) * 2
    f = symc.function([x], [y.sum(), Print("second")(x + 1), Print("third")(x + 1)], device=device)
    assert not capsys.readouterr().out
    for _ in range(2):
        total, *_ = f([1, 2])
        assert total == 6
        shown = capsys.readouterr().out.splitlines()
        assert shown == ["x is shape = (2,)", "x is __str__ = [1. 2.]", "second __str__ = [2. 3.]",
                         "third __str__ = [2. 3.]"]  # fmt: skip


@pytest.mark.usefixtures("emulated_device")
def test_print_on_the_emulated_gpu(capsys):
    x = T.vector("x")
    f = symc.function([x], Print("x")(x * 2) + 1, device="cuda")
    np.testing.assert_array_equal(f([1, 2]), [3, 5])
    assert capsys.readouterr().out == "x __str__ = [2. 4.]\n"


@pytest.mark.parametrize("mode", ["fast_run", "fast_compile", "no_rewrite", "NanGuardMode"])
def test_prints_survive_rewriting_and_have_the_gradient_of_the_identity(mode):
    seen = []
    watch = Print("m", global_fn=lambda op, array: seen.append((op.message, array.tolist())))
    x = T.dscalar("x")
    out = T.log(T.exp(watch(x))) * 1 + 0 * watch(x) + watch(T.constant(7.0))
    f = symc.function([x], [out, symc.grad(out, x)], mode=mode)
    value, slope = f(3)
    assert (value, slope) == (10, 1)
    assert sorted(seen) == [("m", 3.0), ("m", 3.0), ("m", 7.0)]


def test_a_print_in_a_loop_prints_every_step(capsys):
    x = T.vector("x")
    sums, _ = symc.scan(lambda e, s: Print("sum")(s + e), x, T.zeros_like(x[0]))
    symc.function([x], sums[-1])([1, 2, 3])
    assert capsys.readouterr().out.splitlines() == [f"sum __str__ = {v}" for v in (1.0, 3.0, 6.0)]


def test_what_is_printed_is_a_copy():
    def spoil(op, array):
        array[...] = 0

    x = T.vector("x")
    f = symc.function([x], Print("", global_fn=spoil)(x) * 2)
    np.testing.assert_array_equal(f([1, 2]), [2, 4])
    again = pickle.loads(pickle.dumps(symc.function([x], Print("p", attrs="min")(x))))  # noqa: S301
    np.testing.assert_array_equal(again([1, 2]), [1, 2])
    assert "Print{message='p'" in debugprint(Print("p")(x), file="str")


# --- modes ------------------------------------------------------------------------------------------------------------


def test_names_of_modes():
    x = T.vector("x")
    for name in ("FAST_RUN", "FAST_COMPILE", "Mode", "DebugMode", "DEBUG_MODE", "NanGuardMode", "no_rewrite"):
        np.testing.assert_array_equal(symc.function([x], x * 2, mode=name)([1]), [2])
        with symc.config.change(mode=name):
            np.testing.assert_array_equal(symc.function([x], x * 2)([1]), [2])
    assert isinstance(symc.get_mode("debugmode"), symc.DebugMode)
    assert symc.get_default_mode() == symc.get_mode("FAST_RUN") == symc.Mode(optimizer="fast_run")
    for wrong in ("quick", 3):
        with pytest.raises(ValueError, match="mode must be a Mode or one of 'fast_run'"):
            symc.function([x], x, mode=wrong)


def test_mode_objects():
    x = T.vector("x")
    f = symc.function([x], x + 1, mode=symc.Mode(linker="py", optimizer="fast_compile"))
    assert f.device == "interp" and f.mode.rewriting == "fast_compile"
    assert symc.Mode("cvm", None).rewriting == "no_rewrite" and symc.Mode("c|py").device is None
    assert symc.Mode().including("fusion").excluding("inplace") == symc.Mode()
    assert symc.Mode("py").clone(optimizer="None") == symc.Mode("py", "None")
    assert symc.NanGuardMode(big=5).clone(optimizer=None).big == 5
    with pytest.raises(ValueError, match="linker must be one of"):
        symc.Mode(linker="jit")
    with pytest.raises(ValueError, match="optimizer must be None or one of"):
        symc.Mode(optimizer="fast")
    g = pickle.loads(pickle.dumps(f))  # noqa: S301
    assert g.mode == f.mode


# --- NanGuardMode -----------------------------------------------------------------------------------------------------


def guarded(expression, *inputs, **facts):
    return symc.function(list(inputs), expression, mode=symc.NanGuardMode(**facts))


def test_a_guarded_function_computes_what_others_do():
    x, w = T.matrix("x"), symc.shared(np.ones((3, 2), "float32"), "w")
    cost = T.nnet.softmax(T.dot(x, w))[:, 0].sum() + x[x.sum(1) > 0].sum()
    values = np.arange(12.0).reshape(4, 3) - 5
    found = []
    for mode in ("fast_run", "NanGuardMode"):
        w.set_value(np.ones((3, 2)))
        f = symc.function([x], [cost, cost * 2], updates={w: w - symc.grad(cost, w)}, mode=mode)
        found.append([*f(values), *f(values), w.get_value()])
    for a, b in zip(*found):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_nan_guard_names_op_and_line():
    x, total = T.vector("x"), symc.shared(np.float32(0), "total")
    y = T.log(x)  # the guilty line
    f = symc.function([x], T.switch(x > 0, y, 0).sum(), updates={total: total + 1}, mode="NanGuardMode")
    assert f([1, 1]) == 0 and total.get_value() == 1
    with pytest.raises(NanGuardError, match=r"NaN \(1 of 2 elements\) in the result of log") as caught:
        f([1, -1])
    assert caught.value.op == "log" and line_of("# the guilty " + "line") in str(caught.value)
    assert isinstance(caught.value, AssertionError)
    assert total.get_value() == 1
    with pytest.raises(NanGuardError, match=r"infinity \(1 of 2 elements\) in the result of log"):
        f([1, 0])


def test_nan_guard_through_the_backward_pass():
    x = T.vector("x")
    length = T.sqrt(T.sqr(x).sum())  # the forward line
    f = guarded([length, symc.grad(length, x)], x)  # the backward line
    np.testing.assert_allclose(f([3, 4])[1], [0.6, 0.8], rtol=1e-6)
    with pytest.raises(NanGuardError, match="(?s)infinity.*at .*in the gradient of") as caught:
        f([0, 0])
    before, after = str(caught.value).split("in the gradient of")
    assert line_of("# the backward " + "line") in before and line_of("# the forward " + "line") in after


def test_what_nan_guard_looks_for():
    x = T.vector("x")
    with pytest.raises(NanGuardError, match="NaN .* in the argument x"):
        guarded(x + 1, x)([np.nan])
    w = symc.shared(np.array([np.inf], "float32"), "w")
    with pytest.raises(NanGuardError, match="infinity .* in the value of the shared variable w"):
        guarded(x + w, x)([1])
    with pytest.raises(NanGuardError, match=r"as large as 1e\+12 \(above 1e\+10\)"):
        guarded(x * 1e12, x)([1])
    np.testing.assert_allclose(guarded(x * 1e12, x, big_is_error=False)([1]), [1e12])
    assert np.isinf(guarded(1 / x, x, inf_is_error=False)([0])[0])
    assert np.isnan(guarded(T.log(x), x, nan_is_error=False)([-1])[0])


def test_stable_forms_are_no_mistakes():
    """The rewrites come first: what a compiled function does not compute is not looked at."""
    x = T.vector("x")
    np.testing.assert_allclose(guarded(T.log(1 + T.exp(x)), x)([1000]), [1000])


# --- MonitorMode ------------------------------------------------------------------------------------------------------


def test_monitor_mode_calls_functions_around_every_op():
    seen = []

    def before(i, node, fn):
        assert fn.outputs == [[None]]
        seen.append(("before", i, node.op.name, [float(a[0]) for a in fn.inputs]))

    def after(i, node, fn):
        seen.append(("after", i, node.op.name, [float(a[0]) for a in fn.outputs]))

    x, y = T.dscalars("x", "y")
    f = symc.function([x, y], T.exp(x) * y, mode=symc.MonitorMode(pre_func=before, post_func=after))
    assert f(0, 3) == 3
    assert seen == [("before", 0, "exp", [0]), ("after", 0, "exp", [1]), ("before", 1, "mul", [1, 3]),
                    ("after", 1, "mul", [3])]  # fmt: skip


def test_detect_nan(capsys):
    x = T.dscalar("x")
    f = symc.function([x], [T.log(x) * x], mode=symc.MonitorMode(post_func=detect_nan))
    f(1.0)
    assert not capsys.readouterr().out
    f(-1.0)
    shown = capsys.readouterr().out
    assert "NaN detected" in shown and "log(x)" in shown and "test_debugging.py" in shown


def test_monitors_see_values_of_sizes_known_in_mid_program():
    shapes = []
    x = T.vector("x")
    mode = symc.MonitorMode(post_func=lambda i, node, fn: shapes.append(fn.outputs[0][0].shape))
    f = symc.function([x], T.exp(x[x > 0]), mode=mode)
    np.testing.assert_allclose(f([1, -1, 2]), np.exp([1, 2]), rtol=1e-6)
    assert shapes[-1] == (2,)
    with pytest.raises(IndexError):
        symc.function([x], x[5], mode=mode)([1, 2])
    with pytest.raises(ValueError, match="do not go together"):
        y = T.vector("y")
        symc.function([x, y], x + y, mode=mode)([1, 2], [1, 2, 3])


# --- DebugMode --------------------------------------------------------------------------------------------------------


def network():
    x, w = T.matrix("x"), symc.shared(np.linspace(-1, 1, 6, dtype="float32").reshape(3, 2), "w")
    noise = T.shared_randomstreams.RandomStreams(1).uniform(x.shape)
    p = T.nnet.softmax(T.dot(x * (noise > 0.5), w))
    cost = -T.log(p)[:, 0].mean() + T.log(1 + T.exp(x * 50)).sum()
    return x, w, cost


def test_debug_mode_accepts_right_programs():
    values = np.arange(12.0).reshape(4, 3) - 3
    found = []
    for mode in ("fast_run", "DebugMode"):
        x, w, cost = network()
        f = symc.function([x], [cost, symc.grad(cost, w)], updates={w: w - 0.1 * symc.grad(cost, w)}, mode=mode)
        found.append([*f(values), *f(values), w.get_value()])
    for a, b in zip(*found):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("device", DEVICES)
def test_debug_mode_accepts_programs_with_structure(device):
    x = T.matrix("x")
    parts = [
        x[x.sum(1) > 0], symc.scan(lambda a, s: T.tanh(a + s), x, T.zeros_like(x[0]))[0], T.sort(x, axis=0),
        symc.ifelse(x.sum() > 0, x * 2, x - 1), x.argmax(1), T.cumsum(x, 0), x.astype("float16") * 2,
        symc.as_op([2], [2], infer_shape=lambda node, shapes: shapes)(np.cosh)(x),
    ]  # fmt: skip
    f = symc.function([x], parts, mode=symc.DebugMode(), device=device)
    g = symc.function([x], parts, device=device)
    for values in (np.arange(12.0).reshape(4, 3) - 5, np.zeros((1, 1)), np.zeros((0, 2))):
        if not values.size:
            f, g = (symc.function([x], [parts[0], parts[5]], mode=m, device=device) for m in ("DebugMode", "fast_run"))
        for a, b in zip(f(values), g(values)):
            np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("emulated_device")
def test_modes_on_the_emulated_gpu():
    x, w, cost = network()
    values = np.arange(12.0).reshape(4, 3) - 3
    slope = symc.grad(cost, w)
    want = symc.function([x], [cost, slope])(values)
    for mode in (symc.DebugMode(), symc.NanGuardMode(), symc.MonitorMode()):
        x, w, cost = network()
        f = symc.function([x], [cost, symc.grad(cost, w)], updates={w: w + 1}, mode=mode, device="cuda")
        for a, b in zip(f(values), want):
            np.testing.assert_allclose(a, b, rtol=1e-4)
        assert w.get_value()[0, 0] == 0


def test_debug_mode_names_a_wrong_rule(monkeypatch):
    from symc.compiler.rewrite.engine import Rule, Wildcard
    from symc.tensor import elementwise as ew

    u = Wildcard("X")
    wrong = RuleList("wrong", [Rule("cos_is_sin", ew.cos(u), ew.sin(u)), *rules.CANONICAL.rules])
    monkeypatch.setattr(rules, "CANONICAL", wrong)
    x = T.vector("x")
    with pytest.raises(DebugModeError, match="output 0 of the pass rewrite_canonical differs") as caught:
        symc.function([x], T.cos(x) + 1, mode="DebugMode")([0.5])
    assert caught.value.kind == "pass"
    with pytest.raises(DebugModeError, match="the rule cos_is_sin changes a value: 1 of 1 elements") as caught:
        symc.function([x], T.cos(x) * T.constant(np.float32(1e-12)) + 1, mode="DebugMode")([0.5])
    assert (caught.value.kind, caught.value.name) == ("rule", "cos_is_sin")


def test_debug_mode_names_a_wrong_kernel(monkeypatch):
    from symc.graph.op import Pointwise
    from symc.loops.expr import call
    from symc.tensor import elementwise as ew

    object.__setattr__(record := ew.tan.record, "lower", kept := record.lower)
    total, x = symc.shared(np.float32(0), "total"), T.vector("x")
    try:
        object.__setattr__(record, "lower", Pointwise(lambda a: call("sin", a)))
        f = symc.function([x], T.tan(x).sum() * 1e-12 + 1, updates={total: total + 1}, mode="DebugMode")
        with pytest.raises(DebugModeError, match="the kernel .*tan.* differs from NumPy") as caught:
            f([0.5])
        assert caught.value.kind == "kernel" and total.get_value() == 0
        without = symc.function([x], T.tan(x), mode=symc.DebugMode(check_kernels=False))
        with pytest.raises(DebugModeError, match="output 0 of function differs from NumPy"):
            without([0.5])
    finally:
        object.__setattr__(record, "lower", kept)


def test_debug_mode_finds_programs_that_change_arguments_or_differ_between_calls():
    facts = {"itypes": [1], "otypes": [1], "infer_shape": lambda node, shapes: shapes}
    changing = symc.c_op(**facts, code="out[0] = x[0]; ((x_type *)x)[0] = 7;")(lambda x: x.copy())
    differing = symc.c_op(**facts, code="static int n; out[0] = x[0] * (1 + n++ * 1e-6f);")(lambda x: x.copy())
    x = T.vector("x")
    with pytest.raises(DebugModeError) as caught:
        symc.function([x], changing(x), mode="DebugMode")(np.array([1], "float32"))
    assert caught.value.kind in ("argument", "result")
    with pytest.raises(DebugModeError, match="differs in two equal calls"):
        symc.function([x], differing(x), mode="DebugMode")([1])


# --- test values ------------------------------------------------------------------------------------------------------


@pytest.fixture
def raising():
    with symc.config.change(compute_test_value="raise"):
        yield


def with_value(v, value):
    v.tag.test_value = value
    return v


def test_a_shape_error_at_the_line_that_makes_it(raising):
    x = with_value(T.matrix("x"), np.zeros((5, 10), "float32"))
    w = symc.shared(np.zeros((20, 10), "float32"), "w")
    np.testing.assert_array_equal(symc.get_test_value(T.dot(x, w.T)), np.zeros((5, 20)))
    with pytest.raises(ValueError, match="(?s)dot: with the test values: .*x: float32.*shape \\(5, 10\\)") as caught:
        T.dot(x, w)  # the line with the mistake
    assert line_of("# the line with the " + "mistake") in str(caught.value)


def test_shapes_that_do_not_go_together(raising):
    x, y = with_value(T.vector("x"), np.zeros(3)), with_value(T.vector("y"), np.zeros(1))
    with pytest.raises(ValueError, match="add: with the test values: the shapes of its operands do not go together"):
        x + y
    with pytest.raises(IndexError, match="with the test values"):
        x[T.constant(5) + T.constant(0)]
    with pytest.raises(ValueError, match="reshape: with the test values"):
        x.reshape((2, 2))


def test_test_values_of_everything(raising):
    x = with_value(T.dvector("x"), [1.0, 2, 3])
    y = T.exp(x) * 2 + x[0]
    np.testing.assert_allclose(y.tag.test_value, 2 * np.exp([1, 2, 3]) + 1)
    np.testing.assert_allclose(symc.grad(y.sum(), x).tag.test_value, 2 * np.exp([1, 2, 3]) + [3, 0, 0])
    states, _ = symc.scan(lambda e, s: e + s, x, T.zeros_like(x[0]))
    np.testing.assert_allclose(states.tag.test_value, [1, 3, 6])
    np.testing.assert_allclose(symc.ifelse(x.sum() > 0, x, -x).tag.test_value, [1, 2, 3])
    np.testing.assert_allclose(symc.vectorize(lambda e: e * e)(x).tag.test_value, [1, 4, 9])
    np.testing.assert_allclose(symc.function([x], y)([1, 2, 3]), y.tag.test_value)  # compiling needs no test values
    assert "exp" in debugprint(y, stage="special", file="str")


def test_the_gradient_of_a_loop_has_a_test_value():
    with symc.config.change(compute_test_value="raise"):
        x = T.dvector("x")
        x.tag.test_value = np.ones(3)
        w = symc.shared(np.arange(9.0).reshape(3, 3), "w")
        z, _ = symc.scan(lambda u, v: u * v, sequences=x, non_sequences=w)
        slope = symc.grad(z.sum(), x)
    assert symc.graph.test_values.get_test_value(slope).tolist() == [36, 36, 36]


def test_what_lacks_a_test_value():
    x, y = T.vectors("x", "y")
    y.tag.test_value = np.zeros(3, "float32")
    with symc.config.change(compute_test_value="raise"), pytest.raises(AttributeError, match="(?s)add.*x: float32"):
        y + x
    with symc.config.change(compute_test_value="warn"), pytest.warns(UserWarning, match="an operand has no test value"):
        y + x
    with symc.config.change(compute_test_value="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        z = y + x
        np.testing.assert_array_equal((y + 1).tag.test_value, np.ones(3))
    for kind in (AttributeError, ValueError):
        with pytest.raises(kind, match="no test value"):
            symc.get_test_value(z)
    assert not hasattr((y + 2).tag, "test_value")  # off
    with pytest.raises(ValueError, match="compute_test_value must be one of"):
        symc.config.compute_test_value = "on"


def test_a_test_value_that_does_not_fit(raising):
    with pytest.raises(ValueError, match="the test value of x: expected 1 axes"):
        with_value(T.vector("x"), np.zeros((2, 2))) + 1
    with pytest.raises(TypeError, match="the test value of k"):
        with_value(T.ivector("k"), np.array([0.5])) + 1


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_pydotprint(tmp_path, capsys):
    x, w = T.vector("x"), symc.shared(np.float32(2), "w")
    total = T.tanh(x * w).sum()
    total.name = "total"
    f = symc.function([x], total, updates={w: w + 1})
    pydotprint(f, tmp_path / "f.png")
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    assert str(tmp_path / "f.png") in capsys.readouterr().out
    pydotprint(total, str(tmp_path / "g"), format="svg", print_output_file=False, with_ids=True)
    assert "0: " in (tmp_path / "g.svg").read_text() and not capsys.readouterr().out
    dot = pydotprint(total, format="dot", return_image=True)
    assert dot.startswith("digraph") and dot.count("->") == 4 and "tanh" in dot
    assert '"total\\n' in pydotprint(total, format="dot", return_image=True, var_with_name_simple=True)
    assert pydotprint(f, format="pdf", return_image=True).startswith(b"%PDF")
    assert "..." in pydotprint(total, format="dot", return_image=True, max_label_size=5)
    with pytest.raises(ValueError, match="unknown format 'xyz'"):
        pydotprint(f, format="xyz", return_image=True)
    with symc.config.change(cache_dir=tmp_path / "cache"):
        pydotprint(f)
    assert (tmp_path / "cache" / "symc.pydotprint.c.png").exists()


def test_pydotprint_of_loops(tmp_path):
    x = T.vector("x")
    states, _ = symc.scan(lambda e, s: T.sinh(e) + s, x, T.zeros_like(x[0]))
    pydotprint(states, tmp_path / "s.svg", format="svg", scan_graphs=True, print_output_file=False)
    assert ">sinh<" in (tmp_path / "s_0.svg").read_text() and ">sinh<" not in (tmp_path / "s.svg").read_text()


def test_d3viz(tmp_path):
    x = T.vector("x")
    symc.d3viz.d3viz(symc.function([x], T.tanh(x)), tmp_path / "deep" / "f.html")
    page = (tmp_path / "deep" / "f.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and "tanh" in page
    assert "src=" not in page and "href=" not in page  # it loads nothing


def test_debugprint_with_labels_of_its_own():
    x = T.vector("x")
    y = T.exp(x)
    known = {}
    first = debugprint(y, file="str", done=known)
    second = debugprint(y * 2, file="str", done=known)
    assert "exp [id A]" in first and "exp [id A]" in second and "mul [id C]" in second
    assert "exp [id A]" in debugprint(y.owner, file="str")
    assert debugprint(y, depth=1, print_type=False, ids="", file="str", print_lines=False).splitlines()[0] == "exp"


@pytest.mark.parametrize("mode", ["DebugMode", "NanGuardMode"])
def test_lengths_that_bodies_compute_or_read(mode):
    x, n, c, ks = T.dvector("x"), T.iscalar("n"), T.iscalar("c"), T.lvector("ks")
    z = x[:n] * 2
    sums, _ = symc.scan(lambda k, x: x[:k].sum(), sequences=ks, non_sequences=x)
    outputs = [symc.ifelse(c, z[:2].sum(), z.sum()), symc.ifelse(c, x[: n + c].sum(), x.sum()), sums]
    f = symc.function([x, n, c, ks], outputs, mode=mode)
    for choice, wanted in ((1, [6, 6, [3, 1]]), (0, [6, 6, [3, 1]])):
        for got, want in zip(f([1, 2, 3], 2, choice, [2, 1]), wanted):
            np.testing.assert_array_equal(got, want)
