import warnings

import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like.layers import (
    BatchNormLayer,
    ConcatLayer,
    DenseLayer,
    DropoutLayer,
    ElemwiseSumLayer,
    InputLayer,
    Layer,
    count_params,
    get_all_layers,
    get_all_param_values,
    get_all_params,
    get_output,
    get_output_shape,
    set_all_param_values,
    summary,
)


@pytest.fixture
def diamond():
    """Two branches from one input, joined; a list of all layers in order."""
    l_in = InputLayer((None, 3), name="in")
    left = DenseLayer(l_in, 4, name="left")
    right = DenseLayer(l_in, 5, name="right")
    top = ConcatLayer([left, right], name="top")
    return [l_in, left, right, top]


class TestGetAllLayers:
    def test_order(self, diamond):
        l_in, left, right, top = diamond
        assert get_all_layers(top) == diamond
        assert get_all_layers([right, left]) == [l_in, right, left]
        assert get_all_layers([left, top]) == diamond
        assert get_all_layers(l_in) == [l_in]

    def test_treat_as_input(self, diamond):
        l_in, left, right, top = diamond
        assert get_all_layers(top, treat_as_input=[left]) == [left, l_in, right, top]
        assert get_all_layers(top, treat_as_input=[left, right]) == [left, right, top]

    def test_shapes_in_place_of_layers(self):
        layer = DenseLayer((None, 3), 4)
        assert get_all_layers(layer) == [layer]

    def test_a_deep_network(self):
        layer = InputLayer((None, 1))
        for _ in range(1500):
            layer = DropoutLayer(layer)
        assert len(get_all_layers(layer)) == 1501

    def test_what_is_no_layer(self):
        with pytest.raises(TypeError, match="expected layers, got 'fc1'"):
            get_all_layers(["fc1"])
        with pytest.raises(TypeError, match="expected a dict of layers, .* got {'fc1': 1}"):
            get_all_layers({"fc1": 1})


