"""``einsum`` against NumPy: random subscripts, known and unknown dims, gradients, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.errors import ShapeError

SIZES = dict(zip("abcdefgh", (2, 3, 4, 5, 1, 6, 2, 3)))
WRITTEN = [
    "ij,jk->ik", "ij,jk", "ij->ji", "ij->", "ii->i", "ii", "ij,ij->i", "i,j->ij", "bij,bjk->bik", "bij,bkj->bik",
    "ij,jk,kl->il", "ijk,jil->kl", "i,i", "abc,cd,de->abe", "bhqd,bhkd->bhqk", "bhqk,bhkd->bqhd", "aij,ajk,akl->il",
    "ij,ij,ij->ij", "iij->j", "iji->ij", "iijj->ij", "...ij,...jk->...ik", "...,...->...", "i...->...", "...i->i...",
    "ab...,bc->ac...", ",ij->ij", "ij,kl->", "a,b,c,d->bd",
]  # fmt: skip


def operands(subscripts: str, rng: np.random.Generator) -> list[np.ndarray]:
    sizes = dict(zip("abcdehijklqd", (2, 3, 4, 5, 2, 2, 3, 3, 4, 5, 3, 4)))
    found = []
    for name in subscripts.split("->")[0].split(","):
        lead = (2, 3)[: 2 if "..." in name else 0]
        where = name.index("...") if "..." in name else 0
        letters = name.replace("...", "")
        shape = [sizes[c] for c in letters]
        found.append(rng.standard_normal((*shape[:where], *lead, *shape[where:])))
    return found


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("subscripts", WRITTEN)
def test_against_numpy(subscripts: str, known: bool) -> None:
    values = operands(subscripts, np.random.default_rng(0))
    xs = [T.tensor("float64", shape=v.shape if known else (None,) * v.ndim) for v in values]
    y = T.einsum(subscripts, *xs)
    want = np.einsum(subscripts, *values)
    if known:
        assert y.type.shape == want.shape
    w = np.random.default_rng(1).standard_normal(want.shape)
    grads = T.grad((y * w).sum(), xs)
    device = "interp" if known else "c"
    got, *slopes = symc.function(xs, [y, *grads], device=device)(*values)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    for k, (v, slope) in enumerate(zip(values, slopes)):  # linear in each operand
        step = np.random.default_rng(k).standard_normal(v.shape)
        moved = np.einsum(subscripts, *(step if j == k else u for j, u in enumerate(values)))
        np.testing.assert_allclose((slope * step).sum(), (moved * w).sum(), rtol=1e-9, atol=1e-9)


def test_random_subscripts() -> None:
    rng = np.random.default_rng(2)
    for _ in range(40):
        letters = "abcdefgh"[: rng.integers(2, 8)]
        names = ["".join(rng.choice(list(letters), rng.integers(0, 4))) for _ in range(rng.integers(1, 5))]
        used = sorted(set("".join(names)))
        result = "".join(rng.permutation(used)[: rng.integers(0, len(used) + 1)])
        text = ",".join(names) + ("->" + result if rng.integers(2) else "")
        values = [rng.standard_normal([SIZES[c] for c in name]) for name in names]
        xs = [T.tensor("float64", shape=(None,) * v.ndim) for v in values]
        for optimize in (True, False, "optimal"):
            got = symc.function(xs, T.einsum(text, *xs, optimize=optimize), mode="FAST_COMPILE", device="interp")(
                *values
            )
            np.testing.assert_allclose(got, np.einsum(text, *values), rtol=1e-10, atol=1e-10, err_msg=text)


def test_axes_of_length_1_broadcast() -> None:
    a, b = np.ones((1, 3)) * 2, np.arange(12.0).reshape(4, 3)
    x = T.TensorType("float64", (True, False))("x")
    y = T.dmatrix("y")
    for text in ("ij,ij->ij", "ij,ij->i", "ij,ij->j", "ij,ij", "ij,kj->ik"):
        np.testing.assert_allclose(symc.function([x, y], T.einsum(text, x, y))(a, b), np.einsum(text, a, b))


def test_integers_and_mixed_dtypes() -> None:
    i, v = T.lmatrix("i"), T.dvector("v")
    a, b = np.arange(6).reshape(2, 3), np.array([0.5, 1.0, -1.0])
    got = symc.function([i, v], [T.einsum("ij,kj->ik", i, i), T.einsum("ij,j", i, v)])(a, b)
    np.testing.assert_array_equal(got[0], a @ a.T)
    assert got[0].dtype == "int64"
    np.testing.assert_allclose(got[1], a @ b)


def test_refusals() -> None:
    m = T.dmatrix("m")
    for text, words in (
        ("ij,jk", "2 operands are described, 1 were given"), ("ijk", "names 3 axes of an operand with 2"),
        ("ij->ik", "an axis 'k', which no operand has"), ("ij->ii", "the axis 'i' twice"),
        ("i1", "not made of letters"), ("i", "names 1 axes of an operand with 2"), ("i......", "not made of letters"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            T.einsum(text, m)
    with pytest.raises(TypeError, match="must be a string"):
        T.einsum(m, "ij")
    a, b = T.tensor("float64", shape=(2, 3)), T.tensor("float64", shape=(4, 3))
    with pytest.raises(ShapeError, match="axes named 'i' differ in length"):
        T.einsum("ij,ij->ij", a, b)
    n = T.dmatrix("n")
    f = symc.function([m, n], T.einsum("ij,jk->ik", m, n))
    with pytest.raises(ShapeError):
        f(np.ones((2, 3)), np.ones((4, 2)))
