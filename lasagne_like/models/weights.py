"""The registry of weights: trained networks by name, fetched, cached and checked.

``vgg16(weights="imagenet")`` and the like look here. Each entry of :data:`REGISTRY` names the network, the places where
the file can be fetched, its digest, the preprocessing and the classes. Files are kept in :func:`cache_folder`; a
program that is offline is told what to put there. :func:`register` adds entries.

>>> from lasagne_like.models import weights
>>> weights.available("efficientnet_lite0")
['efficientnet_lite0/imagenet']
>>> weights.REGISTRY["vgg16/imagenet-base"].preprocess.channels
'bgr'
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import symc

from ..data.preprocess import Preprocess
from ..files.matching import assign_blocks
from ..files.names import name_params
from ..files.read import WeightsContent, read_weights
from ..files.report import LoadReport, ModelFileError, WeightsMismatchError
from ..files.weights import assign_weights, load_weights
from ..layers import Layer, get_output
from ..network import Model
from ..utils import shape_of
from .catalogue import ENTRIES, IMAGENET_BGR
from .entries import Answer, Entry, Source, imagenet_classes
from .fetching import WeightsNotFoundError, cache_folder, find_or_fetch, note_answers, set_cache_folder, stamped

__all__ = [
    "Answer",
    "Entry",
    "REGISTRY",
    "Source",
    "WeightsNotFoundError",
    "available",
    "cache_folder",
    "digest",
    "fetch",
    "imagenet_classes",
    "load_into",
    "pattern",
    "register",
    "set_cache_folder",
]

#: Name to entry.
REGISTRY: dict[str, Entry] = {entry.name: entry for entry in ENTRIES}


def register(entry: Entry) -> None:
    """Add an entry to the registry.

    Raises
    ------
    ValueError
        If the name is taken, or does not begin with the architecture.
    """
    if entry.name in REGISTRY:
        raise ValueError(f"the registry already has an entry {entry.name!r}")
    if not entry.name.startswith(f"{entry.architecture}/"):
        raise ValueError(f"the name {entry.name!r} must begin with the architecture: {entry.architecture}/...")
    REGISTRY[entry.name] = entry


def available(architecture: str | None = None) -> list[str]:
    """Return the names of all entries, or of those for an architecture."""
    return sorted(name for name, entry in REGISTRY.items() if architecture in (None, entry.architecture))


def fetch(name: str, download: bool = True) -> Path:
    """Return the file of an entry, after downloading it if it is not in the cache.

    Parameters
    ----------
    name : str
        The name of an entry.
    download : bool
        Whether to download a file that is not in the cache.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If there is no such entry; the message lists similar names.
    WeightsNotFoundError
        If the file cannot be fetched; the message says what to put where.
    """
    return find_or_fetch(_entry(name).sources, download)[0]


def _entry(name: str) -> Entry:
    if name in REGISTRY:
        return REGISTRY[name]
    near = difflib.get_close_matches(name, REGISTRY, n=3, cutoff=0.5)
    raise ValueError(f"no weights {name!r}; {'similar' if near else 'known'} names: {', '.join(near or available())}")


def load_into(
    model: Model, weights: str | os.PathLike | None, head: str, rebuild: Callable[[Sequence[int], int], Model]
) -> Model:
    """Load weights into a new network and set its preprocessing and classes.

    Parameters
    ----------
    model : Model
        The network; its ``name`` is the architecture.
    weights : str, path or None
        The name of an entry, the part of it after the architecture (``'imagenet'``), or a file. None loads nothing.
    head : str
        The name of the layer that keeps its values if the number of classes is not that of the weights.
    rebuild : callable
        Builds the network for another input shape and number of classes (0 for no classifier), to check known answers.

    Returns
    -------
    Model
        The same network.

    Raises
    ------
    ValueError
        If `weights` is neither an entry nor a file.
    WeightsMismatchError
        If the weights do not match the network.
    WeightsNotFoundError
        If the file cannot be fetched.
    """
    if weights is None:
        return model
    if isinstance(weights, str) and (entry := _chosen(model, weights, head)) is not None:
        return _load_entry(model, entry, head, rebuild)
    path = Path(weights)
    if not path.is_file():
        known = ", ".join(available(model.name)) or "none"
        raise ValueError(
            f"weights={str(weights)!r} is neither a file nor the name of weights; for {model.name} there are: {known}"
        )
    report = _load_file(model, path, head)
    if report.classes and head in model and len(report.classes) == model.output_layer.output_shape[1]:
        model.classes = report.classes
    if path.suffix.lower() == ".pkl":
        # The recipes of Lasagne have Caffe's weights.
        model.preprocess = _for_shape(IMAGENET_BGR, model)
    return model


def _load_file(model: Model, path: Path, head: str) -> LoadReport:
    """Load a file; a classifier of another size keeps its values, and without one, the file's is ignored."""
    report = load_weights(path, model, strict=False)
    kept = {param.name for param in model[head].get_params()} if head in model else set()
    differs = [entry for entry in report.misshaped if entry[0] not in kept]
    if report.missing or differs or report.mistyped or (report.extra and head in model):
        raise WeightsMismatchError(f"{path} does not match {model.name}.\n{report}", report)
    return report


