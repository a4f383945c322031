"""Sparse matrices against SciPy's, and against dense arithmetic."""

import numpy as np
import pytest
import scipy.sparse as sp

import symc
import symc.tensor as T
from symc import sparse as S
from symc.errors import ShapeError

RNG = np.random.default_rng(5)


def matrix(rows, columns, format, seed, density=0.4):
    """A matrix with empty rows and columns."""
    made = sp.random(rows, columns, density=density, format="lil", random_state=seed)
    made[1] = 0
    made[:, 2] = 0
    return made.asformat(format)


A, B, C = matrix(5, 4, "csr", 1), matrix(5, 4, "csc", 2), matrix(4, 6, "csr", 3)
Q = matrix(4, 4, "csc", 4, 0.6)
W, V, U, D = RNG.normal(size=(4, 3)), RNG.normal(size=4), RNG.normal(size=5), RNG.normal(size=(5, 4))
DENSE = {"a": A.toarray(), "b": B.toarray(), "c": C.toarray(), "q": Q.toarray(), "w": W, "v": V, "u": U, "d": D}


def stored(function):
    """A function of the stored entries of a matrix."""

    def apply(m):
        out = m.copy()
        out.data = function(out.data)
        return out.toarray()

    return apply


OPS = {
    "dot": (lambda a, b, c, q, w, v, u, d: S.dot(a, w), A @ W),
    "dot of csc": (lambda a, b, c, q, w, v, u, d: S.dot(b, w), B @ W),
    "dot with a vector": (lambda a, b, c, q, w, v, u, d: S.dot(a, v), A @ V),
    "dot of a dense matrix": (lambda a, b, c, q, w, v, u, d: S.dot(w.T, c), W.T @ C.toarray()),
    "dot of a vector": (lambda a, b, c, q, w, v, u, d: S.dot(u, b), U @ B.toarray()),
    "T.dot": (lambda a, b, c, q, w, v, u, d: T.dot(a, w), A @ W),
    "T.dot, dense first": (lambda a, b, c, q, w, v, u, d: T.dot(w.T, q), W.T @ Q.toarray()),
    "matmul": (lambda a, b, c, q, w, v, u, d: a @ w, A @ W),
    "right matmul": (lambda a, b, c, q, w, v, u, d: d.T @ a, D.T @ A.toarray()),
    "structured_dot": (lambda a, b, c, q, w, v, u, d: S.structured_dot(b, w), B @ W),
    "true_dot": (lambda a, b, c, q, w, v, u, d: S.true_dot(a, c), A @ C),
    "true_dot of csc": (lambda a, b, c, q, w, v, u, d: S.true_dot(b, c), B @ C),
    "dot of two": (lambda a, b, c, q, w, v, u, d: a.dot(q), A @ Q),
    "usmm": (lambda a, b, c, q, w, v, u, d: S.usmm(0.5, q, w, w), 0.5 * (Q @ W) + W),
    "sampling_dot": (
        lambda a, b, c, q, w, v, u, d: S.sampling_dot(d, w.T[:, [0, 0, 0, 0]].T[:, [0, 1, 2, 0]] * 0 + q.toarray(), a),
        A.toarray() * (D @ Q.toarray().T),
    ),
    "transpose": (lambda a, b, c, q, w, v, u, d: a.T, A.T), "transpose of csc": (lambda a, b, *_: S.transpose(b), B.T),
    "dot of a transpose": (lambda a, b, c, q, w, v, u, d: S.dot(a.T, d), A.T @ D),
    "add": (lambda a, b, *_: a + b, A + B), "sub": (lambda a, b, *_: a - b, A - B), "neg": (lambda a, *_: -a, -A),
    "add a dense one": (lambda a, b, c, q, w, v, u, d: a + d, A.toarray() + D),
    "sub from a dense one": (lambda a, b, c, q, w, v, u, d: d - b, D - B.toarray()),
    "mul": (lambda a, b, *_: a * b, A.multiply(B)), "mul_s_s": (lambda a, b, *_: S.mul_s_s(b, a), A.multiply(B)),
    "mul_s_d": (lambda a, b, c, q, w, v, u, d: a * d, A.multiply(D)),
    "mul a dense one": (lambda a, b, c, q, w, v, u, d: d * b, B.multiply(D)),
    "mul by a number": (lambda a, *_: 2.5 * a, 2.5 * A), "div": (lambda a, *_: a / 4.0, A / 4),
    "mul_s_v": (lambda a, b, c, q, w, v, u, d: S.mul_s_v(a, v), A.multiply(V)),
    "col_scale": (lambda a, b, c, q, w, v, u, d: S.col_scale(b, v), B.multiply(V)),
    "row_scale": (lambda a, b, c, q, w, v, u, d: S.row_scale(a, u), A.multiply(U[:, None])),
    "structured_add_s_v": (
        lambda a, b, c, q, w, v, u, d: S.structured_add_s_v(a, v), A.toarray() + (A.toarray() != 0) * V,
    ),
    "structured_sigmoid": (lambda a, *_: S.structured_sigmoid(a), stored(lambda x: 1 / (1 + np.exp(-x)))(A)),
    "structured_exp": (lambda a, b, *_: S.structured_exp(b), stored(np.exp)(B)),
    "structured_log": (lambda a, *_: S.structured_log(a), stored(np.log)(A)),
    "structured_pow": (lambda a, *_: S.structured_pow(a, 3), stored(lambda x: x**3)(A)),
    "structured_minimum": (lambda a, *_: S.structured_minimum(a, 0.5), stored(lambda x: np.minimum(x, 0.5))(A)),
    "structured_maximum": (lambda a, *_: S.structured_maximum(a, 0.5), stored(lambda x: np.maximum(x, 0.5))(A)),
    "structured_add": (lambda a, *_: S.structured_add(a, 0.5), stored(lambda x: x + 0.5)(A)),
    **{
        name: (lambda a, b, *_, f=name: getattr(S, f)(b), stored(function)(B))
        for name, function in {
            "abs_": np.abs, "sqr": np.square, "sqrt": np.sqrt, "sin": np.sin, "tan": np.tan, "arcsin": np.arcsin,
            "arctan": np.arctan, "sinh": np.sinh, "tanh": np.tanh, "arcsinh": np.arcsinh, "arctanh": np.arctanh,
            "expm1": np.expm1, "log1p": np.log1p, "deg2rad": np.deg2rad, "rad2deg": np.rad2deg, "sgn": np.sign,
            "ceil": np.ceil, "floor": np.floor, "trunc": np.trunc, "rint": np.rint,
        }.items()
    },
    "sp_sum": (lambda a, *_: S.sp_sum(a), A.sum()),
    "sp_sum 0": (lambda a, *_: a.sum(0), A.toarray().sum(0)),
    "sp_sum 1": (lambda a, b, *_: b.sum(axis=1), B.toarray().sum(1)),
    "sp_ones_like": (lambda a, *_: S.sp_ones_like(a), A != 0),
    "sp_zeros_like": (lambda a, *_: S.sp_zeros_like(a), A * 0),
    "diag": (lambda a, b, c, q, *_: S.diag(q), Q.diagonal()), "diagonal": (lambda a, *_: a.diagonal(), A.diagonal()),
    "square_diagonal": (lambda a, b, c, q, w, v, u, d: S.square_diagonal(v), np.diag(V)),
    "dense_from_sparse": (lambda a, *_: S.dense_from_sparse(a), A.toarray()),
    "toarray": (lambda a, b, *_: b.toarray(), B.toarray()), "tocsc": (lambda a, *_: a.tocsc(), A),
    "tocsr": (lambda a, b, *_: b.tocsr(), B), "csr_from_dense": (lambda *x: S.csr_from_dense(x[0].toarray()), A),
    "csc_from_dense": (lambda *x: S.csc_from_dense(x[1].toarray()), B),
    "cast": (lambda a, *_: a.astype("float32"), A.astype("float32")), "rows": (lambda a, *_: a[1:4], A[1:4]),
    "last rows": (lambda a, *_: a[-2:], A[-2:]), "no rows": (lambda a, *_: a[3:3], A[3:3]),
    "columns": (lambda a, b, *_: b[:, 1:3], B[:, 1:3]), "element": (lambda a, *_: a[2, -1], A[2, -1]),
    "clean": (lambda a, b, *_: S.clean(a - a + b), B),
    "remove0": (lambda a, *_: S.remove0(S.floor(a * 2)), np.floor(A.toarray() * 2)),
    "vstack": (lambda a, b, *_: S.vstack([a, b]), sp.vstack([A, B])),
    "hstack": (lambda a, b, *_: S.hstack([a, b], format="csr"), sp.hstack([A, B])),
    "CSR": (lambda a, *_: S.CSR(*S.csm_properties(a)), A), "CSC": (lambda a, b, *_: S.CSC(*S.csm_properties(b)), B),
    "CSM": (lambda a, *_: S.CSM("csr")(a.data, a.indices, a.indptr, (5, 4)), A),
    "csm_data": (lambda a, *_: S.csm_data(a), A.data), "csm_indices": (lambda a, *_: S.csm_indices(a), A.indices),
    "csm_indptr": (lambda a, *_: S.csm_indptr(a), A.indptr), "csm_shape": (lambda a, *_: S.csm_shape(a), A.shape),
}  # fmt: skip
DA, DB = A.toarray(), B.toarray()
COMPARED = {"eq": "equal", "neq": "not_equal", "lt": "less_than", "le": "less_equal", "gt": "greater_than",
            "ge": "greater_equal"}  # fmt: skip
