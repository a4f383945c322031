"""The weights in ONNX files, in the order of the nodes that use them.

https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .blocks import Block
from .protobuf import fields, integers, numbers, text
from .report import ModelFileError

__all__ = ["read_onnx"]

# TensorProto.DataType to dtype; the names of repeated fields that hold the items if there is no raw_data.
_DTYPES = {1: "<f4", 2: "u1", 3: "i1", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8", 12: "<u4", 13: "<u8"}
_FLOAT_DATA, _INT32_DATA, _INT64_DATA, _DOUBLE_DATA = 4, 5, 7, 10


@dataclass
class _Node:
    op: str = ""
    name: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)


def read_onnx(path: str | os.PathLike) -> list[Block]:
    """Read the weights of an ONNX file.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    list of Block
        One per convolution, matrix product and batch normalisation that has weights in the file, in the order of the
        nodes.

    Raises
    ------
    ModelFileError
        If the file is damaged, contains no graph, or refers to weights in other files.
    """
    data = memoryview(Path(path).read_bytes())
    graphs = [value for number, value in fields(data) if number == 7 and isinstance(value, memoryview)]
    if len(graphs) != 1:
        raise ModelFileError(f"{path} is not an ONNX model, or is damaged: it has {len(graphs)} graphs")
    nodes: list[_Node] = []
    tensors: dict[str, np.ndarray] = {}
    for number, value in fields(graphs[0]):
        if isinstance(value, memoryview) and number == 1:
            nodes.append(_node(value))
        elif isinstance(value, memoryview) and number == 5:
            name, array = _tensor(value)
            tensors[name] = array
    for node in nodes:
        if node.op == "Constant" and "value" in node.attributes and node.outputs:
            tensors[node.outputs[0]] = node.attributes["value"]
        elif node.op == "Identity" and node.inputs and node.inputs[0] in tensors and node.outputs:
            tensors[node.outputs[0]] = tensors[node.inputs[0]]
    consumers: dict[str, list[_Node]] = {}
    for node in nodes:
        for each in node.inputs:
            consumers.setdefault(each, []).append(node)
    found = (_block(node, tensors, consumers) for node in nodes)
    return [block for block in found if block is not None]


def _node(data: memoryview) -> _Node:
    node = _Node()
    for number, value in fields(data):
        if number == 1:
            node.inputs.append(text(value))
        elif number == 2:
            node.outputs.append(text(value))
        elif number == 3:
            node.name = text(value)
        elif number == 4:
            node.op = text(value)
        elif number == 5 and isinstance(value, memoryview):
            name, content = _attribute(value)
            node.attributes[name] = content
    return node


def _attribute(data: memoryview) -> tuple[str, Any]:
    name = ""
    content: Any = None
    for number, value in fields(data):
        if number == 1:
            name = text(value)
        elif number == 3:
            content = value if isinstance(value, int) else None
        elif number == 5 and isinstance(value, memoryview):
            content = _tensor(value)[1]
    return name, content


def _tensor(data: memoryview) -> tuple[str, np.ndarray]:
    shape: list[int] = []
    code, name, raw = 0, "", None
    parts: dict[int, list[np.ndarray]] = {}
    for number, value in fields(data):
        if number == 1:
            shape += integers(value)
        elif number == 2 and isinstance(value, int):
            code = value
        elif number == 8:
            name = text(value)
        elif number == 9 and isinstance(value, memoryview):
            raw = value
        elif number == _FLOAT_DATA:
            parts.setdefault(number, []).append(numbers(value, "<f4"))
        elif number == _DOUBLE_DATA:
            parts.setdefault(number, []).append(numbers(value, "<f8"))
        elif number in (_INT32_DATA, _INT64_DATA):
            parts.setdefault(number, []).append(np.asarray(integers(value), np.int64))
        elif number == 14 and value == 1:
            raise ModelFileError(f"the tensor {name!r} of the ONNX file is stored in another file, which is not read")
    return name, _array(name, shape, code, raw, parts)


def _array(name: str, shape: list[int], code: int, raw: memoryview | None, parts: dict[int, list]) -> np.ndarray:
    if code == 8:
        return np.zeros(0, np.float32)  # texts are not weights
    if code == 16 and raw is not None:
        return _checked(_widened(numbers(raw, "<u2")), shape, name)
    if code not in _DTYPES:
        raise ModelFileError(
            f"the tensor {name!r} of the ONNX file has the element type {code}, which is not supported"
        )
    if raw is not None:
        return _checked(numbers(raw, _DTYPES[code]), shape, name)
    items = [part for each in parts.values() for part in each]
    values = np.concatenate(items) if items else np.zeros(0, _DTYPES[code])
    if code == 10:  # halves are stored as the integers of their bits
        values = values.astype(np.uint16).view(np.float16)
    return _checked(values.astype(_DTYPES[code], copy=False), shape, name)


def _widened(bits: np.ndarray) -> np.ndarray:
    """Convert bfloat16, given by its bits, to float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _checked(values: np.ndarray, shape: list[int], name: str) -> np.ndarray:
    if any(size < 0 for size in shape) or len(shape) > 32 or math.prod(shape) != values.size:
        raise ModelFileError(f"the tensor {name!r} has {values.size} items for the shape {tuple(shape[:8])}")
    return values.reshape(shape)


def _block(node: _Node, tensors: dict[str, np.ndarray], consumers: dict[str, list[_Node]]) -> Block | None:
    known = [tensors.get(each) for each in node.inputs]
    name = node.name or (node.outputs[0] if node.outputs else "")
    weights = known[1] if len(known) > 1 else None
    if weights is None:
        return None
    if node.op == "BatchNormalization" and len(known) == 5 and all(each is not None for each in known[1:]):
        roles = ("gamma", "beta", "mean", "var")
        return Block(name, "batch_norm", {role: array for role, array in zip(roles, known[1:]) if array is not None})
    if node.op == "Conv" and weights.ndim >= 3:
        block = Block(name, "conv", {"W": weights})
    elif node.op == "Gemm" and weights.ndim == 2:
        block = Block(name, "dense", {"W": weights.T if node.attributes.get("transB") else weights})
    elif node.op == "MatMul" and weights.ndim == 2:
        block = Block(name, "dense", {"W": weights})
    else:
        return None
    bias = known[2] if len(known) > 2 else _added(node, tensors, consumers)
    if bias is not None:
        block.arrays["b"] = bias.reshape(-1)
    return block


def _added(node: _Node, tensors: dict[str, np.ndarray], consumers: dict[str, list[_Node]]) -> np.ndarray | None:
    """Return the bias that the next node adds, if it is an Add of one value per channel."""
    after = consumers.get(node.outputs[0], []) if node.outputs else []
    if len(after) != 1 or after[0].op != "Add":
        return None
    others = [tensors[each] for each in after[0].inputs if each in tensors]
    return others[0] if len(others) == 1 and others[0].size == max(others[0].shape, default=1) else None
