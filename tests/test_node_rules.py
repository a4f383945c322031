"""Every rule that is a function: it fires on its examples, and makes no value worse, whatever its inputs' sizes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import symc.tensor as T
from symc.compiler.rewrite import rules
from symc.compiler.rewrite.engine import NodeRule, RuleList, rewrite
from symc.compiler.shape_specialisation import specialise
from symc.graph import Constant, Variable, toposort
from symc.graph.evaluate import evaluate
from symc.graph.op import RECORDS, Op
from symc.tensor import bfloat16, nlinalg
from symc.tensor.broadcasting import expand
from symc.tensor.elementwise import sigmoid
from symc.tensor.indices.gathers import valid_index
from symc.tensor.nnet.activations import softmax_over
from symc.tensor.nnet.losses import binary_crossentropy, categorical_crossentropy
from symc.tensor.reshaping import reshape_to
from symc.tensor.stable import log1mexp

LISTS = (rules.BEFORE_GRADIENT, rules.CANONICAL, rules.STABLE, rules.SPECIAL, rules.STRUCTURAL)
NODE_RULES = {r.name: r for rule_list in LISTS for r in rule_list if isinstance(r, NodeRule)}

Build = Callable[[Variable, Variable], Variable]


def _op(kind: str, *inputs: Variable, **attrs: object) -> Variable:
    return Op(RECORDS[kind], **attrs)(*inputs)


def _at(*starts: int) -> list[Variable]:
    return [T.constant(np.asarray(s, "int64")) for s in starts]


def _index(*values: int) -> Variable:
    return Constant(np.array(values, "int64"))


def _checked(index: Variable, wrap: bool) -> Variable:
    return _op("checked_index", index, *_at(4), text="out of range", repair="", wrap=wrap)


def test_a_known_index_that_is_out_of_range_stays_an_error() -> None:
    for index, wrap in ((_index(-1), False), (_index(4), True), (_index(-5), True)):
        (left,) = rewrite([_checked(index, wrap)], rules.CANONICAL)
        with pytest.raises(IndexError):
            evaluate([left], {})


def _slope_times(x: Variable, y: Variable) -> Variable:
    return _op("binary_crossentropy_slope", y, sigmoid(x), T.ones_like(x)) * _op("sigmoid_slope", x)


def _pool_slope(x: Variable, y: Variable) -> Variable:
    options = {"window": (2, 2), "stride": (2, 1), "pad": (1, 0), "mode": "max", "ignore_border": True}
    pooled = _op("pool2d", x, **options)
    return _op("pool2d_grad", x, pooled, expand(y[0, 0], pooled.type.shape), **options)


def _full_window(kind: str, x: Variable, y: Variable) -> Variable:
    """Four images of a column of three pixels, and four filters of the same size."""
    images, filters = reshape_to(x, (4, 1, 3, 1)), reshape_to(y, (4, 1, 3, 1))
    options = {"pad": ((0, 0), (0, 0)), "stride": (2, 1), "dilation": (1, 3), "groups": 1, "flip": True}
    if kind == "conv2d":
        return _op(kind, images, filters, **options)
    if kind == "conv2d_backward_data":
        return _op(kind, reshape_to(x[:, :1] * y[:, 0], (4, 4, 1, 1)), filters, shape=(4, 1, 3, 1), **options)
    return _op(kind, images, reshape_to(x[:, :1] * y[:, 0], (4, 4, 1, 1)), shape=(4, 1, 3, 1), **options)


def _counter(axis: int) -> Variable:
    return _op("iota_at", axis=axis, shape=(3, 3))


def _identity(first: int, second: int, like: Variable) -> Variable:
    return T.cast(T.eq(_counter(first), _counter(second)), like.dtype)


def _square(x: Variable) -> Variable:
    """A well-conditioned matrix of about the size of ``x``."""
    return T.dot(x.T, x) / (1 + T.abs_(x).max()) + (1 + T.abs_(x).max()) * T.eye(3)


# of the matrices x and y, (4, 3) both
EXAMPLES: dict[str, list[Build]] = {
    "over_a_power": [lambda x, y: y / T.cosh(x), lambda x, y: 2 / (T.exp(x) + T.exp(y) + 3)],
    "one_over_a_power": [lambda x, y: T.inv(T.exp(x) + T.exp(y)), lambda x, y: T.inv(T.sqr(1 + T.exp(x)))],
    "power_of_scaled": [lambda x, y: sigmoid(x) ** y, lambda x, y: (1 + T.exp(x)) ** y],
    "log1mexp_of_scaled": [
        lambda x, y: log1mexp(-T.exp(x)),
        lambda x, y: log1mexp(-T.exp(x) * y),
        lambda x, y: log1mexp(y * sigmoid(x)),
    ],
    "log_of_sinh": [
        lambda x, y: T.log(T.sinh(x)),
        lambda x, y: T.log(T.sinh(x) / y),
        lambda x, y: T.log(y / T.sinh(x)),
        lambda x, y: T.log(T.sinh(y) * T.sinh(x)),
    ],
    "log_of_difference_of_erfcs": [
        lambda x, y: T.log(T.erfc(x) - T.erfc(y)),
        lambda x, y: T.log(0.5 * T.erfc(x) - 0.5 * T.erfc(y)),
        lambda x, y: T.log((T.erfc(x) / 2 - T.erfc(y) / 2) / 3),
    ],
    "root_of_scaled": [
        lambda x, y: T.sqrt(sigmoid(x)),
        lambda x, y: sigmoid(x) ** 0.3,
        lambda x, y: (1 + T.exp(x)) ** -2.5,
    ],
    "cancel_overflow": [
        lambda x, y: (y / T.expm1(x)) * T.exp(x),
        lambda x, y: ((y / T.sinh(x)) * x) * T.cosh(x),
        lambda x, y: (y / (T.exp(x) - 2) + x) * T.exp(x),
        lambda x, y: (-(y / (T.exp(x) - T.exp(y)))) * T.exp(y),
        lambda x, y: (y / -T.expm1(x)) * T.exp(x),
    ],
    "fold_constants": [lambda x, y: x * (T.constant(2.0) * 3)],
    "compute_before_repeating": [
        lambda x, y: T.exp(expand(x[:, :1], (4, 3))),
        lambda x, y: x + T.exp(expand(x[0, 0], (4, 3))),
    ],
    "dim_arithmetic": [],  # of dims that only a call knows: see "dims are dims" in test_rewrite.py
    "merge_dimshuffles": [lambda x, y: x.T.T, lambda x, y: x.dimshuffle(1, "x", 0).dimshuffle(2, 0, 1)],
    "dimshuffle_of_expand": [lambda x, y: expand(x[:, :1], (4, 3)).T],
    "merge_expands": [lambda x, y: expand(expand(x[:1, :1], (4, 1)), (4, 3))],
    "merge_reshapes": [lambda x, y: x.reshape((2, 6)).reshape((12,)), lambda x, y: x.reshape((4, 1, 3))],
    "slice": [lambda x, y: x[:, :], lambda x, y: x[1:][::2], lambda x, y: T.concatenate([x, y])[4:8]],
    "write": [lambda x, y: T.set_subtensor(x[:, :], y), lambda x, y: T.inc_subtensor(x[:, :], y)],
    "part": [
        lambda x, y: _op("part", T.concatenate([x, y]), shape=(4, 3), offset=12),
        lambda x, y: _op("part", expand(x[0, 0], (5, 3)), shape=(4, 3), offset=3),
    ],
    "write_everywhere": [
        lambda x, y: T.inc_subtensor(T.inc_subtensor(T.zeros((4, 3))[:, 1:], y[:, :2])[:, :1], x[:, 2:]),
        lambda x, y: T.inc_subtensor(T.inc_subtensor(T.zeros((4, 3))[:1], y[2:3])[1:], x[:3]),
    ],
    "add_part": [lambda x, y: x + T.inc_subtensor(T.zeros((4, 3))[1:3], y[1:3])],
    "join": [lambda x, y: T.concatenate([T.concatenate([x, y]), x])],
    "gather": [
        lambda x, y: T.arange(9, dtype="int64")[_index(4, 3, 0)] * T.constant(1.0),
        lambda x, y: expand(x[0, 0], (7,))[_index(1, 2)],
        lambda x, y: _op(
            "gather", _op("gather", x, _index(1, 0, 1), axes=(0,), place=0), _index(2, 0), axes=(1,), place=1
        ),
        lambda x, y: _op("gather", x.T, _index(1, 0, 1), axes=(0,), place=0),
        lambda x, y: _op("gather", x, _index(2, 0, 0, 1), axes=(1,), place=1),
        lambda x, y: _op("gather", x.T, _index(3, 1), axes=(1,), place=1),
    ],
    "checked_index": [
        lambda x, y: _op("gather", x, _checked(_index(-1, 2), True), axes=(0,), place=0),
        lambda x, y: _op("gather", x, _checked(_index(3, 2), False), axes=(0,), place=0),
        lambda x, y: x[T.arange(4)],
    ],
    "power_as_product": [lambda x, y: x**3, lambda x, y: x**7],
    "cast_of_cast": [lambda x, y: T.cast(T.cast(x, "float64"), "float32")],
    "rounded_again": [
        lambda x, y: bfloat16.rounded(bfloat16.rounded(x)),
        lambda x, y: bfloat16.rounded(bfloat16.from_bits(T.cast(1000 + x, "uint16"))),
        lambda x, y: bfloat16.bits(bfloat16.packed(bfloat16.rounded(x))),
    ],
    "crossentropy_of_probabilities": [
        lambda x, y: categorical_crossentropy(softmax_over(x, (1,)), _index(0, 1, 2, 0)),
        lambda x, y: categorical_crossentropy(softmax_over(x, (0,)), _index(0, 1, 2, 0)),
        lambda x, y: categorical_crossentropy(
            softmax_over(x, (1,)).reshape((2, 2, 3)), Constant(np.array([[0, 1], [2, 0]]))
        ),
    ],
    "crossentropy_of_sigmoid": [
        lambda x, y: binary_crossentropy(sigmoid(x), 1.0),
        lambda x, y: binary_crossentropy(T.concatenate([sigmoid(x), sigmoid(y)])[::2].T, 0.0),
    ],
    "slope_of_crossentropy_of_sigmoid": [_slope_times, lambda x, y: y * _slope_times(x, y)],
    "log_of_scaled": [
        lambda x, y: T.log(T.exp(x) * T.exp(y) + T.exp(x)),
        lambda x, y: T.log(y * T.exp(x)),
        lambda x, y: T.log((y * T.exp(x)).sum(axis=0)),
        lambda x, y: T.log(T.exp(x).sum(axis=1) / T.exp(y).sum(axis=1)),
        lambda x, y: T.log(T.concatenate([sigmoid(x), T.sqr(y)])),
        lambda x, y: T.log(T.switch(x > y, sigmoid(x), y)),
        lambda x, y: T.log(T.exp(x) - T.exp(y)),
        lambda x, y: T.log(T.prod(sigmoid(x), axis=0)),
        lambda x, y: T.log(1 / (T.exp(x) + 3)),
    ],
    "log_to_base_of_scaled": [lambda x, y: T.log2(sigmoid(x)), lambda x, y: T.log10(T.exp(x) + T.exp(y))],
    "log1p_of_scaled": [lambda x, y: T.log1p(T.exp(x) + T.exp(y))],
    "quotient_of_scaled": [
        lambda x, y: T.exp(x) / (T.exp(x) + T.exp(y)),
        lambda x, y: T.exp(x) / T.exp(y),
        lambda x, y: y * T.exp(x) / (T.exp(x).sum(axis=1, keepdims=True) + T.exp(y)),
    ],
    "reduce_over_ones": [lambda x, y: x[:, :1].sum(axis=1)],
    "reduce_of_reduce": [lambda x, y: x.sum(axis=1).sum(), lambda x, y: x.max(axis=0).max(axis=0)],
    "reduce_of_dimshuffle": [lambda x, y: x.T.sum(), lambda x, y: x.T.max(axis=0)],
    "sum_of_neg": [lambda x, y: (-x).sum(axis=0)],
    "sum_of_scaled": [lambda x, y: (x * 3).sum(axis=0), lambda x, y: (x / 0.3).sum()],
    "reduce_before_repeating": [
        lambda x, y: expand(x[:1], (4, 3)).sum(axis=1),
        lambda x, y: expand(x[:, :1], (4, 3)).max(axis=0),
        lambda x, y: expand(x.dimshuffle("x", 0, 1), (5, 4, 3)).min(axis=(1, 2)),
    ],
    "sum_of_expand": [lambda x, y: expand(x[:1], (4, 3)).sum(axis=0), lambda x, y: expand(x[0, 0], (4, 3)).sum(axis=1)],
    "selected_maxima": [
        lambda x, y: T.switch(x > 0, _pool_slope(x, y), 0),
        lambda x, y: T.switch(0.5 >= x, _pool_slope(x, y), 0),
    ],
    "full_windows": [
        lambda x, y: _full_window("conv2d", x, y),
        lambda x, y: _full_window("conv2d_backward_data", x, y),
        lambda x, y: _full_window("conv2d_backward_weights", x, y),
    ],
    "sum_of_one_hot": [
        lambda x, y: T.switch(
            T.eq(
                _op("iota_at", axis=1, shape=(4, 3)), valid_index(T.cast(y[:, 0], "int64") * 0, x, 1).dimshuffle(0, "x")
            ),
            x[:, :1],
            0.0,
        ).sum(axis=1)
    ],
    "sum_on_diagonal": [
        lambda x, y: (_identity(0, 1, x) * T.exp(x[:1])).sum(axis=1),
        lambda x, y: (-(_identity(1, 0, x) * (x[0] * y[1:2])) / (1 + y[0].dimshuffle(0, "x") ** 2)).sum(axis=0),
        lambda x, y: T.switch(T.eq(_counter(0), _counter(1)), T.sin(x[:1]), 0).sum(axis=1),
    ],
    "product_with_diagonal": [
        lambda x, y: _op("dot", _identity(0, 1, x) * x[:1], y.T, trans_a=False, trans_b=False),
        lambda x, y: _op("dot", y, _identity(0, 1, x) * x[:1], trans_a=False, trans_b=True),
        lambda x, y: _op("dot", _identity(1, 0, x), y, trans_a=True, trans_b=True),
    ],
    "extreme_of_cast": [lambda x, y: T.cast(T.cast(x, "int16"), "int64").max(axis=0)],
    "extreme_of_join": [
        lambda x, y: T.concatenate([x, x[:2] * 2]).max(axis=0),
        lambda x, y: T.concatenate([x, -x, y], axis=1).min(),
    ],
    "extreme_of_expand": [lambda x, y: expand(x[:1], (4, 3)).max(axis=0)],
    "exp_over_sum": [
        lambda x, y: T.exp(x) / T.exp(x).sum(axis=1, keepdims=True),
        lambda x, y: T.exp(x) / T.exp(x).sum(),
        lambda x, y: T.exp(x) / T.exp(x).sum(axis=0, keepdims=True),
    ],
    "minus_logsumexp": [
        lambda x, y: x - T.nnet.logsumexp(x, axis=1, keepdims=True),
        lambda x, y: x - T.nnet.logsumexp(x),
    ],
    "exp_of_logsoftmax": [lambda x, y: T.exp(T.nnet.logsoftmax(x, axis=0))],
    "gradient_of_logsumexp": [
        lambda x, y: T.exp(x) * (y[:, :1] / T.exp(x).sum(axis=1, keepdims=True)),
        lambda x, y: T.exp(x) * (y[0] / T.exp(x).sum(axis=0)),
    ],
    "cancel_in_terms": [
        lambda x, y: (y / sigmoid(x) + 1) * sigmoid(x),
        lambda x, y: (y / sigmoid(x)) * _op("sigmoid_slope", x),
        lambda x, y: (y - x / sigmoid(y)) * _op("sigmoid_slope", -y),
    ],
    "transposed_operands": [lambda x, y: T.dot(x.T, y)],
    "log_of_determinant": [
        lambda x, y: T.log(nlinalg.det(_square(x))),
        lambda x, y: T.log(abs(nlinalg.det(_square(x) - T.dot(y.T, y)))),
    ],
    "product_with_inverse": [
        lambda x, y: T.dot(T.matrix_inverse(_square(x)), y[:3]),
        lambda x, y: T.dot(y, T.matrix_inverse(_square(x)).T),
        lambda x, y: T.batched_dot(
            T.matrix_inverse(expand(_square(x)[None], (2, 3, 3))), expand(y[:3].dimshuffle("x", 0, 1), (2, 3, 3))
        ),
    ],
}

SCALES = (1e-6, 1.0, 20.0, 90.0, 600.0)


def graph(build: Build) -> tuple[list[Variable], Variable]:
    inputs = [T.tensor(dtype="float32", shape=(4, 3), name=name) for name in "xy"]
    specialised = specialise(inputs, [build(*inputs)])
    return [specialised.sources[v] for v in inputs], specialised.outputs[0]


def fires(rule: NodeRule, v: Variable) -> bool:
    return any(rule(node) is not None for node in toposort([v]) if node.op.record in rule.ops)


def test_every_rule_has_examples() -> None:
    assert EXAMPLES.keys() == NODE_RULES.keys()


CASES = [pytest.param(name, k, id=f"{name}-{k}") for name, builds in EXAMPLES.items() for k in range(len(builds))]


@pytest.mark.parametrize(("name", "k"), CASES)
def test_the_rule_makes_nothing_worse(name: str, k: int) -> None:
    inputs, before = graph(EXAMPLES[name][k])
    rule = NODE_RULES[name]
    assert fires(rule, before), "the rule does not know its own example"
    (after,) = rewrite([before], RuleList("alone", [rule]))
    together = before
    for rule_list in (rules.CANONICAL, rules.CANONICAL + rules.STABLE):
        (together,) = rewrite([together], rule_list)
    assert after.type == before.type == together.type
    random = np.random.default_rng(k)
    for scale in SCALES:
        arrays = [(random.uniform(-1, 1, (4, 3)) * scale).astype("float32") for _ in inputs]
        with np.errstate(all="ignore"):
            old, new, all_new = evaluate([before, after, together], dict(zip(inputs, arrays)))
            want = _exact(EXAMPLES[name][k], arrays)
        with np.errstate(all="ignore"):
            allowed = 8 * abs(old.astype("float64") - want) + 4e-6 * abs(want) * (1 + scale) + 4e-7 * (1 + scale)
            known = np.isfinite(want) & np.isfinite(old)
            for found in (new, all_new):
                assert np.all((abs(found - want) <= allowed)[known]), f"{name} at scale {scale}"


def _exact(build: Build, arrays: list[np.ndarray]) -> np.ndarray:
    """The unrewritten graph in float64, whose range holds what overflows in float32 up to the largest scale here."""
    inputs = [T.tensor(dtype="float64", shape=(4, 3)) for _ in arrays]
    specialised = specialise(inputs, [build(*inputs)])
    given = {specialised.sources[v]: a.astype("float64") for v, a in zip(inputs, arrays)}
    return np.asarray(evaluate(specialised.outputs, given)[0], "float64")


def test_a_sum_is_not_scaled_after_it_overflowed() -> None:
    x = T.tensor(dtype="float32", shape=(8,))
    specialised = specialise([x], [(x * 1e-3).sum(), (x / 1e3).sum()])
    values = np.full(8, 3e38, "float32")
    got = evaluate(rewrite(specialised.outputs, rules.CANONICAL), {specialised.sources[x]: values})
    np.testing.assert_allclose(got, [2.4e36, 2.4e36], rtol=1e-6)