MEANING = {"eq": np.equal, "neq": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
           "ge": np.greater_equal}  # fmt: skip
COMPOSED = {
    **{n: (lambda a, b, *_, n=n: getattr(S, n)(a, b), f(DA, DB)) for n, f in MEANING.items()},
    **{
        f"{n}_s_s": (lambda a, b, *_, n=n: getattr(S, f"{n}_s_s")(b, a), MEANING[k](DB, DA))
        for k, n in COMPARED.items()
    },
    **{
        f"{n}_s_d": (lambda a, b, c, q, w, v, u, d, n=n: getattr(S, f"{n}_s_d")(b, d), MEANING[k](DB, D))
        for k, n in COMPARED.items()
    },
    "gt a number": (lambda a, *_: a > 0.5, DA > 0.5), "le a number": (lambda a, *_: a <= 0.5, DA <= 0.5),
    "lt from the left": (lambda a, *_: 0.5 < a, DA > 0.5),
    "mul by a mask": (lambda a, *_: a * (a > 0.5), DA * (DA > 0.5)),
    "ge of a dense matrix": (lambda a, b, c, q, w, v, u, d: S.ge(d, a), D >= DA),
    "maximum": (lambda a, b, *_: S.maximum(a, -b), np.maximum(DA, -DB)),
    "minimum": (lambda a, b, *_: a.minimum(b), np.minimum(DA, DB)),
    "maximum and a number": (lambda a, *_: S.maximum(-a, -0.5), np.maximum(-DA, -0.5)),
    "maximum and a larger number": (lambda a, *_: S.maximum(a, 0.5), np.maximum(DA, 0.5)),
    "minimum and a dense matrix": (lambda a, b, c, q, w, v, u, d: S.minimum(d, a), np.minimum(DA, D)),
    "add_s_s": (lambda a, b, *_: S.add_s_s(a, b), A + B), "add_s_d": (lambda *x: S.add_s_d(x[0], x[7]), DA + D),
    "add_s_s_data": (lambda a, *_: S.add_s_s_data(a, S.sqr(a)), DA + DA**2),
    **{
        n: (lambda a, *_, n=n: getattr(S, n)(a * 9.5), (DA * 9.5).astype(t))
        for n, t in (
            ("bcast", "int8"), ("wcast", "int16"), ("icast", "int32"), ("lcast", "int64"), ("fcast", "f"),
            ("dcast", "d"),
        )
    },
    "conj": (lambda a, *_: S.conj(a), A), "constant": (lambda *_: S.constant(B), B),
    "structured_monoid": (lambda a, *_: S.structured_monoid(T.exp)(len)(a), stored(np.exp)(A)),
    "structured_dot_grad": (
        lambda a, b, c, q, w, v, u, d: S.structured_dot_grad(a, w, T.dot(d, w)),
        ((D @ W) @ W.T)[A.tocoo().row, A.tocoo().col],
    ),
    "get_item_list": (lambda a, *_: S.get_item_list(a, [3, 0, -1, 3]), DA[[3, 0, -1, 3]]),
    "get_item_2lists": (
        lambda a, *_: S.get_item_2lists(a, [3, 0, -1, 3], [0, 1, 3, -1]), DA[[3, 0, -1, 3], [0, 1, 3, -1]],
    ),
    "get_item_2lists of csc": (lambda a, b, *_: b[[0, 2], [1, 3]], DB[[0, 2], [1, 3]]),
    "get_item_2d": (lambda a, *_: S.get_item_2d(a, (-1, slice(1, None))), DA[-1:, 1:]),
    "get_item_2d of integers": (lambda a, b, *_: S.get_item_2d(b, [2, 3]), DB[2:3, 3:4]),
    "get_item_scalar": (lambda a, b, *_: S.get_item_scalar(b, (-2, 1)), DB[-2, 1]),
    "every second row": (lambda a, *_: a[::2], DA[::2]), "rows backwards": (lambda a, b, *_: b[::-1], DB[::-1]),
    "columns of csr": (lambda a, *_: a[:, 1:3], DA[:, 1:3]), "rows of csc": (lambda a, b, *_: b[1:4], DB[1:4]),
    "both": (lambda a, *_: a[1:4, ::-2], DA[1:4, ::-2]), "one row": (lambda a, *_: a[2], DA[2:3]),
    "one column": (lambda a, *_: a[:, -1], DA[:, -1:]), "rows of a mask": (lambda *x: x[0][x[6] > 0], DA[U > 0]),
    "list and slice": (lambda a, b, *_: b[[0, 0, 4], 1:], DB[[0, 0, 4], 1:]),
    "ellipsis": (lambda a, *_: a[..., :2], DA[:, :2]),
    "no rows of a list": (lambda a, *_: a[np.zeros(0, "int64")], DA[:0]),
    "ensure_sorted_indices": (lambda a, b, *_: S.ensure_sorted_indices(a.T.tocsr()), A.T),
    "construct_sparse_from_list": (
        lambda a, b, c, q, w, v, u, d: S.construct_sparse_from_list(d, w.T, [4, 0, 2]),
        np.array([W.T[1], 0 * V, W.T[2], 0 * V, W.T[0]]),
    ),
}  # fmt: skip
OTHERS = {
    "csr_fmatrix", "csr_dmatrix", "csc_fmatrix", "csc_dmatrix", "sparse_formats",
    "csr_matrix", "csc_matrix", "matrix", "as_sparse", "as_sparse_variable", "as_sparse_or_tensor_variable", "shared",
    "SharedSparse", "SparseType", "SparseVariable", "csm_properties",
}  # fmt: skip
"""What is tested below."""


