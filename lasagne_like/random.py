"""The one source of randomness of the library.

Initialisers draw from it, and layers with noise seed their symbolic streams from it, so that fixing it makes a whole
network reproducible::

    import numpy as np
    import lasagne_like

    lasagne_like.random.set_rng(np.random.RandomState(1234))
"""

from typing import Any

import numpy as np

__all__ = ["get_rng", "set_rng"]

_rng: Any = np.random


def get_rng() -> Any:
    """Return the random number generator that the library draws from.

    Returns
    -------
    numpy.random.RandomState or the module ``numpy.random``
        The generator given to :func:`set_rng`; NumPy's global one if there was none.
    """
    return _rng


def set_rng(new_rng: Any) -> None:
    """Replace the random number generator that the library draws from.

    Parameters
    ----------
    new_rng : numpy.random.RandomState or the module ``numpy.random``
        The generator to use from now on. Networks built before keep the numbers they drew.

    Raises
    ------
    TypeError
        If `new_rng` lacks one of the methods the library needs (``normal``, ``uniform``, ``randint``).
    """
    global _rng
    missing = [method for method in ("normal", "uniform", "randint", "shuffle") if not hasattr(new_rng, method)]
    if missing:
        raise TypeError(
            f"set_rng: new_rng has no method {', '.join(missing)}; expected a numpy.random.RandomState, "
            f"got {type(new_rng).__name__}. np.random.RandomState(seed) will do."
        )
    _rng = new_rng