def _chosen(model: Model, weights: str, head: str) -> Entry | None:
    if weights in REGISTRY:
        return REGISTRY[weights]
    names = [f"{model.name}/{weights}", f"{model.name}/{weights}-base"]
    # A network without a classifier needs only the smaller file.
    found = [REGISTRY[name] for name in (names if head in model else names[::-1]) if name in REGISTRY]
    return found[0] if found else None


def _load_entry(model: Model, entry: Entry, head: str, rebuild: Callable[[Sequence[int], int], Model]) -> Model:
    if entry.architecture != model.name:
        raise ValueError(f"the weights {entry.name!r} are for {entry.architecture}, not for {model.name}")
    if head in model and not entry.top:
        raise ValueError(
            f"the weights {entry.name!r} have no classifier: set include_top=False, and add layers for your classes"
        )
    channels, wanted = model.input_layers[0].shape[1], entry.preprocess.output_shape[0]
    if channels != wanted:
        repair = f"numpy.repeat(grey, {wanted}, axis=1)" if channels == 1 else "choose this input_shape"
        raise ValueError(
            f"the weights {entry.name!r} are for pictures of {wanted} channels, and input_shape has {channels}: "
            f"{repair}"
        )
    kept: list[Layer] = []
    if head in model and shape_of(model[head].W)[-1] != len(entry.class_names):  # type: ignore[attr-defined]
        kept = [model[head]]
    _check_input_size(entry, model, kept, rebuild)
    path, _ = find_or_fetch(entry.sources)
    content = read_weights(path)
    _check_answers(entry, content, path, rebuild)
    _assign(content, model, entry, kept)
    model.preprocess = _for_shape(entry.preprocess, model)
    if head in model and not kept:
        model.classes = entry.class_names
    else:
        model.preprocess = model.preprocess.whole()
    return model


def _check_input_size(
    entry: Entry, model: Model, kept: Sequence[Layer], rebuild: Callable[[Sequence[int], int], Model]
) -> None:
    """Refuse, before a file is fetched, an input whose size gives dense layers other shapes than the weights have."""
    shape = entry.preprocess.output_shape
    if not entry.top or None in shape or model.input_layers[0].shape[1:] == shape:
        return
    trained = name_params(rebuild([int(n) for n in shape if n is not None], len(entry.class_names)))
    names = {param for layer in kept for param in layer.get_params()}
    shapes = {
        name: (shape_of(param), shape_of(trained[name]))
        for name, param in name_params(model).items()
        if param not in names and name in trained
    }
    report = LoadReport(misshaped=[(name, *pair) for name, pair in shapes.items() if pair[0] != pair[1]])
    if report.misshaped:
        raise WeightsMismatchError(
            f"the weights {entry.name!r} do not match the network:\n{report}\nThey are for input_shape={shape}, and "
            "dense layers depend on it: use this input_shape, or set include_top=False and add layers for your classes",
            report,
        )


