"""Complex numbers: against NumPy on every back end, gradients by differences, and what has no meaning is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.linalg

import symc
import symc.tensor as T
from symc.errors import DTypeError, MissingInputError
from symc.tensor import fft, nlinalg, slinalg

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 4)) + 1j * RNG.normal(size=(3, 4))
B = RNG.normal(size=(3, 4)) + 1j * RNG.normal(size=(3, 4))
SQUARE = RNG.normal(size=(4, 4)) + 1j * RNG.normal(size=(4, 4))
CUTS = np.array(
    [0, 1, -1, 2j, -2j, 1j, complex(2, -0.0), complex(-2, 0.0), complex(-2, -0.0), complex(0.0, -2), complex(-0.0, 2),
     complex(-0.0, -2), complex(0.5, -0.0), 1 + 1e-9j, 300 + 1j, -300 + 1j, 1e-9j, 1e200 + 1e200j, 1e-200 - 1e-200j]
)  # fmt: skip
DEVICES = pytest.mark.parametrize("device", ["interp", "c"])


def variables(dtype: str = "complex128"):
    return T.tensor(dtype, shape=(None, None), name="z"), T.tensor(dtype, shape=(None, None), name="w")


# --- functions ----------------------------------------------------------------------------------------------------

ONE = {
    name: name
    for name in "exp exp2 expm1 log log2 log10 log1p sqrt sin cos tan sinh cosh tanh arcsin arccos arctan arcsinh "
    "arccosh arctanh conj real imag angle square isnan isinf".split()
} | {"neg": "negative", "abs_": "abs", "inv": "reciprocal", "sgn": "sign", "round": "rint"}
"""Functions of one operand and NumPy's."""


def test_functions_of_one_number_on_both_sides_of_their_cuts() -> None:
    z = T.zvector("z")
    points = np.concatenate([A.ravel(), CUTS])
    outputs = [getattr(T, name)(z) for name in ONE]
    got = symc.function([z], outputs)(points)
    for name, value in zip(ONE, got, strict=True):
        with np.errstate(all="ignore"):
            want = getattr(np, ONE[name])(points)
        usual = np.isfinite(want) & (np.abs(points) < 1e100) | (name in ("abs_", "real", "imag", "conj", "neg"))
        assert value.dtype == want.dtype, name
        if name == "log1p":  # NumPy's loses the real part of small numbers
            usual &= np.abs(points) > 1e-6
        np.testing.assert_allclose(value[usual], want[usual], rtol=1e-10, atol=1e-14, err_msg=name)
        if name in ("sqrt", "angle", "log"):
            np.testing.assert_array_equal(np.signbit(value.imag), np.signbit(want.imag), err_msg=name)


@DEVICES
def test_functions_of_one_number_at_infinities_and_nan(device: str) -> None:
    """NumPy's results, in which the sign of a zero, and of an infinity whose angle is unknown, is left open."""
    names = (
        "exp exp2 expm1 log log1p log2 log10 sqrt sinh cosh tanh cos tan arcsin arccos arctan arcsinh arccosh arctanh "
        "sgn abs_ angle"
    ).split()
    parts = np.array([0.0, -0.0, 0.5, -1.0, 1000.0, -1000.0, np.inf, -np.inf, np.nan])
    points = np.empty((len(parts), len(parts)), "complex128")
    points.real, points.imag = parts[:, None], parts
    z = T.zmatrix("z")
    got = symc.function([z], [getattr(T, name)(z) for name in names], device=device)(points)
    for name, value in zip(names, got, strict=True):
        with np.errstate(all="ignore"):
            want = getattr(np, ONE.get(name, name))(points)
        np.testing.assert_allclose(value.real, want.real, rtol=1e-10, err_msg=name)
        np.testing.assert_allclose(value.imag, want.imag, rtol=1e-10, atol=1e-300, err_msg=name)


TWO = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "true_div": np.divide, "pow": np.power,
    "eq": np.equal, "neq": np.not_equal,
}  # fmt: skip


