"""A network as a dictionary of named layers, with its preprocessing and the names of its classes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

import symc

from .data.pictures import is_one_picture
from .data.preprocess import Preprocess
from .layers import InputLayer, Layer, get_all_layers, get_output
from .naming import missing_method
from .nonlinearities import linear, sigmoid, softmax
from .prediction import Prediction

__all__ = ["Model", "named_layers"]


class Model(OrderedDict[str, Layer]):
    """A network: named layers, the preprocessing of its pictures, and the names of its classes.

    It is an ``OrderedDict`` from name to layer; the last layer is the output layer.

    Parameters
    ----------
    layers : Layer, list of Layer, dict of str to Layer, or iterable of (str, Layer)
        The layers. For a Layer or a list, all layers below belong to the network, under their names or, if they have
        none, under names from their position and class (``3_DenseLayer``).
    preprocess : Preprocess, optional
        How pictures become inputs. Without it, :meth:`predict` takes inputs.
    classes : sequence of str, optional
        The names of the classes, one per output.
    name : str, optional
        The name of the architecture.

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If the number of classes does not match the output layer, or two layers have one name.

    Examples
    --------
    >>> from lasagne_like.layers import DenseLayer, InputLayer
    >>> from lasagne_like.nonlinearities import softmax
    >>> out = DenseLayer(InputLayer((None, 4), name="input"), 2, nonlinearity=softmax, name="out")
    >>> model = Model(out, classes=["cat", "dog"])
    >>> list(model), model.output_layer is out
    (['input', 'out'], True)
    >>> model.predict(np.zeros((3, 4), "float32"))[0].probability
    0.5
    """

    def __init__(
        self,
        layers: Any = (),
        *,
        preprocess: Preprocess | None = None,
        classes: Sequence[str] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(named_layers(layers))
        if preprocess is not None and not isinstance(preprocess, Preprocess):
            raise TypeError(f"preprocess must be a lasagne_like.data.Preprocess, got {type(preprocess).__name__}")
        self.preprocess = preprocess
        self.classes = checked_classes(classes)
        self.name = name
        self._compiled: tuple[Any, Any] | None = None
        if self and self.classes is not None:
            self._check_classes()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say what attributes of models of other libraries are called here."""
            if hasattr(type(self), name):
                return object.__getattribute__(self, name)  # a property that raises: once more, for its own message
            raise missing_method(self, name)

    def __missing__(self, name: str) -> Layer:
        near = get_close_matches(str(name), self, n=3)
        hint = f"; perhaps you meant {' or '.join(map(repr, near))}" if near else f"; the last one is {[*self][-1:]}"
        raise KeyError(f"the network has no layer {name!r}{hint}")

    def __reduce__(self) -> Any:
        return type(self), (), {**vars(self), "_compiled": None}, None, iter(self.items())

    def __repr__(self) -> str:
        what = f"{self.name or 'network'}, {len(self)} layers"
        return f"<Model {what}, {len(self.classes)} classes>" if self.classes else f"<Model {what}>"

    @property
    def output_layer(self) -> Layer:
        """Layer : The last layer."""
        if not self:
            raise ValueError("the model has no layers")
        return next(reversed(self.values()))

    @property
    def input_layers(self) -> list[InputLayer]:
        """list of InputLayer : The input layers that the output layer depends on."""
        return [layer for layer in get_all_layers(self.output_layer) if isinstance(layer, InputLayer)]

    @property
    def trainable(self) -> bool:
        """bool : Whether no layer is frozen; setting it freezes all layers, or undoes that."""
        return all(layer.trainable for layer in get_all_layers(list(self.values())))

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in get_all_layers(list(self.values())):
            layer.trainable = value

    def _check_classes(self) -> None:
        assert self.classes is not None
        shape = self.output_layer.output_shape
        binary = len(shape) == 2 and shape[1] == 1 and len(self.classes) == 2
        if len(shape) != 2 or shape[1] not in (None, len(self.classes)) and not binary:
            raise ValueError(
                f"classes has {len(self.classes)} names, but the output layer {self.output_layer!r} has the shape "
                f"{shape}: expected one class per output, (batch, {len(self.classes)})"
            )

    def outputs(self, inputs: Any, batch_size: int = 32) -> np.ndarray:
        """Compute the outputs of the network in inference mode (``deterministic=True``).

        Parameters
        ----------
        inputs : pictures, numpy.ndarray, or tuple of numpy.ndarray
            With :attr:`preprocess`, pictures as it takes them; otherwise the values of the input layer, or a tuple with
            one array per input layer.
        batch_size : int
            The number of examples to compute at a time.

        Returns
        -------
        numpy.ndarray
            The values of the output layer, the batch along the first axis.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be positive, got {batch_size}")
        compute = self._function()
        if self.preprocess is not None:
            # Batch by batch: a thousand preprocessed pictures fill half a gigabyte.
            return np.concatenate([compute(*self._arrays(part)) for part in _batches(inputs, batch_size)])
        arrays = self._arrays(inputs)
        count = len(arrays[0])
        if any(len(array) != count for array in arrays):
            raise ValueError(
                f"the inputs have {', '.join(str(len(array)) for array in arrays)} examples: expected equal"
            )
        starts = range(0, max(count, 1), batch_size)
        return np.concatenate([compute(*(array[k : k + batch_size] for array in arrays)) for k in starts])

    def _arrays(self, inputs: Any) -> list[np.ndarray]:
        layers = self.input_layers
        if self.preprocess is not None:
            if len(layers) != 1:
                raise ValueError(f"a model with preprocess has one input layer, this one has {len(layers)}")
            inputs = self.preprocess(inputs)
        arrays = list(inputs) if isinstance(inputs, tuple) else [inputs]
        if len(arrays) != len(layers):
            raise ValueError(f"got {len(arrays)} inputs for {len(layers)} input layers {layers}")
        result = [self._checked(array, layer) for array, layer in zip(arrays, layers)]
        return result

    def _checked(self, array: Any, layer: InputLayer) -> np.ndarray:
        if self.preprocess is None and is_one_picture(array) and not isinstance(array, np.ndarray):
            raise TypeError(
                "the model has no preprocess, so that it does not know how to turn a picture into an input; set "
                "model.preprocess = lasagne_like.data.Preprocess(...), or pass inputs as an array"
            )
        array = np.asarray(array)
        shape = layer.shape
        if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape[1:], array.shape[1:])):
            hint = "; set model.preprocess to convert pictures" if self.preprocess is None and len(shape) == 4 else ""
            raise ValueError(f"the inputs have shape {array.shape}, but {layer!r} expects {shape}{hint}")
        return array

    def _function(self) -> Any:
        if self._compiled is None or self._compiled[0] is not self.output_layer:
            variables = [layer.input_var for layer in self.input_layers]
            output = get_output(self.output_layer, deterministic=True)
            self._compiled = self.output_layer, symc.function(variables, output)
        return self._compiled[1]

    def probabilities(self, inputs: Any, batch_size: int = 32) -> np.ndarray:
        """Compute the probabilities of the classes.

        Parameters
        ----------
        inputs, batch_size
            See :meth:`outputs`.

        Returns
        -------
        numpy.ndarray
            ``(n, classes)``. If the output layer is linear, softmax is applied to its values (a sigmoid if it has one
            unit). A single unit with two classes gives the probability of the second class; the first has the rest.
        """
        values = self.outputs(inputs, batch_size)
        if values.ndim != 2:
            raise ValueError(f"the outputs have shape {values.shape}: probabilities need (batch, classes)")
        single = values.shape[1] == 1
        if getattr(self.output_layer, "nonlinearity", None) is linear:
            values = _sigmoid(values) if single else _softmax(values)
        return np.concatenate([1 - values, values], axis=1) if single else values

    def predict(self, inputs: Any, top: int = 5, batch_size: int = 32) -> Any:
        """Classify one or several pictures.

        Parameters
        ----------
        inputs : path, PIL image, numpy.ndarray, or list of these
            With :attr:`preprocess`, pictures as it takes them: files, PIL images, or arrays of integers from 0 to 255.
            Otherwise the values of the input layer, with the batch along the first axis.
        top : int
            The number of classes that a prediction lists.
        batch_size : int
            The number of examples to compute at a time.

        Returns
        -------
        Prediction, list of Prediction, or numpy.ndarray
            For a classifier, a :class:`Prediction` for one picture, and a list for several pictures or for inputs. A
            network is a classifier if it has :attr:`classes`, or if its output layer is a softmax. For other networks,
            the outputs.

        Examples
        --------
        A model that was saved with its preprocessing and classes::

            model = lasagne_like.load("model.safetensors")
            print(model.predict("cat.jpg"))
        """
        if top < 1:
            raise ValueError(f"top must be at least 1, got {top}")
        if self.classes is not None:
            self._check_classes()
        elif getattr(self.output_layer, "nonlinearity", None) not in (softmax, sigmoid):
            return self.outputs(inputs, batch_size)
        probabilities = self.probabilities(inputs, batch_size)
        classes = self.classes or [f"class {index}" for index in range(probabilities.shape[1])]
        predictions = [Prediction(row, classes, top) for row in probabilities]
        return predictions[0] if self.preprocess is not None and is_one_picture(inputs) else predictions


def _batches(pictures: Any, size: int) -> Iterator[Any]:
    """Divide pictures into batches; at least one, so that no pictures are refused like wrong ones."""
    if is_one_picture(pictures):
        yield pictures
    elif isinstance(pictures, np.ndarray):
        yield from (pictures[k : k + size] for k in range(0, max(len(pictures), 1), size))
    elif not isinstance(pictures, Iterable) or isinstance(pictures, Mapping):
        yield pictures
    else:
        iterator = iter(pictures)
        yield list(islice(iterator, size))
        while part := list(islice(iterator, size)):
            yield part


def _softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * values))


def checked_classes(classes: Iterable[str] | None) -> list[str] | None:
    """Return the names of classes as a list of strings."""
    if classes is None:
        return None
    if isinstance(classes, (int, np.integer)) and not isinstance(classes, bool):
        raise TypeError(f"classes must be a list of names, got {classes}; if that is their number, use num_classes")
    if isinstance(classes, AbstractSet):
        raise TypeError(f"classes must be a list of names, got a {type(classes).__name__}, which has no order")
    if isinstance(classes, str | Mapping) or not isinstance(classes, Iterable):
        raise TypeError(f"classes must be a list of names, got {type(classes).__name__}")
    names = [str(each) if isinstance(each, np.str_) else each for each in classes]
    wrong = [each for each in names if not isinstance(each, str)]
    if wrong:
        raise TypeError(f"classes must be a list of names, got {wrong[0]!r} in it; convert it by str()")
    return names


def named_layers(network: Any) -> OrderedDict[str, Layer]:
    """Return a network as a dictionary of named layers.

    Parameters
    ----------
    network : Layer, list of Layer, dict of str to Layer, or iterable of (str, Layer)
        A dictionary is returned as it is; see :class:`Model` for the names of the others.

    Raises
    ------
    TypeError
        If `network` is none of these.
    ValueError
        If two layers have one name.
    """
    if isinstance(network, Mapping):
        return OrderedDict(network)
    given: list[Any] = [network] if isinstance(network, Layer) else list(network)
    if all(isinstance(each, tuple) and len(each) == 2 for each in given):
        return OrderedDict(given)
    if not all(isinstance(each, Layer) for each in given):
        raise TypeError(f"expected a Layer, a list of layers or a dict of named layers, got {str(network)[:60]}")
    result: OrderedDict[str, Layer] = OrderedDict()
    for position, layer in enumerate(get_all_layers(given)):
        name = layer.name or f"{position}_{type(layer).__name__}"
        if name in result:
            raise ValueError(f"two layers are called {name!r}: give one of them another name")
        result[name] = layer
    return result
