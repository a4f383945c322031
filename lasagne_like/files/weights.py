"""Weight files: the parameters of a network by name, in ``.safetensors`` or ``.npz`` files; those of other libraries.

A weight file holds one array per parameter, under the name of the parameter (:func:`name_params`). Loading compares the
whole file with the whole network before it sets any value, so that a network is never partly loaded by accident. Saving
writes a temporary file in the same folder and renames it, so that an interrupted program leaves either the old or the
new file.

Files of other libraries are read as well (:func:`lasagne_like.files.read.read_weights` lists the formats). Parameters
are identified by position in ``arr_0, arr_1, ...`` as saved by Lasagne programs with ``np.savez(path,
*get_all_param_values(network))`` and in the pickles of the Lasagne recipes, and by name, order and shape in the files
of PyTorch, Keras, Caffe and ONNX.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..utils import hand_over, shape_of
from .atomic import replacing
from .matching import assign_blocks
from .names import Network, name_params
from .read import read_weights
from .report import LoadReport, WeightsMismatchError
from .safetensors_format import write_safetensors

__all__ = ["save_weights", "load_weights", "assign_weights"]


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
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"save_weights: the path comes first, got {type(path).__name__}: save_weights('weights.npz', network)"
        )
    path = Path(path)
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise ValueError(f"cannot save weights as {path.name!r}: expected a name ending in {' or '.join(_WRITERS)}")
    values = {name: np.asarray(param.get_value(borrow=True), order="C") for name, param in name_params(network).items()}
    with replacing(path) as temporary:
        write(temporary, values)


def _write_npz(path: Path, values: dict[str, np.ndarray]) -> None:
    # np.savez takes names as keyword arguments and therefore cannot write an array named "file".
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, value in values.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, value, allow_pickle=False)


_WRITERS: dict[str, Callable[[Path, dict[str, np.ndarray]], None]] = {
    ".safetensors": lambda path, values: write_safetensors(path, values, {}),
    ".npz": _write_npz,
}


def load_weights(path: str | os.PathLike, network: Network, strict: bool = True) -> LoadReport:
    """Load the parameters of a network from a file.

    Parameters
    ----------
    path : path
        A ``.safetensors`` or ``.npz`` file (by name; an ``.npz`` file of ``arr_0, arr_1, ...`` by position), a ``.pkl``
        file (a Lasagne recipe, by position), or a file of PyTorch (``.pth``, ``.pt``), Keras (``.h5``, ``.hdf5``),
        ``.caffemodel`` or ``.onnx`` (by name, or by order and shape).
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
    ModelFileError
        If the file is damaged, or names anything that arrays do not need. The network is not changed.
    ValueError
        If the path has another suffix.
    FileNotFoundError
        If the file does not exist.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"load_weights: the path comes first, got {type(path).__name__}: load_weights('weights.npz', network)"
        )
    content = read_weights(path)
    if content.blocks:
        return assign_blocks(content.blocks, network, strict=strict, source=str(path))
    params = name_params(network)
    values = content.values
    if isinstance(values, list):
        values = _by_position(values, list(params))
    report = assign_weights(values, params, strict=strict, source=str(path), owned=True)
    report.classes = content.classes
    return report


def assign_weights(
    values: Mapping[str, np.ndarray],
    params: Mapping[str, Any],
    *,
    strict: bool = True,
    source: str = "the given values",
    owned: bool = False,
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
    owned : bool
        Whether the parameters may keep the arrays, because nobody else does; otherwise they are copied.

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
        here, there = shape_of(param), values[name]
        if here != there.shape:
            report.misshaped.append((name, here, there.shape))
        elif not np.can_cast(there.dtype, param.dtype, "same_kind"):
            report.mistyped.append((name, str(param.dtype), str(there.dtype)))
        else:
            fitting[name] = there.astype(param.dtype, copy=False)
    if strict and not report.matches:
        raise WeightsMismatchError(f"{source} does not match the network; nothing was loaded.\n{report}", report)
    for name, value in fitting.items():
        if owned:
            hand_over(params[name], value)
        else:
            params[name].set_value(value)
    report.loaded = list(fitting)
    return report


def _by_position(values: list[np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
    """Name values after the parameters at their positions; values beyond the last parameter get numbers."""
    return {names[i] if i < len(names) else f"value {i}": value for i, value in enumerate(values)}
