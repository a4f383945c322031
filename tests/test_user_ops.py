"""Ops of users: classes, decorated functions, formulas, C code; and ``check_op``, which must find their mistakes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import CompileError, DisconnectedInputError, NullGradError
from symc.gradient import DisconnectedType, grad_undefined
from symc.testing import check_op

MATRIX = np.arange(1.0, 7).reshape(2, 3) / 7
SAME = {"infer_shape": lambda node, shapes: shapes}


class Scaled(symc.Op):
    """``k * x``, as in the tutorials of Theano."""

    __props__ = ("k",)

    def __init__(self, k):
        self.k = k

    def make_node(self, x):
        x = T.as_tensor_variable(x)
        return symc.Apply(self, [x], [x.type()])

    def perform(self, node, inputs, output_storage):
        x, z = inputs[0], output_storage[0]
        if z[0] is None or z[0].shape != x.shape:
            z[0] = np.empty_like(x)
        z[0][...] = self.k * x

    def infer_shape(self, node, i0_shapes):
        return i0_shapes

    def grad(self, inputs, output_grads):
        return [output_grads[0] * self.k]

    def R_op(self, inputs, eval_points):  # noqa: N802
        return self.grad(inputs, eval_points)


def test_a_class_as_in_tutorials():
    x = T.matrix("x")
    f = symc.function([x], [Scaled(2)(x), symc.grad(Scaled(3)(x).sum(), x), symc.gradient.Rop(Scaled(5)(x), x, x)])
    twice, slope, along = f(MATRIX)
    np.testing.assert_allclose(twice, 2 * MATRIX, rtol=1e-6)
    np.testing.assert_array_equal(slope, np.full((2, 3), 3))
    np.testing.assert_allclose(along, 5 * MATRIX, rtol=1e-6)
    check_op(Scaled(3), [[MATRIX]], expect=lambda x: 3 * x)


def test_ops_with_equal_properties_are_equal():
    class Other(Scaled):
        pass

    class Bare(symc.Op):
        pass

    assert Scaled(2) == Scaled(2) and hash(Scaled(2)) == hash(Scaled(2)) and Scaled(2) != Scaled(3)
    assert Other(2) == Other(2) and Other(2) != Scaled(2)
    assert Bare() != Bare()
    assert str(Scaled(2)) == "Scaled{k=2}" and str(Bare()) == "Bare"
    x = T.vector("x")
    assert "Scaled{k=2}" in symc.printing.debugprint(Scaled(2)(x), file="str")
    assert symc.pp(Scaled(2)(x)) == "Scaled{k=2}(x)"


def test_equal_applications_run_once():
    calls = []

    class Counted(Scaled):
        def perform(self, node, inputs, output_storage):
            calls.append(1)
            super().perform(node, inputs, output_storage)

    x = T.vector("x")
    f = symc.function([x], Counted(2)(x) + Counted(2)(x) + Counted(3)(x))
    np.testing.assert_allclose(f([1.0]), [7.0])
    assert len(calls) == 2


class SumAndDifference(symc.Op):
    """Two outputs, declared types."""

    __props__ = ()
    itypes = [T.dvector, T.dvector]
    otypes = [T.dvector, T.dvector]

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0] + inputs[1]
        output_storage[1][0] = inputs[0] - inputs[1]

    def infer_shape(self, node, shapes):
        return [shapes[0], shapes[1]]

    def L_op(self, inputs, outputs, gs):  # noqa: N802
        assert len(outputs) == 2
        return [gs[0] + gs[1], gs[0] - gs[1]]


def test_several_outputs_and_declared_types():
    check_op(
        SumAndDifference(), [[np.array([1.0, 2, 4]), np.array([3.0, 1, 7])]], expect=lambda a, b: [a + b, a - b],
        gradient=True, second=True,
    )  # fmt: skip
    with pytest.raises(TypeError, match="takes 2 inputs, got 1"):
        SumAndDifference()(T.dvector())
    with pytest.raises(TypeError, match="input 1 must be float64"):
        SumAndDifference()(T.dvector(), T.dmatrix())


def test_a_default_output_and_a_list_of_one():
    class First(SumAndDifference):
        default_output = 1

    a, b = T.dvectors("a", "b")
    assert isinstance(First()(a, b), symc.Variable)
    both = First()(a, b, return_list=True)
    assert [v.owner.outputs.index(v) for v in both] == [0, 1]
    np.testing.assert_array_equal(symc.function([a, b], First()(a, b))([5], [3]), [2])
    assert isinstance(Scaled(1)(a, return_list=True), list)


class Positive(symc.Op):
    """The length of the result is known once the op has run."""

    __props__ = ()

    def make_node(self, x):
        x = T.as_tensor_variable(x)
        return symc.Apply(self, [x], [x.type()])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0][inputs[0] > 0]

    def grad(self, inputs, gs):
        return [T.set_subtensor(T.zeros_like(inputs[0])[(inputs[0] > 0).nonzero()[0]], gs[0])]


@pytest.mark.parametrize("length", [None, 5])
def test_the_type_of_an_input_promises_no_lengths(length):
    """``x.type()`` says what types said in programs in which they had no lengths."""
    x = T.tensor("float64", shape=(length,), name="x")
    f = symc.function([x], [Positive()(x) * 2, symc.grad((Positive()(x) ** 2).sum(), x)])
    value, slope = f([1, -1, 2, 0, 3])
    np.testing.assert_array_equal(value, [2, 4, 6])
    np.testing.assert_array_equal(slope, [2, 0, 4, 0, 6])


def test_some_shapes_are_known():
    class Both(Positive):
        def make_node(self, x):
            x = T.as_tensor_variable(x)
            return symc.Apply(self, [x], [x.type(), T.lscalar()])

        def perform(self, node, inputs, output_storage):
            super().perform(node, inputs, output_storage)
            output_storage[1][0] = np.asarray((inputs[0] > 0).sum())

        def infer_shape(self, node, shapes):
            return [None, ()]

    x = T.dvector("x")
    some, count = symc.function([x], Both()(x))([1, -1, 2])
    np.testing.assert_array_equal(some, [1, 2])
    assert count == 2


def test_inputs_cannot_be_overwritten_unless_declared():
    class Overwrites(Scaled):
        def perform(self, node, inputs, output_storage):
            inputs[0][...] = 0
            output_storage[0][0] = inputs[0]

    class Declares(Overwrites):
        destroy_map = {0: [0]}

    x = T.vector("x")
    given = np.ones(3, "float32")
    with pytest.raises(ValueError, match="read-only"):
        symc.function([x], Overwrites(1)(x))(given)
    np.testing.assert_array_equal(symc.function([x], Declares(1)(x))(given), np.zeros(3))
    np.testing.assert_array_equal(given, np.ones(3))


def test_which_inputs_matter():
    class Templated(Scaled):
        def make_node(self, x, like):
            x, like = T.as_tensor_variable(x), T.as_tensor_variable(like)
            return symc.Apply(self, [x, like], [x.type()])

        def infer_shape(self, node, shapes):
            return shapes[:1]

        def connection_pattern(self, node):
            return [[True], [False]]

        def grad(self, inputs, gs):
            return [gs[0] * self.k, DisconnectedType()()]

    x, y = T.vectors("x", "y")
    out = Templated(2)(x, y).sum()
    np.testing.assert_array_equal(symc.function([x, y], symc.grad(out, x))([1, 1], [0]), [2, 2])
    with pytest.raises(DisconnectedInputError):
        symc.grad(out, y)


def test_undefined_gradients():
    class Partly(SumAndDifference):
        def L_op(self, inputs, outputs, gs):  # noqa: N802
            return [gs[0], grad_undefined(self, 1, inputs[1], "for a reason")]

    class Without(Scaled):
        grad = property()

    a, b = T.dvectors("a", "b")
    total = Partly()(a, b)[0].sum()
    np.testing.assert_array_equal(symc.function([a, b], symc.grad(total, a))([1], [1]), [1])
    with pytest.raises(NullGradError, match="for a reason"):
        symc.grad(total, b)
    with pytest.raises(NullGradError, match="Without.grad"):
        symc.grad(Without(1)(a).sum(), a)


class Halved(symc.Op):
    """Knows its name and, as old ops do, does not call the constructor of its base class."""

    __props__ = ("name",)

    def __init__(self, name):
        self.name = name

    def make_node(self, x):
        return symc.Apply(self, [T.as_tensor_variable(x)], [T.dvector("half")])

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = inputs[0] / 2

    def grad(self, inputs, output_gradients):
        return [output_gradients[0] / 2]


def test_the_outputs_of_make_node_can_be_used():
    x = T.dvector("x")
    node = Halved("halved").make_node(x)
    assert isinstance(node.op, Halved) and list(node.inputs) == [x]
    value, slope = symc.function([x], [node.outputs[0] + 1, symc.grad(node.out.sum(), x)])([2.0, 4])
    assert value.tolist() == [2, 3] and slope.tolist() == [0.5, 0.5]
    assert "halved" in str(symc.printing.debugprint(node.out, file="str"))


def test_what_make_node_must_return():
    class Wrong(symc.Op):
        def make_node(self, x):
            return x

    class Empty(symc.Op):
        pass

    with pytest.raises(TypeError, match="make_node must return symc.Apply"):
        Wrong()(T.scalar())
    with pytest.raises(NotImplementedError, match="make_node"):
        Empty()(T.scalar())


def test_c_code_of_theano_is_left_alone():
    """Written against NumPy's C API, with other arguments: ``perform`` means the same."""

    class WithCode(Positive):
        def c_code(self, node, name, inputs, outputs, sub):
            raise AssertionError("not for symc")

        def c_code_cache_version(self):
            return (1,)

    x = T.dvector("x")
    np.testing.assert_array_equal(symc.function([x], WithCode()(x))([1, -1]), [1])


