"""Errors of several packages."""

__all__ = ["ModelFileError"]


class _WrongKind(ValueError, TypeError):
    """A value of another kind than an argument takes. Lasagne raises a TypeError in such a case, Keras a ValueError."""


class _NotSupported(ValueError, NotImplementedError):
    """A value that an argument cannot have. Lasagne raises a NotImplementedError in such a case."""


class _NotDefined(TypeError, NotImplementedError):
    """A method that a subclass must define. Lasagne raises a NotImplementedError in such a case."""


class _NoShape(NotImplementedError, AttributeError):
    """A layer does not define its shape: it has no ``output_shape``, for ``hasattr`` too."""


class _UnknownType(TypeError, RuntimeError):
    """A value of another type than a function takes. Lasagne raises a RuntimeError in such a case."""


class _WrongShape(ValueError, RuntimeError):
    """A parameter of another shape than its layer needs. Lasagne 0.1 raises a RuntimeError in such a case."""


class ModelFileError(ValueError):
    """A file of weights or a model is damaged, hostile, or of an unknown form. Nothing was loaded from it."""
