"""Exceptions of several kinds: symc's, and the one that callers of Theano catch."""

__all__ = ["NotOffered", "kind_in_theano"]

_KINDS: dict[str, type[Exception]] = {
    "an input has ": TypeError, "images2neibs:": TypeError, "neibs2images:": ValueError,
    "indexing: a mask ": IndexError, "indexing: the mask ": IndexError,
}  # fmt: skip
"""What Theano raises in calls, by the beginnings of messages, where symc's error is of another kind."""


def kind_in_theano(text: str) -> type[Exception] | None:
    """The kind of Theano's error in place of an error of a call with this message; None for symc's own."""
    said = text.partition("(): ")[2]
    return next((kind for beginning, kind in _KINDS.items() if said.startswith(beginning)), None)


class NotOffered(ValueError, NotImplementedError):
    """An argument that is not accepted. Theano raises a NotImplementedError in such a case."""