@DEVICES
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_arithmetic(dtype: str, device: str) -> None:
    z, w = variables(dtype)
    a, b = A.astype(dtype), B.astype(dtype)
    b[0, 0] = a[0, 0]
    powers = [z**2, z**-3, z**0, z**0.5, z**1.5, 2.0**z, z * 2, z - 1j, 3 / z, z / 4, 1j * T.real(z)]
    got = symc.function([z, w], [getattr(T, name)(z, w) for name in TWO] + powers, device=device)(a, b)
    want = [f(a, b) for f in TWO.values()]
    want += [a**2, a**-3, a**0, a**0.5, a**1.5, 2.0**a, a * 2, a - 1j, 3 / a, a / 4, 1j * a.real]
    for k, (g, h) in enumerate(zip(got, want, strict=True)):
        assert g.dtype == h.dtype, k
        np.testing.assert_allclose(g, h, rtol=1e-5 if dtype == "complex64" else 1e-12, err_msg=str(k))


REDUCTIONS = {
    "sum": lambda x: [x.sum(), x.sum(0), x.sum(1, keepdims=True)],
    "mean": lambda x: [x.mean(), x.mean(1)],
    "prod": lambda x: [x.prod(), x.prod(0), x.prod(1)],
    "var": lambda x: [x.var(), x.std(0)],
    "cumulative": lambda x: [x.cumsum(1), x.cumprod(0), x.cumsum()],
    "any": lambda x: [x.any(0), x.all()],
    "moved": lambda x: [
        x.T,
        x[1:, ::-2],
        x[[2, 0]],
        x.reshape((2, 6)),
        x.flatten(),
        x.diagonal(),
        x.repeat(2, 0),
        x.copy(),
    ],
}


@DEVICES
def test_reductions_and_moves(device: str) -> None:
    z, _ = variables()
    for static in (False, True):
        x = T.tensor("complex128", shape=A.shape) if static else z
        got = symc.function([x], [v for f in REDUCTIONS.values() for v in f(x)], device=device)(A)
        for k, (g, h) in enumerate(zip(got, [v for f in REDUCTIONS.values() for v in f(A)], strict=True)):
            assert np.asarray(h).dtype == g.dtype
            np.testing.assert_allclose(g, h, rtol=1e-12, err_msg=str(k))


def test_products_without_elements() -> None:
    z = T.zvector("z")
    x = T.tensor("complex64", shape=(0,))
    got = symc.function([z, x], [z.prod(), x.prod(), z.sum(), T.cumprod(z)])(A[0, :0], np.zeros(0, "complex64"))
    assert [complex(v) for v in got[:3]] == [1, 1, 0] and got[3].shape == (0,)


def test_products_joins_and_writing() -> None:
    z, w = variables()
    got = symc.function(
        [z, w],
        [
            T.dot(z, w.T), z @ w.T, T.tensordot(z, w, [[0], [0]]), T.einsum("ij,ij->j", z, w), T.outer(z[0], w[0]),
            T.concatenate([z, w], 1), T.stack([z, w]), T.switch(T.real(z) > 0, z, w),
            T.set_subtensor(z[1:, 0], w[1:, 1]),
            T.inc_subtensor(z[[0, 0, 2]], w), T.batched_dot(z, w), T.set_subtensor(z[0, 0], 7), T.zeros_like(z),
            T.cov(z),
            T.alloc(z[0], 2, z.shape[1]), T.tile(z, (2, 1)), T.roll(z, 1, 1), T.diag(z[0]), z.norm(2), T.tril(z),
        ],
    )(A, B)  # fmt: skip
    written, added, once = A.copy(), A.copy(), A.copy()
    written[1:, 0] = B[1:, 1]
    np.add.at(added, [0, 0, 2], B)
    once[0, 0] = 7
    want = [
        A @ B.T, A @ B.T, A.T @ B, (A * B).sum(0), np.outer(A[0], B[0]), np.hstack([A, B]), np.stack([A, B]),
        np.where(A.real > 0, A, B), written, added, (A * B).sum(1), once, 0 * A, np.cov(A),
        np.tile(A[0], (2, 1)), np.tile(A, (2, 1)), np.roll(A, 1, 1), np.diag(A[0]), np.linalg.norm(A), np.tril(A),
    ]  # fmt: skip
    for k, (g, h) in enumerate(zip(got, want, strict=True)):
        np.testing.assert_allclose(g, h, rtol=1e-12, atol=1e-14, err_msg=str(k))