def test_a_pickled_function_with_a_users_op():
    x = T.vector("x")
    f = pickle.loads(pickle.dumps(symc.function([x], Scaled(2)(x))))  # noqa: S301
    np.testing.assert_array_equal(f([1, 2]), [2, 4])


# --- from functions ---------------------------------------------------------------------------------------------------


def test_axes_alone_as_types():
    @symc.as_op(itypes=[2, 1], otypes=[1], infer_shape=lambda node, shapes: [shapes[0][:1]],
                grad=lambda inputs, gs: [T.outer(gs[0], inputs[1]), T.dot(gs[0], inputs[0])])  # fmt: skip
    def product(a, b):
        return a @ b

    check_op(product, [[MATRIX, np.array([1.0, -2, 3])]], expect=np.dot, gradient=True, second=True)
    assert product(T.dmatrix(), T.vector()).dtype == "float64"
    assert product(T.imatrix(), T.ivector()).dtype == "float32"


SOFTCAP = symc.elementwise_op("softcap", lambda x, cap: cap * T.tanh(x / cap))


def test_an_elementwise_op_in_one_line():
    check_op(
        SOFTCAP, [[MATRIX, np.array([1.0, 2, 3])]], lambda x, cap: cap * np.tanh(x / cap), gradient=True, second=True
    )
    x = T.matrix("x")
    assert "softcap" in symc.printing.debugprint(SOFTCAP(x, 2), file="str")
    f = symc.function([x], SOFTCAP(T.exp(x), 2) + 1)
    assert len(f.specialisation.program.steps) == 1  # fused with what is around it
    assert SOFTCAP(T.iscalar(), 2).dtype == "float32"
    with pytest.raises(TypeError, match="takes 2 operands"):
        SOFTCAP(x)