def test_every_function_is_tested():
    assert not [n for n in S.__all__ if n not in OTHERS and not any(key.split()[0] == n for key in OPS | COMPOSED)]


@pytest.mark.parametrize("device", ["c", "interp"])
def test_values(device):
    a, c = S.csr_matrix("a", "float64"), S.csr_matrix("c", "float64")
    b, q = S.csc_matrix("b", "float64"), S.matrix("csc", "q", "float64")
    w, v, u, d = T.dmatrix("w"), T.dvector("v"), T.dvector("u"), T.dmatrix("d")
    inputs = [a, b, c, q, w, v, u, d]
    table = OPS | COMPOSED if device == "c" else OPS  # the others are made of these
    f = symc.function(inputs, [build(*inputs) for build, _ in table.values()], device=device)
    for (name, (_, want)), have in zip(table.items(), f(A, B, C, Q, W, V, U, D)):
        sparse = sp.issparse(have)
        if sparse:
            have.check_format(full_check=True)
        have, want = (m.toarray() if sp.issparse(m) else np.asarray(m) for m in (have, want))
        assert have.shape == want.shape, name
        np.testing.assert_allclose(have, want, rtol=1e-12, atol=1e-13, err_msg=name)
        dense_results = (
            "dot",
            "matmul",
            "right",
            "structured_dot",
            "usmm",
            "sp_sum",
            "diag",
            "diagonal",
            "dense_from_sparse",
        )
        if (
            name.split()[0] in ("add", "mul", "transpose", "col_scale", "structured_exp", "true_dot", "rows")
            and "dense" not in name
        ):
            assert sparse, name
        assert not (name in dense_results and sparse), name


