"""Rewriting of repetitions (``scan``): work leaves the loop, and what stays in it becomes cheaper.

The rewrites ask an op's record for the trait ``repeats`` and treat every repetition alike. ``improved`` applies all of
them to one level of a graph; bodies are levels of their own.
"""

from symc.compiler.scans.level import improved

__all__ = ["improved"]
