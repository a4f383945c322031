"""Errors of several packages."""

__all__ = ["ModelFileError"]


class ModelFileError(ValueError):
    """A file of weights or a model is damaged, hostile, or of an unknown form. Nothing was loaded from it."""
