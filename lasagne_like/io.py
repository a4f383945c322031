"""Weight files: parameters by name in ``.safetensors`` or ``.npz`` files; Lasagne's files by position.

A weight file holds one array per parameter, under the name of the parameter (:func:`name_params`). Loading compares the
whole file with the whole network before it sets any value, so that a network is never partly loaded by accident. Saving
writes a temporary file in the same folder and renames it, so that an interrupted program leaves either the old or the
new file.

Three formats can be read: named arrays; ``arr_0, arr_1, ...`` as saved by Lasagne programs with
``np.savez(path, *get_all_param_values(network))``; and the pickles of the Lasagne recipes (see
:mod:`lasagne_like.legacy_pickle`). In the last two, parameters are identified by position.
"""

from __future__ import annotations

import os
import re
import secrets
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .layers import Layer, get_all_layers
from .legacy_pickle import RecipeWeights, read_recipe

__all__ = ["LoadReport", "WeightsMismatchError", "save_weights", "load_weights", "assign_weights", "name_params"]

Network = Layer | Sequence[Layer] | Mapping[str, Layer]


@dataclass
class LoadReport:
    """The result of comparing a weight file with a network.

    Attributes
    ----------
    loaded : list of str
        The parameters that were set; empty if loading was refused.
    missing : list of str
        The parameters of the network that are not in the file.
    extra : list of str
        The arrays in the file that do not match a parameter of the network.
    misshaped : list of (str, tuple, tuple)
        Name, shape in the network, shape in the file.
    mistyped : list of (str, str, str)
        Name, dtype in the network, dtype in the file, for values that cannot be converted (complex numbers or text,
        floats for integers).
    classes : list of str
        The names of the classes, if the file contains them, as the Lasagne recipes do.
    """

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    misshaped: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    mistyped: list[tuple[str, str, str]] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)

    @property
    def matches(self) -> bool:
        """Whether file and network match completely."""
        return not (self.missing or self.extra or self.misshaped or self.mistyped)

    def __str__(self) -> str:
        lines = []
        if self.missing:
            lines.append(f"missing from the file ({len(self.missing)}): {', '.join(self.missing)}")
        if self.extra:
            lines.append(f"extra in the file ({len(self.extra)}): {', '.join(self.extra)}")
        if self.misshaped:
            lines.append(f"shape differs ({len(self.misshaped)}): {_cases(self.misshaped)}")
        if self.mistyped:
            lines.append(f"incompatible dtype ({len(self.mistyped)}): {_cases(self.mistyped)}")
        return "\n".join(lines) or f"all {len(self.loaded)} parameters loaded"


def _cases(entries: Sequence[tuple[str, Any, Any]]) -> str:
    return "; ".join(f"{name} is {here} in the network, {there} in the file" for name, here, there in entries)


class WeightsMismatchError(ValueError):
    """A weight file does not match the network; ``report`` is the :class:`LoadReport`."""

    def __init__(self, message: str, report: LoadReport) -> None:
        super().__init__(message)
        self.report = report


def name_params(network: Network) -> OrderedDict[str, Any]:
    """Assign a unique name to each parameter of a network.

    A parameter keeps its own name (``layer.W`` for a layer named ``layer``). Where names are missing or not unique, as
    in networks of unnamed layers, a name is derived from the key in the dictionary of layers, the name of the layer, or
    its position and class (``3_DenseLayer.W``). This issues a warning, because positions change with the architecture.

    Parameters
    ----------
    network : Layer, list of Layer, or dict of str to Layer
        The output layer or layers, or named layers as returned by :func:`lasagne_like.models.vgg16`. All layers below
        them are part of the network.

    Returns
    -------
    OrderedDict of str to shared variable
        In the order of :func:`lasagne_like.layers.get_all_params`.

    Raises
    ------
    TypeError
        If `network` is none of these.
    """
    layers = all_layers(network)
    keys = {id(layer): key for key, layer in network.items()} if isinstance(network, Mapping) else {}
    owners: OrderedDict[Any, tuple[int, Layer]] = OrderedDict()
    for position, layer in enumerate(layers):
        for param in layer.get_params():
            owners.setdefault(param, (position, layer))
    taken: dict[str | None, int] = {}
    for param in owners:
        taken[param.name] = taken.get(param.name, 0) + 1
    names: OrderedDict[str, Any] = OrderedDict()
    derived: list[str] = []
    for param, (position, layer) in owners.items():
        name = param.name
        if not name or taken[name] > 1:
            label = keys.get(id(layer)) or layer.name
            name = _derive(param, layer, label, position, {*names, *filter(None, taken)})
            derived.append(name)
        names[name] = param
    if derived:
        warnings.warn(
            f"{len(derived)} parameters have no name or share it with another; the names "
            f"{', '.join(derived[:4])}{', ...' if len(derived) > 4 else ''} are derived. Name the layers (name='...') "
            "to make weight files independent of positions",
            stacklevel=3,
        )
    return names