def test_gradients_by_both_operands():
    """By the entries and the dense operand, first and second order, against dense arithmetic."""
    for make, given in ((S.csr_matrix, A), (S.csc_matrix, B)):
        x, w = make("x", "float64"), T.dmatrix("w")
        weights = np.arange(15.0).reshape(5, 3)
        cost = (T.sqr(S.dot(x, w)) * weights).sum()
        gx, gw = symc.grad(cost, [x, w])
        f = symc.function([x, w], [gx, gw, symc.grad(T.sqr(gw).sum(), x), symc.grad(T.sqr(gx.data).sum(), w)])
        by_x, by_w, again, other = f(given, W)
        dense, pattern = given.toarray(), given.toarray() != 0
        by_product = 2 * weights * (dense @ W)
        np.testing.assert_allclose(by_x.toarray(), (by_product @ W.T) * pattern, rtol=1e-12)
        np.testing.assert_allclose(by_w, dense.T @ by_product, rtol=1e-12)
        assert by_x.format == given.format
        m, n = T.dmatrix("m"), T.dmatrix("n")  # the same by dense arithmetic
        loss = (T.sqr(T.dot(m, n)) * weights).sum()
        gm, gn = symc.grad(loss, [m, n])
        want = symc.function([m, n], [symc.grad(T.sqr(gn).sum(), m), symc.grad(T.sqr(gm * pattern).sum(), n)])(dense, W)
        np.testing.assert_allclose(again.toarray(), want[0] * pattern, rtol=1e-11)
        np.testing.assert_allclose(other, want[1], rtol=1e-11)


