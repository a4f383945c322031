"""Loads mutated model files; each must be refused by ModelFileError, or load and compute the right answer.

    python tests/lasagne_like/model_file_fuzz.py 10000 [SEED]

Half of the mutations change bytes anywhere in the file. The others change the description or the arrays, and state the
right digest again, so that the checks behind the digest are reached.
"""

import copy
import json
import random
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

import lasagne_like
from lasagne_like import layers as L
from lasagne_like import nonlinearities as nl
from lasagne_like.data import Preprocess
from lasagne_like.files import ModelFileError, model_file
from lasagne_like.files.safetensors_format import read_safetensors, write_safetensors

HOSTILE = [
    None,
    True,
    -1,
    0,
    1,
    2,
    3,
    7,
    10**6,
    10**9,
    2**31,
    2**40,
    2**63,
    10**30,
    0.5,
    -0.0,
    1e308,
    "",
    "x",
    "same",
    "os.system",
    "../../etc/passwd",
    "nonlinearities.__class__",
    "__import__('os').system('touch /tmp/pwned')",
    [],
    {},
    [None],
    [[]],
    {"function": "os.system"},
    {"function": "nonlinearities.tanh"},
    {"function": "tensor.concatenate"},
    {"object": ["nonlinearities.SELU", {"scale": 1e300}]},
    {"object": ["builtins.eval", {}]},
    {"custom": "eval"},
    {"layer": 0},
    {"layer": 10**9},
    {"param": "conv.W"},
    {"param": "missing"},
    {"array": "conv.W"},
    {"tuple": [2, 2]},
    {"tuple": [10**9, 10**9]},
    {"slice": [0, 10**12, 1]},
    {"number": "inf"},
    {"transposed": ["out.W", [1, 0]]},
    {"constant": "out.W"},
    {"dict": {"a": {"dict": {}}}},
]


def example(folder: Path) -> Path:
    """Save a network of many kinds of layers."""
    net = L.InputLayer((None, 3, 8, 8), name="input")
    net = L.batch_norm(L.Conv2DLayer(net, 4, 3, pad=1, nonlinearity=nl.LeakyRectify(0.2), name="conv"))
    side = L.PadLayer(L.SliceLayer(net, slice(0, 4), axis=1, name="slice"), (1, 1), name="pad")
    net = L.ElemwiseSumLayer([net, L.MaxPool2DLayer(side, 3, stride=1, name="pool")], coeffs=[1, 0.5], name="sum")
    net = L.LocalResponseNormalization2DLayer(L.Upscale2DLayer(net, 2, name="up"), n=3, name="lrn")
    net = L.ReshapeLayer(L.DropoutLayer(net, 0.3, name="drop"), ([0], -1), name="reshape")
    net = L.DenseLayer(net, 3, nonlinearity=nl.softmax, name="out")
    path = folder / "whole.safetensors"
    lasagne_like.save(path, net, classes=["a", "b", "c"], preprocess=Preprocess(resize=9, crop=8))
    return path


def bytes_mutated(data: bytes, random_: random.Random) -> bytes:
    """Flip bits, cut, repeat, insert or overwrite."""
    data = bytearray(data)
    # Most of the structure is in the header.
    place = random_.randrange(min(len(data), 6000) if random_.random() < 0.7 else len(data))
    kind = random_.randrange(6)
    if kind == 0:
        for _ in range(random_.choice((1, 1, 2, 8))):
            data[random_.randrange(place + 1)] ^= 1 << random_.randrange(8)
    elif kind == 1:
        del data[place:]
    elif kind == 2:
        del data[place : place + random_.randrange(1, 40)]
    elif kind == 3:
        data[place:place] = random_.randbytes(random_.randrange(1, 40))
    elif kind == 4:
        data[:8] = random_.choice((0, 1, 2, 2**20, 2**62, 2**63, 2**64 - 1, len(data), len(data) - 8)).to_bytes(
            8, "little"
        )
    else:
        data[place : place + 8] = random_.choice(
            (b"9" * 8, b"[" * 8, b'":{"a":1', b"\xff" * 8, b"\x00" * 8, b"1e999,1e")
        )
    return bytes(data)


