"""Theano's and Lasagne's module names, so that programs written for them run unchanged.

``python -m symc.compat SCRIPT`` runs a script, ``python -m symc.compat -m MODULE`` a module; in a program or a session,
``symc.compat.install()`` before the first import of ``theano`` does the same. ``symc.compat.check(PATH)`` reads the
sources of a project and reports what becomes of each name that it uses.

Nothing here changes what ``symc`` and ``lasagne_like`` offer under their own names.
"""

from __future__ import annotations

from symc.compat.check import check
from symc.compat.install import install, installed, uninstall

__all__ = ["check", "install", "installed", "uninstall"]
