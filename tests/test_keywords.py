"""Arguments by the names that Theano and NumPy give them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

import symc
import symc.tensor as T

M = np.random.default_rng(2).uniform(0.2, 3, (3, 4))
I = np.array([2, 0, 1])
m, i = T.constant(M), T.constant(I)
CALLS = {
    "clip": (lambda: T.clip(m, min=1, max=2), M.clip(1, 2)),
    "clip as in NumPy": (lambda: T.clip(m, a_max=2, a_min=1), M.clip(1, 2)),
    "clip x": (lambda: T.clip(x=m, min=1, max=2), M.clip(1, 2)),
    "switch": (lambda: T.switch(cond=m > 1, ift=m, iff=0), np.where(M > 1, M, 0)),
    "switch, mixed": (lambda: T.switch(m > 1, iff=0, ift=m), np.where(M > 1, M, 0)),
    "maximum": (lambda: T.maximum(x=m, y=1), np.maximum(M, 1)),
    "sub": (lambda: T.sub(b=m, a=2), 2 - M), "lt": (lambda: T.lt(a=m, b=1), M < 1),
    "pow": (lambda: T.pow(a=m, b=2), M**2), "arctan2": (lambda: T.arctan2(a=m, b=2), np.arctan2(M, 2)),
    "exp": (lambda: T.exp(a=m), np.exp(M)), "add": (lambda: T.add(m, b=1), M + 1),
    "gammainc": (lambda: T.gammainc(k=m, x=1.5), special.gammainc(M, 1.5)),
    "psi": (lambda: T.psi(a=m), special.psi(M)), "tri_gamma": (lambda: T.tri_gamma(a=m), special.polygamma(1, M)),
    "sum": (lambda: T.sum(input=m, axis=-1), M.sum(-1)), "mean": (lambda: T.mean(input=m, axis=0, op=True), M.mean(0)),
    "prod": (lambda: T.prod(input=m, no_zeros_in_input=True), M.prod()),
    "var": (lambda: T.var(input=m, ddof=1), M.var(ddof=1)), "std": (lambda: T.std(input=m, axis=1), M.std(1)),
    "ptp": (lambda: T.ptp(a=m, axis=0), np.ptp(M, 0)),
    "max_and_argmax": (lambda: T.max_and_argmax(a=m, axis=1)[1], M.argmax(1)),
    "round": (lambda: T.round(a=m, mode="half_to_even"), M.round()), "iround": (lambda: T.iround(a=m), M.round()),
    "diagonal": (lambda: T.diagonal(a=m, offset=1), M.diagonal(1)), "diag": (lambda: T.nlinalg.diag(x=m), np.diag(M)),
    "trace": (lambda: T.nlinalg.trace(X=m), np.trace(M)), "ones_like": (lambda: T.ones_like(model=m), np.ones((3, 4))),
    "zeros_like": (lambda: T.zeros_like(model=m, dtype="int8"), np.zeros((3, 4))),
    "tril": (lambda: T.tril(m=m, k=-1), np.tril(M, -1)), "triu": (lambda: T.triu(m=m), np.triu(M)),
    "tri": (lambda: T.tri(N=2, M=3, k=1), np.tri(2, 3, 1)),
    "shape_padleft": (lambda: T.shape_padleft(t=m), M[None]),
    "shape_padright": (lambda: T.shape_padright(t=m), M[..., None]),
    "shape_padaxis": (lambda: T.shape_padaxis(t=m, axis=1), M[:, None]),
    "swapaxes": (lambda: T.swapaxes(y=m, axis1=0, axis2=1), M.T),
    "outer": (lambda: T.outer(x=m[0], y=m[1]), np.outer(M[0], M[1])),
    "sort": (lambda: T.sort(a=m, axis=0), np.sort(M, 0)),
    "argsort": (lambda: T.argsort(a=m), np.argsort(M)), "take": (lambda: T.take(a=m, indices=1, axis=0), M[1]),
    "matrix_power": (lambda: T.nlinalg.matrix_power(M=m[:, :3], n=2), M[:, :3] @ M[:, :3]),
    "softmax": (lambda: T.nnet.softmax(c=m), special.softmax(M, axis=1)),
    "logsoftmax": (lambda: T.nnet.logsoftmax(c=m), special.log_softmax(M, axis=1)),
    "constant": (lambda: T.constant(x=M), M),
    "choose": (lambda: T.choose(i, [m[0, :3], m[1, :3], m[2, :3]], None, "raise"), np.choose(I, M[:, :3])),
}  # fmt: skip


def test_values():
    f = symc.function([], [T.as_tensor_variable(build()) for build, _ in CALLS.values()], device="interp")
    for (name, (_, want)), got in zip(CALLS.items(), f()):
        np.testing.assert_allclose(got, want, rtol=1e-10, err_msg=name)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: T.exp(m, a=m), "exp: the operand 'a' is given twice"),
        (lambda: T.add(m, z=1), r"add: the operand 'z' is none of its operands \(x, y\)"),
        (lambda: T.clip(m, min=1), r"clip: takes 3 operands \(x, low, high\), got 2"),
        (lambda: T.sum(m, input=m), "multiple values"),
        (lambda: T.choose(i, [1, 2], out=np.zeros(3)), "choose: out must be None"),
    ],
)
def test_mistakes(call, text):
    with pytest.raises(TypeError, match=text):
        call()