def places(tree, path=()):
    """Yield the paths of all values in nested dictionaries and lists."""
    yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def tree_mutated(tree, random_: random.Random):
    """Replace, remove, duplicate or move a value."""
    tree = copy.deepcopy(tree)
    for _ in range(random_.choice((1, 1, 1, 2, 3))):
        *parents, key = random_.choice([path for path in places(tree) if path])
        holder = tree
        for each in parents:
            holder = holder[each]
        kind = random_.randrange(8)
        if kind == 0:
            del holder[key]
        elif kind == 1:
            *others, last = random_.choice([path for path in places(tree) if path])
            source = tree
            for each in others:
                source = source[each]
            holder[key] = copy.deepcopy(source[last])
        elif kind == 2 and isinstance(holder, dict):
            holder[random_.choice(("name", "class", "x", "nonlinearity", "num_filters", "__class__", "n"))] = holder[
                key
            ]
        elif kind == 3:
            for _ in range(random_.choice((3, 50, 800))):
                holder[key] = [holder[key]]
            return tree
        elif kind == 4 and isinstance(holder[key], int):
            holder[key] += random_.choice((-1, 1, 10, 1000, 10**6))
        else:
            holder[key] = copy.deepcopy(random_.choice(HOSTILE))
    return tree


def arrays_mutated(arrays, random_: random.Random):
    """Remove, rename, reshape or retype an array."""
    arrays = dict(arrays)
    name = random_.choice(list(arrays))
    array = arrays.pop(name)
    kind = random_.randrange(5)
    if kind == 0:
        arrays[random_.choice(("x", "out.b", "__answer__"))] = array
    elif kind == 1:
        arrays[name] = array.reshape(-1)
    elif kind == 2:
        arrays[name] = array.astype(random_.choice(("float64", "int8", "bool", "float16")))
    elif kind == 3:
        arrays[name] = np.full_like(array, random_.choice((np.nan, np.inf, 1e38)))
    return arrays


def mutated(whole: Path, target: Path, random_: random.Random) -> str:
    """Write a mutated file; return the kind of the mutation."""
    if random_.random() < 0.5:
        target.write_bytes(bytes_mutated(whole.read_bytes(), random_))
        return "bytes"
    arrays, metadata = read_safetensors(whole)
    content = json.loads(metadata["lasagne_like"])
    if random_.random() < 0.8:
        content = tree_mutated(content, random_)
    else:
        arrays = arrays_mutated(arrays, random_)
    try:
        text = json.dumps(content)
    except (ValueError, RecursionError):
        text = "[" * 100_000
    write_safetensors(target, arrays, {"lasagne_like": text, "sha256": model_file._digest(text, arrays)})
    return "structure"


def run(count: int, seed: int) -> Counter:
    """Load `count` mutated files; return how many were refused and loaded, by the kind of mutation."""
    random_ = random.Random(seed)
    outcomes: Counter = Counter()
    with tempfile.TemporaryDirectory() as folder:
        whole = example(Path(folder))
        original = lasagne_like.load(whole)
        target = Path(folder) / "mutated.safetensors"
        for number in range(count):
            kind = mutated(whole, target, random_)
            began = time.perf_counter()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    model = lasagne_like.load(target)
                outcomes[kind, "loaded"] += 1
                assert kind == "structure" or whole.read_bytes() == target.read_bytes() or list(model) == list(original)
            except ModelFileError as error:
                outcomes[kind, type(error).__name__] += 1
                assert len(str(error)) < 3000, (
                    f"seed {seed}, number {number}: a message of {len(str(error))} characters"
                )
            seconds = time.perf_counter() - began
            assert seconds < 30, f"seed {seed}, number {number}: {seconds:.0f} s"
    return outcomes


if __name__ == "__main__":
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    result = run(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(dict(result))
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) / 1024
    print(f"{time.perf_counter() - started:.0f} s, {used:.0f} MB more than at the start")
