"""Checks of ops written by users: ``check_op``."""

from symc.testing.check import check_op

__all__ = ["check_op"]
