"""``theano.misc.pkl_utils``: picklers of old programs."""

from __future__ import annotations

import pickle
from typing import Any

__all__ = ["BadUnpickler", "CompatUnpickler", "StripPickler", "Unpickler"]


class StripPickler(pickle.Pickler):
    """A pickler. Theano's left out what a tag of a variable need not keep; here there is nothing of that kind."""

    def __init__(self, file: Any, protocol: int = 0, extra_tag_to_remove: Any = None) -> None:
        super().__init__(file, protocol)


class CompatUnpickler(pickle.Unpickler):
    """An unpickler that reads arrays and texts which Python 2 pickled. Load only files that you trust."""

    def __init__(self, file: Any, **options: Any) -> None:
        super().__init__(file, **{"encoding": "latin1", **options})


Unpickler = BadUnpickler = CompatUnpickler