def test_matrices() -> None:
    z, b = T.zmatrix("z"), T.zmatrix("b")
    right = B.T[:, :2]
    values, vectors = nlinalg.eig(z)
    got = symc.function(
        [z, b],
        [
            T.solve(z, b), slinalg.solve_lower_triangular(z, b), nlinalg.matrix_inverse(z), nlinalg.pinv(b),
            slinalg.expm(z), nlinalg.matrix_power(z, -2), nlinalg.matrix_dot(z, z, b), nlinalg.trace(z),
            slinalg.kron(z, b), nlinalg.norm(z, "fro"), T.dot(z, vectors) - vectors * values,
        ],
    )(SQUARE, right)  # fmt: skip
    inverse = np.linalg.inv(SQUARE)
    want = [
        inverse @ right, np.linalg.inv(np.tril(SQUARE)) @ right, inverse, np.linalg.pinv(right),
        scipy.linalg.expm(SQUARE), inverse @ inverse, SQUARE @ SQUARE @ right, np.trace(SQUARE),
        np.kron(SQUARE, right), np.linalg.norm(SQUARE), np.zeros((4, 4)),
    ]  # fmt: skip
    for k, (g, h) in enumerate(zip(got, want, strict=True)):
        np.testing.assert_allclose(g, h, rtol=1e-9, atol=1e-11, err_msg=str(k))


# --- dtypes -------------------------------------------------------------------------------------------------------


def test_dtypes_meet() -> None:
    z, x, d, i = T.cvector("z"), T.fvector("x"), T.dvector("d"), T.lvector("i")
    assert (z + x).dtype == (z * i).dtype == (z + 1j).dtype == (z * 1.5).dtype == (x * 1j).dtype == "complex64"
    assert (z + d).dtype == (d + 1j).dtype == (z + T.zvector("w")).dtype == "complex128"
    assert (i + 1j).dtype == T.constant(2j).dtype == T.as_tensor([1j, 2]).dtype == symc.shared(1j).dtype == "complex64"
    assert T.complex(x, x).dtype == T.complex(i, 1).dtype == "complex64" and T.complex(x, d).dtype == "complex128"
    assert abs(z).dtype == z.real.dtype == T.angle(z).dtype == z.var().dtype == "float32"
    assert (
        T.cast(z, "complex128").dtype
        == z.astype("complex128").dtype
        == z.mean(dtype="complex128").dtype
        == "complex128"
    )
    assert T.cast(x, "complex64").dtype == "complex64" and T.real(x) is x
    assert T.exp(T.constant(1j)).dtype == "complex64" and (T.eq(z, 1)).dtype == "bool"


@pytest.mark.parametrize("build", [
    lambda z: z < z, lambda z: T.maximum(z, 1), lambda z: z.max(), lambda z: T.argmax(z), lambda z: T.sort(z),
    lambda z: T.cast(z, "int32"), lambda z: z.astype("float64"), lambda z: T.erf(z), lambda z: z % 2, lambda z: z // 2,
    lambda z: z & 1, lambda z: T.clip(z, 0, 1), lambda z: T.nnet.softmax(z), lambda z: symc.grad(z.sum(), z),
    lambda z: T.floor(z), lambda z: T.arctan2(z, z), lambda z: T.nnet.relu(z), lambda z: T.topk(z, 1),
    lambda z: T.gammaln(z), lambda z: T.complex(z, 1), lambda z: fft.rfftn(z), lambda z: T.arange(10)[z],
    lambda z: z[z], lambda z: T.set_subtensor(T.dvector("x")[:1], z[:1]),
])  # fmt: skip
def test_what_has_no_meaning_is_refused_where_it_is_written(build) -> None:
    with pytest.raises((DTypeError, TypeError), match=r"(?s)complex|integer|lists|indices|dim"):
        build(T.zvector("z"))


def test_messages_name_the_op_and_a_repair() -> None:
    with pytest.raises(DTypeError, match=r"(?s)maximum: not defined for complex numbers.*z: complex128.*no order.*abs"):
        T.maximum(T.zvector("z"), 1)
    with pytest.raises(DTypeError, match=r"(?s)cast: from complex128 to int32 is ambiguous.*real\(z\)"):
        T.cast(T.zvector("z"), "int32")
    with pytest.raises(DTypeError, match=r"(?s)cost must be real.*abs\(cost\)"):
        symc.grad(T.zscalar("c"), T.zscalar("z"))


# --- functions, shared variables ------------------------------------------------------------------------------------


