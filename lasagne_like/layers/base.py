"""Base classes of layers."""

import inspect
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import symc
from symc.errors import SourceLocation

from .. import init
from ..errors import _NoShape
from ..naming import missing_method
from ..utils import collect_shared_vars, create_param, int_types
from .construction import LayerType, unknown_arguments_of
from .inference import OutputType, Shape, agree, infer, infer_other

__all__ = ["Layer", "MergeLayer", "is_layer"]


class Layer(metaclass=LayerType):
    """A layer of a network, to be subclassed for new kinds of layers.

    A layer refers to the layers that feed into it, so that the output layer of a network stands for the whole network.
    A new kind of layer overrides :meth:`get_output_for` and, if it has parameters, creates them in its constructor
    with :meth:`add_param`::

        class ScaleByLayer(Layer):
            def __init__(self, incoming, factor=lasagne_like.init.Constant(1), **kwargs):
                super().__init__(incoming, **kwargs)
                self.factor = self.add_param(factor, (), name="factor")

            def get_output_for(self, input, **kwargs):
                return input * self.factor

    The output shape is inferred from :meth:`get_output_for`. A subclass may still state it by overriding
    :meth:`get_output_shape_for`; the statement takes precedence and is checked against the inferred shape.

    Parameters
    ----------
    incoming : Layer or tuple
        The layer feeding into this layer, or the expected input shape: one size per axis, None where it may vary.
    name : str, optional
        The name of the layer; it prefixes the names of the layer's parameters.

    Attributes
    ----------
    input_layers : list of (Layer or None)
        The layers feeding into this one; None for those of which only the shape was given.
    input_shapes : list of tuple
        Their output shapes.
    input_layer, input_shape
        The only elements of these, for layers with one input.
    params : OrderedDict
        Parameter to set of tags, in the order of creation.
    created_at : SourceLocation or None
        The user's line that created the layer.
    get_output_kwargs : list of str
        Further keyword arguments that :meth:`get_output_for` understands, besides those in its signature.
    frozen : bool
        Whether the layer is frozen, see :func:`lasagne_like.transfer.freeze`. :func:`get_output` applies a frozen layer
        that has parameters which are never trained, such as running averages, with ``deterministic=True``. A layer
        that keeps other state, or ignores `deterministic`, must not change it while it is frozen.
    trainable : bool
        Whether the layer is not frozen; setting it freezes the layer or undoes that.

    Raises
    ------
    TypeError
        If `incoming` is neither a layer nor a tuple, or for an unknown keyword argument.
    ValueError
        If an input size is not positive.

    Notes
    -----
    A constructor may read :attr:`output_shape` before it has set all that :meth:`get_output_for` uses. The output
    shape then is the input shape, as for every layer of Lasagne that does not override :meth:`get_output_shape_for`.
    A layer for which that turns out to be wrong raises when its constructor returns.
    """

    input_dtype: str | None = None
    """The dtype of the input, if it does not follow from the incoming layer (an integer dtype for embeddings)."""

    frozen = False

    saved_attributes: tuple[str, ...] = ("frozen",)
    """Attributes besides the constructor's arguments that model files contain."""

    created_at: SourceLocation | None = None

    _constructed = False
    _assumed_shape: Shape | None = None

    def __init__(self, incoming: Any, name: str | None = None, **unknown: Any):
        if unknown:
            raise unknown_arguments_of(type(self), unknown)
        self.name = name
        self.params: OrderedDict[Any, set[str]] = OrderedDict()
        self.get_output_kwargs: list[str] = []
        self._gives_several = False
        self._param_shapes: dict[Any, Shape] = {}
        incomings = self._incomings(incoming)
        types = [_type_of_incoming(each) for each in incomings]
        self.input_layers: list[Any] = [None if isinstance(each, tuple) else each for each in incomings]
        self.input_shapes: list[Shape] = [each.shape for each in types]
        self._input_dtypes = [(each.dtype, each.certain) for each in types]
        for shape in self.input_shapes:
            if isinstance(shape, tuple) and any(size is not None and size <= 0 for size in shape):
                raise ValueError(
                    f"Cannot create {type(self).__name__} with a non-positive input_shape dimension. "
                    f"input_shape={shape!r}, self.name={name!r}"
                )

    def _finish(self) -> None:
        """Check the output shape that was assumed while the constructor ran."""
        self._constructed = True
        if self._assumed_shape is not None:
            inferred = infer(self, self.input_shapes).static_shape
            if not agree(self._assumed_shape, inferred):
                raise ValueError(
                    f"{type(self).__name__} (name={self.name!r}) reads its output_shape in its constructor, where it "
                    f"is the input shape {self._assumed_shape!r}, but the expression returned by get_output_for() has "
                    f"shape {inferred!r}. Override get_output_shape_for(), or read output_shape after all attributes "
                    "that get_output_for() uses are set."
                )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>" if self.name else f"<{type(self).__name__} at {id(self):#x}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say what attributes of layers and models of other libraries are called here."""
            if hasattr(type(self), name):
                return object.__getattribute__(self, name)  # a property that raises: once more, for its own message
            raise missing_method(self, name)

    def _incomings(self, incoming: Any) -> Sequence:
        """Arrange the constructor's argument as a sequence of layers and shapes."""
        return (incoming,)

    def _arguments(self, values: Sequence) -> Any:
        """Arrange one value per input as ``get_output_for`` and ``get_output_shape_for`` expect it."""
        return values[0]

    @property
    def trainable(self) -> bool:
        """bool : Whether the layer is not frozen; see :func:`lasagne_like.transfer.freeze`."""
        return not self.frozen

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise TypeError(f"{self!r}: trainable must be True or False, got {value!r}")
        self.frozen = not value
        old, new = ("frozen", "trainable") if value else ("trainable", "frozen")
        for tags in self.params.values():
            if old in tags:
                tags.remove(old)
                tags.add(new)

    def _options(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments of ``get_output_for``: a frozen layer with state does as in inference."""
        if not self.frozen or all(tags & {"trainable", "frozen"} for tags in self.params.values()):
            return given
        parameters = inspect.signature(self.get_output_for).parameters
        understood = "deterministic" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        return {**given, "deterministic": True} if understood else given

    @property
    def input_layer(self) -> Any:
        return self._only("input_layer", self.input_layers)

    @input_layer.setter
    def input_layer(self, layer: Any) -> None:
        self.input_layers = [layer]

    @property
    def input_shape(self) -> Shape:
        return self._only("input_shape", self.input_shapes)

    @input_shape.setter
    def input_shape(self, shape: Shape) -> None:
        self.input_shapes = [tuple(shape)]

    def _only(self, field: str, values: Sequence) -> Any:
        if len(values) != 1:
            # AttributeError, because programs use hasattr(layer, "input_layer") to distinguish layers with one input.
            raise AttributeError(f"{type(self).__name__} has {len(values)} inputs, hence no {field}; see {field}s")
        return values[0]

    @property
    def output_shape(self) -> Shape:
        """tuple : The shape of the layer's output: one size per axis, None where it may vary."""
        return self._output_type().shape

    def _states_shape(self) -> bool:
        """Whether ``get_output_shape_for`` is overridden."""
        method = getattr(self.get_output_shape_for, "__func__", None)
        return method not in (Layer.get_output_shape_for, MergeLayer.get_output_shape_for)

    def _states_output(self) -> bool:
        """Whether ``get_output_for`` is overridden."""
        return getattr(self.get_output_for, "__func__", None) not in (Layer.get_output_for, MergeLayer.get_output_for)

    def _output_type(self) -> OutputType:
        certain = all(each for _, each in self._input_dtypes)
        if self._states_shape():
            shape = self._stated_shape()
            if not self._constructed:
                return OutputType(shape, symc.config.floatX, False)
            try:
                output = infer(self, self.input_shapes)
            except TypeError:
                if None not in self.input_layers:
                    raise
                # Only the shape of a missing input is known: the placeholder may have the wrong dtype.
                return OutputType(shape, symc.config.floatX, False)
            if isinstance(output, Sequence):  # several expressions: layers above it choose among them
                self._gives_several = True
                return OutputType(shape, output[0].dtype, certain)
            if not agree(shape, output.static_shape):
                raise ValueError(
                    f"{type(self).__name__} (name={self.name!r}) contradicts itself for input shapes "
                    f"{self.input_shapes!r}: get_output_shape_for() returns {shape!r}, but the expression returned by "
                    f"get_output_for() has shape {output.static_shape!r}. Correct get_output_shape_for(), or remove "
                    "it: the shape is inferred without it."
                )
            return OutputType(shape, output.dtype, certain)
        if not self._states_output():
            return OutputType(self.get_output_shape_for(self._arguments(self.input_shapes)), *self._input_dtypes[0])
        try:
            output = infer(self, self.input_shapes)
        except AttributeError as error:
            if self._constructed or error.obj is not self or len(self.input_shapes) != 1:
                raise
            # The constructor has not set the attribute yet. _finish checks the assumption.
            self._assumed_shape = self.input_shape
            return OutputType(self.input_shape, *self._input_dtypes[0])
        except TypeError:
            stated = self._shape_by_units(self.input_shapes[0]) if len(self.input_shapes) == 1 else None
            if stated is None:
                raise
            return OutputType(stated, *self._input_dtypes[0])
        return OutputType(output.static_shape, output.dtype, certain)

    def _stated_shape(self) -> Shape:
        stated = tuple(self.get_output_shape_for(self._arguments(self.input_shapes)))
        if any(isinstance(size, symc.Variable) for size in stated):
            raise ValueError(
                f"{type(self).__name__} returned a symbolic output shape from its get_output_shape_for() method: "
                f"{stated!r}. This is not allowed; shapes must be tuples of integers for fixed-size dimensions and "
                "Nones for variable dimensions."
            )
        return stated

    def get_params(self, unwrap_shared: bool = True, **tags: bool) -> list:
        """List the parameters of this layer, without those of the layers below.

        Parameters
        ----------
        unwrap_shared : bool
            How to list parameters that are expressions: as the shared variables they depend on (True), or as the
            expressions themselves (False).
        **tags
            ``tag=True`` selects parameters that have the tag, ``tag=False`` those that do not. The library uses
            ``trainable``, ``regularizable`` and ``batch_norm_stat``; layers may use others.

        Returns
        -------
        list of shared variables or expressions
            In the order of creation. The variables of an expression share its tags.
        """
        wanted = {tag for tag, value in tags.items() if value}
        unwanted = {tag for tag, value in tags.items() if not value}
        result = [param for param, has in self.params.items() if wanted <= has and not unwanted & has]
        return collect_shared_vars(result) if unwrap_shared else result

    def get_output_shape_for(self, input_shape: Shape) -> Shape:
        """Compute the output shape for a given input shape.

        Parameters
        ----------
        input_shape : tuple
            One size per axis; None where it may vary.

        Returns
        -------
        tuple
            One size per axis of the output; None where it may vary.

        Notes
        -----
        The shape is inferred from :meth:`get_output_for`. A layer that overrides this method gets `input_shape` back
        from ``super().get_output_shape_for(input_shape)``, as in Lasagne; so does a layer without
        :meth:`get_output_for`.
        """
        if self._states_shape() or not self._states_output():
            return input_shape
        known = tuple(None if isinstance(size, symc.Variable) else size for size in input_shape)
        try:
            return infer_other(self, known)
        except (TypeError, ValueError):
            stated = self._shape_by_units(known)
            if stated is None:
                raise
            return stated

    def _shape_by_units(self, input_shape: Shape) -> Shape | None:
        """Return the output shape where it cannot be inferred, such as for sizes that the parameters contradict."""
        return None

    def get_output_for(self, input: Any, **kwargs: Any) -> Any:
        """Apply this layer, without those below, to an input; subclasses override this method.

        Parameters
        ----------
        input : expression
            The input of the layer, of shape :attr:`input_shape`.
        **kwargs
            The keyword arguments of :func:`get_output`, such as ``deterministic``.

        Returns
        -------
        expression
            The output of the layer.
        """
        raise NotImplementedError(f"{type(self).__name__} must define get_output_for(self, input, **kwargs)")

    def add_param(self, spec: Any, shape: Iterable[int | None], name: str | None = None, **tags: bool) -> Any:
        """Create a parameter and register it with the layer.

        Parameters
        ----------
        spec : number, array, expression, shared variable, callable or str
            The initial value, see :func:`lasagne_like.utils.create_param`; or the name of an initialiser, see
            :func:`lasagne_like.init.resolve`.
        shape : iterable of int
            The shape of the parameter.
        name : str, optional
            The name of the parameter. It is prefixed with the name of the layer (``'layer.name'``).
        **tags
            Tags to add (``tag=True``) or not to add (``tag=False``). By default, parameters have the tags
            ``trainable`` and ``regularizable``.

        Returns
        -------
        shared variable or expression
            The parameter. It is usually stored as an attribute of the layer.

        Examples
        --------
        >>> from lasagne_like.init import Normal
        >>> layer = Layer((None, 3))
        >>> layer.W = layer.add_param(Normal(), (3, 2), name="W", regularizable=False)
        >>> layer.params[layer.W]
        {'trainable'}
        """
        if name is not None and self.name is not None:
            name = f"{self.name}.{name}"
        shape = tuple(shape)
        param = create_param(init.resolve(spec), shape, name)
        self._param_shapes[param] = shape
        tags = {"trainable": True, "regularizable": True} | tags
        self.params[param] = {tag for tag, value in tags.items() if value}
        return param


class MergeLayer(Layer):
    """A layer with several inputs, to be subclassed for new kinds of layers.

    Parameters
    ----------
    incomings : list of (Layer or tuple)
        The layers feeding into this layer, or the expected input shapes.
    name : str, optional
        The name of the layer.

    See Also
    --------
    Layer : the attributes.
    """

    def __init__(self, incomings: Iterable, name: str | None = None, **unknown: Any):
        super().__init__(incomings, name, **unknown)

    def _incomings(self, incoming: Any) -> Sequence:
        if is_layer(incoming) and not isinstance(incoming, Iterable):
            raise TypeError(f"{type(self).__name__} expects a list of layers or input shapes, got {incoming!r} alone")
        found = list(incoming)
        if not found:
            raise ValueError(f"{type(self).__name__} expects at least one layer or input shape, got an empty list")
        return found

    def _arguments(self, values: Sequence) -> list:
        return list(values)

    def _only(self, field: str, values: Sequence) -> Any:
        raise AttributeError(f"{type(self).__name__} takes a list of inputs, hence no {field}; see {field}s")

    def get_output_shape_for(self, input_shapes: Sequence[Shape]) -> Shape:
        """Compute the output shape for given input shapes.

        Parameters
        ----------
        input_shapes : list of tuple
            One shape per input.

        Returns
        -------
        tuple
            One size per axis of the output; None where it may vary.

        Notes
        -----
        The shape is inferred from :meth:`get_output_for`. A layer that overrides this method cannot call it: there is
        no single input shape to return.
        """
        if self._states_shape() or not self._states_output():
            raise _NoShape(f"{type(self).__name__} must define get_output_shape_for(self, input_shapes)")
        return infer(self, input_shapes).static_shape

    def get_output_for(self, inputs: Sequence, **kwargs: Any) -> Any:
        """Apply this layer, without those below, to its inputs; subclasses override this method.

        Parameters
        ----------
        inputs : list of expressions
            One per input layer.
        **kwargs
            The keyword arguments of :func:`get_output`, such as ``deterministic``.

        Returns
        -------
        expression
            The output of the layer.
        """
        raise NotImplementedError(f"{type(self).__name__} must define get_output_for(self, inputs, **kwargs)")


def is_layer(thing: Any) -> "TypeGuard[Layer]":
    """Return whether `thing` is a layer, or stands for one: anything that has an ``output_shape``."""
    if issubclass(type(thing), Layer):
        return True
    return hasattr(thing, "output_shape") and not isinstance(thing, tuple | type | Mapping | symc.Variable)


def _type_of_incoming(incoming: Any) -> OutputType:
    if issubclass(type(incoming), Layer):
        return incoming._output_type()
    if isinstance(incoming, tuple) and all(size is None or isinstance(size, int_types) for size in incoming):
        shape = tuple(None if size is None else int(size) for size in incoming)
        return OutputType(shape, symc.config.floatX, False)
    if is_layer(incoming):
        shape = incoming.output_shape
        return OutputType(tuple(shape) if isinstance(shape, list) else shape, symc.config.floatX, False)
    repair = "; wrap an expression in an InputLayer" if isinstance(incoming, symc.Variable) else ""
    if isinstance(incoming, int_types):
        repair = "; the layer below comes first, as in DenseLayer(network, 10)"
    if isinstance(incoming, dict) and incoming and all(isinstance(layer, Layer) for layer in incoming.values()):
        names = list(incoming)
        text = f"incoming is a dict of {len(names)} layers: choose one of them, such as network[{names[-1]!r}]"
        raise TypeError(f"{text}; the last ones are {', '.join(map(repr, names[-5:]))}")
    raise TypeError(
        f"incoming must be a Layer or a tuple with a size (or None) for each axis, got {incoming!r} "
        f"of type {type(incoming).__name__}{repair}"
    )
