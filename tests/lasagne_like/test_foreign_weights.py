"""Weights of other libraries: files that these wrote, and damaged and hostile ones; no code is executed."""

import io
import os
import pickle
import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

import symc
from lasagne_like import load_weights, nonlinearities
from lasagne_like.files import ModelFileError, RefusedPickleError, WeightsMismatchError, read_weights
from lasagne_like.files.torch import read_torch
from lasagne_like.layers import (
    BatchNormLayer,
    Conv2DLayer,
    DenseLayer,
    FlattenLayer,
    InputLayer,
    MaxPool2DLayer,
    NonlinearityLayer,
    get_all_layers,
    get_all_param_values,
    get_output,
)

FOREIGN = Path(__file__).parent / "foreign"
ANSWERS = np.load(FOREIGN / "answers.npz")

# File to the library whose outputs are known, and the epsilon of its batch normalisation.
FILES = {
    "zip.pth": ("torch", 1e-5),
    "checkpoint.pt": ("torch", 1e-5),
    "legacy.pth": ("torch", 1e-5),
    "net.onnx": ("torch", 1e-5),
    "keras2.h5": ("keras", 1e-3),
    "keras3.weights.h5": ("keras", 1e-3),
}


def network(epsilon, flip=False, names=("conv", "bn", "dw", "fc"), flatten=False):
    conv, norm, depthwise, dense = names
    net = InputLayer((None, 3, 6, 5), name="input")
    net = Conv2DLayer(net, 4, 3, pad=1, b=None, nonlinearity=None, flip_filters=flip, name=conv)
    net = NonlinearityLayer(BatchNormLayer(net, epsilon=epsilon, name=norm), nonlinearities.rectify)
    net = Conv2DLayer(net, 4, 3, pad=1, num_groups=4, flip_filters=flip, name=depthwise)
    net = MaxPool2DLayer(net, 2)
    return DenseLayer(FlattenLayer(net) if flatten else net, 5, nonlinearity=None, name=dense)


def outputs(net):
    compute = symc.function([get_all_layers(net)[0].input_var], get_output(net, deterministic=True))
    return compute(ANSWERS["x"])


@pytest.mark.parametrize("other_names", [False, True])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_outputs_are_those_of_the_other_library(name, flip, other_names):
    if name.endswith(".h5"):
        pytest.importorskip("h5py")
    library, epsilon = FILES[name]
    names = ("first", "second", "third", "last") if other_names else ("conv", "bn", "dw", "fc")
    net = network(epsilon, flip, names, flatten=other_names)
    report = load_weights(FOREIGN / name, net)
    assert report.matches and len(report.loaded) == 9
    np.testing.assert_allclose(outputs(net), ANSWERS[library], rtol=1e-5, atol=1e-5)


def test_names_of_the_first_versions_of_keras(tmp_path):
    """Such as ``block1_conv1_W_1:0`` in the files of VGG."""
    h5py = pytest.importorskip("h5py")
    arrays = read_torch(FOREIGN / "zip.pth")
    path = tmp_path / "old.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"input_1", b"block1_conv1", b"fc"]
        for layer, weights in (
            ("input_1", []),
            ("block1_conv1", ["dw.weight", "dw.bias"]),
            ("fc", ["fc.weight", "fc.bias"]),
        ):
            group = file.create_group(layer)
            names = [f"{layer}_{short}_1:0" for short, _ in zip("Wb", weights)]
            group.attrs["weight_names"] = np.array([name.encode() for name in names], "S40")
            for name, weight in zip(names, weights):
                array = arrays[weight]
                group[name] = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
    net = Conv2DLayer(InputLayer((None, 1, 5, 5), name="input"), 4, 3, name="first")
    net = DenseLayer(FlattenLayer(MaxPool2DLayer(net, 3)), 5, name="last")
    report = load_weights(path, net, strict=False)
    assert report.loaded[:2] == ["first.W", "first.b"] and ("last.W", (4, 5), (24, 5)) in report.misshaped
    np.testing.assert_array_equal(get_all_layers(net)[1].W.get_value()[:, :, ::-1, ::-1], arrays["dw.weight"])


def test_a_network_without_the_classifier_and_one_with_another():
    base = get_all_layers(network(1e-5))[-2]
    with pytest.raises(WeightsMismatchError, match=r"extra in the file \(1\): fc"):
        load_weights(FOREIGN / "zip.pth", base)
    report = load_weights(FOREIGN / "zip.pth", base, strict=False)
    assert report.extra == ["fc"] and not report.missing
    other = DenseLayer(base, 7, name="fc")
    before = get_all_param_values(other)
    with pytest.raises(WeightsMismatchError, match=r"fc.W is \(24, 7\) in the network, \(24, 5\) in the file"):
        load_weights(FOREIGN / "zip.pth", other)
    np.testing.assert_array_equal(before[-2], other.W.get_value())
    report = load_weights(FOREIGN / "zip.pth", other, strict=False)
    assert [name for name, *_ in report.misshaped] == ["fc.W", "fc.b"] and len(report.loaded) == 7