def test_arguments() -> None:
    z, x = T.cvector("z"), T.dvector("x")
    f = symc.function([z], [z * 1, abs(z)])
    for _ in range(2):  # the second call takes the fast path
        for given in (A[0], A[0].astype("complex64"), A[0].real, [1, 2j], A[::2, ::2][0], np.arange(3)):
            first, second = f(given)
            assert (first.dtype, second.dtype) == ("complex64", "float32")
            np.testing.assert_allclose(first, np.asarray(given).astype("complex64"))
            np.testing.assert_allclose(second, np.abs(given), rtol=1e-6)
    with pytest.raises(ValueError, match=r"input 0 \(z\): expected 1 axes"):
        f(np.ones((3, 2), "float32"))  # no pairs: complex numbers only
    with pytest.raises(DTypeError, match=r"(?s)expected real numbers of dtype float64, got complex.*x.real"):
        symc.function([x], x * 2)([1j])
    with pytest.raises(MissingInputError, match="z: complex64"):
        symc.function([], z * 2)
    with pytest.raises(DTypeError, match="convert it yourself"):
        symc.function([z], z * 2, allow_input_downcast=False)(A[0])
    single = symc.function([z], z + 1, name="single")
    assert single(z=A[0]).dtype == "complex64" and single(A[0]).shape == (4,)
    assert symc.function([z], {"twice": 2 * z})(A[0])["twice"].dtype == "complex64"
    zero = T.zscalar("zero")
    assert symc.function([zero], zero * 2)(1 + 1j) == 2 + 2j
    assert (zero * 2).eval({"zero": 1j}) == 2j


def test_results_own_no_copy_of_their_memory() -> None:
    z = T.zvector("z")
    result = symc.function([z], z * 2)(A[0])
    assert result.flags.c_contiguous and result.base is not None


def test_defaults_and_updates_of_inputs() -> None:
    z, total = T.zscalar("z"), T.zscalar("total")
    f = symc.function([z, symc.In(total, value=1j, update=total + z)], total * 2)
    assert f(1) == 2j and f(5) == 2 + 2j and f(0) == 12 + 2j


@DEVICES
def test_shared_variables(device: str) -> None:
    s = symc.shared(A[0].copy(), "s")
    assert s.dtype == "complex128" and s.ndim == 1
    z = T.zvector("z")
    f = symc.function([z], s * z, updates={s: s + z}, device=device)
    np.testing.assert_allclose(f(B[0]), A[0] * B[0])
    np.testing.assert_allclose(s.get_value(), A[0] + B[0])
    s.set_value(np.ones(2))
    np.testing.assert_allclose(f([1j, 2]), [1j, 2])
    np.testing.assert_allclose(s.get_value(), [1 + 1j, 3])
    assert f.get_shared() == [s]
    other = symc.shared(np.array([5j, 5j]))
    g = f.copy(swap={s: other})
    np.testing.assert_allclose(g([1, 1]), [5j, 5j])
    np.testing.assert_allclose(other.get_value(), [1 + 5j, 1 + 5j])
    s.zero()
    np.testing.assert_array_equal(s.get_value(), [0, 0])
    s.default_update = s + 1
    symc.function([], s.real.sum(), device=device)()
    np.testing.assert_array_equal(s.get_value(), [1, 1])
    with pytest.raises(DTypeError, match="ambiguous"):
        symc.function([], [], updates={symc.shared(np.ones(2)): s})


def test_borrowed_memory_is_shared() -> None:
    held = A[0].copy()
    s = symc.shared(held, borrow=True)
    assert np.shares_memory(s.get_value(borrow=True), held)


def test_givens_clones_copies_and_pickles() -> None:
    z, w = T.zvector("z"), T.zvector("w")
    inner = z * w
    out = T.exp(inner) + z
    np.testing.assert_allclose(symc.function([w], out, givens={z: w * w})(B[0]), np.exp(B[0] ** 3) + B[0] ** 2)
    np.testing.assert_allclose(
        symc.function([z, w], out, givens={inner: z + w})(A[0], B[0]), np.exp(A[0] + B[0]) + A[0]
    )
    twin = symc.clone(out, {z: 2 * w})
    np.testing.assert_allclose(symc.function([w], twin)(B[0]), np.exp(2 * B[0] ** 2) + 2 * B[0])
    cost = abs(out).sum()
    a, b, c = pickle.loads(pickle.dumps((z, w, cost)))
    slope = symc.grad(c, a)
    f = pickle.loads(pickle.dumps(symc.function([a, b], slope)))
    np.testing.assert_allclose(f(A[0], B[0]), symc.function([z, w], symc.grad(cost, z))(A[0], B[0]))


# --- gradients ----------------------------------------------------------------------------------------------------


