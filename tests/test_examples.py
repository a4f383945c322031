"""Short runs of every example: they succeed, write the documented files, and the results improve as expected."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import symc
from lasagne_like.files import load_weights, save_weights
from lasagne_like.models import small_vgg

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["mnist", "photos", "transfer", "vgg_classify"])
def test_help(name):
    result = subprocess.run([sys.executable, EXAMPLES / f"{name}.py", "--help"], capture_output=True, text=True)
    assert result.returncode == 0 and "--seed" in result.stdout and f"examples/{name}.py" in result.stdout


@pytest.mark.parametrize("model, most", [("fc64", 0.25), ("fc256x2", 0.25), ("lenet", 0.25)])
def test_mnist(model, most, tmp_path, capsys):
    mnist = load("mnist")
    result = mnist.main(["--model", model, "--limit", "1500", "--epochs", "3", "--out", str(tmp_path)])
    assert result["test_error"] < most
    assert len(result["history"]["epoch"]) == 3
    out = capsys.readouterr().out
    assert "--data DIR takes the full MNIST" in out and f"test error {100 * result['test_error']:.2f} %" in out
    pytest.importorskip("matplotlib")
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{model}.safetensors",
        f"{model}.png",
        f"{model}-filters.png",
    }
    network = mnist.RECIPES[model].build()
    assert load_weights(result["model"], network).matches


def test_mnist_on_the_gpu(emulated_device, tmp_path, capsys):
    arguments = ["--model", "fc64", "--limit", "300", "--epochs", "1", "--out", str(tmp_path)]
    errors = []
    for device in ("cuda", "cpu"):
        with symc.config.change(device="c"):  # the example sets it; the test puts it back
            errors.append(load("mnist").main([*arguments, "--device", device])["test_error"])
    assert abs(errors[0] - errors[1]) < 0.02


@pytest.mark.parametrize(
    "model, parameters", [("fc64", 784 * 64 + 64 + 650), ("fc256x2", 269322), ("lenet", 520 + 25050 + 205056 + 2570)]
)
def test_mnist_architectures(model, parameters):
    from lasagne_like.layers import count_params

    assert count_params(load("mnist").RECIPES[model].build()) == parameters


def test_mnist_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        load("mnist").main(["--data", str(tmp_path / "nowhere"), "--epochs", "1"])


def test_transfer(tmp_path, capsys):
    transfer = load("transfer")
    result = transfer.main(
        ["--limit", "1200", "--epochs", "3", "--counts", "20", "--draws", "2", "--steps", "60", "--out", str(tmp_path)]
    )
    assert result["source_error"] < 0.1
    errors = {method: values.mean() for method, values in result["errors"].items()}
    assert set(errors) == {"from scratch", "frozen", "fine-tuned"}
    assert errors["frozen"] < errors["from scratch"] and errors["fine-tuned"] < errors["from scratch"]
    assert "labelled digits" in capsys.readouterr().out
    assert (tmp_path / "transfer-source.safetensors").exists()
    with pytest.raises(SystemExit, match="multiples of 5"):
        transfer.main(["--counts", "12"])


def tiny_vgg(weights=None):
    network = small_vgg((3, 224, 224), 1000, channels=(2, 2, 2, 2, 2), convolutions=1, dense=4)
    if weights is not None:
        load_weights(weights, network)
    return network


def test_vgg_classify(tmp_path, monkeypatch, capsys):
    classify = load("vgg_classify")
    monkeypatch.setitem(classify.MODELS, "vgg19", tiny_vgg)
    result = classify.main(["--repeat", "1"])
    out = capsys.readouterr().out
    assert "No weights given" in out and "vgg19.pkl" in out and "conv1_1" in out
    assert result["probabilities"].shape == (1000,) and result["parameters"] > 0
    np.testing.assert_allclose(result["probabilities"].sum(), 1, rtol=1e-4)

    image = pytest.importorskip("PIL.Image")
    photo, weights, labels = tmp_path / "photo.png", tmp_path / "w.safetensors", tmp_path / "labels.txt"
    image.fromarray(np.random.RandomState(0).randint(0, 256, (300, 260, 3)).astype(np.uint8)).save(photo)
    save_weights(weights, tiny_vgg())
    labels.write_text("\n".join(f"kind {number}" for number in range(1000)))
    result = classify.main([str(photo), "--weights", str(weights), "--labels", str(labels), "--top", "2"])
    out = capsys.readouterr().out
    assert "No weights given" not in out and f"kind {result['best'][0]}" in out and len(result["best"]) == 2
    with pytest.raises(SystemExit, match="needs --sha256"):
        classify.main([str(photo), "--weights", "https://localhost:1/vgg19.pkl"])


def draw_photographs(folder, count, rng):
    """Blobs and stripes, in colour and noise: a class of pictures per folder."""
    from PIL import Image

    row, column = np.mgrid[:48, :48]
    for part, number in (("train", count), ("test", count // 2)):
        for name in ("blob", "stripes"):
            (folder / part / name).mkdir(parents=True)
            for k in range(number):
                if name == "blob":
                    shape = np.exp(-((column - 24) ** 2 + (row - 24) ** 2) / rng.uniform(60, 120))
                else:
                    shape = np.sin(column * rng.uniform(0.8, 1.2))
                picture = 127 + 80 * shape[..., None] + rng.normal(0, 20, (48, 48, 3))
                Image.fromarray(picture.clip(0, 255).astype("uint8")).save(folder / part / name / f"{k}.jpg")


def test_photos(tmp_path, capsys):
    """The whole sitting: every method, the table, the pictures, and the model in a process of its own."""
    pytest.importorskip("PIL")
    pytest.importorskip("matplotlib")
    from lasagne_like.models import vgg16

    symc_rng = np.random.RandomState(0)
    draw_photographs(tmp_path / "photos", 16, symc_rng)
    weights = tmp_path / "base.safetensors"
    save_weights(weights, vgg16(include_top=False, input_shape=(3, 48, 48)))
    photos = load("photos")
    photos.WIDTHS = (8, 16)
    options = ["--data", str(tmp_path / "photos"), "--size", "48", "--base-size", "64"]
    options += ["--weights", str(weights), "--out", str(tmp_path)]
    result = photos.main(
        [
            *options,
            "--epochs",
            "12",
            "--plain-epochs",
            "6",
            "--head-epochs",
            "3",
            "--tune-epochs",
            "1",
            "--versions",
            "1",
        ]
    )
    assert set(result["errors"]) == set(photos.METHODS)
    assert min(result["errors"]["scratch"] + result["errors"]["augmented"]) <= 0.25
    out = capsys.readouterr().out
    assert "32 photographs to learn from, 16 for testing: blob, stripes" in out and "| fine-tuned |" in out
    assert all((tmp_path / f"photos-{name}.png").stat().st_size > 5000 for name in ("curves", "mistakes", "reasons"))
    picture = tmp_path / "photos" / "test" / "blob" / "0.jpg"
    command = [sys.executable, "-m", "lasagne_like", "predict", str(result["model"]), str(picture), "--json"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert '"blob"' in answer and '"stripes"' in answer
