"""The frozen border of networks, and features computed once."""

import numpy as np
import pytest

import symc.tensor as T
from lasagne_like.data import Preprocess
from lasagne_like.layers import (
    BatchNormLayer,
    ConcatLayer,
    DenseLayer,
    DropoutLayer,
    ElemwiseSumLayer,
    EmbeddingLayer,
    ExpressionLayer,
    InputLayer,
    RandomFlip,
    ReshapeLayer,
    StandardizationLayer,
    batch_norm,
    get_output,
)
from lasagne_like.models import Model
from lasagne_like.random import get_rng, set_rng
from lasagne_like.transfer import MixedExamplesError, freeze, frozen_border, precompute_features, unfreeze


def named(layers):
    return [layer.name for layer in layers]


def base(**kwargs):
    return DenseLayer(InputLayer((None, 4), name="input"), 3, name="base", **kwargs)


def test_nothing_is_frozen():
    assert frozen_border(DenseLayer(base(), 2)) == []
    assert frozen_border(StandardizationLayer(InputLayer((None, 4)))) == []  # no parameters, nothing to save


def test_the_border_lies_below_what_is_trained_or_random():
    below = base()
    noisy = DropoutLayer(below, name="dropout")
    out = DenseLayer(noisy, 2, name="out")
    freeze("base", out)
    assert frozen_border(out) == [below]
    freeze("out", out)
    assert frozen_border(out) == [below]
    noisy.p = 0
    assert frozen_border(out) == [out]
    unfreeze("base", out)
    assert frozen_border(out) == []
    assert frozen_border({"base": below, "out": out}) == []


def test_batch_norm_belongs_to_the_border_only_if_it_is_frozen():
    normal = BatchNormLayer(base(), beta=None, gamma=None, name="bn")  # nothing to train, but averages
    out = DenseLayer(normal, 2, name="out")
    freeze("base", out)
    assert named(frozen_border(out)) == ["base"]
    freeze("bn", out)
    assert named(frozen_border(out)) == ["bn"]
    # statistics of the batch in every mode: the features would depend on the batch
    unfreeze("bn", out)
    normal.update_averages = False  # in training alone
    assert named(frozen_border(out)) == ["base"]
    normal.use_averages = False
    assert named(frozen_border(out)) == ["base"]


def test_several_borders():
    trunk = base()
    left = DenseLayer(trunk, 3, name="left")
    out = ElemwiseSumLayer([trunk, left], name="sum")
    freeze("base", out)
    assert named(frozen_border(out)) == ["base"]
    other = DenseLayer(InputLayer((None, 2), name="second"), 3, name="other")
    both = DenseLayer(ConcatLayer([trunk, DropoutLayer(other)]), 2, name="out")
    freeze(["base", "other"], both)
    assert named(frozen_border([both])) == ["base", "other"]
    with pytest.raises(ValueError, match=r"ends at 2 layers \(base, other\): pass at="):
        precompute_features(both, (np.zeros((3, 4)), np.zeros((3, 2))))
    assert named(frozen_border([left, trunk])) == ["base"]


def test_a_parameter_that_another_layer_trains_is_not_frozen():
    first = base()
    freeze(first)
    again = DenseLayer(DenseLayer(first, 4, name="up"), 3, W=first.W, name="again")
    assert "trainable" in again.params[first.W]
    assert frozen_border(again) == []


def test_layers_that_mix_examples_end_the_border():
    frozen = base()
    freeze(frozen)
    for mixing in (
        StandardizationLayer(frozen, axes=0),
        ExpressionLayer(frozen, lambda x: x - x.mean(0)),
        ExpressionLayer(frozen, lambda x: T.dot(x, T.dot(x.T, x))),
    ):
        assert named(frozen_border(DenseLayer(mixing, 2))) == ["base"]
    assert named(frozen_border(DenseLayer(ReshapeLayer(frozen, (-1, 1)), 2))) == ["base"]
    # rows keep their examples: transposed and back
    turned = ExpressionLayer(frozen, lambda x: T.exp(x.T).T, name="turned")
    assert named(frozen_border(DenseLayer(turned, 2))) == ["turned"]
    reverse = ExpressionLayer(frozen, lambda x: x[::-1])
    with pytest.raises(MixedExamplesError, match="depends on the other examples"):
        precompute_features(reverse, np.random.default_rng(0).standard_normal((5, 4)))