def test_the_gradient_of_an_elementwise_op_can_be_replaced():
    through = symc.elementwise_op("through", lambda x: T.round(x), grad=lambda g, y, x: g * y)
    x = T.dvector("x")
    value, slope = symc.function([x], [through(x), symc.grad(through(x).sum(), x)])([0.4, 2.6])
    np.testing.assert_array_equal(value, [0, 3])
    np.testing.assert_array_equal(slope, [0, 3])


@pytest.mark.parametrize(
    "formula, named",
    [
        (lambda x: x / x.sum(), "sum"),
        (lambda x: x[::-1], "slice"),
        (T.cumsum, "cumsum"),
        (lambda x: T.nnet.softmax(x.dimshuffle("x", 0))[0], "softmax"),
    ],
)
def test_what_is_not_elementwise_is_refused(formula, named):
    with pytest.raises(TypeError, match=f"not elementwise: it contains .*{named}"):
        symc.elementwise_op("bad", formula)


@pytest.mark.parametrize(
    "formula",
    [
        T.nnet.relu,
        T.nnet.sigmoid,
        T.nnet.softplus,
        T.nnet.elu,
        lambda x: T.switch(x > 0, x, T.expm1(x)) + SOFTCAP(x, 1),
    ],
)
def test_what_is_elementwise_is_accepted(formula):
    x = T.dvector("x")
    f = symc.function([x], [symc.elementwise_op("good", formula)(x), formula(x)])
    np.testing.assert_array_equal(*f([-1.5, 0, 2]))


