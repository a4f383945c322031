"""Names of ``theano.printing`` that are called differently."""

from __future__ import annotations

from typing import Any

import symc
import symc.printing

__all__ = ["debugprint", "hex_digest", "min_informative_str", "pydot_imported", "pydot_imported_msg"]

pydot_imported, pydot_imported_msg = True, ""
"""Whether ``pydotprint`` can draw, which here needs no other package."""


def debugprint(
    obj: Any,
    depth: int = -1,
    print_type: bool = False,
    file: Any = None,
    ids: str = "CHAR",
    stop_on_name: bool = False,
    done: Any = None,
    print_storage: bool = False,
    print_clients: bool = False,
    used_ids: Any = None,
) -> Any:
    """``symc.debugprint`` with the order of arguments of ``theano.printing.debugprint``.

    Lines of the program are not printed, so that equal graphs give equal text. ``print_storage`` and
    ``print_clients`` have no effect.
    """
    return symc.printing.debugprint(
        obj, depth, print_type, file, ids, stop_on_name, print_lines=False, done=done, used_ids=used_ids
    )


def min_informative_str(obj: Any, **ignored: Any) -> str:
    """A graph as a formula."""
    return symc.pp(obj)


def hex_digest(x: Any) -> str:
    """A digest of the bytes of an array."""
    import hashlib

    return f"{hashlib.sha256(x.tobytes()).hexdigest()}{x.dtype}{x.shape}"