def test_looking_for_the_border_does_not_draw_random_numbers():
    set_rng(np.random.RandomState(3))
    x = np.ones((4, 4), "float32")
    try:
        masks = []
        for look in (False, True):
            get_rng().seed(3)
            out = DenseLayer(DropoutLayer(base()), 2)
            freeze("base", out)
            if look:
                frozen_border(out)
            masks.append(get_output(out.input_layer, T.constant(x)).eval() != 0)
    finally:
        set_rng(np.random)
    np.testing.assert_array_equal(*masks)


def affine(layer, x):
    return np.maximum(np.asarray(x, "float64") @ layer.W.get_value() + layer.b.get_value(), 0)


@pytest.mark.parametrize("dtype", ["uint8", "float64", "float32", "bool"])
def test_features_of_arrays(dtype):
    layer = base()
    X = np.random.default_rng(0).integers(0, 9, (11, 4)).astype(dtype)
    for size in (1, 4, 11, 64):
        found = precompute_features(DenseLayer(layer, 2), X, at="base", batch_size=size, progress=True)
        np.testing.assert_allclose(found, affine(layer, X), rtol=1e-5, atol=1e-5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(precompute_features(layer, X.tolist()), found, rtol=1e-6)


def test_features_of_batches_and_files(tmp_path):
    layer = base()
    X = np.random.default_rng(0).standard_normal((10, 4)).astype("float32")
    y = np.arange(10)
    expected = affine(layer, X)

    def batches():
        return ((X[k : k + 3], y[k : k + 3]) for k in range(0, 10, 3))

    features, targets = precompute_features(layer, batches(), targets=True)
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(targets, y)
    for data in ([(X[:5], y[:5], y[:5]), (X[5:], y[5:], y[5:])], iter([X[:5], X[5:]])):
        found = precompute_features(layer, data)
        np.testing.assert_allclose(found, features, rtol=1e-5, atol=1e-6)  # a batch of one row is summed otherwise
    stored = precompute_features(layer, batches(), out=tmp_path / "features.npy")
    assert isinstance(stored, np.memmap) and [each.name for each in tmp_path.iterdir()] == ["features.npy"]
    np.testing.assert_array_equal(np.load(tmp_path / "features.npy"), features)
    np.save(tmp_path / "X.npy", X)
    given = np.zeros((10, 3), "float32")
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert precompute_features(layer, mapped, out=given, batch_size=4) is given
    np.testing.assert_allclose(given, features, rtol=1e-5, atol=1e-6)


def test_several_inputs_and_integer_inputs():
    words = InputLayer((None, 2), T.imatrix(), name="words")
    embedded = EmbeddingLayer(words, 5, 3, name="embedding")
    layer = ConcatLayer([base(), ReshapeLayer(embedded, ([0], 6))], name="both")
    X, w = np.random.default_rng(0).standard_normal((4, 4)), np.array([[0, 1], [2, 3], [4, 4], [1, 1]])
    expected = np.concatenate([affine(layer.input_layers[0], X), embedded.W.get_value()[w].reshape(4, 6)], 1)
    for given in ((X, w), {"words": w, "input": X}, [((X[:3], w[:3]), None), ((X[3:], w[3:]), None)]):
        np.testing.assert_allclose(precompute_features(layer, given), expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="no entry for words; it has input"):
        precompute_features(layer, {"input": X})
    with pytest.raises(ValueError, match=r"inputs hold \[4, 3\] examples"):
        precompute_features(layer, (X, w[:3]))
    with pytest.raises(ValueError, match="must be integers"):
        precompute_features(layer, (X, w + 0.5))


def test_a_fixed_batch_size():
    layer = DenseLayer(InputLayer((4, 3)), 2)
    X = np.random.default_rng(0).standard_normal((10, 3))
    np.testing.assert_allclose(precompute_features(layer, X, batch_size=7), affine(layer, X), rtol=1e-5, atol=1e-5)


def test_an_input_expression():
    x = T.tensor("uint8", shape=(None, 4))
    layer = DenseLayer(InputLayer((None, 4), x / np.float32(255)), 3)
    X = np.random.default_rng(0).integers(0, 255, (5, 4)).astype("uint8")
    np.testing.assert_allclose(precompute_features(layer, X), affine(layer, X / 255), rtol=1e-5, atol=1e-5)


def test_preprocessing_by_batches(tmp_path):
    from PIL import Image

    net = InputLayer((None, 3, 4, 4), name="input")
    net = ExpressionLayer(net, lambda x: x.mean((2, 3)), lambda shape: shape[:2], name="means")
    model = Model(net, preprocess=Preprocess(resize=4, scale=1 / 255))
    pictures = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype("uint8")
    expected = pictures.mean((1, 2)) / 255
    found = precompute_features(model, pictures, batch_size=2)
    np.testing.assert_allclose(found, expected, atol=0.01)
    files = [tmp_path / f"{k}.png" for k in range(5)]
    for file, picture in zip(files, pictures):
        Image.fromarray(picture).save(file)
    inputs = model.preprocess(pictures)
    for given in (
        files,
        [str(file) for file in files],
        [Image.open(file) for file in files],
        pictures.transpose(0, 3, 1, 2),
        iter([pictures[:2], pictures[2:]]),
        [(pictures[:3], None), (inputs[3:], None)],
        inputs,
    ):
        np.testing.assert_allclose(precompute_features(model, given, batch_size=3), found, rtol=1e-5)
    halved = precompute_features(model, pictures, preprocess=lambda x: model.preprocess(x) / 2)
    np.testing.assert_allclose(halved, found / 2, rtol=1e-5)
    # without preprocessing, integers are inputs
    small = pictures[:, :4, :4].transpose(0, 3, 1, 2)
    for given in (precompute_features(model, small, preprocess=None), precompute_features(net, small)):
        np.testing.assert_allclose(given, small.mean((2, 3)), rtol=1e-5)
    with pytest.raises(ValueError, match="expected a callable, None or 'auto'"):
        precompute_features(model, pictures, preprocess="yes")
    with pytest.raises(ValueError, match="must be numbers"):
        precompute_features(net, [str(file) for file in files])


def test_random_augmentation_below():
    frozen = DenseLayer(RandomFlip(InputLayer((None, 1, 4, 4))), 3, name="frozen")
    freeze(frozen)
    assert frozen_border(DenseLayer(frozen, 2)) == []


def test_errors():
    layer = DenseLayer(InputLayer((None, 3, 8, 8), name="pictures"), 2, name="out")
    with pytest.raises(
        ValueError, match=r"shape \(5, 8, 8, 3\), expected \(None, 3, 8, 8\): pictures are channels-first"
    ):
        precompute_features(layer, np.zeros((5, 8, 8, 3)))
    with pytest.raises(ValueError, match=r"pass X\[None\]"):
        precompute_features(layer, np.zeros((3, 8, 8)))
    with pytest.raises(ValueError, match="no examples"):
        precompute_features(layer, np.zeros((0, 3, 8, 8)))
    with pytest.raises(ValueError, match="holds no batches"):
        precompute_features(layer, iter(()))
    with pytest.raises(ValueError, match="near names: out"):
        precompute_features(layer, np.zeros((1, 3, 8, 8)), at="uot")
    with pytest.raises(TypeError, match="got int"):
        precompute_features(layer, 3)
    with pytest.raises(ValueError, match="must be numbers"):
        precompute_features(layer, np.full((1, 3, 8, 8), "a"))
    with pytest.raises(ValueError, match="batch_size=0"):
        precompute_features(layer, np.zeros((1, 3, 8, 8)), batch_size=0)
    with pytest.raises(ValueError, match="is not a layer of the network"):
        precompute_features(layer, np.zeros((1, 3, 8, 8)), at=base())


def test_batch_norm_uses_its_averages():
    layer = batch_norm(base())
    freeze(layer, below=True)
    normal = layer.input_layer
    normal.mean.set_value(np.array([1, 2, 3], "float32"))
    X = np.random.default_rng(0).standard_normal((6, 4)).astype("float32")
    expected = np.maximum(X @ layer.input_layer.input_layer.W.get_value() - [1, 2, 3], 0)
    np.testing.assert_allclose(precompute_features(layer, X), expected, rtol=1e-5, atol=1e-5)
