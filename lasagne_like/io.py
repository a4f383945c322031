"""Weight files: parameters by name, as ``.safetensors`` or ``.npz``; old Lasagne files by position.

A network goes to a file as one array for every parameter, under the parameter's name (:func:`name_params`). Loading
first compares the whole file with the whole network, and sets values only if every single one fits: a network is
never left half-loaded. Saving writes a temporary file beside the target and renames it, so that an interrupted program
leaves the old file or the new one, never a part.

Three forms are read: named arrays; the ``arr_0, arr_1, ...`` that Lasagne programs save with
``np.savez(path, *get_all_param_values(network))``; and the pickles of the Lasagne recipes
(see :mod:`lasagne_like.legacy_pickle`). The last two know the parameters by their position alone.
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
    """How a weight file and a network compare.

    Attributes
    ----------
    loaded : list of str
        Parameters that were set; empty when loading was refused.
    missing : list of str
        Parameters of the network that the file lacks.
    extra : list of str
        Arrays of the file that no parameter of the network is called after.
    misshaped : list of (str, tuple, tuple)
        Name, the network's shape, the file's shape.
    mistyped : list of (str, str, str)
        Name, the network's dtype, the file's dtype, where the file's values cannot become the network's
        (a complex or text array, a float for an integer).
    classes : list of str
        Names of the classes, where the file brings them (the Lasagne recipes do).
    """

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    misshaped: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    mistyped: list[tuple[str, str, str]] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)

    @property
    def matches(self) -> bool:
        """Whether file and network agree entirely."""
        return not (self.missing or self.extra or self.misshaped or self.mistyped)

    def __str__(self) -> str:
        lines = []
        if self.missing:
            lines.append(f"missing in the file ({len(self.missing)}): {', '.join(self.missing)}")
        if self.extra:
            lines.append(f"extra in the file ({len(self.extra)}): {', '.join(self.extra)}")
        if self.misshaped:
            lines.append(f"of another shape ({len(self.misshaped)}): {_cases(self.misshaped)}")
        if self.mistyped:
            lines.append(f"of an unfit dtype ({len(self.mistyped)}): {_cases(self.mistyped)}")
        return "\n".join(lines) or f"all {len(self.loaded)} parameters loaded"


def _cases(entries: Sequence[tuple[str, Any, Any]]) -> str:
    return "; ".join(f"{name} is {here} in the network, {there} in the file" for name, here, there in entries)


class WeightsMismatchError(ValueError):
    """A weight file does not fit the network; ``report`` is the :class:`LoadReport`."""

    def __init__(self, message: str, report: LoadReport) -> None:
        super().__init__(message)
        self.report = report


def name_params(network: Network) -> OrderedDict[str, Any]:
    """Give every parameter of a network a unique name.

    A parameter keeps its own name (``layer.W`` for a layer called ``layer``). Where names are missing or clash, as in
    networks of unnamed layers, ``layer.W`` is derived from the key in the dictionary of layers, the layer's name, or
    its position and class (``3_DenseLayer.W``); a warning says so, because positions change with the architecture.

    Parameters
    ----------
    network : Layer, list of Layer, or dict of str to Layer
        Output layer(s), or named layers as :func:`lasagne_like.models.vgg16` returns them. All layers below belong
        to the network.

    Returns
    -------
    OrderedDict of str to shared variable
        In the order of ``get_all_params``.

    Raises
    ------
    TypeError
        ``network`` is none of the three.
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
            f"{len(derived)} parameters have no name or share it with another; they are called "
            f"{', '.join(derived[:4])}{', ...' if len(derived) > 4 else ''}. Give the layers names (name='...') to "
            "keep weight files independent of positions",
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
    """Return the layers of a network given by its output(s) or a dict of layers, every layer after its inputs."""
    if isinstance(network, Layer):
        return get_all_layers(network)
    layers = list(network.values()) if isinstance(network, Mapping) else network
    if isinstance(layers, Sequence) and layers and all(isinstance(layer, Layer) for layer in layers):
        fed = {id(below) for layer in get_all_layers(list(layers)) for below in getattr(layer, "input_layers", ())}
        # The outputs alone, so that the order is the one get_all_params(output) gives, whatever the dict's order.
        return get_all_layers([layer for layer in layers if id(layer) not in fed])
    raise TypeError(
        f"network: expected a Layer, a list of layers or a dict of named layers, got {type(network).__name__} "
        f"({str(network)[:60]})"
    )


def save_weights(path: str | os.PathLike, network: Network) -> None:
    """Write all parameters of a network to a file, by name.

    Parameters
    ----------
    path : path
        ``.safetensors`` or ``.npz``. An existing file is replaced in one step, once the new one is complete.
    network : Layer, list of Layer, or dict of str to Layer
        Network; see :func:`name_params` for the names.

    Raises
    ------
    ValueError
        The path has another suffix.
    OSError
        The file cannot be written; an older one is then untouched.

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
    """Yield a temporary path beside ``path``; on success make it durable and rename it."""
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
    # np.savez takes names as keyword arguments and so cannot write an array called "file".
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, value in values.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, value, allow_pickle=False)


def load_weights(path: str | os.PathLike, network: Network, strict: bool = True) -> LoadReport:
    """Set the parameters of a network from a file.

    Parameters
    ----------
    path : path
        ``.safetensors`` or ``.npz`` (by name; an ``.npz`` of ``arr_0, arr_1, ...`` by position), or ``.pkl``
        (a Lasagne recipe, by position).
    network : Layer, list of Layer, or dict of str to Layer
        Network whose parameters to set; see :func:`name_params` for their names.
    strict : bool
        With True, file and network must agree in every name and shape, or nothing is loaded. With False, the
        parameters that do agree are loaded, and the report tells the rest.

    Returns
    -------
    LoadReport
        What was loaded and, with ``strict=False``, what was not.

    Raises
    ------
    WeightsMismatchError
        With ``strict=True``: lists every missing, extra and misshaped entry. The network is unchanged.
    ValueError
        The suffix is another, or the file is damaged. The network is unchanged.
    FileNotFoundError
        There is no such file.
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
    """Set parameters from arrays of the same names: all or, with ``strict=False``, those that fit.

    Parameters
    ----------
    values : mapping of str to numpy.ndarray
        New values.
    params : mapping of str to shared variable
        Parameters, as :func:`name_params` returns them.
    strict : bool
        Whether every name and shape must agree.
    source : str
        Where the values come from, for the message.

    Returns
    -------
    LoadReport
        What was set and what was not.

    Raises
    ------
    WeightsMismatchError
        With ``strict=True``: lists every missing, extra and misshaped entry. No parameter is changed.
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
        raise WeightsMismatchError(f"{source} does not fit the network; nothing was loaded.\n{report}", report)
    for name, value in fitting.items():
        params[name].set_value(value)
    report.loaded = list(fitting)
    return report


def _by_position(values: list[np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
    """Name values by the parameters at their positions; the ones beyond the last parameter by their numbers."""
    return {names[i] if i < len(names) else f"value {i}": value for i, value in enumerate(values)}


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(str(path))
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file, or a damaged one: {error}") from error


def _read_npz(path: Path) -> dict[str, np.ndarray] | list[np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            values = {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, AttributeError) as error:
        raise ValueError(f"{path} is no npz file of plain arrays, or a damaged one: {error}") from error
    if values and all(re.fullmatch(r"arr_\d+", name) for name in values):
        return [values[name] for name in sorted(values, key=lambda name: int(name[4:]))]
    return values
