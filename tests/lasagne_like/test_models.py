"""The networks: names, parameter counts, shapes, agreement with recorded outputs of PyTorch, arguments."""

import numpy as np
import pytest
from scipy import signal, special

import symc
import symc.tensor as T
from lasagne_like import models
from lasagne_like.layers import (
    Conv2DLayer,
    DenseLayer,
    MaxPool2DLayer,
    NonlinearityLayer,
    count_params,
    get_all_params,
    get_output,
)
from lasagne_like.models import IMAGENET_BGR, Model, small_vgg
from lasagne_like.models.stack import Stack
from lasagne_like.nonlinearities import rectify, softmax

VGG = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}

# Numbers of parameters as PyTorch counts them, without the running averages of batch normalisation.
COUNTS = {
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "efficientnet_lite0": 4_652_008,
    "lenet5": 61_706,
}


@pytest.mark.parametrize("name", COUNTS)
def test_numbers_of_parameters(name):
    net = getattr(models, name)()
    assert isinstance(net, Model) and net.name == name
    assert count_params(net.output_layer, trainable=True) == COUNTS[name]
    assert all(layer.name == key for key, layer in net.items())
    assert net.output_layer.output_shape == (None, 10 if name == "lenet5" else 1000)
    # Correlations, as in the libraries whose weights these networks take.
    assert not any(layer.flip_filters for layer in net.values() if isinstance(layer, Conv2DLayer))


@pytest.mark.parametrize("name", VGG)
def test_names_of_vgg(name):
    wanted = ["input"]
    for block, number in enumerate(VGG[name], start=1):
        wanted += [f"conv{block}_{k}" for k in range(1, number + 1)] + [f"pool{block}"]
    wanted += ["fc6", "fc6_dropout", "fc7", "fc7_dropout", "fc8", "prob"]
    net = getattr(models, name)()
    assert list(net) == wanted
    names = [param.name for param in get_all_params(net["prob"])]
    assert names[:2] == ["conv1_1.W", "conv1_1.b"] and names[-1] == "fc8.b"
    normalised = getattr(models, name)(batch_norm=True)
    assert list(normalised)[:4] == ["input", "conv1_1", "bn1_1", "relu1_1"] and normalised.name == f"{name}_bn"
    channels = sum(n * c for n, c in zip(VGG[name], (64, 128, 256, 512, 512)))
    assert count_params(normalised["prob"], trainable=True) == COUNTS[name] + 2 * channels


def fill(net):
    """Set every parameter by a formula of its position, as the recorded outputs' program did in PyTorch's layout."""
    for number, layer in enumerate(layer for layer in net.values() if layer.params):
        if hasattr(layer, "inv_std"):
            k = np.arange(layer.mean.get_value().size)
            values = {"gamma": 1 + 0.3 * wave(k, number), "beta": 0.2 * wave(k, number + 0.5)}
            values["mean"] = 0.1 * wave(k, number + 1)
            values["inv_std"] = 1 / np.sqrt(1 + 0.5 * wave(k, number + 1.5) + layer.epsilon)
        else:
            shape = layer.W.get_value(borrow=True).shape
            torch_shape = shape[::-1] if len(shape) == 2 else shape
            W = wave(np.arange(np.prod(shape)), number).reshape(torch_shape) * np.sqrt(4 / np.prod(torch_shape[1:]))
            values = {"W": W.T if len(shape) == 2 else W}
            if layer.b is not None:
                values["b"] = 0.1 * wave(np.arange(layer.b.get_value().size), number + 0.5)
        for name, value in values.items():
            param = getattr(layer, name)
            param.set_value(np.asarray(value, param.dtype))


