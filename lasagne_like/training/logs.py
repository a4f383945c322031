"""Logs of training: CSV, JSON lines, and the event files of TensorBoard."""

from __future__ import annotations

import csv
import json
import math
import os
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..naming import names_constructor
from .callbacks import Callback

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["CSVLogger", "JSONLogger", "TensorBoard"]


@names_constructor
class CSVLogger(Callback):
    """Write the history to a CSV file, with one row per epoch, after every epoch.

    Parameters
    ----------
    path : path
        The file; its folder is created. It holds the whole history of the trainer, and is replaced after every epoch,
        so that a resumed run does not repeat rows.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)

    def on_train_begin(self, trainer: Trainer) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        temporary = self.path.with_name(f".{self.path.name}.part")
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(trainer.history)
            writer.writerows(zip(*trainer.history.values()))
        os.replace(temporary, self.path)


@names_constructor
class JSONLogger(Callback):
    """Write the history to a file of JSON lines, one object per epoch, after every epoch.

    Parameters
    ----------
    path : path
        The file; see :class:`CSVLogger`. Values that are not finite are null.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)

    def on_train_begin(self, trainer: Trainer) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        temporary = self.path.with_name(f".{self.path.name}.part")
        rows = zip(*trainer.history.values())
        lines = [json.dumps({k: v if math.isfinite(v) else None for k, v in zip(trainer.history, row)}) for row in rows]
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
        os.replace(temporary, self.path)


@names_constructor
class TensorBoard(Callback):
    """Write the quantities of every epoch to an event file, which ``tensorboard --logdir FOLDER`` shows.

    Parameters
    ----------
    folder : path
        The folder of this run; it is created. Each call of ``fit`` writes a file of its own.

    Notes
    -----
    The file is written without TensorFlow: records of a length, a checksum (CRC-32C) and a serialised ``Event``.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        self._file: Any = None

    def on_train_begin(self, trainer: Trainer) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        stamp = f"{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self._file = open(self.folder / f"events.out.tfevents.{stamp}", "ab")  # noqa: SIM115 - open until the end
        self._write(_event(0, version="brain.Event:2"))

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        step = int(record["epoch"])
        for name, value in record.items():
            if name == "epoch":
                continue
            part, _, quantity = name.partition("_")
            tag = f"{quantity}/{part}" if part in ("train", "valid") else name
            self._write(_event(step, scalar=(tag, value)))
        self._file.flush()

    def on_train_end(self, trainer: Trainer) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, data: bytes) -> None:
        length = struct.pack("<Q", len(data))
        self._file.write(length + struct.pack("<I", _masked(length)) + data + struct.pack("<I", _masked(data)))

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "_file": None}


def _event(step: int, version: str = "", scalar: tuple[str, float] | None = None) -> bytes:
    """Serialise a protocol-buffer ``Event`` with its time, step, and either the version or one scalar."""
    data = b"\x09" + struct.pack("<d", time.time()) + b"\x10" + _varint(step)
    if version:
        data += b"\x1a" + _sized(version.encode())
    if scalar is not None:
        name, value = scalar
        entry = b"\x0a" + _sized(name.encode()) + b"\x15" + struct.pack("<f", value)
        data += b"\x2a" + _sized(b"\x0a" + _sized(entry))
    return data


def _sized(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _varint(number: int) -> bytes:
    result = bytearray()
    while number > 0x7F:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    result.append(number)
    return bytes(result)


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc_table()


def _masked(data: bytes) -> int:
    """The CRC-32C of the data, rotated and offset as in the format of the file."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
