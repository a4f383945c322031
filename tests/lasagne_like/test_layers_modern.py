"""Normalisation by groups, attention, and layers put together, against NumPy."""

import numpy as np
import pytest
from scipy.special import softmax

import symc
import symc.tensor as T
from lasagne_like import init
from lasagne_like import layers as L


def evaluated(layer, *values, **options):
    inputs = [each for each in L.get_all_layers(layer) if isinstance(each, L.InputLayer)]
    return symc.function([each.input_var for each in inputs], L.get_output(layer, **options))(*values)


def test_group_norm(rng, float64):
    x = rng.normal(2, 3, (2, 6, 4, 5))
    layer = L.GroupNormLayer(L.InputLayer((None, 6, None, 5)), 3, beta=init.Normal(1), gamma=init.Normal(1))
    grouped = x.reshape(2, 3, 2, 4, 5)
    normal = (grouped - grouped.mean((2, 3, 4), keepdims=True)) / np.sqrt(grouped.var((2, 3, 4), keepdims=True) + 1e-5)
    gamma, beta = (p.get_value()[:, None, None] for p in (layer.gamma, layer.beta))
    np.testing.assert_allclose(evaluated(layer, x), normal.reshape(x.shape) * gamma + beta, atol=1e-10)
    with pytest.raises(ValueError, match="a multiple of num_groups=4"):
        L.GroupNormLayer((None, 6, 4), 4)


def test_rms_norm(rng, float64):
    x = rng.normal(size=(2, 3, 4))
    layer = L.RMSNormLayer(L.InputLayer((None, None, 4)), gamma=init.Normal(1))
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * layer.gamma.get_value()
    np.testing.assert_allclose(evaluated(layer, x), expected, atol=1e-12)


@pytest.mark.parametrize("kind", ["dense", "convolution"])
def test_weight_norm_keeps_the_output_and_trains_length_and_direction(kind, rng, float64):
    incoming = L.InputLayer((None, 3, 5, 5))
    layer = L.DenseLayer(incoming, 4) if kind == "dense" else L.Conv2DLayer(incoming, 4, 3)
    x = rng.normal(size=(2, 3, 5, 5))
    before, W = evaluated(layer, x), layer.W.get_value()
    assert L.weight_norm(layer) is layer
    np.testing.assert_allclose(evaluated(layer, x), before, atol=1e-12)
    names = {p.name for p in L.get_all_params(layer, trainable=True)}
    assert names == {"W_length", "W_direction", "b"}
    assert {p.name for p in L.get_all_params(layer, regularizable=True)} == {"W_direction"}
    length = next(p for p in L.get_all_params(layer) if p.name == "W_length")
    length.set_value(length.get_value() * 2)
    np.testing.assert_allclose(layer.W.eval(), 2 * W, rtol=1e-12)
    with pytest.raises(ValueError, match="no shared variable 'W'"):
        L.weight_norm(layer)


def test_attention(rng, float64):
    x, z = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 7))
    mask = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1.0]])
    inputs = L.InputLayer((None, None, 4)), L.InputLayer((None, None, 7)), L.InputLayer((None, None))
    layer = L.MultiHeadAttentionLayer(*inputs[:2], num_heads=2, num_units=6, mask_input=inputs[2])
    p = {}
    for param in layer.get_params():
        param.set_value(rng.normal(size=param.get_value().shape))
        p[param.name] = param.get_value()
    q, k, v = (a @ p[f"W_{n}"] + p[f"b_{n}"] for a, n in ((x, "query"), (z, "key"), (z, "value")))
    found = []
    for head in (slice(0, 3), slice(3, 6)):
        scores = np.einsum("bif,bjf->bij", q[..., head], k[..., head]) / np.sqrt(3)
        found.append(softmax(np.where(mask[:, None] > 0, scores, -np.inf), -1) @ v[..., head])
    expected = np.concatenate(found, -1) @ p["W_output"] + p["b_output"]
    np.testing.assert_allclose(evaluated(layer, x, z, mask), expected, atol=1e-10)


def test_causal_attention_does_not_see_the_future(rng, float64):
    layer = L.MultiHeadAttentionLayer(L.InputLayer((None, None, 4)), num_heads=2, causal=True)
    x = rng.normal(size=(1, 6, 4))
    f = symc.function([layer.input_layers[0].input_var], L.get_output(layer))
    changed = x.copy()
    changed[:, 4:] += 1
    np.testing.assert_allclose(f(changed)[:, :4], f(x)[:, :4], rtol=1e-12)
    assert abs(f(changed)[:, 4:] - f(x)[:, 4:]).max() > 1e-3


