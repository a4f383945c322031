"""Pictures that are decoded when they are used, for data larger than memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .decoding import CHANNELS, as_size, check_decoding, decode_picture, decode_pictures, worker_count

__all__ = ["LazyPictures"]


class LazyPictures:
    """Files of pictures that behave like an array and are decoded when it is indexed.

    Parameters
    ----------
    files : sequence of paths
        The pictures.
    size : tuple of int, int or None
        Height and width in pixels. None takes the size of the first picture, which all must have.
    mode, fit
        See :func:`image_folder`.

    Attributes
    ----------
    shape : tuple of int
        ``(n, channels, height, width)``.
    dtype : numpy.dtype
        uint8.
    paths : tuple of pathlib.Path
        The files.

    Notes
    -----
    Indexing with a number, a slice, an integer array or a mask decodes the selected pictures in the calling thread; a
    :class:`Loader` does so in background threads. Decoding the same pictures in each epoch costs time: if the decoded
    pictures fit on the disk, use :meth:`to_memmap`.
    """

    def __init__(self, files: Sequence, size: Any = (160, 160), *, mode: str = "rgb", fit: str = "crop"):
        check_decoding(mode, fit)
        if isinstance(files, (str, os.PathLike)):
            raise TypeError(
                f"files={files!r}: expected a sequence of paths; image_folder(path, lazy=True) reads a folder"
            )
        self.paths = tuple(Path(file) for file in files)
        self.mode, self.fit = mode, fit
        given = as_size(size)
        if given is None:
            if not self.paths:
                raise ValueError("LazyPictures without files requires a size")
            given = decode_picture(self.paths[0], None, mode, fit).shape[1:]  # type: ignore[assignment]
        self._resize = size is not None
        assert given is not None
        self.shape = (len(self.paths), CHANNELS[mode], *given)
        self.dtype = np.dtype(np.uint8)

    ndim = 4

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def nbytes(self) -> int:
        """int : The bytes of all decoded pictures."""
        return int(np.prod(self.shape, dtype=np.int64))

    def _decode(self, index: int) -> np.ndarray:
        pixels = decode_picture(self.paths[index], self.shape[2:] if self._resize else None, self.mode, self.fit)
        if pixels.shape != self.shape[1:]:
            raise ValueError(
                f"{self.paths[index]} has {pixels.shape[1]} x {pixels.shape[2]} pixels (height x width), but "
                f"{self.paths[0]} has {self.shape[2]} x {self.shape[3]}: pass size=(height, width)"
            )
        return pixels

    def __getitem__(self, key: Any) -> Any:
        rest: tuple = ()
        if isinstance(key, tuple):
            key, rest = key[0] if key else slice(None), key[1:]
        indices = np.arange(len(self))[key]
        if indices.ndim == 0:
            return self._decode(int(indices))[rest]
        pictures = np.empty((indices.size, *self.shape[1:]), np.uint8)
        for place, index in enumerate(indices.ravel()):
            pictures[place] = self._decode(index)
        pictures = pictures.reshape(*indices.shape, *self.shape[1:])
        return pictures[(slice(None), *rest)] if rest else pictures

    def lazy(self, key: Any) -> LazyPictures:
        """Select pictures without decoding them."""
        chosen = object.__new__(LazyPictures)
        vars(chosen).update(vars(self))
        chosen.paths = tuple(self.paths[k] for k in np.arange(len(self))[key])
        chosen.shape = (len(chosen.paths), *self.shape[1:])
        return chosen

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("LazyPictures cannot become an array without a copy: the pictures must be decoded")
        pictures = self.load()
        return pictures if dtype is None else pictures.astype(dtype)

    def load(self, workers: int | None = None) -> np.ndarray:
        """Decode all pictures in threads and return them as one array in memory."""
        pictures, _, messages = decode_pictures(
            self.paths, self.shape[2:] if self._resize else None, self.mode, self.fit, workers
        )
        if messages:
            raise ValueError("\n".join(messages[:10]))
        return pictures

    def to_memmap(self, path: str | os.PathLike, workers: int | None = None) -> np.ndarray:
        """Decode all pictures once to an ``.npy`` file and return it, memory-mapped and read-only.

        Parameters
        ----------
        path : path
            The file to write. It replaces an existing file when it is complete.
        workers : int, optional
            The number of threads that decode.

        Returns
        -------
        numpy.memmap
            uint8, of shape :attr:`shape`. ``np.load(path, mmap_mode="r")`` opens it again.
        """
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        block = max(1, (64 << 20) // max(1, self.nbytes // max(1, len(self))))
        target = np.lib.format.open_memmap(partial, "w+", np.uint8, self.shape)
        try:
            for start in range(0, len(self), block):
                target[start : start + block] = self.lazy(slice(start, start + block)).load(worker_count(workers))
            target.flush()
            del target
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        return np.load(path, mmap_mode="r")

    def __repr__(self) -> str:
        return f"<LazyPictures {self.shape} uint8>"