class TestGetOutput:
    def test_own_variable(self, diamond, rng):
        l_in, left, right, top = diamond
        x = rng.randn(2, 3).astype("float32")
        result = get_output(top).eval({l_in.input_var: x})
        parts = [np.maximum(x @ l.W.get_value(), 0) for l in (left, right)]
        np.testing.assert_allclose(result, np.concatenate(parts, axis=1), rtol=1e-5)

    def test_one_expression_for_several_inputs_is_refused(self):
        a, b = InputLayer((None, 3), name="a"), InputLayer((None, 3), name="b")
        both = ElemwiseSumLayer([a, b])
        with pytest.raises(ValueError, match=r"single input expression.*multiple input layers.*'a'.*'b'"):
            get_output(both, T.matrix())
        with pytest.raises(ValueError, match="dictionary"):
            get_output([a, b], np.ones((2, 3), "float32"))
        with pytest.raises(ValueError, match="single input shape.*multiple input layers"):
            get_output_shape(both, (2, 3))
        x, y = T.matrix(), T.matrix()
        value = np.ones((2, 3), "float32")
        np.testing.assert_allclose(get_output(both, {a: x, b: y}).eval({x: value, y: 3 * value}), 4 * value)
        assert get_output_shape(both, {a: (2, 3)}) == (2, 3)

    def test_one_expression_for_the_only_input_that_counts(self, diamond):
        l_in, left, right, top = diamond
        x = T.matrix()
        value = np.ones((2, 3), "float32")
        assert get_output([left, right], x)[0].eval({x: value}).shape == (2, 4)
        assert get_output(DenseLayer(ElemwiseSumLayer([l_in, l_in]), 2), x).eval({x: value}).shape == (2, 2)

    @pytest.mark.parametrize("key", ["in", 0, T.matrix()])
    def test_keys_must_be_layers(self, diamond, key):
        with pytest.raises(TypeError, match="must name layers, got"):
            get_output(diamond[-1], {key: T.matrix()})
        with pytest.raises(TypeError, match="must name layers, got"):
            get_output_shape(diamond[-1], {key: (2, 3)})
        with pytest.raises(TypeError, match="must name layers, got"):
            get_all_layers(diamond[-1], treat_as_input=[key])

    def test_an_array(self, rng):
        l_in = InputLayer((None, 3))
        value = rng.randn(2, 3).astype("float32")
        assert np.array_equal(get_output(l_in, value).eval({}), value)

    def test_a_dictionary_replaces_any_layer(self, diamond, rng):
        l_in, left, right, top = diamond
        x, y = T.matrix(), T.matrix()
        values = rng.randn(2, 4).astype("float32"), rng.randn(2, 3).astype("float32")
        expression = get_output(top, {left: x, l_in: y})
        result = expression.eval({x: values[0], y: values[1]})
        assert np.array_equal(result[:, :4], values[0])
        np.testing.assert_allclose(result[:, 4:], np.maximum(values[1] @ right.W.get_value(), 0), rtol=1e-5)

    def test_several_layers(self, diamond):
        l_in, left, right, top = diamond
        outputs = get_output([left, top, left])
        assert isinstance(outputs, list)
        assert outputs[0] is outputs[2]
        assert [o.static_shape for o in outputs] == [(None, 4), (None, 9), (None, 4)]

    def test_shapes_flow(self, diamond):
        x = T.matrix()
        assert x.static_shape == (None, None)
        assert get_output(diamond[0], x).static_shape == (None, 3)
        assert get_output(diamond[0], {diamond[0]: x}).static_shape == (None, 3)

    def test_free_floating_layers(self, rng):
        layer = DenseLayer((None, 3), 4, name="loose")
        with pytest.raises(ValueError, match="free-floating layer <DenseLayer 'loose'>"):
            get_output(layer)
        x = T.matrix()
        value = rng.randn(2, 3).astype("float32")
        result = get_output(layer, {None: x}).eval({x: value})
        np.testing.assert_allclose(result, np.maximum(value @ layer.W.get_value(), 0), rtol=1e-5)

    def test_keyword_arguments_reach_all_layers(self):
        class Recorder(Layer):
            def get_output_for(self, input, deterministic=False, extra=None, **kwargs):
                self.seen = (deterministic, extra)
                return input

        first = Recorder(InputLayer((None, 3)))
        second = Recorder(first)
        get_output(second, deterministic=True, extra=7)
        assert first.seen == second.seen == (True, 7)

    def test_misspelt_tags_warn(self, diamond):
        with pytest.warns(UserWarning, match=r"no parameter .* has the tag 'trainble' \(perhaps you meant trainable\)"):
            assert get_all_params(diamond[-1], trainble=True) == []

    def test_unused_keyword_arguments_warn(self, diamond):
        with pytest.warns(UserWarning, match=r"unused kwargs:\n\tdeterminstic \(perhaps you meant deterministic\)"):
            get_output(diamond[-1], determinstic=True)
        norm = BatchNormLayer(diamond[0])
        with pytest.warns(UserWarning, match="perhaps you meant batch_norm_use_averages"):
            get_output(norm, batch_norm_use_average=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            get_output(diamond[-1], deterministic=True)
            get_output(norm, batch_norm_use_averages=True)

    def test_layers_may_name_further_keywords(self):
        class Flexible(Layer):
            def get_output_for(self, input, **kwargs):
                return input * kwargs.get("factor", 1)

        layer = Flexible(InputLayer((None, 3)))
        layer.get_output_kwargs.append("factor")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = get_output(layer, factor=3)
        np.testing.assert_array_equal(found.eval({layer.input_layer.input_var: [[1, 2, 3]]}), [[3, 6, 9]])

    @pytest.mark.parametrize("shape", [(None, 4), (None,), (None, 3, 1)])
    def test_expressions_must_fit(self, diamond, shape):
        x = T.tensor("float32", shape=shape)
        for inputs in (x, {diamond[0]: x}):
            with pytest.raises(ValueError, match="does not fit <InputLayer 'in'>"):
                get_output(diamond[-1], inputs)


class TestGetOutputShape:
    def test_as_built(self, diamond):
        l_in, left, right, top = diamond
        assert get_output_shape(top) == (None, 9)
        assert get_output_shape([left, top]) == [(None, 4), (None, 9)]

    def test_for_other_inputs(self, diamond):
        l_in, left, right, top = diamond
        assert get_output_shape(top, (7, 3)) == (7, 9)
        assert get_output_shape([left, top], {l_in: (7, 3)}) == [(7, 4), (7, 9)]
        assert get_output_shape(top, {left: (7, 2), right: (7, 1)}) == (7, 3)


class TestParams:
    def test_all_params(self, diamond):
        l_in, left, right, top = diamond
        assert get_all_params(top) == [left.W, left.b, right.W, right.b]
        assert get_all_params(top, regularizable=True) == [left.W, right.W]
        assert get_all_params([left, right], regularizable=False) == [left.b, right.b]

    def test_shared_parameters_count_once(self):
        l_in = InputLayer((None, 3))
        first = DenseLayer(l_in, 3)
        second = DenseLayer(first, 3, W=first.W, b=first.b)
        assert get_all_params(second) == [first.W, first.b]
        assert count_params(second) == 12

    def test_unwrap_shared(self):
        base = symc.shared(np.ones((3, 4), "float32"), name="base", shape=(3, 4))
        layer = DenseLayer(InputLayer((None, 3)), 4, W=base**2, b=None)
        assert get_all_params(layer) == [base]
        assert get_all_params(layer, unwrap_shared=False) == [layer.W]

    def test_count(self, diamond):
        assert count_params(diamond[-1]) == 3 * 4 + 4 + 3 * 5 + 5
        assert count_params(diamond[-1], regularizable=True) == 3 * 4 + 3 * 5

    def test_values(self, diamond, rng):
        top = diamond[-1]
        values = [rng.randn(*v.shape).astype(v.dtype) for v in get_all_param_values(top)]
        set_all_param_values(top, values)
        for value, now in zip(values, get_all_param_values(top), strict=True):
            assert np.array_equal(value, now)
        set_all_param_values(top, [0 * values[0], 0 * values[2]], regularizable=True)
        assert not diamond[1].W.get_value().any() and diamond[1].b.get_value().any()

    @pytest.mark.parametrize(
        "change, message",
        [
            (lambda v: v[:-1], "got 3 values to set 4 parameters.*right.b"),
            (lambda v: [*v, np.zeros(7)], r"got 5 values to set 4 parameters.*\(7,\)"),
            (lambda v: [*v[:2], v[2].T, v[3]], r"right.W has shape \(3, 5\) but value to set has shape \(5, 3\)"),
        ],
    )
    def test_a_mismatch_changes_nothing(self, diamond, change, message):
        top = diamond[-1]
        before = get_all_param_values(top)
        with pytest.raises(ValueError, match=message):
            set_all_param_values(top, change([value + 1 for value in before]))
        for value, now in zip(before, get_all_param_values(top), strict=True):
            assert np.array_equal(value, now)


def test_summary(diamond):
    norm = BatchNormLayer(diamond[-1])
    lines = str(summary(norm)).splitlines()
    assert lines[0].split() == ["name", "layer", "output", "shape", "parameters"]
    assert lines[3].split("  ")[:1] == ["left"]
    assert "DenseLayer" in lines[3] and "(None, 4)" in lines[3] and lines[3].endswith("16  W (3, 4), b (4,)")
    assert lines[-1] == "parameters 72, trainable 54, not trainable 18"
    assert len(lines) == 5 + 4
    assert repr(summary(norm)) == str(summary(norm))