@pytest.mark.parametrize(
    "build",
    [
        lambda x, v: S.structured_sigmoid(x), lambda x, v: S.col_scale(x, v), lambda x, v: x.T, lambda x, v: x + x * x,
        lambda x, v: x.tocsc(), lambda x, v: S.structured_add_s_v(x, v), lambda x, v: S.true_dot(x, x.T),
        lambda x, v: x[1:4], lambda x, v: x[[3, 0, 0], ::-1],
        lambda x, v: S.maximum(x, S.constant(A) * 0.3),
        lambda x, v: x * x, lambda x, v: S.clean(x),
    ],
)  # fmt: skip
def test_gradients_of_the_entries(build):
    """Against central differences."""
    x, v = S.csr_matrix("x", "float64"), T.dvector("v")
    out = build(x, v)
    cost = T.sqr(out.toarray()).sum() + out.sum() * 3
    f = symc.function([x, v], [cost, symc.grad(cost, x)], on_unused_input="ignore")
    slope = f(A, V)[1].data
    for k in range(A.nnz):
        low, high = A.copy(), A.copy()
        low.data[k] -= 1e-6
        high.data[k] += 1e-6
        assert slope[k] == pytest.approx((f(high, V)[0] - f(low, V)[0]) / 2e-6, rel=1e-6, abs=1e-7)


