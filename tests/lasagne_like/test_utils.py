import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like import utils
from lasagne_like.init import Constant


def test_floatX():
    assert utils.floatX(np.arange(3)).dtype == symc.config.floatX
    with symc.config.change(floatX="float64"):
        assert utils.floatX([1, 2]).dtype == "float64"


def test_shared_empty():
    variable = utils.shared_empty(3)
    assert variable.ndim == 3
    variable.set_value(np.ones((2, 3, 4), "float32"))
    assert variable.get_value().shape == (2, 3, 4)
    assert utils.shared_empty(1, "int32").dtype == "int32"


def test_as_theano_expression():
    x = T.matrix()
    assert utils.as_theano_expression(x) is x
    assert utils.as_theano_expression(np.ones((2, 3))).ndim == 2
    with pytest.raises(TypeError, match="not a symbolic expression"):
        utils.as_theano_expression({1, 2})


def test_collect_shared_vars():
    a, b, c = (symc.shared(np.float32(1), name=name) for name in "abc")
    x = T.scalar("x")
    assert utils.collect_shared_vars(a) == [a]
    assert utils.collect_shared_vars([x + b * a, c + b]) == [b, a, c]
    assert utils.collect_shared_vars([x * 2]) == []


def test_collect_shared_vars_of_a_deep_expression():
    a = symc.shared(np.float32(1))
    deep = a
    for _ in range(5000):
        deep = deep + 1
    assert utils.collect_shared_vars(deep) == [a]


def test_one_hot():
    x = T.ivector("x")
    values = np.array([2, 0, 1, 2], "int32")
    assert np.array_equal(utils.one_hot(x).eval({x: values}), np.eye(3)[values])
    assert np.array_equal(utils.one_hot(x, 5).eval({x: values}), np.eye(5)[values])
    assert np.array_equal(utils.one_hot(values, 5).eval(), np.eye(5)[values])


def test_unique():
    assert utils.unique([3, 1, 3, 2, 1]) == [3, 1, 2]


def test_as_tuple():
    assert utils.as_tuple(3, 2) == (3, 3)
    assert utils.as_tuple([1, 2], 2) == (1, 2)
    assert utils.as_tuple(np.int64(3), 2, utils.int_types) == (3, 3)
    with pytest.raises(ValueError, match="length 2"):
        utils.as_tuple([1, 2, 3], 2)
    with pytest.raises(TypeError, match="int"):
        utils.as_tuple(1.5, 2, int)


def test_inspect_kwargs():
    def function(a, b, c=1, *args, d, e=2, **kwargs):
        return a, b, c, args, d, e, kwargs

    assert utils.inspect_kwargs(function) == ["c", "d", "e"]


@pytest.mark.parametrize("shape, axes", [((3, 4), (0,)), ((3, 4, 5), (1, 2)), ((2, 3, 4, 5), (1, 2, 3))])
def test_compute_norms(shape, axes, rng):
    array = rng.randn(*shape)
    expected = np.sqrt((array**2).sum(axis=axes))
    np.testing.assert_allclose(utils.compute_norms(array), expected)
    np.testing.assert_allclose(utils.compute_norms(T.constant(array)).eval(), expected)


def test_compute_norms_of_given_axes(rng):
    array = rng.randn(3, 4)
    np.testing.assert_allclose(utils.compute_norms(array, (1,)), np.sqrt((array**2).sum(axis=1)))
    np.testing.assert_allclose(utils.compute_norms(array[0]), abs(array[0]))


def test_compute_norms_errors():
    with pytest.raises(TypeError, match="Unsupported type list"):
        utils.compute_norms([[1, 2]])
    with pytest.raises(ValueError, match="norm_axes"):
        utils.compute_norms(np.ones((1,) * 6))


class TestCreateParam:
    def test_number(self):
        param = utils.create_param(0.5, (), "p")
        assert param.get_value() == 0.5
        assert param.dtype == symc.config.floatX
        assert param.name == "p"

    def test_array(self):
        value = np.arange(6.0).reshape(2, 3)
        param = utils.create_param(value, (2, 3), "p")
        assert isinstance(param, symc.SharedVariable)
        assert np.array_equal(param.get_value(), value)
        assert param.static_shape == (2, 3)
        assert param.dtype == symc.config.floatX

    def test_array_of_integers_keeps_its_dtype(self):
        assert utils.create_param(np.arange(3, dtype="int32"), (3,)).dtype == "int32"

    def test_callable(self):
        param = utils.create_param(Constant(2), [2, 3], "p")
        assert np.array_equal(param.get_value(), np.full((2, 3), 2))

    def test_callable_returning_a_variable(self):
        shared = symc.shared(np.ones((2, 3), "float32"))
        assert utils.create_param(lambda shape: shared, (2, 3), "p") is shared

    def test_shared_variable_and_expression(self):
        shared = symc.shared(np.ones((2, 3), "float32"), name="mine")
        assert utils.create_param(shared, (2, 3), "p") is shared
        assert shared.name == "mine"
        expression = T.exp(shared)
        assert utils.create_param(expression, (2, 3), "p") is expression
        assert expression.name == "p"

    @pytest.mark.parametrize(
        "spec, shape, error, message",
        [
            (
                np.ones((2, 3)),
                (3, 2),
                ValueError,
                r"parameter p: the provided value has shape \(2, 3\), should be \(3, 2\)",
            ),
            (0.5, (3, 2), ValueError, r"init.Constant\(0.5\)"),
            (lambda shape: np.ones(5), (3, 2), ValueError, r"callable has shape \(5,\), should be \(3, 2\)"),
            (T.vector(), (3, 2), ValueError, "has 1 dimensions, should have 2"),
            (T.tensor("float32", shape=(None, 3)), (3, 2), ValueError, r"should be \(3, 2\)"),
            ("zeros", (3, 2), TypeError, "str, not a number, an array or an expression, or a callable"),
            (lambda shape: "zeros", (3, 2), TypeError, "the result of the provided callable is str"),
            (Constant(), (3, 0), ValueError, "non-positive"),
            (Constant(), (3, -2), ValueError, "name='p'"),
            (Constant(), (None, 2), ValueError, "unknown dimension"),
        ],
    )
    def test_errors(self, spec, shape, error, message):
        with pytest.raises(error, match=message):
            utils.create_param(spec, shape, "p")
