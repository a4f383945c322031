import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like.layers import (
    ConcatLayer,
    ElemwiseMergeLayer,
    ElemwiseSumLayer,
    InputLayer,
    autocrop,
    autocrop_array_shapes,
    get_output,
)


def run(layer, *arrays):
    variables = [T.tensor(a.dtype.name, shape=(None,) * a.ndim) for a in arrays]
    given = dict(zip(layer.input_layers, variables))
    return symc.function(variables, get_output(layer, given))(*arrays)


@pytest.mark.parametrize("axis", [1, 0, -1])
def test_concat(axis, rng):
    shapes = [
        (3, 4, 5) if k == 0 else tuple(7 if d == axis % 3 else s for d, s in enumerate((3, 4, 5))) for k in range(2)
    ]
    a, b = (rng.randn(*shape).astype("float32") for shape in shapes)
    layer = ConcatLayer([InputLayer(shape) for shape in shapes], axis=axis)
    expected = np.concatenate([a, b], axis=axis)
    assert layer.output_shape == expected.shape
    assert np.array_equal(run(layer, a, b), expected)


def test_sizes_known_of_one_input_hold_for_all():
    assert ConcatLayer([(None, 3, 5), (7, 4, None)]).output_shape == (7, 7, 5)
    assert ConcatLayer([(None, 3, 5), (7, None, None)]).output_shape == (7, None, 5)
    assert ElemwiseSumLayer([(None, 3), (7, None)]).output_shape == (7, 3)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ConcatLayer([(None, 3, 5), (None, 4, 6)]), "except in the concatenation axis.*5.*6"),
        (lambda: ConcatLayer([(None, 3, 5), (None, 4)]), "numbers of dimensions"),
        (lambda: ElemwiseSumLayer([(None, 3), (None, 4)]), "must be the same, got"),
        (lambda: ElemwiseSumLayer([(None, 3), (None, 1)]), "must be the same, got"),
        (lambda: ElemwiseMergeLayer([(None, 3), (None, 3, 1)], T.mul), "numbers of dimensions"),
    ],
)
def test_mismatches(make, message):
    layer = make()
    with pytest.raises(ValueError, match=message):
        layer.output_shape  # noqa: B018


@pytest.mark.parametrize("coeffs", [1, 2.5, [2, -1, 0.5]])
def test_sum(coeffs, rng, float64):
    arrays = [rng.randn(3, 4) for _ in range(3)]
    layer = ElemwiseSumLayer([InputLayer((None, 4)) for _ in range(3)], coeffs=coeffs)
    factors = coeffs if isinstance(coeffs, list) else [coeffs] * 3
    np.testing.assert_allclose(run(layer, *arrays), sum(c * a for c, a in zip(factors, arrays)))


def test_symbolic_coefficients(rng):
    c = symc.shared(np.float32(3))
    a, b = (rng.randn(3, 4).astype("float32") for _ in range(2))
    layer = ElemwiseSumLayer([InputLayer((None, 4)) for _ in range(2)], coeffs=[c, 1])
    np.testing.assert_allclose(run(layer, a, b), 3 * a + b, rtol=1e-6)


def test_wrong_number_of_coefficients():
    with pytest.raises(ValueError, match="got 1 coeffs for 2 incomings"):
        ElemwiseSumLayer([(None, 4), (None, 4)], coeffs=[1])


def test_merge(rng):
    arrays = [rng.randn(3, 4).astype("float32") for _ in range(3)]
    layer = ElemwiseMergeLayer([InputLayer((None, 4)) for _ in range(3)], T.maximum)
    assert np.array_equal(run(layer, *arrays), np.max(arrays, axis=0))


A, B = np.arange(2 * 5 * 6).reshape(2, 5, 6), np.arange(2 * 3 * 8).reshape(2, 3, 8)


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize(
    "cropping, a, b",
    [
        (None, A, B),
        ([None, "lower", "lower"], A[:, :3], B[..., :6]),
        ([None, "upper", "upper"], A[:, 2:], B[..., 2:]),
        ([None, "center", "center"], A[:, 1:4], B[..., 1:7]),
        (["lower", "upper"], A[:, 2:], B),
        ([None, None, "lower"], A, B[..., :6]),
    ],
)
def test_autocrop(static, cropping, a, b):
    variables = [T.tensor("int64", shape=x.shape if static else (None,) * 3) for x in (A, B)]
    result = symc.function(variables, autocrop(variables, cropping))(A, B)
    assert np.array_equal(result[0], a)
    assert np.array_equal(result[1], b)
    assert autocrop_array_shapes([A.shape, B.shape], cropping) == [a.shape, b.shape]


def test_autocrop_of_unknown_shapes():
    assert autocrop_array_shapes([(None, 5), (3, 7)], ["lower", "lower"]) == [(None, 5), (None, 5)]


def test_autocrop_errors():
    with pytest.raises(ValueError, match="dimensionalities"):
        autocrop([T.matrix(), T.vector()], ["lower"])
    with pytest.raises(ValueError, match="Unknown crop mode 'left'"):
        autocrop([T.matrix(), T.matrix()], ["left"])


@pytest.mark.parametrize(
    "make",
    [
        lambda i: ConcatLayer(i, cropping=[None, None, "center"]),
        lambda i: ElemwiseSumLayer(i, cropping=[None, "lower", "center"]),
    ],
)
def test_cropping_layers(make):
    layer = make([InputLayer((None, 5, 6)), InputLayer((None, 3, 8))])
    result = run(layer, A.astype("float32"), B.astype("float32"))
    if isinstance(layer, ConcatLayer):
        expected = np.concatenate([A, B[..., 1:7]], axis=1)
    else:
        expected = A[:, :3] + B[..., 1:7]
    assert np.array_equal(result, expected)
    assert layer.output_shape == (None, *expected.shape[1:])


def test_nothing_to_merge():
    with pytest.raises(ValueError, match="at least one"):
        ConcatLayer([])