def test_positions(rng, float64):
    x = rng.normal(size=(2, 5, 6))
    fixed = evaluated(L.PositionalEmbeddingLayer(L.InputLayer((None, None, 6))), x) - x
    t = np.arange(5)[:, None] / 10000 ** (np.arange(0, 6, 2) / 6)
    np.testing.assert_allclose(fixed[0, :, ::2], np.sin(t), atol=1e-12)
    np.testing.assert_allclose(fixed[1, :, 1::2], np.cos(t), atol=1e-12)
    trained = L.PositionalEmbeddingLayer(L.InputLayer((None, None, 6)), 8, W=init.Normal(1))
    np.testing.assert_allclose(evaluated(trained, x), x + trained.W.get_value()[:5], atol=1e-12)
    with pytest.raises(ValueError, match="need max_length"):
        L.PositionalEmbeddingLayer((None, 5, 6), W=init.Normal())
    with pytest.raises(ValueError, match="the input has 9 times, but max_length is 8"):
        L.PositionalEmbeddingLayer((None, 9, 6), 8, W=init.Normal())


@pytest.mark.parametrize("merge", ["concat", "sum"])
def test_both_directions(merge, rng, float64):
    incoming = L.InputLayer((None, None, 3))
    layer = L.bidirectional(L.GRULayer, incoming, 4, merge=merge, name="both")
    assert [each.name for each in layer.input_layers] == ["both_forwards", "both_backwards"]
    x = rng.normal(size=(2, 5, 3))
    one, other = (evaluated(each, x) for each in layer.input_layers)
    expected = np.concatenate([one, other], -1) if merge == "concat" else one + other
    np.testing.assert_allclose(evaluated(layer, x), expected, atol=1e-12)
    last = L.bidirectional(L.LSTMLayer, incoming, 4, only_return_final=True)
    assert last.output_shape == (None, 8)
    with pytest.raises(TypeError, match="the directions are both"):
        L.bidirectional(L.GRULayer, incoming, 4, backwards=True)


def test_squeeze_and_excite(rng, float64):
    layer = L.squeeze_excite(L.InputLayer((None, 6, None, 5)), ratio=3, name="se")
    x = rng.normal(size=(2, 6, 4, 5))
    p = {each.name: each.get_value() for each in L.get_all_params(layer)}
    assert p["se_hidden.W"].shape == (6, 2)
    hidden = np.maximum(x.mean((2, 3)) @ p["se_hidden.W"] + p["se_hidden.b"], 0)
    gates = 1 / (1 + np.exp(-(hidden @ p["se_excite.W"] + p["se_excite.b"])))
    np.testing.assert_allclose(evaluated(layer, x), x * gates[:, :, None, None], atol=1e-12)


def test_separable_convolution(rng, float64):
    layer = L.separable_conv2d(L.InputLayer((None, 3, 6, 7)), 5, 3, multiplier=2, pad="same", name="s")
    deep = layer.input_layer
    assert (deep.name, deep.W.get_value().shape, layer.W.get_value().shape) == (
        "s_depthwise",
        (6, 1, 3, 3),
        (5, 6, 1, 1),
    )
    x = rng.normal(size=(2, 3, 6, 7))
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])
    W = deep.W.get_value()[:, 0, ::-1, ::-1]
    each = np.zeros((2, 6, 6, 7))
    for r in range(3):
        for c in range(3):
            each += np.repeat(padded[:, :, r : r + 6, c : c + 7], 2, axis=1) * W[:, r, c][:, None, None]
    expected = np.maximum(np.einsum("nchw,kc->nkhw", each, layer.W.get_value()[:, :, 0, 0]), 0)
    np.testing.assert_allclose(evaluated(layer, x), expected, atol=1e-12)


def test_stochastic_depth_drops_whole_examples():
    layer = L.stochastic_depth(L.InputLayer((None, 3, 4)), 0.25)
    found = evaluated(layer, np.ones((400, 3, 4), "float32"))
    kept = found.reshape(400, 12)
    assert (kept == kept[:, :1]).all()
    np.testing.assert_allclose(np.unique(kept), [0, 4 / 3], rtol=1e-6)
    assert 0.65 < (kept[:, 0] > 0).mean() < 0.85
    np.testing.assert_array_equal(evaluated(layer, np.ones((5, 3, 4), "float32"), deterministic=True), 1)


def test_a_transformer_learns_to_copy_the_first_symbol(rng):
    """A block of attention: every time must find the first one."""
    symbols = rng.randint(0, 4, (64, 6))
    x, y = T.imatrix(), T.ivector()
    net = L.EmbeddingLayer(L.InputLayer((None, 6), x), 4, 16)
    net = L.PositionalEmbeddingLayer(net)
    net = L.ElemwiseSumLayer([net, L.MultiHeadAttentionLayer(L.RMSNormLayer(net), num_heads=2)])
    net = L.DenseLayer(L.SliceLayer(net, -1, 1), 4, nonlinearity=T.nnet.softmax)
    from lasagne_like import objectives, updates

    loss = objectives.categorical_crossentropy(L.get_output(net), y).mean()
    train = symc.function([x, y], loss, updates=updates.adamw(loss, L.get_all_params(net, trainable=True), 0.02))
    losses = [float(train(symbols, symbols[:, 0])) for _ in range(60)]
    assert losses[-1] < 0.05 < 1 < losses[0]