def test_a_bias_that_the_network_lacks_is_not_dropped():
    net = network(1e-5)
    top = DenseLayer(net.input_layer, 5, b=None, nonlinearity=None, name="fc")
    with pytest.raises(WeightsMismatchError, match="fc has b, but .* has no such parameter"):
        load_weights(FOREIGN / "zip.pth", top)


def test_a_name_of_another_kind_of_layer():
    net = network(1e-5, names=("bn", "conv", "dw", "fc"))
    with pytest.raises(WeightsMismatchError, match="bn is of the kind 'batch_norm', but <Conv2DLayer 'bn'> of 'conv'"):
        load_weights(FOREIGN / "zip.pth", net)


def test_kinds_of_tensors():
    found = read_torch(FOREIGN / "kinds.pt")
    wanted = {
        "half": np.arange(4, dtype="float16"),
        "bf": np.array([1.5, -2.25], "float32"),
        "i": np.arange(6).reshape(2, 3).T,
        "b": np.array([True, False]),
        "view": np.array([2, 4, 6], "float32"),
        "param": np.ones(2, "float32"),
        "scalar": np.array(7, "float32"),
    }
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


# Caffe: encoded here by the schema, https://github.com/BVLC/caffe/blob/master/src/caffe/proto/caffe.proto.


def varint(number):
    number &= 2**64 - 1
    result = b""
    while number > 127:
        result += bytes([number & 127 | 128])
        number >>= 7
    return result + bytes([number])


def message(*pairs):
    """Encode (field, value) pairs: ints as varints, everything else as bytes."""
    result = b""
    for field, value in pairs:
        value = value.encode() if isinstance(value, str) else value
        if isinstance(value, int):
            result += varint(field << 3) + varint(value)
        else:
            result += varint(field << 3 | 2) + varint(len(value)) + value
    return result


def blob(array, old=False):
    array = np.asarray(array, "<f4")
    if old:
        sizes = [1] * (4 - array.ndim) + list(array.shape)
        return message(*zip((1, 2, 3, 4), sizes), (5, array.tobytes()))
    return message((7, message((1, b"".join(map(varint, array.shape))))), (5, array.tobytes()))


@pytest.mark.parametrize("old", [False, True])
def test_caffe(tmp_path, old):
    torch = read_torch(FOREIGN / "zip.pth")
    factor = 4.0
    content = [
        ("conv", "Convolution", 4, [torch["conv.weight"]]),
        ("bn", "BatchNorm", 0, [torch["bn.running_mean"] * factor, torch["bn.running_var"] * factor, [factor]]),
        ("scale", "Scale", 0, [torch["bn.weight"], torch["bn.bias"]]),
        ("relu", "ReLU", 18, []),
        ("dw", "Convolution", 4, [torch["dw.weight"], torch["dw.bias"]]),
        ("fc", "InnerProduct", 14, [torch["fc.weight"], torch["fc.bias"]]),
    ]
    if old:  # the first version of the format has no batch normalisation
        content = [layer for layer in content if layer[2]]
    encoded = []
    for name, kind, number, blobs in content:
        if old:
            encoded.append((2, message((4, name), (5, number), *((6, blob(each, old=True)) for each in blobs))))
        else:
            encoded.append((100, message((1, name), (2, kind), *((7, blob(each)) for each in blobs))))
    path = tmp_path / "net.caffemodel"
    path.write_bytes(message((1, "a network"), *encoded))
    net = network(1e-5)
    if old:
        report = load_weights(path, net, strict=False)
        assert report.missing == ["bn.beta", "bn.gamma", "bn.mean", "bn.inv_std"] and not report.extra
        np.testing.assert_array_equal(net.W.get_value(), torch["fc.weight"].T)
        return
    assert load_weights(path, net).matches
    np.testing.assert_allclose(outputs(net), ANSWERS["torch"], rtol=1e-5, atol=1e-5)


# Damaged and hostile files.


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_refused_or_read(name, tmp_path):
    """No damage may lead to anything but ModelFileError, or to arrays."""
    if name.endswith(".h5"):
        pytest.importorskip("h5py")
    data = (FOREIGN / name).read_bytes()
    path = tmp_path / name
    random_ = random.Random(7)
    refused = 0
    for number in range(120):
        damaged = bytearray(data)
        if number % 3 == 0:
            del damaged[random_.randrange(len(data)) :]
        else:
            for _ in range(random_.choice((1, 4))):
                damaged[random_.randrange(len(data))] ^= 1 << random_.randrange(8)
        path.write_bytes(damaged)
        try:
            read_weights(path)
        except ModelFileError:
            refused += 1
    assert refused >= 40


class Hostile:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