def wave(k, shift):
    """Values from -1 to 1 that hardly correlate."""
    return np.sin(12.9898 * (k % 4093) + 78.233 * (k // 4093 % 4093) + 3.7 * shift)


def pictures(shape):
    return wave(np.arange(np.prod(shape)), 0.25).reshape(shape).astype("float32")


# (builder, arguments, four projections of the outputs, before the softmax, of two pictures), computed by PyTorch 2.13
# and torchvision 0.28 with the same weights; LeNet and EfficientNet-Lite by modules written from the papers.
RECORDED = [
    (
        "vgg11",
        {"input_shape": (3, 48, 64), "include_top": False},
        [[-0.457142, -0.395299, -0.263634, -0.0854037], [-0.043911, 0.229929, 0.463156, 0.614577]],
    ),
    (
        "vgg13",
        {"input_shape": (3, 32, 32), "include_top": False, "batch_norm": True},
        [[1.1719, 1.21995, 1.05252, 0.699188], [1.16288, 1.20028, 1.02568, 0.669911]],
    ),
    (
        "resnet18",
        {"input_shape": (3, 64, 80)},
        [[-9.08329, -9.43084, -8.11263, -5.36148], [-6.66485, -7.51574, -7.03913, -5.3192]],
    ),
    (
        "resnet34",
        {"input_shape": (3, 33, 49), "num_classes": 7},
        [[4.58706, 3.88272, 2.49258, 0.662173], [4.77068, 4.03772, 2.59158, 0.687692]],
    ),
    (
        "resnet50",
        {"input_shape": (3, 64, 64)},
        [[-9.00889, 60.9042, 120.06, 158.009], [-9.02525, 61.2036, 120.622, 158.735]],
    ),
    (
        "efficientnet_lite0",
        {"input_shape": (3, 65, 98)},
        [[-11.1019, -1.25059, 8.82166, 17.3357], [-11.1819, -1.31929, 8.77633, 17.3218]],
    ),
    (
        "efficientnet_lite2",
        {"input_shape": (3, 64, 64), "num_classes": 9},
        [[-0.394056, 4.81457, 9.1728, 11.9108], [-0.394049, 4.8145, 9.17267, 11.9107]],
    ),
    ("lenet5", {}, [[3.21497, 1.2706, -0.898196, -2.90835], [3.16513, 1.18296, -1.00815, -3.02119]]),
    (
        "lenet5",
        {"input_shape": (3, 32, 32), "num_classes": 4, "nonlinearity": rectify, "pool": "max"},
        [[-1.30666, -1.65145, -1.70455, -1.45657], [-0.923413, -1.36133, -1.5588, -1.48094]],
    ),
]


@pytest.mark.parametrize(
    "builder, arguments, recorded", RECORDED, ids=[f"{each[0]}-{k}" for k, each in enumerate(RECORDED)]
)
def test_outputs_are_those_of_pytorch(builder, arguments, recorded):
    net = getattr(models, builder)(**arguments)
    fill(net)
    top = net["prob"].input_layer if "prob" in net else net.output_layer
    compute = symc.function([net["input"].input_var], get_output(top, deterministic=True))
    outputs = compute(pictures((2, *net["input"].shape[1:]))).reshape(2, -1)
    projections = outputs @ wave(np.arange(4 * outputs.shape[1]), 0.75).reshape(-1, 4)
    scale = np.sqrt((outputs**2).sum())
    np.testing.assert_allclose(projections, recorded, rtol=1e-5, atol=1e-5 * scale)


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
    net = Stack("small", (None, 3, 16, 16))
    for number, filters in enumerate((4, 5, 6), start=1):
        net.add(f"conv{number}", Conv2DLayer, filters, 3, pad=1, flip_filters=False)
    net.add("pool", MaxPool2DLayer, 2)
    net.add("fc", DenseLayer, 20)
    net.add("prob", NonlinearityLayer, softmax)
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


def test_the_size_of_pictures_is_free():
    base = models.vgg16(input_shape=(3, 160, 96), include_top=False)
    assert list(base)[-1] == "pool5" and base.output_layer.output_shape == (None, 512, 5, 3)
    free = models.resnet18(input_shape=(3, None, None), num_classes=5)
    run = symc.function([free["input"].input_var], get_output(free["prob"], deterministic=True))
    for size in (32, 45):
        assert run(np.zeros((1, 3, size, size), "float32")).shape == (1, 5)
    any_size = models.vgg16(input_shape=(3, None, None), include_top=False)
    assert any_size.output_layer.output_shape == (None, 512, None, None)
    assert models.efficientnet_lite0(input_shape=(3, 129, 64), include_top=False)["head_relu"].output_shape[2:] == (
        5,
        2,
    )
    assert models.lenet5(include_top=False)["pool2"].output_shape == (None, 16, 5, 5)


@pytest.mark.parametrize(
    "builder, arguments, message",
    [
        ("vgg16", {"input_shape": (224, 224, 3)}, r"channels-first here: \(3, 224, 224\)"),
        ("vgg16", {"input_shape": (None, 3, 224, 224)}, r"leave out the batch: \(3, 224, 224\)"),
        ("resnet18", {"input_shape": (224, 224)}, r"add the channels: \(3, 224, 224\)"),
        ("vgg16", {"input_shape": (3, 31, 64)}, "at least 32 rows and columns"),
        ("vgg16", {"input_shape": (3, None, 64)}, "set include_top=False"),
        ("efficientnet_lite0", {"input_shape": (3, None, None)}, "must not contain None"),
        ("resnet50", {"num_classes": 0}, "num_classes=0 must be a positive integer"),
        ("lenet5", {"pool": "mean"}, "pool='mean' must be 'average' or 'max'"),
        ("vgg16", {"num_classes": 5, "include_top": False}, "num_classes=5 has no effect .*replace_head"),
        ("lenet5", {"num_classes": "ten"}, "num_classes='ten' must be a positive integer"),
        (
            "vgg16",
            {"weights": "imagenets"},
            "neither a file nor the name of weights; for vgg16 there are: vgg16/imagenet",
        ),
        ("resnet18", {"weights": "vgg16/imagenet"}, "are for vgg16, not for resnet18"),
        ("vgg16", {"weights": "imagenet-base"}, "have no classifier: set include_top=False"),
    ],
)
def test_arguments_are_checked(builder, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(models, builder)(**arguments)


def test_what_is_not_weights():
    with pytest.raises(TypeError, match="pass it as input_var"):
        models.vgg16(T.tensor4("x"))
    with pytest.raises(TypeError, match="weights=True must be 'imagenet', another name, the path of a file, or None"):
        models.resnet18(True)


def test_the_preprocessing_of_caffe():
    picture = np.empty((300, 500, 3), np.uint8)
    picture[...] = (10, 20, 30)
    out = IMAGENET_BGR(picture)
    wanted = np.array([30 - 103.939, 20 - 116.779, 10 - 123.68])
    np.testing.assert_allclose(out[0], np.broadcast_to(wanted[:, None, None], (3, 224, 224)), atol=1e-3)