# --- C ----------------------------------------------------------------------------------------------------------------

SUMS = """
    for (int64_t i = 0; i < x_shape[0]; i++) {
        out_type total = 0;
        for (int64_t k = 0; k < x_shape[1]; k++) total += x[i * x_shape[1] + k] * weighed(b[k]);
        if (total > 1000) FAIL("the total is too large");
        out[i] = total;
    }
"""


@symc.c_op(
    itypes=[2, 1], otypes=[1], code=SUMS, support="static double weighed(double b) { return b + 1; }",
    infer_shape=lambda node, shapes: [shapes[0][:1]],
    grad=lambda inputs, gs: [T.outer(gs[0], inputs[1] + 1), T.dot(gs[0], inputs[0])],
)  # fmt: skip
def weighed_sums(x, b):
    return (x @ (b + 1)).astype(x.dtype)


def test_c_code_computes_what_its_meaning_computes():
    values = [MATRIX, np.array([1.0, -2, 3])]
    check_op(weighed_sums, [values], expect=lambda x, b: x @ (b + 1), gradient=True, second=True)


def test_c_code_runs_in_the_program_and_not_python():
    @symc.c_op(itypes=[1], otypes=[1], code="for (int64_t i = 0; i < x_size; i++) out[i] = x[i] + 1;", **SAME)
    def more(x):
        raise AssertionError("Python was called")

    x = T.vector("x")
    np.testing.assert_array_equal(symc.function([x], 2 * more(more(x)), device="c")([1, 2]), [6, 8])
    steps, _ = symc.scan(more, outputs_info=x, n_steps=3)
    np.testing.assert_array_equal(symc.function([x], steps, device="c")([1]), [[2], [3], [4]])
    with pytest.raises(AssertionError, match="Python was called"):
        symc.function([x], more(x), device="interp")([1])


def test_c_code_that_fails():
    x, b, total = T.matrix("x"), T.vector("b"), symc.shared(np.float32(0))
    f = symc.function([x, b], weighed_sums(x, b), updates={total: total + 1}, device="c")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="weighed_sums: the total is too large(?s:.)*test_user_ops"):
            f(np.full((2, 3), 500), [1, 1, 1])
    assert total.get_value() == 0
    np.testing.assert_array_equal(f([[1]], [1]), [2])


class Histogram(symc.COp):
    """Integers, two outputs, the names of the class form."""

    __props__ = ("bins",)
    itypes, otypes = [T.lvector], [T.lvector, T.dscalar]

    def __init__(self, bins):
        self.bins = bins

    def c_code(self, node):
        return f"""
            for (int k = 0; k < {self.bins}; k++) y0[k] = 0;
            y1[0] = 0;
            for (int64_t i = 0; i < x0_size; i++) {{
                if (x0[i] < 0 || x0[i] >= {self.bins}) FAIL("out of range");
                y0[x0[i]]++;
                y1[0] += sqrt(x0[i]);
            }}
        """

    def c_support_code(self):
        return "#include <math.h>"

    def perform(self, node, inputs, output_storage):
        output_storage[0][0] = np.bincount(inputs[0], minlength=self.bins)
        output_storage[1][0] = np.sqrt(inputs[0]).sum()

    def infer_shape(self, node, shapes):
        return [(self.bins,), ()]


def test_a_class_with_c_code():
    check_op(
        Histogram(4), [[np.array([0, 3, 3, 1])]],
        expect=lambda x: [np.bincount(x, minlength=4), np.sqrt(x).sum()],
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="Histogram{bins=4}: out of range"):
        symc.function([], Histogram(4)(np.array([7])), device="c")()