def differences(f, at, step=1e-6):
    """``df/dx + i df/dy`` by central differences."""
    found = np.zeros_like(at)
    for k in np.ndindex(at.shape):
        for unit in (1, 1j):
            e = np.zeros_like(at)
            e[k] = unit * step
            found[k] += unit * (f(at + e) - f(at - e)) / (2 * step)
    return found


COSTS = {
    "products": (lambda z: abs(z * z / (z + 3)).sum(), lambda z: np.abs(z * z / (z + 3)).sum()),
    "parts": (lambda z: (T.real(z) * T.imag(z) ** 2).sum(), lambda z: (z.real * z.imag**2).sum()),
    "polar": (lambda z: (T.angle(z) * abs(z)).sum(), lambda z: (np.angle(z) * np.abs(z)).sum()),
    "powers": (lambda z: abs(z**3 + z ** (0.3 + 1j)).sum(), lambda z: np.abs(z**3 + z ** (0.3 + 1j)).sum()),
    "roots": (lambda z: T.real(T.sqrt(z) * T.log(z)).sum(), lambda z: (np.sqrt(z) * np.log(z)).real.sum()),
    "waves": (
        lambda z: T.imag(T.sin(z) * T.tanh(z) + T.cos(z)).sum(),
        lambda z: (np.sin(z) * np.tanh(z) + np.cos(z)).imag.sum(),
    ),
    "inverses": (
        lambda z: T.imag(T.arcsin(z) + T.arctan(z) + T.arccosh(z)).sum(),
        lambda z: (np.arcsin(z) + np.arctan(z) + np.arccosh(z)).imag.sum(),
    ),
    "prod": (
        lambda z: abs(z.prod(1)).sum() + abs(T.cumprod(z, 0)).sum(),
        lambda z: np.abs(z.prod(1)).sum() + np.abs(np.cumprod(z, 0)).sum(),
    ),
    "dot": (lambda z: abs(T.dot(z, z.T)).sum(), lambda z: np.abs(z @ z.T).sum()),
    "fft": (
        lambda z: abs(fft.fft(z, 6) * 2).sum() + fft.irfftn(z)[0, 0],
        lambda z: np.abs(np.fft.fft(z, 6) * 2).sum() + np.fft.irfftn(z)[0, 0],
    ),
    "indices": (lambda z: abs(z[[0, 0, 1]][:, ::2]).sum(), lambda z: np.abs(z[[0, 0, 1]][:, ::2]).sum()),
    "inverse": (lambda z: abs(nlinalg.matrix_inverse(z[:, :3])).sum(), lambda z: np.abs(np.linalg.inv(z[:, :3])).sum()),
    "var": (lambda z: z.var() + z.norm(2), lambda z: z.var() + np.linalg.norm(z)),
}  # fmt: skip


@pytest.mark.parametrize("name", COSTS)
def test_gradients(name: str) -> None:
    build, oracle = COSTS[name]
    z = T.zmatrix("z")
    first = symc.grad(build(z), z)
    assert first.dtype == "complex128"
    weight = B.conj()
    second = symc.grad(T.real(first * weight).sum(), z)
    slope, bend = symc.function([z], [first, second], device="interp")(A)
    np.testing.assert_allclose(slope, differences(oracle, A), rtol=1e-6, atol=1e-7)
    of_slope = symc.function([z], T.real(first * weight).sum(), device="interp")
    np.testing.assert_allclose(bend, differences(of_slope, A), rtol=1e-5, atol=1e-6)


def test_gradients_of_eigenvalues() -> None:
    z, x = T.zmatrix("z"), T.dmatrix("x")
    weight = RNG.normal(size=(4, 4))

    def cost(v, of):
        values, vectors = of(v)
        size = abs(vectors) ** 2 if of is np.linalg.eig else T.sqr(abs(vectors))
        return (
            (abs(values)[None] * size * weight).sum()
            if of is np.linalg.eig
            else (abs(values).dimshuffle("x", 0) * size * weight).sum()
        )

    for v, at in ((z, SQUARE), (x, SQUARE.real + 0)):
        g = symc.function([v], symc.grad(cost(v, nlinalg.eig), v))(at)
        want = differences(lambda a: cost(a, np.linalg.eig), at.astype("complex128"))
        np.testing.assert_allclose(g, want if v is z else want.real, rtol=1e-5, atol=1e-6)


