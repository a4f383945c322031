"""The VGG networks: names, parameter counts, shapes, agreement with another implementation, preprocessing."""

import numpy as np
import pytest
from scipy import signal, special

import symc
from lasagne_like import models
from lasagne_like.layers import Conv2DLayer, count_params, get_all_params, get_output
from lasagne_like.models import IMAGENET_MEAN_BGR, preprocess, small_vgg

BLOCKS = {
    "vgg16": (138_357_544, (2, 2, 3, 3, 3)),
    "vgg19": (143_667_240, (2, 2, 4, 4, 4)),
}


@pytest.fixture(params=sorted(BLOCKS))
def vgg(request, monkeypatch):
    """A builder's name and its network; zeros for weights, which 140 million random numbers would make slow."""
    import lasagne_like.init as init

    monkeypatch.setattr(init.Glorot, "sample", lambda self, shape: np.zeros(shape, np.float32))
    return request.param, getattr(models, request.param)()


def test_names_shapes_and_parameters(vgg):
    name, net = vgg
    count, convolutions = BLOCKS[name]
    wanted = ["input"]
    for block, number in enumerate(convolutions, start=1):
        wanted += [f"conv{block}_{k}" for k in range(1, number + 1)] + [f"pool{block}"]
    wanted += ["fc6", "fc6_dropout", "fc7", "fc7_dropout", "fc8", "prob"]
    assert list(net) == wanted
    assert all(layer.name == key for key, layer in net.items())
    assert count_params(net["prob"]) == count
    assert net["pool5"].output_shape == (None, 512, 7, 7)
    assert net["prob"].output_shape == (None, 1000)
    names = [param.name for param in get_all_params(net["prob"])]
    assert names[:2] == ["conv1_1.W", "conv1_1.b"] and names[-1] == "fc8.b"
    # Caffe's convolutions, whose weights these networks take, do not flip their filters.
    assert not any(layer.flip_filters for layer in net.values() if isinstance(layer, Conv2DLayer))


def test_small_vgg():
    net = small_vgg((1, 28, 28), 7, channels=(3, 5), dense=11)
    assert list(net)[:5] == ["input", "conv1_1", "bn1_1", "relu1_1", "conv1_2"]
    assert net["pool2"].output_shape == (None, 5, 7, 7) and net["prob"].output_shape == (None, 7)
    predict = symc.function([net["input"].input_var], get_output(net["prob"], deterministic=True))
    images = np.random.RandomState(0).rand(3, 1, 28, 28).astype(np.float32)
    np.testing.assert_allclose(predict(images).sum(axis=1), np.ones(3), rtol=1e-5)
    with pytest.raises(ValueError, match="3 blocks halve the picture 3 times"):
        small_vgg((1, 7, 7), channels=(2, 2, 2))


def test_a_stack_like_vgg_agrees_with_scipy():
    from lasagne_like.models import vgg

    net = vgg._Stack((None, 3, 16, 16), None)
    for number, filters in enumerate((4, 5, 6), start=1):
        net.add(f"conv{number}", Conv2DLayer, filters, 3, pad=1, flip_filters=False)
    net.add("pool", vgg.MaxPool2DLayer, 2)
    net.add("fc", vgg.DenseLayer, 20)
    net.add("prob", vgg.NonlinearityLayer, vgg.softmax)
    images = np.random.RandomState(0).randn(2, 3, 16, 16).astype(np.float32)
    mine = symc.function([net.layers["input"].input_var], get_output(net.top, deterministic=True))(images)

    x = images.astype(np.float64)
    for number in (1, 2, 3):
        W, b = (
            p.get_value().astype(np.float64) for p in (net.layers[f"conv{number}"].W, net.layers[f"conv{number}"].b)
        )
        maps = [[sum(map(same_correlation, image, filters)) for filters in W] for image in x]
        x = np.maximum(np.array(maps) + b[:, None, None], 0)
    x = x.reshape(2, 6, 8, 2, 8, 2).max((3, 5)).reshape(2, -1)
    x = np.maximum(x @ net.layers["fc"].W.get_value() + net.layers["fc"].b.get_value(), 0)
    np.testing.assert_allclose(mine, special.softmax(x, 1), rtol=1e-4, atol=1e-7)


def same_correlation(channel, weights):
    return signal.correlate2d(channel, weights, "same")


def test_preprocess_of_one_colour():
    image = np.empty((300, 500, 3), np.uint8)
    image[...] = (10, 20, 30)
    out = preprocess(image)
    assert out.shape == (1, 3, 224, 224) and out.dtype == np.float32 and out.flags.c_contiguous
    wanted = np.array([30, 20, 10], np.float32) - np.array(IMAGENET_MEAN_BGR, np.float32)
    np.testing.assert_allclose(out[0], np.broadcast_to(wanted[:, None, None], (3, 224, 224)), atol=1e-3)


def test_preprocess_crops_the_centre_without_distortion():
    rows, columns = np.mgrid[0:256, 0:400].astype(np.float32)
    image = np.stack([columns, rows, 0 * rows], axis=2)
    out = preprocess(image, mean=(0, 0, 0))
    np.testing.assert_allclose(out[0, 2], np.broadcast_to(columns[0, 88:312], (224, 224)), atol=1e-3)
    np.testing.assert_allclose(out[0, 1], np.broadcast_to(rows[16:240, :1], (224, 224)), atol=1e-3)


def test_preprocess_scales_like_another_implementation():
    image_module = pytest.importorskip("PIL.Image")
    image = np.random.RandomState(0).randint(0, 256, (90, 60, 3)).astype(np.uint8)
    for size in (30, 120):
        whole = image_module.fromarray(image).resize((size, size * 3 // 2), image_module.Resampling.BILINEAR)
        theirs = np.asarray(whole)[size // 4 : size // 4 + size].astype(np.float32)
        mine = preprocess(image, size=size, shorter_side=size, mean=(0, 0, 0))[0, ::-1].transpose(1, 2, 0)
        assert np.abs(mine - theirs).max() <= 1.0  # PIL rounds to integers, twice


def test_preprocess_of_grey_and_of_nonsense():
    assert preprocess(np.zeros((30, 40))).shape == (1, 3, 224, 224)
    with pytest.raises(ValueError, match=r"image has shape \(3, 30, 40\)"):
        preprocess(np.zeros((3, 30, 40)))
    with pytest.raises(ValueError, match="nothing to crop from"):
        preprocess(np.zeros((30, 40, 3)), size=300)