def _assign(content: WeightsContent, model: Model, entry: Entry, kept: Sequence[Layer]) -> None:
    """Set all parameters but those of some layers; arrays in the file that the network lacks are ignored."""
    if content.blocks:
        report = assign_blocks(content.blocks, model, strict=False, source=entry.name, skip=kept)
    elif isinstance(content.values, dict):
        names = {param for layer in kept for param in layer.get_params()}
        params = {name: param for name, param in name_params(model).items() if param not in names}
        report = assign_weights(content.values, params, strict=False, source=entry.name, owned=True)
    else:
        raise ModelFileError(f"the weights {entry.name!r} have no names")
    if report.missing or report.misshaped or report.mistyped:
        report.extra = []
        raise WeightsMismatchError(f"the weights {entry.name!r} do not match the network:\n{report}", report)


def _for_shape(preprocess: Preprocess, model: Model) -> Preprocess:
    """Adapt the size of the crop to the input of a network, and the size before cropping in proportion."""
    rows, columns = model.input_layers[0].shape[2:]
    wanted = preprocess.output_shape[1:]
    if (rows, columns) == wanted or not isinstance(preprocess.resize, int) or wanted[0] is None:
        return preprocess
    if rows is None or columns is None:
        return dataclasses.replace(preprocess, resize=None, crop=None)
    resize = math.ceil(preprocess.resize / wanted[0] * max(rows, columns))
    return dataclasses.replace(preprocess, resize=resize, crop=(rows, columns))


def pattern(size: int, channels: int = 3) -> np.ndarray:
    """Return a picture made of waves, as the input for which answers are known.

    Returns
    -------
    numpy.ndarray
        ``(1, channels, size, size)``, float32, values from -1 to 1.
    """
    channel, row, column = np.ogrid[0:channels, 0:size, 0:size]
    return np.sin(0.37 * row + 0.23 * column * (channel + 1) + channel)[None].astype(np.float32)


def digest(values: np.ndarray) -> np.ndarray:
    """Return four numbers that depend on all values and their order: the mean, two weighted means, the maximum."""
    flat = np.asarray(values, np.float64).reshape(-1)
    phase = 0.37 * np.arange(flat.size)
    return np.array([flat.mean(), (flat * np.cos(phase)).mean(), (flat * np.sin(phase)).mean(), flat.max()])


def _check_answers(
    entry: Entry, content: WeightsContent, path: Path, rebuild: Callable[[Sequence[int], int], Model]
) -> None:
    """Compare the outputs of layers with the known ones, once for each file in the cache."""
    stamp = repr(entry.answers)
    if not entry.answers or stamped(path).get("answers") == stamp:
        return
    size = entry.answers[0].size
    picture = pattern(size, entry.preprocess.num_channels)
    model = rebuild(picture.shape[1:], len(entry.class_names) if entry.top else 0)
    _assign(content, model, entry, ())
    layers = [model[answer.layer] for answer in entry.answers]
    compute = symc.function([model.input_layers[0].input_var], get_output(layers, deterministic=True))
    amplitude = 127 * entry.preprocess.scale / np.mean(entry.preprocess.std)
    for answer, output in zip(entry.answers, compute(np.asarray(amplitude * picture, symc.config.floatX))):
        found = digest(output)
        if not np.allclose(found, answer.values, rtol=1e-3, atol=1e-3 * np.abs(answer.values).max()):
            raise ModelFileError(
                f"the weights {entry.name!r} do not compute their known answer: {answer.layer} gives {found}, "
                f"expected {answer.values}"
            )
    note_answers(path, stamp)
