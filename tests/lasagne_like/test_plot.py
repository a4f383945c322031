"""Plots: what is drawn, read from the figures; files that are written; errors."""

import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from lasagne_like.data import Preprocess
from lasagne_like.layers import Conv2DLayer, DenseLayer, GlobalPoolLayer, InputLayer
from lasagne_like.nonlinearities import rectify, softmax
from lasagne_like.plot import (
    confusion_matrix,
    plot_activations,
    plot_attribution,
    plot_confusion,
    plot_errors,
    plot_explanations,
    plot_filters,
    plot_history,
    plot_pictures,
    plot_runs,
    plot_statistics,
    worst_mistakes,
)
from lasagne_like.plot.figures import shown
from lasagne_like.watch import layer_statistics

RNG = np.random.default_rng(0)
HISTORY = {
    "epoch": [1, 2, 3],
    "train_loss": [2.0, 1.0, 0.5],
    "valid_loss": [2.1, 1.2, 0.9],
    "valid_error": [0.5, 0.25, 0.2],
    "valid_f1": [0.1, 0.2, 0.3],
    "dead_units": [0.0, 1.0, 2.0],
    "learning_rate": [0.1, 0.1, 0.1],
    "seconds": [1.0, 1.0, 1.0],
}


def written(path):
    from PIL import Image

    with Image.open(path) as image:
        return image.size[0] > 100 and len(np.unique(np.asarray(image.convert("L")))) > 5


def lines(axes):
    return {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}


def images(figure):
    return [image for axes in figure.get_axes() for image in axes.images]


def test_history(tmp_path):
    figure = plot_history(HISTORY, tmp_path / "history.png", title="a run")
    assert written(tmp_path / "history.png")
    panels = {axes.get_ylabel(): axes for axes in figure.axes}
    assert list(panels) == ["loss", "error [%]", "f1", "dead_units"]
    assert lines(panels["loss"]) == {"training": [2.0, 1.0, 0.5], "validation": [2.1, 1.2, 0.9]}
    assert panels["loss"].get_yscale() == "log"
    assert lines(panels["error [%]"]) == {"validation": [50.0, 25.0, 20.0]}
    assert figure.get_suptitle() == "a run"
    negative = plot_history({"epoch": [1, 2], "train_loss": [-1.0, float("nan")]})
    assert negative.axes[0].get_yscale() == "linear"
    with pytest.raises(ValueError, match="holds no epoch"):
        plot_history({})


def test_several_runs(tmp_path):
    other = HISTORY | {"valid_error": [0.5, 0.45, 0.4]}
    shorter = {"epoch": [1, 2], "valid_error": [0.3, 0.15]}
    figure = plot_runs({"with": HISTORY, "without": [other, shorter]}, tmp_path / "runs.png", title="dropout")
    assert written(tmp_path / "runs.png")
    (axes,) = figure.axes
    drawn = lines(axes)
    np.testing.assert_allclose(drawn["with"], [50, 25, 20])
    np.testing.assert_allclose(drawn["without"], [40, 30])
    assert len(axes.collections) == 1 and axes.get_ylabel() == "validation error [%]"
    assert lines(plot_runs({"a": HISTORY}, quantity="train_loss").axes[0]) == {"a": [2.0, 1.0, 0.5]}
    with pytest.raises(ValueError, match="'valid_auc' is not in the history of 'with', which holds train_loss, valid"):
        plot_runs({"with": HISTORY}, quantity="valid_auc")
    with pytest.raises(ValueError, match="no runs"):
        plot_runs({})
    with pytest.raises(ValueError, match="'a' holds no history"):
        plot_runs({"a": []})


def test_errors_by_labels(tmp_path):
    figure = plot_errors([10, 100], {"scratch": [0.5, 0.3]}, tmp_path / "errors.png", spread={"scratch": [0.1, 0.1]})
    assert written(tmp_path / "errors.png")
    np.testing.assert_allclose(figure.axes[0].get_lines()[0].get_ydata(), [50, 30])