def _derive(param: Any, layer: Layer, label: str | None, position: int, taken: set[str]) -> str:
    short = (param.name or "").rpartition(".")[2]
    if not short:
        attributes = (key for key, value in vars(layer).items() if value is param)
        short = next(attributes, f"param{layer.get_params().index(param)}")
    by_position = f"{position}_{type(layer).__name__}"
    for owner in (label, by_position):
        if owner and f"{owner}.{short}" not in taken:
            return f"{owner}.{short}"
    return f"{by_position}.{short}_{layer.get_params().index(param)}"


def all_layers(network: Network) -> list[Layer]:
    """Return the layers of a network given by its outputs or by a dict of layers; each layer follows its inputs."""
    if isinstance(network, Layer):
        return get_all_layers(network)
    layers = list(network.values()) if isinstance(network, Mapping) else network
    if isinstance(layers, Sequence) and layers and all(isinstance(layer, Layer) for layer in layers):
        fed = {id(below) for layer in get_all_layers(list(layers)) for below in getattr(layer, "input_layers", ())}
        # Start from the outputs: the order must be that of get_all_params(output), independent of the dict.
        return get_all_layers([layer for layer in layers if id(layer) not in fed])
    raise TypeError(
        f"network: expected a Layer, a list of layers or a dict of named layers, got {type(network).__name__} "
        f"({str(network)[:60]})"
    )


def save_weights(path: str | os.PathLike, network: Network) -> None:
    """Save all parameters of a network to a file, by name.

    Parameters
    ----------
    path : path
        A ``.safetensors`` or ``.npz`` file. An existing file is replaced atomically.
    network : Layer, list of Layer, or dict of str to Layer
        The network; see :func:`name_params` for the names.

    Raises
    ------
    ValueError
        If the path has another suffix.
    OSError
        If the file cannot be written; an existing file is not changed.

    Examples
    --------
    >>> from lasagne_like.layers import InputLayer, DenseLayer
    >>> network = DenseLayer(InputLayer((None, 4)), 3, name="out")
    >>> save_weights("/tmp/symc_doc_example.npz", network)
    >>> load_weights("/tmp/symc_doc_example.npz", network).loaded
    ['out.W', 'out.b']
    """
    path = Path(path)
    write = _by_suffix(path, {".safetensors": _write_safetensors, ".npz": _write_npz}, "save")
    values = {name: np.asarray(param.get_value(borrow=True), order="C") for name, param in name_params(network).items()}
    with _replacing(path) as temporary:
        write(temporary, values)


def _by_suffix(path: Path, forms: dict[str, Callable], verb: str) -> Callable:
    form = forms.get(path.suffix.lower())
    if form is None:
        raise ValueError(f"cannot {verb} weights as {path.name!r}: expected a name ending in {' or '.join(forms)}")
    return form


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success, flush it to disk and rename it to ``path``."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_safetensors(path: Path, values: dict[str, np.ndarray]) -> None:
    from safetensors.numpy import save_file

    save_file(values, str(path))


