"""Models in one file: architecture, weights, preprocessing, classes and a known answer.

The file is a safetensors file. Its arrays are the parameters, by name; the entry ``lasagne_like`` of its metadata
describes everything else in JSON, and the entry ``sha256`` is a digest of all of it. Reading a file executes no code
from it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.preprocess import Preprocess
from ..network import Model
from .atomic import replacing
from .describe import UnknownPartError, described
from .names import all_layers
from .rebuild import rebuilt
from .report import ModelFileError
from .safetensors_format import parsed_json, read_safetensors, write_safetensors

__all__ = ["load", "predict", "save"]

_KEY = "lasagne_like"
_VERSION = 1
_ANSWER = "__answer__"
_TOLERANCE = 1e-3
_LONGEST_ANSWER = 100_000
# No answer is known for a network whose layers have more outputs than this: a damaged file must not make it run.
_MOST_OUTPUTS = 2**27


def save(
    path: str | os.PathLike,
    network: Any,
    *,
    classes: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    custom: Mapping[str, Any] | None = None,
) -> None:
    """Save a network in one file: architecture, weights, preprocessing, class names and a known answer.

    Parameters
    ----------
    path : path
        The file, whose name ends in ``.safetensors``. An existing file is replaced atomically.
    network : Layer, list of Layer, dict of str to Layer, or Model
        The network.
    classes : sequence of str, optional
        The names of the classes, one per output. By default those of a Model.
    preprocess : Preprocess, optional
        How pictures become inputs. By default that of a Model.
    custom : dict of str to function, optional
        The names of functions that the network uses and that are not part of the library. A function with a name of its
        own and a layer of a class of your own need not be listed here, but :func:`load` needs them.

    Raises
    ------
    UnknownPartError
        If a part of the network cannot be described; the message names it and the repair.
    ValueError
        If the suffix is another one, or the number of classes is not that of the outputs.
    OSError
        If the file cannot be written; an existing file is not changed.

    Notes
    -----
    The known answer is the output for a fixed input, with ``deterministic=True``. :func:`load` computes it again.

    Examples
    --------
    >>> from lasagne_like.layers import DenseLayer, InputLayer
    >>> from lasagne_like.nonlinearities import softmax
    >>> network = DenseLayer(InputLayer((None, 4), name="input"), 2, nonlinearity=softmax, name="out")
    >>> save("/tmp/symc_doc_model.safetensors", network, classes=["cat", "dog"])
    >>> load("/tmp/symc_doc_model.safetensors").classes
    ['cat', 'dog']
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"save: the path comes first, got {type(path).__name__}: save('model.safetensors', network)")
    if hasattr(network, "objective") and hasattr(network, "network"):
        raise TypeError("save: got a Trainer: pass trainer.network, or save the state of the run by trainer.save(path)")
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"cannot save a model as {path.name!r}: expected a name ending in .safetensors")
    if classes is None:
        classes = getattr(network, "classes", None)
    preprocess = preprocess or getattr(network, "preprocess", None)
    model = Model(network, classes=classes, preprocess=preprocess, name=getattr(network, "name", None))
    if isinstance(network, Model):
        model.name = network.name
    _check_preprocess(model)
    with warnings.catch_warnings():
        # Names derived from positions do no harm in a file that contains the architecture.
        warnings.filterwarnings("ignore", message=".*parameters have no name or share it")
        description, arrays = described(model, custom or {})
    reserved = [name for name in arrays if name.startswith("__") and not name.startswith("__array__/")]
    if reserved:
        raise ValueError(
            f"the parameter {reserved[0]!r} has a reserved name: names must not begin with two underscores"
        )
    answer = _answer(model)
    if answer is not None:
        arrays[_ANSWER] = answer
    content = {
        "version": _VERSION,
        "name": model.name if isinstance(model.name, str) else None,
        "network": description,
        "classes": model.classes,
        "preprocess": None if preprocess is None else preprocess.to_dict(),
    }
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    with replacing(path) as temporary:
        write_safetensors(temporary, arrays, {_KEY: text, "sha256": _digest(text, arrays)})