def test_filters():
    found = images(plot_filters(RNG.standard_normal((5, 3, 2, 2))))
    assert len(found) == 5 and found[0].get_array().shape == (2, 2, 3)
    found = images(plot_filters(RNG.standard_normal((4, 2, 3, 3))))
    assert len(found) == 4 and found[0].get_array().shape == (3, 6)
    assert len(images(plot_filters(np.zeros((9, 7)), columns=2))) == 7
    with pytest.raises(ValueError, match=r"W has shape \(5,\)"):
        plot_filters(np.zeros(5))


def test_filters_of_a_layer():
    W = RNG.standard_normal((4, 3, 2, 2))
    layer = Conv2DLayer(InputLayer((None, 3, 6, 6)), 4, 2, W=W)
    rgb, bgr = (images(plot_filters(layer, channels=order))[0].get_array() for order in ("rgb", "bgr"))
    np.testing.assert_allclose(rgb, bgr[..., ::-1])
    np.testing.assert_allclose(rgb, (0.5 + 0.5 * W[0] / np.abs(W[0]).max()).transpose(1, 2, 0), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="has no weights W"):
        plot_filters(InputLayer((None, 3)))
    with pytest.raises(ValueError, match="expected 'rgb' or 'bgr'"):
        plot_filters(layer, channels="hsv")


def test_notebooks_show_figures():
    figure = plot_history(HISTORY)
    assert figure._repr_png_().startswith(b"\x89PNG\r\n")
    assert pickle.loads(pickle.dumps(figure)).axes[0].get_ylabel() == "loss"


def network():
    net = InputLayer((None, 2, 6, 6), name="input")
    net = Conv2DLayer(net, 3, 3, W=RNG.standard_normal((3, 2, 3, 3)), nonlinearity=rectify, name="conv")
    return DenseLayer(GlobalPoolLayer(net), 4, nonlinearity=softmax, name="out")


def test_activations(tmp_path):
    net = network()
    picture = RNG.standard_normal((2, 6, 6)).astype("float32")
    found = images(plot_activations(net, picture, "conv", tmp_path / "maps.png"))
    assert written(tmp_path / "maps.png") and len(found) == 3 and found[0].get_array().shape == (4, 4)
    conv = net.input_layer.input_layer
    patches = np.lib.stride_tricks.sliding_window_view(picture, (3, 3), (1, 2))[..., ::-1, ::-1]
    maps = np.maximum(np.einsum("cijrs,kcrs->kij", patches, conv.W.get_value()), 0)
    np.testing.assert_allclose(found[1].get_array(), maps[1], rtol=1e-4, atol=1e-5)
    assert len(images(plot_activations(net, picture, conv, count=2))) == 2
    bars = plot_activations(net, picture[None], "out").axes[0].patches
    assert len(bars) == 4 and abs(sum(bar.get_height() for bar in bars) - 1) < 1e-5
    with pytest.raises(ValueError, match="expected one picture, got 2"):
        plot_activations(net, np.stack([picture, picture]), "conv")