def test_arguments_and_results():
    x, s = S.csr_matrix("x", "float32"), T.fscalar("s")
    f = symc.function([x, s], {"scaled": x * 2.0, "sum": x.sum() * s})
    found = f(A.tocoo(), 1.0)
    assert sp.issparse(found["scaled"]) and found["scaled"].format == "csr" and found["scaled"].dtype == "float32"
    assert found["scaled"].indices.dtype == "int32" and found["scaled"].shape == (5, 4)
    np.testing.assert_allclose(symc.function([x], x.T)(x=A).toarray(), A.toarray().T, rtol=1e-6)
    array = symc.function([x], x)(sp.csr_array(A))
    np.testing.assert_allclose(array.toarray(), A.toarray(), rtol=1e-6)
    empty = symc.function([x], [x.toarray(), S.dot(x, np.ones((0, 2), "float32"))])(
        sp.csr_matrix((3, 0), dtype="float32")
    )
    assert empty[0].shape == (3, 0) and not empty[1].any() and empty[1].shape == (3, 2)
    np.testing.assert_allclose((x * 3).eval({x: A}).toarray(), 3 * A.toarray(), rtol=1e-6)
    v = T.dmatrix("v")
    np.testing.assert_allclose(S.dot(x, v).eval({v: W, x: A}), A @ W, rtol=1e-6)
    y = symc.function([x, T.dmatrix("w")], x)
    np.testing.assert_allclose(y(A.toarray(), W).toarray(), A.toarray(), rtol=1e-6)  # converted, as in Theano
    for wrong, kind in ((A.toarray().tolist(), "list"), (A.toarray()[0], "ndarray")):
        with pytest.raises(TypeError, match=rf"input 0 \(x\): expected a sparse matrix of SciPy, got {kind}"):
            y(wrong, W)
    with pytest.raises(TypeError, match="takes 2 inputs, got 3"):
        y(A, W, W)
    with pytest.raises(TypeError, match=r"input 0 \(x\) is missing"):
        y()


def test_duplicates_and_unsorted_entries_are_added():
    parts = np.array([1.0, 2.0, 4.0, 8.0]), np.array([2, 0, 2, 1], "int32"), np.array([0, 3, 3, 4], "int32")
    m = sp.csr_matrix(parts, shape=(3, 3))
    x = S.csr_matrix("x", "float64")
    dense, tidy, product = symc.function([x], [x.toarray(), S.clean(x), S.dot(x, np.eye(3))])(m)
    want = np.array([[2, 0, 5], [0, 0, 0], [0, 8.0, 0]])
    np.testing.assert_array_equal(dense, want)
    np.testing.assert_array_equal(product, want)
    assert tidy.nnz == 3 and tidy.has_canonical_format
    np.testing.assert_array_equal(tidy.toarray(), want)


def test_constants_and_conversions():
    x = S.as_sparse_variable(A)
    np.testing.assert_allclose(symc.function([], S.dot(x, W))(), A @ W)
    assert S.as_sparse(x) is x and S.as_sparse_or_tensor_variable(A).format == "csr"
    assert S.as_sparse_or_tensor_variable(D).ndim == 2 and S.as_sparse_variable(B).format == "csc"
    np.testing.assert_allclose(symc.function([], S.dot(A, T.as_tensor(W)))(), A @ W)
    with pytest.raises(TypeError, match="expected a sparse matrix, got ndarray"):
        S.as_sparse_variable(D)


def test_shared_matrices():
    s = symc.shared(A, "s")
    assert isinstance(s, S.SharedSparse) and s.dtype == "float64" and s.format == "csr"
    w = T.dmatrix("w")
    step = symc.function(
        [w], S.dot(s, w), updates={s: S.remove0(S.structured_maximum(S.structured_add(s, -0.25), 0.0))}
    )
    np.testing.assert_allclose(step(W), A @ W)
    want = np.maximum(A.toarray() - 0.25, 0)
    np.testing.assert_allclose(s.get_value().toarray(), want)
    assert s.get_value().nnz == np.count_nonzero(want) < A.nnz
    s.set_value(B)
    np.testing.assert_allclose(step(W), B @ W)
    t = S.shared(B)
    assert t.format == "csc"
    symc.function([], updates={t: s * 2.0 + t})()
    y = S.csc_matrix("y", "float64")
    np.testing.assert_allclose(symc.function([], y.toarray(), givens={y: t})(), t.get_value().toarray())
    copied = t.get_value()
    copied.data[:] = 0
    assert t.get_value().data.any()