def test_the_gradient_descends_and_exists_at_zero() -> None:
    z, w = T.zvector("z"), T.zscalar("w")
    cost = T.sqr(abs(z - (3 + 1j))).sum()
    f = symc.function([z], z - 0.5 * symc.grad(cost, z))
    np.testing.assert_allclose(f([0, 5]), [3 + 1j, 3 + 1j])
    both = symc.function([w], [symc.grad(v, w) for v in (abs(w), T.real(w * w), T.real(w**3), abs(w) ** 2)])(0)
    np.testing.assert_array_equal(both, [0, 0, 0, 0])


def test_gradients_by_intermediate_values_and_known_ones() -> None:
    z = T.zvector("z")
    m = z * z
    cost = abs(m).sum()
    by_m, by_z, none = symc.function([z], [symc.grad(cost, m), symc.grad(cost, z), symc.grad(T.real(m).sum(), z)])(A[0])
    np.testing.assert_allclose(by_m, A[0] ** 2 / abs(A[0] ** 2))
    np.testing.assert_allclose(by_z, by_m * 2 * A[0].conj())
    np.testing.assert_allclose(none, 2 * A[0].conj())
    passed = symc.grad(None, z, known_grads={m: T.constant(np.full(4, 1j))})
    np.testing.assert_allclose(symc.function([z], passed)(A[0]), 1j * 2 * A[0].conj())
    held = symc.grad(abs(m * symc.gradient.disconnected_grad(m)).sum(), z)
    np.testing.assert_allclose(symc.function([z], held)(A[0]), abs(A[0]) ** 2 * by_z)
    constant = symc.grad(abs(m + z).sum(), z, consider_constant=[m])
    np.testing.assert_allclose(symc.function([z], constant)(A[0]), (A[0] ** 2 + A[0]) / abs(A[0] ** 2 + A[0]))


# --- structure ----------------------------------------------------------------------------------------------------


@DEVICES
def test_scan_ifelse_and_ops_of_users(device: str) -> None:
    s, start, w, i = T.zvector("s"), T.zscalar("start"), T.zscalar("w"), T.iscalar("i")
    (h, sizes), _ = symc.scan(lambda x, z: (z * w + x, abs(z)), sequences=s, outputs_info=[start, None])
    whole = symc.OpFromGraph([s, w], [s * w, abs(s)])

    @symc.as_op(
        [T.zvector], [T.zvector, T.dvector], infer_shape=lambda node, shapes: [shapes[0], shapes[0]],
        grad=lambda inputs, gs: [gs[0] * 2 * T.conj(inputs[0]) + gs[1] * T.sgn(inputs[0])],
    )  # fmt: skip
    def square_and_size(x):
        return x**2, abs(x)

    squared, size = square_and_size(s)
    chosen = symc.ifelse(i > 0, h, s * 2)
    slopes = [
        symc.grad(abs(h[-1]) + size.sum() + abs(squared).sum() + abs(whole(s, w)[0]).sum(), v) for v in (w, start, s)
    ]
    f = symc.function([s, start, w, i], [h, sizes, squared, size, *whole(s, w), chosen, *slopes], device=device)
    a, z0, w0 = A[0], 1j, 0.5 + 0.2j
    got = f(a, z0, w0, 0)

    def states(a, z, w):
        found = []
        for x in a:
            z = z * w + x
            found.append(z)
        return np.array(found)

    want = states(a, z0, w0)
    for g, value in zip(
        got, [want, abs(np.array([z0, *want[:-1]])), a**2, abs(a), a * w0, abs(a), a * 2], strict=False
    ):
        np.testing.assert_allclose(g, value, rtol=1e-12)

    def cost(a, z, w):
        return abs(states(a, z, w)[-1]) + abs(a).sum() + (abs(a) ** 2).sum() + abs(a * w).sum()

    np.testing.assert_allclose(got[-3], differences(lambda w: cost(a, z0, w), np.array(w0)), rtol=1e-6)
    np.testing.assert_allclose(got[-2], differences(lambda z: cost(a, z, w0), np.array(z0)), rtol=1e-6)
    np.testing.assert_allclose(got[-1], differences(lambda a: cost(a, z0, w0), a), rtol=1e-6)


def test_folds_and_maps() -> None:
    s, x = T.zvector("s"), T.dvector("x")
    total, _ = symc.reduce(lambda v, acc: acc * v, s, T.constant(1 + 0j, dtype="complex128"))
    turned, _ = symc.map(lambda v: v * 1j, x)
    got = symc.function([s, x], [total, turned])(A[0], [1.0, 2.0])
    np.testing.assert_allclose(got[0], A[0].prod())
    np.testing.assert_array_equal(got[1], [1j, 2j])
