"""Errors of public functions for arguments that they did not expect."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symc
import symc.tensor as T
from lasagne_like import init, layers, nonlinearities, objectives, regularization, updates, utils
from symc.errors import ArgumentError, AxisError
from symc.graph import argument_faults

OBJECTS = np.array([object(), None], object)
BELOW = layers.InputLayer((None, 3), name="below")
M, V = T.matrix("m"), T.vector("v")

FAULTS: list[tuple[Callable[[], Any], str]] = [
    (lambda: layers.dropout_channels(None), "dropout_channels: incoming=None: expected Layer"),
    (lambda: layers.layer_norm(None), "layer_norm: layer=None: expected Layer"),
    (lambda: layers.squeeze_excite(None), "squeeze_excite: incoming=None: expected Layer"),
    (lambda: nonlinearities.gelu(None), "gelu: x=None: expected expression"),
    (lambda: regularization.l2(BELOW), "l2: x=<InputLayer 'below'> of type InputLayer: expected expression"),
    (lambda: objectives.categorical_accuracy(M, V, top_k="a"), "categorical_accuracy: top_k='a': expected int"),
    (lambda: objectives.aggregate(None), "aggregate: loss=None: expected"),
    (lambda: updates.apply_momentum(None), "apply_momentum: updates=None: expected"),
    (lambda: utils.floatX("sames"), "floatX: arr='sames': expected"),
    (lambda: init.GlorotUniform(gain=OBJECTS), "gain=array([<object"),
    (lambda: T.nlinalg.qr(M, mode=OBJECTS), "qr: mode=array([<object"),
    (lambda: T.slinalg.cholesky(M, lower=OBJECTS), "cholesky: lower=array([<object"),
    (lambda: T.slinalg.cho_solve(None, V), "cho_solve: c_and_lower=None: expected"),
    (lambda: symc.clone(None), "clone: output=None: expected"),
    (lambda: symc.shared(np.ones(2), broadcastable=BELOW), "shared: broadcastable=<InputLayer 'below'>"),
]


@pytest.mark.parametrize("act, text", FAULTS, ids=[text.split(":")[0] for _, text in FAULTS])
def test_message(act: Callable[[], Any], text: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(text)) as caught:
        act()
    assert "test_argument_faults.py" in str(caught.value)
    assert isinstance(caught.value, type(caught.value.__cause__))


def test_a_layer_for_an_expression_names_the_repair() -> None:
    with pytest.raises(TypeError, match=re.escape("repair: give get_output(x)")):
        regularization.l2(BELOW)


@pytest.mark.parametrize(
    "act", [layers.get_output, layers.get_all_layers, layers.get_all_params, layers.count_params, layers.summary]
)
def test_arrays_are_no_layers(act: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="expected layers, got array"):
        act(np.ones((2, 2)))


def test_errors_raised_on_purpose_pass_through() -> None:
    with pytest.raises(AxisError) as caught:
        T.transpose(M, (0, 5))
    assert not isinstance(caught.value, ArgumentError)
    with pytest.raises(TypeError, match="missing 1 required") as missing:
        T.nlinalg.qr()
    assert not isinstance(missing.value, ArgumentError)


def test_errors_of_functions_of_the_user_pass_through() -> None:
    def step(x: Any) -> Any:
        return x + {}["missing"]

    with pytest.raises(KeyError, match="missing") as caught:
        symc.scan_checkpoints(step, sequences=[V], outputs_info=[None])
    assert not isinstance(caught.value, ArgumentError)
    with pytest.raises(TypeError) as penalty:
        regularization.apply_penalty(M, lambda x: x + None)
    assert not isinstance(penalty.value, ArgumentError)


def test_arguments_without_a_known_fault_are_listed() -> None:
    def inverse(x, y):  # type: ignore[no-untyped-def]
        return [x][y]

    error = None
    try:
        inverse(1, 5)
    except IndexError as caught:
        error = caught
    assert error is not None
    assert argument_faults.explained(error, "inverse", inverse, (1, 5), {}) is error  # raised in a file of the user


def test_wrapped_functions_keep_their_name_and_pickle() -> None:
    import pickle

    assert nonlinearities.rectify.__name__ == "rectify"
    assert nonlinearities.identity is nonlinearities.linear
    assert pickle.loads(pickle.dumps(nonlinearities.gelu)) is nonlinearities.gelu
    assert pickle.loads(pickle.dumps(objectives.squared_error)) is objectives.squared_error