def archive(path, pickled, **entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        file.writestr("archive/data.pkl", pickled)
        for name, content in entries.items():
            file.writestr(f"archive/data/{name}", content)


def test_hostile_pickles_run_no_code(tmp_path):
    mark = tmp_path / "mark"
    path = tmp_path / "hostile.pth"
    for call in ((os.system, f"touch {mark}"), (eval, f"open({str(mark)!r}, 'w')"), (getattr, "x", "upper")):
        pickled = pickle.dumps({"a": Hostile(*call)}, 2)
        archive(path, pickled)
        with pytest.raises(RefusedPickleError, match="asks for .*refused"):
            load_weights(path, network(1e-5))
        legacy = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
        path.write_bytes(legacy + pickled)
        with pytest.raises(RefusedPickleError, match="asks for .*refused"):
            load_weights(path, network(1e-5))
    assert not mark.exists()


STORAGE = b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\ntQ"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


@pytest.mark.parametrize(
    "pickled, message",
    [
        (REBUILD + b"(" + STORAGE + b"I0\n(I5\nt(I1\ntI00\nNtR.", "in a storage of 4 items"),
        (REBUILD + b"(" + STORAGE + b"I3\n(I2\nt(I1\ntI00\nNtR.", "in a storage of 4 items"),
        (REBUILD + b"(" + STORAGE + b"I0\n(I1000000000\nt(I0\ntI00\nNtR.", "in a storage of 4 items"),
        (REBUILD + b"(" + STORAGE + b"I0\n(I-2\nt(I1\ntI00\nNtR.", "not valid"),
        (REBUILD + b"(" + STORAGE + b"I0\n(I2\nt(I-1\ntI00\nNtR.", "not valid"),
        # altering a tensor after it was checked
        (REBUILD + b"(" + STORAGE + b"I0\n(I2\nt(I1\ntI00\nNtR}S'offset'\nI99\nsb.", "alter a global"),
        (STORAGE + b"}S'count'\nI99\nsb.", "alter a global"),
        (b"ctorch\nFloatStorage\n}S'dtype'\nS'f8'\nsb.", "alter a global"),
        (b"ctorch.storage\n_load_from_bytes\n(S'x'\ntR.", "_load_from_bytes"),
        (b"(S'module'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\ntQ.", "outside itself"),
        (b"N" + b"r\xff\xff\xff\x7f" + b".", "place 2147483647 of its memo"),
    ],
)
def test_crafted_tensors(pickled, message, tmp_path):
    path = tmp_path / "crafted.pth"
    archive(path, pickled, **{"0": struct.pack("<4f", 1, 2, 3, 4)})
    with pytest.raises(ModelFileError, match=message):
        read_torch(path)


def test_storages_that_do_not_fit(tmp_path):
    path = tmp_path / "x.pth"
    good = REBUILD + b"(" + STORAGE + b"I1\n(I2\nt(I2\ntI00\nNtR."
    archive(path, good, **{"0": struct.pack("<4f", 1, 2, 3, 4)})
    np.testing.assert_array_equal(read_torch(path)["tensor"], [2, 4])
    archive(path, good, **{"0": struct.pack("<3f", 1, 2, 3)})
    with pytest.raises(ModelFileError, match="12 bytes for 4 items"):
        read_torch(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", good)
        file.writestr("archive/data/0", bytes(16))
    with pytest.raises(ModelFileError, match="is compressed"):
        read_torch(path)


def test_other_files_are_named(tmp_path):
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("m/data.pkl", pickle.dumps({}))
        file.writestr("m/code/model.py", "")
    with pytest.raises(ModelFileError, match="TorchScript program; save the state dict"):
        read_torch(path)
    archive(path, pickle.dumps({"a": 1}, 2))
    with pytest.raises(ModelFileError, match="contains no tensors"):
        read_torch(path)
    path.write_bytes(pickle.dumps({"a": 1}, 2))
    with pytest.raises(ModelFileError, match="does not begin with its number"):
        read_torch(path)
    (tmp_path / "x.caffemodel").write_bytes(message((1, "empty")))
    with pytest.raises(ModelFileError, match="no layer with weights"):
        read_weights(tmp_path / "x.caffemodel")
    (tmp_path / "x.onnx").write_bytes(message((2, "producer")))
    with pytest.raises(ModelFileError, match="0 graphs"):
        read_weights(tmp_path / "x.onnx")
    tensor = message((8, "W"), (2, 1), (14, 1))
    (tmp_path / "x.onnx").write_bytes(message((7, message((5, tensor)))))
    with pytest.raises(ModelFileError, match="'W' of the ONNX file is stored in another file"):
        read_weights(tmp_path / "x.onnx")
    with pytest.raises(ValueError, match="expected a name ending in .safetensors, .npz, .pkl"):
        read_weights(tmp_path / "x.mat")


def test_deep_and_shared_containers_end(tmp_path):
    doubling = [1]
    for _ in range(60):
        doubling = [doubling, doubling]
    buffer = io.BytesIO()
    pickle.dump(doubling, buffer, 2)
    archive(tmp_path / "x.pth", buffer.getvalue())
    with pytest.raises(ModelFileError, match="contains no tensors"):
        read_torch(tmp_path / "x.pth")
