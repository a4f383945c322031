"""``theano.compat.six.moves``: what Python 3 calls differently than Python 2."""

from __future__ import annotations

import builtins
import configparser
import pickle
import queue
import urllib
from functools import reduce
from io import StringIO
from itertools import zip_longest

__all__ = [
    "StringIO", "builtins", "cPickle", "cStringIO", "configparser", "filter", "input", "map", "queue", "range",
    "reduce", "urllib", "xrange", "zip", "zip_longest",
]  # fmt: skip

cPickle, cStringIO = pickle, StringIO  # noqa: N816 - Python 2's names
filter, input, map, range, xrange, zip = filter, input, map, range, range, zip  # noqa: PLW0127