def test_shown_pictures():
    red = np.zeros((3, 2, 4), "uint8")
    red[0] = 255
    np.testing.assert_array_equal(shown(red)[0, 0], [1, 0, 0])
    np.testing.assert_array_equal(shown(red.transpose(1, 2, 0)), shown(red))
    assert shown(np.zeros((1, 2, 4))).shape == shown(np.zeros((2, 4))).shape == (2, 4)
    np.testing.assert_allclose(shown(np.array([[[-1.0, 3.0]]])), [[0, 1]])
    for channels in ("rgb", "bgr"):
        preprocess = Preprocess(channels=channels, scale=1 / 255, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
        picture = RNG.integers(0, 256, (3, 5, 6)).astype("uint8")
        made = preprocess(picture)[0]
        np.testing.assert_allclose(shown(made, preprocess), picture.transpose(1, 2, 0) / 255, atol=1e-5)
    with pytest.raises(ValueError, match=r"shape \(2, 5, 5\)"):
        shown(np.zeros((2, 5, 5)))


def test_pictures(tmp_path):
    pictures = RNG.integers(0, 256, (5, 3, 8, 8)).astype("uint8")
    figure = plot_pictures(pictures, tmp_path / "pictures.png", titles=list("abcde"))
    assert written(tmp_path / "pictures.png") and len(images(figure)) == 5
    assert [axes.get_title() for axes in figure.axes][:5] == list("abcde")
    with pytest.raises(ValueError, match="2 titles for 5"):
        plot_pictures(pictures, titles=["a", "b"])
    with pytest.raises(ValueError, match="no pictures"):
        plot_pictures([])


def test_confusion_matrix():
    true, found = RNG.integers(0, 4, 200), RNG.integers(0, 4, 200)
    expected = [[((true == k) & (found == j)).sum() for j in range(4)] for k in range(4)]
    np.testing.assert_array_equal(confusion_matrix(true, found), expected)
    scores = RNG.standard_normal((200, 4))
    np.testing.assert_array_equal(confusion_matrix(np.eye(4)[true], scores), confusion_matrix(true, scores.argmax(1)))
    np.testing.assert_array_equal(confusion_matrix([0, 1, 1], [[0.2], [0.9], [0.4]]), [[1, 0], [1, 1]])
    assert confusion_matrix([0], [0], 3).shape == (3, 3)
    for arguments, text in (
        (([0, 5], [0, 1], 3), "classes must be 0 to 2, got 0 to 5"),
        (([0, 1], [0]), "expected equal numbers"),
        (([], []), "expected equal numbers"),
        (([0, 1], [0.2, 0.9]), "predictions are fractions"),
    ):
        with pytest.raises(ValueError, match=text):
            confusion_matrix(*arguments)


def test_confusion_and_worst_mistakes(tmp_path):
    true = np.array([0, 0, 1, 1, 0])
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.8, 0.2], [0.1, 0.9], [0.01, 0.99]])
    assert list(worst_mistakes(true, probabilities)) == [4, 2, 1]
    assert list(worst_mistakes(true, probabilities, 1)) == [4]
    assert list(worst_mistakes(true, probabilities.argmax(1))) == [1, 2, 4]
    pictures = RNG.integers(0, 256, (5, 3, 8, 8)).astype("uint8")
    figure = plot_confusion(true, probabilities, ["cat", "dog"], tmp_path / "confusion.png", pictures=pictures)
    assert written(tmp_path / "confusion.png")
    matrix, *mistakes = images(figure)
    np.testing.assert_allclose(matrix.get_array(), [[1 / 3, 2 / 3], [0.5, 0.5]])
    assert len(mistakes) == 3
    np.testing.assert_allclose(mistakes[0].get_array(), pictures[4].transpose(1, 2, 0) / 255)
    titles = [axes.get_title() for axes in figure.get_axes()]
    assert titles[0] == "40.0% correct of 5" and titles[1] == "cat\ntaken for dog (99%)"
    assert sorted(text.get_text() for text in figure.get_axes()[0].texts) == ["1", "1", "1", "2"]
    assert len(images(plot_confusion(true, true, pictures=pictures))) == 1  # no mistakes
    with pytest.raises(ValueError, match="4 pictures for 5 predictions"):
        plot_confusion(true, probabilities, pictures=pictures[:4])