def _write_npz(path: Path, values: dict[str, np.ndarray]) -> None:
    # np.savez takes names as keyword arguments and therefore cannot write an array named "file".
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, value in values.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, value, allow_pickle=False)


def load_weights(path: str | os.PathLike, network: Network, strict: bool = True) -> LoadReport:
    """Load the parameters of a network from a file.

    Parameters
    ----------
    path : path
        A ``.safetensors`` or ``.npz`` file (by name; an ``.npz`` file of ``arr_0, arr_1, ...`` by position), or a
        ``.pkl`` file (a Lasagne recipe, by position).
    network : Layer, list of Layer, or dict of str to Layer
        The network; see :func:`name_params` for the names of its parameters.
    strict : bool
        If True, file and network must match in all names and shapes, or nothing is loaded. If False, the parameters
        that match are loaded, and the report lists the others.

    Returns
    -------
    LoadReport
        What was loaded and, if `strict` is False, what was not.

    Raises
    ------
    WeightsMismatchError
        If `strict` is True and file and network do not match; the message lists the differences. The network is not
        changed.
    ValueError
        If the path has another suffix, or the file is damaged. The network is not changed.
    FileNotFoundError
        If the file does not exist.
    """
    path = Path(path)
    read = _by_suffix(path, {".safetensors": _read_safetensors, ".npz": _read_npz, ".pkl": read_recipe}, "load")
    if not path.is_file():
        raise FileNotFoundError(f"no weight file {path}")
    content = read(path)
    params = name_params(network)
    values = content.param_values if isinstance(content, RecipeWeights) else content
    if isinstance(values, list):
        values = _by_position(values, list(params))
    report = assign_weights(values, params, strict=strict, source=str(path))
    if isinstance(content, RecipeWeights):
        report.classes = content.synset_words
    return report


def assign_weights(
    values: Mapping[str, np.ndarray],
    params: Mapping[str, Any],
    *,
    strict: bool = True,
    source: str = "the given values",
) -> LoadReport:
    """Set parameters to the arrays of the same names.

    Parameters
    ----------
    values : mapping of str to numpy.ndarray
        The new values.
    params : mapping of str to shared variable
        The parameters, as returned by :func:`name_params`.
    strict : bool
        Whether all names and shapes must match. If False, only the parameters that match are set.
    source : str
        The origin of the values, for the error message.

    Returns
    -------
    LoadReport
        What was set and what was not.

    Raises
    ------
    WeightsMismatchError
        If `strict` is True and names, shapes or dtypes do not match; the message lists the differences. No parameter is
        changed.
    """
    report = LoadReport(
        missing=[name for name in params if name not in values], extra=[name for name in values if name not in params]
    )
    fitting = {}
    for name, param in params.items():
        if name not in values:
            continue
        here, there = param.get_value(borrow=True), values[name]
        if here.shape != there.shape:
            report.misshaped.append((name, here.shape, there.shape))
        elif not np.can_cast(there.dtype, here.dtype, "same_kind"):
            report.mistyped.append((name, str(here.dtype), str(there.dtype)))
        else:
            fitting[name] = there.astype(here.dtype, copy=False)
    if strict and not report.matches:
        raise WeightsMismatchError(f"{source} does not match the network; nothing was loaded.\n{report}", report)
    for name, value in fitting.items():
        params[name].set_value(value)
    report.loaded = list(fitting)
    return report


def _by_position(values: list[np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
    """Name values after the parameters at their positions; values beyond the last parameter get numbers."""
    return {names[i] if i < len(names) else f"value {i}": value for i, value in enumerate(values)}


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(str(path))
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file, or is damaged: {error}") from error


def _read_npz(path: Path) -> dict[str, np.ndarray] | list[np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            values = {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, AttributeError) as error:
        raise ValueError(f"{path} is not an npz file of numeric arrays, or is damaged: {error}") from error
    if values and all(re.fullmatch(r"arr_\d+", name) for name in values):
        return [values[name] for name in sorted(values, key=lambda name: int(name[4:]))]
    return values
