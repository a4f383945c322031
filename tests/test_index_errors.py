"""The number that a range check rejects, in the message of a call that failed."""

import re

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.graph import Apply

X = np.arange(12, dtype="float32").reshape(3, 4)
x, i, k, j = T.fmatrix("x"), T.lvector("i"), T.lmatrix("k"), T.lscalar("j")
w = symc.shared(np.ones((4, 5), "float32"), name="w")

CASES = {
    "scalar": (lambda: x[j], [x, j], [X, 5], "5; allowed: -3 to 2"),
    "vector": (lambda: x[i], [x, i], [X, [0, 1, 7, 9]], "7 at position 2; allowed: -3 to 2"),
    "columns": (lambda: x[:, i], [x, i], [X, [0, -9]], "-9 at position 1; allowed: -4 to 3"),
    "two": (lambda: x[i, k], [x, i, k], [X, [0, 2], [[0, 1], [1, 4]]], "4 at position (1, 1); allowed: -4 to 3"),
    "written": (lambda: T.inc_subtensor(x[i], 1.0), [x, i], [X, [0, -4]], "-4 at position 1; allowed: -3 to 2"),
    "computed": (lambda: x[i * 2 - 1], [x, i], [X, [0, 4]], "7 at position 1; allowed: -3 to 2"),
    "of no entries": (lambda: x[i], [x, i], [X[:0], [0]], "0 at position 0; allowed: none, there are no entries"),
    "shared": (lambda: w[k], [k], [[[0, 1], [3, 4]]], "4 at position (1, 1); allowed: -4 to 3"),
    "labels": (
        lambda: T.nnet.categorical_crossentropy(T.nnet.softmax(T.dot(x, w)), i).mean(),
        [x, i],
        [X, [0, 5, 1]],
        "5 at position 1; allowed: -5 to 4",
    ),
    "gradient": (
        lambda: symc.grad(T.nnet.categorical_crossentropy(T.nnet.softmax(T.dot(x, w)), i).mean(), w),
        [x, i],
        [X, [0, 1, -6]],
        "-6 at position 2; allowed: -5 to 4",
    ),
    "repeat": (lambda: T.repeat(x, i, axis=0), [x, i], [X, [0, -5, 6]], "-5 at position 1; allowed: 0 and more"),
    "choose": (lambda: T.choose(i, [i, i + 1]), [i], [[0, 2]], "2 at position 1; allowed: 0 to 1"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_rejected_number_is_shown(name):
    make, inputs, values, want = CASES[name]
    out = make()
    f = symc.function(inputs, out)
    with pytest.raises(IndexError) as caught:
        f(*values)
    shown = re.findall(r"^  found: (.*)$", str(caught.value), re.M)
    assert shown == [want]


@pytest.mark.parametrize("good, bad", [(1, 5), (np.int32(1), np.int32(5)), (np.array(1), np.array(5))])
def test_arguments_that_are_no_arrays(good, bad):
    """The launcher, which runs later calls of known shapes, hands on the arguments as they were given."""
    f = symc.function([x, j], x[j])
    np.testing.assert_array_equal(f(X, good), X[1])
    for _ in range(2):
        with pytest.raises(IndexError, match=r"found: 5; allowed: -3 to 2"):
            f(X, bad)


def test_of_two_checks_with_one_text_the_one_that_failed_is_shown():
    f = symc.function([x, i, j], [x[i], x[j]])
    with pytest.raises(IndexError, match=r"found: 3; allowed: -3 to 2"):
        f(X, [0, 1], 3)
    with pytest.raises(IndexError, match=r"found: 3 at position 1; allowed"):
        f(X, [0, 3], 1)


def test_a_condition_is_not_shown_as_a_number():
    f = symc.function([j], T.arange(0, 5, j))
    with pytest.raises(IndexError) as caught:
        f(0)
    assert "found:" not in str(caught.value)


def test_what_costs_too_much_is_not_computed_again():
    calls = []

    class Counted(symc.Op):
        def make_node(self, v):
            return Apply(self, [v], [v.type])

        def perform(self, node, inputs, outputs):
            calls.append(1)
            outputs[0][0] = inputs[0] + 1

    f = symc.function([x, i], x[Counted()(i)])
    with pytest.raises(IndexError) as caught:
        f(X, [0, 2])
    assert len(calls) == 1 and "found:" not in str(caught.value)


def test_labels_of_a_loss_are_blamed_on_the_line_of_the_loss():
    loss = T.nnet.categorical_crossentropy(T.nnet.softmax(x), i).mean()  # the line to be named

    f = symc.function([x, i], loss)
    with pytest.raises(IndexError) as caught:
        f(X, [0, 4, 1])
    assert any(line.startswith("  at ") and "the line to be named" in line for line in str(caught.value).splitlines())