def _check_preprocess(model: Model) -> None:
    if model.preprocess is None:
        return
    found = model.preprocess.output_shape
    wanted = model.input_layers[0].shape[1:]
    if (
        len(model.input_layers) != 1
        or len(wanted) != 3
        or any(a is not None and b is not None and a != b for a, b in zip(found, wanted))
    ):
        raise ValueError(
            f"preprocess gives pictures of shape {found}, but the network takes "
            f"{', '.join(str(layer.shape[1:]) for layer in model.input_layers)}"
        )


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of the description and of the names, types, shapes and items of all arrays."""
    digest = hashlib.sha256(text.encode("utf-8"))
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"\n{name}\n{array.dtype.name}{arrays[name].shape}\n".encode())
        if array.size:
            digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def load(path: str | os.PathLike, *, custom: Mapping[str, Any] | None = None, check: bool = True) -> Model:
    """Load a network that was saved by :func:`save`.

    Parameters
    ----------
    path : path
        The file.
    custom : dict of str to class or function, optional
        Layers and functions that are not part of the library, by their names.
    check : bool
        Whether to compute the known answer and to compare it. The function that is compiled for this serves
        ``predict`` as well.

    Returns
    -------
    Model
        The network, with ``predict``, ``preprocess`` and ``classes``.

    Raises
    ------
    ModelFileError
        If the file is damaged, was altered, contains no architecture, or does not compute its known answer (up to
        one thousandth of the largest output). Nothing is loaded then.
    UnknownPartError
        If the file contains a layer or function that is neither in the library nor in `custom`; the message names it.
    FileNotFoundError
        If the file does not exist.

    Examples
    --------
    In a new process, without the code that built the network::

        import lasagne_like
        model = lasagne_like.load("model.safetensors")
        print(model.predict("cat.jpg"))
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no model file {path}")
    content, arrays = _read(path)
    answer = arrays.pop(_ANSWER, None)
    try:
        model = _built(content, arrays, custom or {})
        if check and answer is not None:
            _check_answer(model, answer)
    except UnknownPartError as error:
        raise UnknownPartError(f"{path}: {error}") from error
    except Exception as error:
        # Constructors of layers raise all kinds of errors for arguments that do not fit.
        raise ModelFileError(f"{path} does not contain a valid model: {type(error).__name__}: {error}") from error
    return model


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a file and check its digest."""
    arrays, metadata = read_safetensors(path)
    if _KEY not in metadata:
        raise ModelFileError(
            f"{path} contains weights, but no architecture: build the network and use lasagne_like.load_weights"
        )
    text = metadata[_KEY]
    content = parsed_json(
        text.encode("utf-8", "surrogatepass"), lambda why: ModelFileError(f"{path} is damaged: {why}")
    )
    if not isinstance(content, dict) or type(content.get("version")) is not int:
        raise ModelFileError(f"{path} is damaged: the description of the model has no version")
    if content["version"] > _VERSION:
        raise ModelFileError(
            f"{path} has the version {content['version']} of the format, this library reads {_VERSION}: update it"
        )
    try:
        found = _digest(text, arrays)
    except UnicodeEncodeError as error:
        raise ModelFileError(f"{path} is damaged: {error}") from error
    if metadata.get("sha256") != found:
        raise ModelFileError(f"{path} is damaged or was altered: its content does not have the digest that it states")
    return content, arrays


def _built(content: Mapping[str, Any], arrays: Mapping[str, np.ndarray], custom: Mapping[str, Any]) -> Model:
    if set(content) != {"version", "name", "network", "classes", "preprocess"}:
        raise ModelFileError("the description has other entries than version, name, network, classes, preprocess")
    name, classes, preprocess = content["name"], content["classes"], content["preprocess"]
    if not isinstance(name, str | None) or not isinstance(classes, list | None):
        raise ModelFileError("the name or the classes are not valid")
    network = rebuilt(content["network"], arrays, custom)
    made = None if preprocess is None else Preprocess.from_dict(preprocess)
    model = Model(network, classes=classes, preprocess=made, name=name)
    _check_preprocess(model)
    return model


def _shapes(model: Model) -> list[list[tuple[int, ...]]]:
    """Return shapes of inputs for one example, to be tried in order: sizes that are not fixed vary."""
    layers = model.input_layers
    if all(None not in layer.shape[1:] for layer in layers):
        return [[tuple(1 if size is None else size for size in layer.shape) for layer in layers]]
    return [
        [
            tuple(1 if k == 0 and size is None else size or free for k, size in enumerate(layer.shape))
            for layer in layers
        ]
        for free in (32, 64, 224)
    ]


def _inputs(model: Model, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
    """Return waves for real inputs, and zeros and ones for integers."""
    arrays = []
    for layer, shape in zip(model.input_layers, shapes):
        k = np.arange(int(np.prod(shape))).reshape(shape)
        real = np.dtype(layer.input_var.dtype).kind == "f"
        arrays.append(np.asarray(np.sin(0.7 * (k % 1009) + 0.3) if real else k % 2, layer.input_var.dtype))
    return arrays


def _answer(model: Model) -> np.ndarray | None:
    """Return the output for the fixed input; None if the network is very large, or cannot be run (with a warning)."""
    if _outputs_of_one_example(model) > _MOST_OUTPUTS:
        return None
    reason: Exception | None = None
    for shapes in _shapes(model):
        try:
            first, second = (_computed(model, shapes) for _ in range(2))
            if np.array_equal(first, second, equal_nan=first.dtype.kind == "f"):
                return first
            reason = ValueError("its output is random")
            break
        except (ValueError, TypeError, IndexError) as error:
            reason = error
    warnings.warn(f"the model is saved without a known answer: running it failed ({reason})", stacklevel=3)
    return None


def _computed(model: Model, shapes: Sequence[tuple[int, ...]]) -> np.ndarray:
    return np.asarray(model._function()(*_inputs(model, shapes))).reshape(-1)[:_LONGEST_ANSWER]


def _check_answer(model: Model, wanted: np.ndarray) -> None:
    if _outputs_of_one_example(model) > _MOST_OUTPUTS:
        raise ModelFileError(f"the layers have more than {_MOST_OUTPUTS} outputs for one example")
    found = None
    for shapes in _shapes(model):
        try:
            found = _computed(model, shapes)
            break
        except (ValueError, TypeError, IndexError):
            continue
    scale = float(np.max(np.abs(wanted[np.isfinite(wanted)]), initial=1e-6)) if wanted.dtype.kind in "fiub" else 1.0
    if (
        found is None
        or found.shape != wanted.shape
        or not np.allclose(found, wanted, rtol=_TOLERANCE, atol=_TOLERANCE * scale, equal_nan=True)
    ):
        raise ModelFileError("the network does not compute the known answer in the file")


def _outputs_of_one_example(model: Model) -> int:
    """Return the number of values that the layers compute for one example; open sizes count as 224."""
    shapes = [layer.output_shape for layer in all_layers(model)]
    return sum(math.prod(size or (1 if axis == 0 else 224) for axis, size in enumerate(shape)) for shape in shapes)


def predict(model: Any, pictures: Any, *, top: int = 5, custom: Mapping[str, Any] | None = None) -> Any:
    """Classify pictures with a model or a model file.

    Parameters
    ----------
    model : Model or path
        The model; for a path, the file is loaded first.
    pictures : path, PIL image, numpy.ndarray, or list of these
        See :meth:`lasagne_like.models.Model.predict`.
    top : int
        The number of classes that a prediction lists.
    custom : dict of str to class or function, optional
        See :func:`load`.

    Returns
    -------
    Prediction, list of Prediction, or numpy.ndarray
        See :meth:`lasagne_like.models.Model.predict`.
    """
    if isinstance(model, str | os.PathLike):
        model = load(model, custom=custom)
    if not isinstance(model, Model):
        model = Model(model)
    return model.predict(pictures, top=top)
