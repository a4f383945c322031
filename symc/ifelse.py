"""``ifelse`` under the name of its module in Theano: ``from symc.ifelse import ifelse``.

The module is callable: ``symc.ifelse(condition, x, y)`` means ``symc.ifelse.ifelse(condition, x, y)``.
"""

from __future__ import annotations

from symc.callable_module import make_callable
from symc.tensor.ifelse import ifelse

__all__ = ["ifelse"]

make_callable(__name__)
