"""What becomes of a name of Theano or Lasagne: the answer behind ``check`` and the table of the migration page."""

from __future__ import annotations

from typing import NamedTuple

from symc.compat import flags
from symc.compat.modules import MODULES
from symc.compat.names import NAMES, NOTES, RENAMED, advice
from symc.compat.serving import dotted, offers, place

__all__ = ["Fate", "fate", "listed", "under_new_root"]

_ONLY_SERVED = ("symc.compat.", "lasagne_like.legacy")
"""Places that exist for old programs alone: what is found there has no name in new ones."""

NOT_YET = "not available"


class Fate(NamedTuple):
    """What becomes of a name.

    Attributes
    ----------
    old : str
        The dotted name in Theano or Lasagne.
    kind : str
        ``"same"``: called the same under ``symc`` or ``lasagne_like``; ``"renamed"``: called ``new`` there;
        ``"served"``: works through ``symc.compat`` and has no counterpart; ``"missing"``.
    new : str
        Its name here; empty if there is none.
    note : str
        Advice, or a remark.
    """

    old: str
    kind: str
    new: str = ""
    note: str = ""


def under_new_root(old: str) -> str:
    """The name under which an old name is found here if it is called the same."""
    root, dot, rest = old.partition(".")
    return {"theano": "symc", "lasagne": "lasagne_like"}[root] + dot + rest


def fate(old: str) -> Fate:
    """Determine what becomes of a dotted name."""
    if old in RENAMED and _exists(RENAMED[old][0]):
        return Fate(old, "renamed", *RENAMED[old])
    module, rest = _split(old)
    if not rest:
        return _of_module(module)
    if module == "theano" and rest[0] == "config":
        return _of_setting(old, ".".join(rest[1:]))
    return _of_name(old, module, rest)


def _split(old: str) -> tuple[str, list[str]]:
    """The innermost module of a dotted name, and the rest of the name."""
    parts = old.split(".")
    for k in range(len(parts), 0, -1):
        if ".".join(parts[:k]) in MODULES:
            return ".".join(parts[:k]), parts[k:]
    return parts[0], parts[1:]


def _exists(name: str) -> bool:
    try:
        return dotted(name) is not None
    except (AttributeError, ImportError):
        return False


def _kind(old: str, new: str) -> Fate:
    return Fate(old, "same" if new == under_new_root(old) else "renamed", new, NOTES.get(old, ""))


def _of_module(old: str) -> Fate:
    same = under_new_root(old)
    if _exists(same):
        return _kind(old, same)
    found = [name for name in MODULES[old] if place(name) is not None]
    public = [name for name in found if not name.startswith(_ONLY_SERVED)]
    if public:
        return _kind(old, public[0])
    return Fate(old, "served", "", NOTES.get(old, "")) if found else Fate(old, "missing", "", advice(old) or NOT_YET)


def _of_name(old: str, module: str, rest: list[str]) -> Fate:
    served = False
    for name in MODULES[module]:
        home = place(name)
        if home is None or not offers(home, rest[0]) or not _exists(".".join([name, *rest])):
            continue
        if not name.startswith(_ONLY_SERVED):
            return _kind(old, ".".join([name, *rest]))
        served = True
    if served:
        return Fate(old, "served", "", NOTES.get(old, "") or _about_gpus(old))
    return Fate(old, "missing", "", advice(old) or NOT_YET)


def _about_gpus(old: str) -> str:
    """The advice for a name of Theano's modules for GPUs, which is served for programs that need no change."""
    return advice(old) if old.startswith(("theano.sandbox.cuda", "theano.gpuarray")) else ""


def _of_setting(old: str, name: str) -> Fate:
    if not name or name in flags.SHARED or name == "change_flags":
        new = f"symc.config.{name}" if name in flags.SHARED else "symc.config.change" if name else "symc.config"
        return _kind(old, new)
    known = name in flags.WITHOUT_EFFECT or any(n.startswith(name + ".") for n in flags.WITHOUT_EFFECT)
    note = NOTES.get(old, "accepted, has no effect")
    return Fate(old, "served", "", note) if known else Fate(old, "missing", "", "no setting of Theano")


def listed() -> list[Fate]:
    """The fates of all names of the migration page."""
    return [fate(old) for old in dict.fromkeys((*NAMES.split(), *RENAMED, *NOTES))]
