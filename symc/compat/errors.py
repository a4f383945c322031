"""Exceptions of several kinds: symc's, and the one that callers of Theano catch."""

__all__ = ["NotOffered"]


class NotOffered(ValueError, NotImplementedError):
    """An argument that is not accepted. Theano raises a NotImplementedError in such a case."""
