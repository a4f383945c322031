"""Weight files: names, both formats, everything or nothing, atomic writes; old pickles without running them."""

import io
import os
import pickle
import struct
import warnings

import numpy as np
import pytest

from lasagne_like.files import (
    LoadReport,
    RefusedPickleError,
    WeightsMismatchError,
    load_weights,
    name_params,
    read_pickle,
    read_recipe,
    save_weights,
)
from lasagne_like.layers import DenseLayer, ElemwiseSumLayer, InputLayer, get_all_param_values, get_all_params


def network(hidden=5, names=("hidden", "out")):
    layer = InputLayer((None, 4), name="input")
    layer = DenseLayer(layer, hidden, name=names[0])
    return DenseLayer(layer, 3, name=names[1])


def values_of(net):
    return [value.copy() for value in get_all_param_values(net)]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_round_trip(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    saved, loaded = network(), network()
    save_weights(path, saved)
    report = load_weights(path, loaded)
    assert report.loaded == ["hidden.W", "hidden.b", "out.W", "out.b"] and report.matches
    assert_same(values_of(saved), values_of(loaded))
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_values_that_are_not_contiguous(tmp_path, suffix):
    saved, loaded = network(), network()
    saved.W.set_value(np.asfortranarray(np.arange(15, dtype=saved.W.dtype).reshape(5, 3)))
    save_weights(tmp_path / f"w{suffix}", saved)
    load_weights(tmp_path / f"w{suffix}", loaded)
    np.testing.assert_array_equal(loaded.W.get_value(), np.arange(15).reshape(5, 3))


def test_a_parameter_called_file(tmp_path):
    layer = DenseLayer((None, 2), 2, name="x")
    layer.W.name = "file"
    save_weights(tmp_path / "w.npz", layer)
    assert "file" in load_weights(tmp_path / "w.npz", layer).loaded


def test_dict_and_list_of_layers(tmp_path):
    net = network()
    as_dict = {"hidden": net.input_layer, "out": net}
    assert list(name_params(as_dict)) == list(name_params(net)) == list(name_params([net]))
    # The order is the network's, whatever the dict's.
    reverse = {"out": net, "hidden": net.input_layer}
    assert list(name_params(reverse).values()) == get_all_params(net)


def test_names_are_derived_where_missing_or_clashing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(name_params(network())) == ["hidden.W", "hidden.b", "out.W", "out.b"]
    unnamed = network(names=(None, None))
    with pytest.warns(UserWarning, match="4 parameters have no name or share it"):
        assert list(name_params(unnamed)) == ["1_DenseLayer.W", "1_DenseLayer.b", "2_DenseLayer.W", "2_DenseLayer.b"]
    with pytest.warns(UserWarning):
        keyed = name_params({"a": unnamed.input_layer, "b": unnamed})
    assert list(keyed) == ["a.W", "a.b", "b.W", "b.b"]
    with pytest.warns(UserWarning):
        clashing = name_params(network(names=("same", "same")))
    assert len(clashing) == 4 and list(clashing.values()) != []


def test_shared_parameters_are_saved_once(tmp_path):
    l_in = InputLayer((None, 4))
    first = DenseLayer(l_in, 4, name="first")
    second = DenseLayer(first, 4, W=first.W, b=first.b, name="second")
    assert list(name_params(ElemwiseSumLayer([first, second]))) == ["first.W", "first.b"]


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_one_error_lists_everything_and_loads_nothing(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    save_weights(path, network(hidden=6, names=("hidden", "other")))
    net = network()
    before = values_of(net)
    with pytest.raises(WeightsMismatchError, match="nothing was loaded") as caught:
        load_weights(path, net)
    report = caught.value.report
    assert report.missing == ["out.W", "out.b"]
    assert report.extra == ["other.W", "other.b"]
    assert report.misshaped == [("hidden.W", (4, 5), (4, 6)), ("hidden.b", (5,), (6,))]
    assert report.loaded == []
    for word in ("out.W", "out.b", "other.W", "other.b", "hidden.W is (4, 5) in the network, (4, 6) in the file"):
        assert word in str(caught.value)
    assert_same(before, values_of(net))


def test_not_strict_loads_what_fits(tmp_path):
    path = tmp_path / "w.npz"
    source, net = network(names=("hidden", "other")), network()
    save_weights(path, source)
    before = values_of(net)
    report = load_weights(path, net, strict=False)
    assert report.loaded == ["hidden.W", "hidden.b"] and report.missing == ["out.W", "out.b"]
    assert_same(values_of(net), values_of(source)[:2] + before[2:])


def test_dtypes(tmp_path):
    net = network()
    good = {name: param.get_value().astype(np.float64) for name, param in name_params(net).items()}
    np.savez(tmp_path / "w.npz", **good)
    load_weights(tmp_path / "w.npz", net)
    assert all(value.dtype == net.W.dtype for value in values_of(net))
    good["out.b"] = np.array([1j, 2, 3])
    np.savez(tmp_path / "w.npz", **good)
    with pytest.raises(WeightsMismatchError, match="out.b is float32 in the network, complex128 in the file"):
        load_weights(tmp_path / "w.npz", net)


def test_positional_npz_of_lasagne_programs(tmp_path):
    saved, net = network(), network()
    np.savez(tmp_path / "model.npz", *get_all_param_values(saved))
    load_weights(tmp_path / "model.npz", net)
    assert_same(values_of(saved), values_of(net))
    np.savez(tmp_path / "model.npz", *get_all_param_values(saved), np.zeros(2))
    with pytest.raises(WeightsMismatchError, match="value 4"):
        load_weights(tmp_path / "model.npz", net)


def test_ten_positions_are_in_numeric_order(tmp_path):
    layer = InputLayer((None, 2))
    for number in range(6):
        layer = DenseLayer(layer, 2, name=f"l{number}")
    values = [value + number for number, value in enumerate(values_of(layer))]
    np.savez(tmp_path / "m.npz", *values)
    load_weights(tmp_path / "m.npz", layer)
    assert_same(values_of(layer), values)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pkl"])
def test_damaged_files_change_nothing(tmp_path, suffix):
    net = network()
    before = values_of(net)
    whole = tmp_path / "whole"
    if suffix == ".pkl":
        whole = whole.with_suffix(suffix)
        whole.write_bytes(pickle.dumps({"param values": before}, protocol=2))
    else:
        whole = whole.with_suffix(suffix)
        save_weights(whole, network())
    data = whole.read_bytes()
    for number, part in enumerate((b"", data[: len(data) // 2], b"something else" * 9)):
        path = tmp_path / f"damaged{number}{suffix}"
        path.write_bytes(part)
        with pytest.raises(ValueError, match="damaged"):
            load_weights(path, net)
    assert_same(before, values_of(net))


def test_other_suffixes_and_missing_files(tmp_path):
    with pytest.raises(
        ValueError, match="cannot save weights as 'w.h5': expected a name ending in .safetensors or .npz"
    ):
        save_weights(tmp_path / "w.h5", network())
    with pytest.raises(ValueError, match="cannot save weights as 'w.pkl'"):
        save_weights(tmp_path / "w.pkl", network())
    with pytest.raises(FileNotFoundError, match="no weight file"):
        load_weights(tmp_path / "w.npz", network())
    with pytest.raises(TypeError, match="network: expected a Layer"):
        save_weights(tmp_path / "w.npz", 3)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"w{suffix}"
    old, new = network(), network()
    save_weights(path, old)

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        save_weights(path, new)
    monkeypatch.undo()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    load_weights(path, new)
    assert_same(values_of(old), values_of(new))


def test_report_as_text():
    assert str(LoadReport(loaded=["a", "b"])) == "all 2 parameters loaded"


# The recipes' pickles.


def python2_bytes(data):
    """A byte string as Python 2 wrote it in protocol 2."""
    head = b"U" + bytes([len(data)]) if len(data) < 256 else b"T" + struct.pack("<i", len(data))
    return head + data


def python2_array(array):
    """An array as Python 2 and its NumPy pickled it in protocol 2, opcode by opcode."""
    code = array.dtype.str[1:].encode()
    order = {"<": b"<", "|": b"|", ">": b">"}[array.dtype.str[0]]
    shape = b"(" + b"".join(b"J" + struct.pack("<i", n) for n in array.shape) + b"t"
    dtype = b"cnumpy\ndtype\n" + python2_bytes(code) + b"K\x00K\x01\x87R(K\x03" + python2_bytes(order)
    dtype += b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    start = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + python2_bytes(b"b") + b"\x87R"
    return start + b"(K\x01" + shape + dtype + b"\x89" + python2_bytes(array.tobytes()) + b"tb"


def python2_recipe(values):
    arrays = b"".join(python2_array(value) for value in values)
    content = b"\x80\x02}(" + python2_bytes(b"param values") + b"](" + arrays + b"e"
    content += (
        python2_bytes(b"synset words") + b"](" + python2_bytes(b"n01440764 tench") + python2_bytes(b"caf\xe9") + b"e"
    )
    content += python2_bytes(b"mean value") + python2_array(np.array([103.939, 116.779, 123.68], "<f4"))
    return content + python2_bytes(b"model type") + python2_bytes(b"vgg") + b"u."


def test_python2_recipe(tmp_path):
    saved, net = network(), network()
    values = values_of(saved)
    path = tmp_path / "vgg.pkl"
    path.write_bytes(python2_recipe(values))
    recipe = read_recipe(path)
    assert_same(recipe.param_values, values)
    assert recipe.synset_words == ["n01440764 tench", "caf\xe9"]
    np.testing.assert_array_equal(recipe.mean, np.array([103.939, 116.779, 123.68], np.float32))
    assert recipe.extra == {"model type": "vgg"}
    report = load_weights(path, net)
    assert report.matches and report.classes == recipe.synset_words
    assert_same(values_of(net), values)


def test_protocol_0_as_python_2_wrote_it():
    # repr-quoted byte strings with escapes, as cPickle wrote the smallest recipes
    array = np.array([1.5, -2.0], "<f4")
    text = (
        b"cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\np1\n(I0\ntp2\nS'b'\np3\ntp4\nRp5\n"
        b"(I1\n(I2\ntp6\ncnumpy\ndtype\np7\n(S'f4'\np8\nI0\nI1\ntp9\nRp10\n(I3\nS'<'\np11\nNNNI-1\nI-1\nI0\ntp12\nb"
        b"I00\nS" + b"'" + "".join(f"\\x{byte:02x}" for byte in array.tobytes()).encode() + b"'\np13\ntp14\nb."
    )
    np.testing.assert_array_equal(read_pickle(io.BytesIO(text)), array)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol(protocol):
    content = {
        "param values": [np.arange(6, dtype="f4").reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3))],
        "big endian": np.array([1, 2, 3], ">i4"),
        "empty": np.zeros((0, 3), np.float32),
        "flags": np.array([True, False]),
        "scalar": np.float32(2.5),
        "nested": ("a", [np.ones(2, np.int64)], {"b": 1.5}),
    }
    read = read_pickle(io.BytesIO(pickle.dumps(content, protocol)))
    assert list(read) == list(content)
    assert_same(read["param values"], content["param values"])
    np.testing.assert_array_equal(read["big endian"], [1, 2, 3])
    assert read["big endian"].dtype.isnative
    assert read["empty"].shape == (0, 3) and read["flags"].dtype == bool
    assert read["scalar"] == 2.5 and read["scalar"].dtype == np.float32
    assert read["nested"][0] == "a" and read["nested"][2] == {"b": 1.5}
    np.testing.assert_array_equal(read["nested"][1][0], [1, 1])


class Hostile:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
@pytest.mark.parametrize(
    "call, name",
    [
        ((os.system, "touch {}"), "system"),
        ((eval, "open({!r}, 'w')"), "eval"),
        ((getattr, "x", "y"), "getattr"),
        ((np.fromfile, "{}"), "fromfile"),
        ((np.load, "{}"), "load"),
        ((__import__, "os"), "__import__"),
    ],
)
def test_hostile_pickles_are_refused_by_name(tmp_path, protocol, call, name):
    mark = tmp_path / "mark"
    call = [part.format(str(mark)) if isinstance(part, str) else part for part in call]
    path = tmp_path / "vgg.pkl"
    path.write_bytes(pickle.dumps({"param values": [Hostile(*call)]}, protocol))
    net = network()
    before = values_of(net)
    with pytest.raises(RefusedPickleError, match=rf"asks for [\w.]+\.{name}, .*refused"):
        load_weights(path, net)
    assert not mark.exists()
    assert_same(before, values_of(net))


def crafted(*parts):
    return io.BytesIO(b"".join(parts) + b".")


@pytest.mark.parametrize(
    "data, message",
    [
        # dotted names that climb out of an allowed module
        (b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93", "ndarray.dumps"),
        (b"cos\nsystem\n(S'true'\ntR", "os.system"),
        (b"(S'true'\nios\nsystem\n", "os.system"),
        (b"(cos\nsystem\nS'true'\no", "os.system"),
        (b"cnumpy.core.multiarray\nfromstring\n", "multiarray.fromstring"),
        # altering an allowed global
        (b"cnumpy\ndtype\n}S'__call__'\nNsb", "alter a global"),
        (b"cnumpy\nndarray\nN}S'__slots__'\nNs\x86b", "alter a global"),
        # objects disguised as numbers
        (b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR", "dtype 'O8'"),
        (b"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR", "dtype 'V8'"),
        (
            b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nN(S'a'\nt}S'a'\n(cnumpy\ndtype\n(S'f8'\nI0\nI1\ntRI0\ntsI8\nI1\nI0\ntb",
            "structured",
        ),
        # another class in the place of ndarray
        (b"cnumpy.core.multiarray\n_reconstruct\n(S'x'\n(I0\ntS'b'\ntR", "only numpy.ndarray"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR", "without its items"),
        (b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'f8'\nI0\nI1\ntRS'abc'\ntR", "3 bytes"),
        (b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR", "rot13"),
        (b"Pname\n", "outside itself"),
        (b"cnumpy\ndtype\n", "global as a value"),
        (b"\x80\x02" + b"]" * 3000 + b"a" * 2999, "deep"),
    ],
)
def test_crafted_pickles(data, message):
    with pytest.raises(RefusedPickleError, match=message):
        read_pickle(crafted(data))


def test_array_whose_bytes_do_not_fit_its_shape():
    good = python2_array(np.zeros((2, 3), "<f4"))
    bad = good.replace(b"J" + struct.pack("<i", 3), b"J" + struct.pack("<i", 4))
    with pytest.raises(RefusedPickleError, match=r"24 bytes for an array of shape \(2, 4\)"):
        read_pickle(crafted(b"\x80\x02", bad))
    negative = good.replace(b"J" + struct.pack("<i", 3), b"J" + struct.pack("<i", -3))
    with pytest.raises(RefusedPickleError, match="shape"):
        read_pickle(crafted(b"\x80\x02", negative))


def test_containers_that_share_or_contain_themselves_end():
    knot = []
    knot.append(knot)
    read = read_pickle(io.BytesIO(pickle.dumps(knot, 2)))
    assert read[0] is read
    doubling = [np.ones(1, np.float32)]
    for _ in range(60):
        doubling = [doubling, doubling]
    read = read_pickle(io.BytesIO(pickle.dumps(doubling, 2)))
    assert read[0] is read[1]


def test_recipes_without_values(tmp_path):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"weights": [1, 2]}, 2))
    with pytest.raises(ValueError, match="no list of arrays under 'param values'.*'weights'"):
        read_recipe(path)
    path.write_bytes(pickle.dumps("text", 2))
    with pytest.raises(ValueError, match="holds a str"):
        read_recipe(path)