def test_learning_with_a_shared_matrix():
    """Logistic regression on sparse counts: the weights of the entries' columns are found."""
    counts = sp.random(400, 30, density=0.2, format="csr", random_state=0)
    truth = RNG.normal(size=30)
    labels = (counts @ truth > 0).astype("float64")
    data, w = symc.shared(counts), symc.shared(np.zeros(30))
    p = T.nnet.sigmoid(S.dot(data, w))
    loss = T.nnet.binary_crossentropy(p, labels).mean()
    train = symc.function([], loss, updates={w: w - 5 * symc.grad(loss, w)})
    losses = [float(train()) for _ in range(300)]
    assert losses[-1] < 0.35 * losses[0] and np.corrcoef(w.get_value(), truth)[0, 1] > 0.9


def test_mistakes():
    x, w, v = S.csr_matrix("x", "float64"), T.dmatrix("w"), T.dvector("v")
    f = symc.function([x, w], S.dot(x, w))
    with pytest.raises((ValueError, IndexError), match="number of columns of the first"):
        f(A, np.ones((5, 3)))
    bad = sp.csr_matrix(A)
    bad.indices = bad.indices.copy()
    bad.indices[0] = 77
    with pytest.raises(IndexError, match="an index of an entry is out of range"):
        f(bad, W)
    bad.indices[0] = -1
    with pytest.raises(IndexError, match="an index of an entry is out of range"):
        symc.function([x], x.toarray())(bad)
    with pytest.raises(TypeError, match="expected a sparse operand"):
        S.dot(w, w)
    with pytest.raises(ShapeError, match="expected a vector or a matrix"):
        S.dot(x, T.dtensor3())
    with pytest.raises(IndexError, match="out of range"):
        symc.function([x], x[[5]])(A)
    with pytest.raises(IndexError, match="out of range"):
        symc.function([x], x[0, 4])(A)
    with pytest.raises(ShapeError, match="a matrix has two axes"):
        x[0, 1, 2]
    with pytest.raises(ShapeError, match="an index must be a vector"):
        x[[[0, 1]]]
    with pytest.raises(ValueError, match="axis must be None, 0 or 1"):
        x.sum(axis=2)
    with pytest.raises(ShapeError, match="data must be a vector"):
        S.CSR(w, v, v, (2, 2))
    with pytest.raises(TypeError, match="indices must be integers"):
        S.CSR(v, v, v, (2, 2))
    with pytest.raises(ValueError, match="must be 'csr' or 'csc'"):
        S.matrix("bsr")
    with pytest.raises(TypeError, match="expected such a value"):
        symc.function([w], updates={symc.shared(A): w})


def test_comparisons_are_sparse_where_zero_compares_false():
    x, y, k = S.csr_matrix("x", "float64"), S.csc_matrix("y", "float64"), T.dscalar("k")
    found = symc.function([x, y, k], [S.gt(x, y), x > 0.5, S.neq(x, y), x > k, x < 1, S.maximum(x, -1)])(A, B, 0.5)
    assert [sp.issparse(m) for m in found] == [True, True, True, False, False, True]
    assert all(m.dtype == bool for m in found[:5]) and found[2].nnz == (DA != DB).sum()
    assert S.csr_fmatrix("a").dtype == S.csc_fmatrix().dtype == "float32" and S.csc_dmatrix().format == "csc"
    assert S.csr_dmatrix().type == S.SparseType("csr", "float64") and S.sparse_formats == ["csc", "csr"]


def test_elements_of_matrices_without_entries():
    x = S.csr_matrix("x", "float64")
    f = symc.function([x], [x[[0, 1], [1, 0]], x[0, 0], x[::-1], S.eq(x, x), x[:0]])
    for shape in ((2, 2), (3, 2)):
        pairs, one, turned, same, none = f(sp.csr_matrix(shape))
        assert pairs.tolist() == [0, 0] and one == 0 and turned.nnz == 0 and turned.shape == shape
        assert same.toarray().all() and none.shape == (0, 2)


