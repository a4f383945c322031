"""A reader of the protobuf wire format, without schemas: enough for the weights in ONNX and Caffe files.

https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .report import ModelFileError

__all__ = ["fields", "integers", "numbers", "text"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Iterate over the fields of a message.

    Parameters
    ----------
    data : memoryview of bytes
        The message.

    Yields
    ------
    (int, int or memoryview)
        The number of the field, and its value: an int for varints, otherwise the bytes, as a view of `data`.

    Raises
    ------
    ModelFileError
        If the message is damaged.
    """
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise ModelFileError("damaged protobuf message: a field has the number 0")
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ModelFileError(f"damaged protobuf message: field {number} has the wire type {wire}")
        if length > end - at:
            raise ModelFileError(f"damaged protobuf message: field {number} has {length} bytes, {end - at} are left")
        yield number, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ModelFileError("damaged protobuf message: it ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ModelFileError("damaged protobuf message: a number has more than ten bytes")


def integers(value: int | memoryview) -> list[int]:
    """Return the numbers of a repeated integer field, packed or not; they are signed, of 64 bits."""
    if isinstance(value, int):
        return [_signed(value)]
    result, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        result.append(_signed(number))
    return result


def _signed(value: int) -> int:
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


def numbers(value: int | memoryview, dtype: str) -> np.ndarray:
    """Return the numbers of a repeated field of fixed size, packed or not."""
    if isinstance(value, int) or len(value) % np.dtype(dtype).itemsize:
        raise ModelFileError("damaged protobuf message: the length of an array is not a multiple of its items'")
    return np.frombuffer(value, dtype)


def text(value: Any) -> str:
    """Return the text of a string field."""
    if isinstance(value, int):
        raise ModelFileError("damaged protobuf message: a number in place of a text")
    try:
        return bytes(value).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelFileError(f"damaged protobuf message: {error}") from error