def test_attribution(tmp_path):
    pictures = RNG.random((2, 1, 6, 6))
    maps = {"heat": RNG.random((2, 6, 6)), "signed": RNG.standard_normal((2, 6, 6)), "own": RNG.random((2, 3, 6, 6))}
    figure = plot_attribution(pictures, maps, tmp_path / "maps.png", titles=["one", "two"])
    assert written(tmp_path / "maps.png")
    rows = np.reshape(figure.axes, (2, 4))
    assert [axes.get_title() for axes in rows[0]] == ["one", "heat", "signed", "own"]
    np.testing.assert_array_equal(rows[1, 1].images[1].get_array(), maps["heat"][1])
    assert [len(axes.images) for axes in rows[0]] == [1, 2, 2, 1]
    low, high = rows[0, 2].images[1].get_clim()
    assert low == -high
    with pytest.raises(ValueError, match=r"maps 'heat' have shape \(2, 3, 3\)"):
        plot_attribution(pictures, {"heat": np.zeros((2, 3, 3))})
    with pytest.raises(ValueError, match="1 titles for 2 pictures"):
        plot_attribution(pictures, {}, titles=["one"])


def test_explanations(tmp_path):
    net = InputLayer((None, 3, 8, 8))
    net = Conv2DLayer(net, 3, 3, nonlinearity=rectify)
    net = DenseLayer(GlobalPoolLayer(net), 2, nonlinearity=softmax)
    pictures = RNG.integers(0, 256, (2, 3, 8, 8)).astype("uint8")
    methods = ("saliency", "guided_backprop", "grad_cam", "cam", "occlusion")
    figure = plot_explanations(net, pictures, 1, tmp_path / "explained.png", methods=methods)
    assert written(tmp_path / "explained.png") and len(figure.axes) == 12
    assert [axes.get_title() for axes in figure.axes[1:3]] == ["saliency", "guided backprop"]
    with pytest.raises(ValueError, match="'lime' is none of saliency"):
        plot_explanations(net, pictures, methods=["lime"])


def test_statistics(tmp_path):
    net = network()
    X = RNG.standard_normal((7, 2, 6, 6))
    one, other = layer_statistics(net, X), layer_statistics(net, X, RNG.integers(0, 4, 7))
    figure = plot_statistics({"before": one, "after": other}, tmp_path / "statistics.png")
    assert written(tmp_path / "statistics.png") and len(figure.axes) == 3
    np.testing.assert_allclose(lines(figure.axes[0])["before"], [row.std for row in one.rows])
    np.testing.assert_allclose(lines(figure.axes[2])["after"], [row.gradient_std for row in other.rows])
    assert len(plot_statistics(one).axes) == 2
    with pytest.raises(ValueError, match="no statistics"):
        plot_statistics({})


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        plot_history(HISTORY)


def test_pyplot_is_not_used():
    import subprocess

    code = "import sys; from lasagne_like.plot import plot_history as p; p({'epoch': [1], 'train_loss': [1.0]});"
    code += "assert 'matplotlib.pyplot' not in sys.modules and 'matplotlib.figure' in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_wrong_order_and_labels_in_a_confusion_matrix():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    with pytest.raises(ValueError, match="the true classes come first"):
        confusion_matrix(probabilities, [0, 1, 1])
    with pytest.raises(TypeError, match="targets have dtype <U3: expected class numbers"):
        confusion_matrix(["cat", "dog", "dog"], probabilities)
    np.testing.assert_array_equal(confusion_matrix(np.eye(2)[[0, 1, 1]], probabilities), [[1, 0], [1, 1]])


def test_a_trainer_may_be_given_for_its_history():
    history = {"epoch": [1, 2], "train_loss": [2.0, 1.0], "valid_error": [0.5, 0.25]}
    lines = [line for axes in plot_history(SimpleNamespace(history=history)).axes for line in axes.lines]
    assert [list(line.get_ydata()) for line in lines] == [[2.0, 1.0], [50.0, 25.0]]


def test_one_method_of_explanation_may_be_a_string():
    network = DenseLayer(InputLayer((None, 3, 4, 4)), 2, nonlinearity=softmax)
    with pytest.raises(ValueError, match="'gradcam' is none of saliency"):
        plot_explanations(network, np.zeros((1, 3, 4, 4), "float32"), methods="gradcam")
    names = {axes.get_title() for axes in plot_explanations(network, np.ones((1, 3, 4, 4)), methods="saliency").axes}
    assert "saliency" in " ".join(names) and "occlusion" not in " ".join(names)