LINEAR = {
    "to dense": lambda m, y: S.dense_from_sparse(m),
    "sum": lambda m, y: S.sp_sum(m, 0),
    "diagonal": lambda m, y: S.diag(m),
    "product": lambda m, y: S.dot(m, y),
    "product from the left": lambda m, y: S.dot(y.T, m.T),
    "product of sparse matrices": lambda m, y: S.dense_from_sparse(S.true_dot(m, m.T)),
    "sums and products of elements": lambda m, y: S.dense_from_sparse(S.mul(-m + m * 3, y.T)),
    "formats": lambda m, y: S.dense_from_sparse(S.clean(S.ensure_sorted_indices(m.tocsc()))),
    "joined": lambda m, y: S.dense_from_sparse(S.hstack([m, S.remove0(m)])),
    "parts": lambda m, y: S.dense_from_sparse(m[[2, 0], 1:]),
    "elements": lambda m, y: S.get_item_2lists(m, [0, 1, 1], [1, 0, 2]) * m[0, 0],
}


@pytest.mark.parametrize("of", list(LINEAR))
@pytest.mark.parametrize("convert", [S.csr_from_dense, S.csc_from_dense])
def test_gradients_by_the_dense_matrix_exist_at_its_zeros(of, convert):
    x, y, value = T.dmatrix(), T.dmatrix(), np.array([[0, 1.5, 0, 2], [3, 0, 0, 0], [0, -1, 0, 0]])
    other = RNG.normal(size=(4, 3))

    def cost(m):
        return T.sqr(LINEAR[of](convert(m), y) + 1).sum()

    with symc.config.change(device="interp"):
        f = symc.function([x, y], [cost(x), symc.grad(cost(x), x)], on_unused_input="ignore")
        gradient = f(value, other)[1]
        for place in [(0, 0), (0, 1), (1, 2), (2, 3), (2, 1)]:
            moved = value.copy()
            moved[place] += 1e-6
            assert gradient[place] == pytest.approx(
                (f(moved, other)[0] - f(value, other)[0]) / 1e-6, rel=1e-3, abs=1e-3
            )


def test_functions_of_entries_have_gradients_at_the_entries_alone():
    x = T.dmatrix()
    found = symc.grad(S.sp_sum(S.structured_exp(S.csr_from_dense(x))), x)
    summed = symc.grad(S.sp_sum(S.csr_from_dense(x), sparse_grad=True), x)
    with symc.config.change(device="interp"):
        a, b = symc.function([x], [found, summed])([[0, 1.0]])
    assert np.allclose(a, [[0, np.e]]) and np.array_equal(b, [[0, 1]])


def test_removing_zeros_keeps_the_order_of_the_others():
    m = sp.csr_matrix((np.array([1.0, 0, 2, 3, 0]), [2, 1, 0, 1, 1], [0, 3, 3, 5]), shape=(3, 4))
    x = S.csr_matrix("x", "float64")
    with symc.config.change(device="interp"):
        found = symc.function([symc.In(x, borrow=True)], symc.Out(S.remove0(x), borrow=True))(m)
    assert found.data.tolist() == [1, 2, 3] and found.indices.tolist() == [2, 0, 1]
    assert found.indptr.tolist() == [0, 2, 2, 3] and found.shape == (3, 4)


def test_products_of_complex_matrices():
    m, y = sp.csc_matrix(A.toarray() * (1 + 2j)), W * (2 - 1j)
    x, d = S.csc_matrix("x", "complex128"), T.zmatrix()
    with symc.config.change(device="interp"):
        assert np.allclose(symc.function([x, d], S.dot(x, d))(m, y), m @ y)
        g = symc.function([x, d], symc.grad(T.real(S.dot(x, d)).sum(), d))(m, y)
    assert np.allclose(g, np.conj(m.toarray()).T @ np.ones((5, 3)))