def test_what_c_code_cannot_do():
    @symc.c_op(itypes=[T.TensorType("float16", (None,))], otypes=[1], code="", **SAME)
    def half(x):
        return x

    @symc.c_op(itypes=[1], otypes=[1], code="")
    def shapeless(x):
        return x

    x = T.vector("x")
    with pytest.raises(TypeError, match="define infer_shape"):
        shapeless(x)
    h = T.tensor("float16", shape=(None,))
    with pytest.raises(TypeError, match="cannot work on float16"):
        symc.function([h], half(h), device="c")


def test_a_mistake_in_c_code():
    """The compiler's message speaks of the op and of the lines of its code."""
    wrong = symc.c_op([1], [1], "out[0] = 1;\nout[1] = undefined_name;", **SAME)(weighed_sums.function)
    wrong.arguments = ["x"]
    with pytest.raises(CompileError, match="weighed_sums:2:.*undefined_name"):
        symc.function([x := T.vector()], wrong(x), device="c")


def test_two_dtypes_of_one_c_op_in_one_program():
    a, b = T.fmatrix("a"), T.dmatrix("b")
    v = np.array([1.0, 2, 3])
    got = symc.function([a, b], [weighed_sums(a, v.astype("float32")), weighed_sums(b, v)])(MATRIX, MATRIX)
    for g, dtype in zip(got, ("float32", "float64")):
        assert g.dtype == dtype
        np.testing.assert_allclose(g, MATRIX @ (v + 1), rtol=1e-6)


@pytest.mark.usefixtures("emulated_device")
def test_on_the_emulated_gpu():
    values = [MATRIX, np.array([1.0, -2, 3])]
    check_op(weighed_sums, [values], lambda x, b: x @ (b + 1), devices=["cuda"], gradient=False)
    check_op(SOFTCAP, [values], lambda x, cap: cap * np.tanh(x / cap), devices=["cuda"], gradient=False)


# --- check_op finds mistakes ------------------------------------------------------------------------------------------


def wrong_grad(inputs, gs):
    return [gs[0] * 2]


def wrong_second(inputs, gs):
    return [gs[0] * T.disconnected_grad(2 * inputs[0])]


def square(x):
    return x * x


MISTAKES = {
    "NumPy: output 0 differs": symc.as_op([1], [1], **SAME)(lambda x: x * 3),
    "first derivative": symc.as_op([1], [1], grad=wrong_grad, **SAME)(square),
    "second derivative": symc.as_op([1], [1], grad=wrong_second, **SAME)(square),
    "device c": symc.c_op([1], [1], "for (int64_t i = 0; i < x_size; i++) out[i] = x[i] * x[0];", **SAME)(square),
    "modifies its inputs": symc.c_op(
        [1], [1], "for (int64_t i = 0; i < x_size; i++) { out[i] = x[i] * x[i]; ((x_type *)x)[i] = 7; }", **SAME
    )(square),
    "two calls with the same inputs differ": symc.c_op(
        [1], [1], "static int n; n++; for (int64_t i = 0; i < x_size; i++) out[i] = x[i] * x[i] * (1 + n * 1e-12);",
        **SAME,
    )(square),
    "its type says": symc.as_op([1], [1], infer_shape=lambda node, shapes: [(shapes[0][0] + 1,)])(square),
}  # fmt: skip


@pytest.mark.parametrize("message", MISTAKES)
def test_check_op_finds_a_mistake(message):
    with pytest.raises((AssertionError, ValueError), match=message):
        check_op(MISTAKES[message], [[np.array([1.5, 2, -3])]], expect=lambda x: x * x, devices=["c", "interp"])


def test_check_op_passes_a_right_op():
    right = symc.as_op([1], [1], grad=lambda inputs, gs: [2 * inputs[0] * gs[0]], **SAME)(square)
    check_op(right, [[np.array([1.5, 2, -3])]], expect=lambda x: x * x, gradient=True, second=True)
    with pytest.raises(ValueError, match="at least one case"):
        check_op(right, [])


def test_empty_arrays_are_tried():
    code = 'if (x_size == 0) FAIL("nothing"); for (int64_t i = 0; i < x_size; i++) out[i] = x[i] * x[i];'
    broken = symc.c_op([1], [1], code, **SAME)(square)
    with pytest.raises(RuntimeError, match="nothing"):
        check_op(broken, [[np.array([1.5, 2, -3])]], gradient=False, devices=["c"])
