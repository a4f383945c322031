"""sympy in both directions, against sympy's own evaluation, and graphs of networkx."""

import math
import pickle

import networkx as nx
import numpy as np
import pytest
import sympy
from sympy import Rational, S
from sympy.matrices.expressions.diagonal import DiagMatrix, DiagonalOf
from sympy.matrices.expressions.hadamard import HadamardPower

import symc
import symc.tensor as T
from symc.errors import MissingInputError, ShapeError

a, b, c = sympy.symbols("a b c")
i, j, n = sympy.symbols("i j n", integer=True)
POINTS = {a: np.array([0.25, 0.5, 0.8125]), b: np.array([0.375, 1.25, 3.0])}


def by_sympy(expr, point):
    """The value of an expression at numbers, with 30 digits, by sympy alone."""
    exact = {s: sympy.Rational(float(v)) for s, v in point.items()}
    expr = expr.replace(sympy.erfcinv, lambda x: sympy.erfinv(1 - x))
    expr = expr.replace(sympy.erf2, lambda x, y: sympy.erf(y) - sympy.erf(x))
    expr = expr.replace(
        lambda e: type(e).__module__ == "sympy.codegen.cfunctions", lambda e: sympy.expand(e, func=True)
    )
    value = expr.subs(exact).doit()
    if value in (sympy.true, sympy.false):
        return bool(value)
    found = complex(sympy.N(value, 30))
    return found.real if abs(found.imag) < 1e-25 else math.nan


SCALARS = [
    a + b, a - b, -a - b, a - 3 * b, a * b, -2 * a * b, a / b, 1 / a, -a / (3 * b), Rational(1, 3) * a, a / 7,
    sympy.sqrt(a) / b, a**b, 2**a, a ** Rational(1, 3), a**-2, a**5, a ** Rational(-3, 2), sympy.pi * a, sympy.E**b,
    a + sympy.EulerGamma, a * sympy.GoldenRatio, sympy.Float(0.1) * a, a + sympy.sqrt(2) / 3, S.Infinity + 0 * a,
    sympy.exp(a), sympy.exp(-(a**2) / 2) / sympy.sqrt(2 * sympy.pi), sympy.log(a), sympy.log(a, 3), sympy.sin(a),
    sympy.cos(a), sympy.tan(a), sympy.cot(a), sympy.sec(a), sympy.csc(a), sympy.sinc(a), sympy.asin(a), sympy.acos(a),
    sympy.atan(a), sympy.atan2(a, b), sympy.acot(a), sympy.acot(-a), sympy.asec(1 / a), sympy.acsc(1 / a),
    sympy.sinh(a), sympy.cosh(a), sympy.tanh(a), sympy.coth(a), sympy.sech(a), sympy.csch(a), sympy.asinh(a),
    sympy.acosh(1 + a), sympy.atanh(a), sympy.acoth(1 + a), sympy.asech(a), sympy.acsch(a),
    sympy.Abs(a - b), sympy.sign(a - b), sympy.floor(3 * a), sympy.ceiling(3 * a), sympy.frac(3 * a),
    sympy.Mod(a, b), sympy.Mod(-a, b), sympy.Max(a, b, 1), sympy.Min(a, b, Rational(3, 10)),
    sympy.Heaviside(a - Rational(1, 2)), sympy.Heaviside(a - Rational(1, 2), 1),
    sympy.KroneckerDelta(a, Rational(1, 2)),
    sympy.erf(a), sympy.erfc(a), sympy.erfinv(a), sympy.erfcinv(a), sympy.erf2(a, b), sympy.gamma(a),
    sympy.loggamma(b), sympy.digamma(a), sympy.trigamma(a), sympy.polygamma(2, b), sympy.beta(a, b),
    sympy.factorial(b), sympy.binomial(b + 3, 2), sympy.RisingFactorial(a, b), sympy.harmonic(b),
    sympy.lowergamma(Rational(3, 2), b), sympy.uppergamma(Rational(5, 2), a),
    sympy.Piecewise((a, a > b), (b**2, True)), sympy.Piecewise((a, a > b), (b**2, b > 2)),
    sympy.Piecewise((a, sympy.And(a > 0, a < b)), (b, sympy.Or(a > 1, b > 1)), (1, True)),
    sympy.Derivative(sympy.sin(a * b), a), sympy.Derivative(a**3 * b, a, a), sympy.Integral(a * c, (c, 0, b)),
    sympy.Subs(sympy.Derivative(sympy.sin(c), c), c, a), sympy.Limit(sympy.sin(c * a) / c, c, 0),
    sympy.Sum(a**i, (i, 0, 5)), sympy.Product(a + i, (i, 1, 4)), sympy.Sum(i * j * a, (j, 1, i), (i, 1, 4)),
    sympy.Sum(a, (i, 3, 7)), sympy.Product(a, (i, 3, 7)), sympy.Sum(a * i, (i, 5, 1)), sympy.Sum(a * i, (i, 5, 4)),
    sympy.Product(a + i, (i, 5, 1)), sympy.Sum(1 / i**2, (i, 1, 20)) * a, sympy.Sum(a**i, (i, 0, sympy.oo)),
    sympy.Sum(sympy.Product(a + j, (j, 1, i)), (i, 1, 3)), sympy.Sum(a**i / sympy.factorial(i), (i, 0, 8)),
    sympy.codegen.cfunctions.expm1(a), sympy.codegen.cfunctions.log1p(a), sympy.codegen.cfunctions.log2(a),
    sympy.codegen.cfunctions.log10(a), sympy.codegen.cfunctions.exp2(a), sympy.codegen.cfunctions.Cbrt(a),
    sympy.codegen.cfunctions.hypot(a, b), sympy.codegen.cfunctions.fma(a, b, a),
    sympy.re(a), sympy.conjugate(b), sympy.arg(a - b),
]  # fmt: skip
LOGICAL = [
    sympy.Eq(a, Rational(1, 2)), sympy.Ne(a, b), a < b, a <= b, a > b, a >= b, sympy.And(a < b, b < 2),
    sympy.Or(a > b, b > 2), sympy.Not(a < b), sympy.Xor(a < b, b < 2), sympy.Nand(a < b, b < 2),
    sympy.Implies(a < b, b < 2), sympy.Equivalent(a < b, b < 2), sympy.ITE(a < b, b < 2, a > 1), sympy.true,
]  # fmt: skip


def test_scalar_nodes_in_float64():
    """Each node at three points, as one function of vectors; numbers keep the digits of float64."""
    x, y = T.dvectors("x", "y")
    made = symc.from_sympy(SCALARS + LOGICAL, {a: x, "b": y})
    f = symc.function([x, y], [m + T.zeros_like(x) if m.dtype != "bool" else m for m in made], device="interp")
    for expr, have in zip(SCALARS + LOGICAL, f(*POINTS.values())):
        want = [by_sympy(expr, {a: p, b: q}) for p, q in zip(*POINTS.values())]
        np.testing.assert_allclose(np.broadcast_to(have, (3,)), want, rtol=2e-13, atol=1e-15, err_msg=str(expr))


def test_gradients():
    """Derivatives by symc against those by sympy."""
    x, y = T.dscalars("x", "y")
    smooth = [e for e in SCALARS if e.has(a) and not e.has(sympy.Mod, sympy.Integral, sympy.Limit, sympy.polygamma)]
    smooth = [e for e in smooth if not e.has(sympy.floor, sympy.ceiling, sympy.frac, sympy.arg, sympy.harmonic)]
    smooth = [e for e in smooth if not e.has(sympy.Heaviside, sympy.KroneckerDelta, sympy.sign, sympy.oo, sympy.Abs)]
    smooth = [e for e in smooth if not e.has(sympy.conjugate, sympy.re, sympy.RisingFactorial, sympy.nan)]
    smooth = [e for e in smooth if not (e.is_Piecewise and e.args[-1].cond != sympy.true)]
    made = symc.from_sympy(smooth, {a: x, b: y})
    f = symc.function(
        [x, y], [symc.grad(m, x) for m in made], device="interp", on_unused_input="ignore", mode="fast_compile"
    )
    at = {a: 0.3125, b: 1.375}
    for expr, have in zip(smooth, f(*at.values())):
        want = by_sympy(sympy.diff(expr.doit(), a), at)
        assert have == pytest.approx(want, rel=1e-11, abs=1e-13), expr
    assert len(smooth) > 60


def test_integers_stay_integers():
    k = T.lscalar("k")
    power, quotient, top, delta = symc.from_sympy(
        [n**2 + 1, n / 2, sympy.Max(n, 3), sympy.KroneckerDelta(n, 2)], {n: k}
    )
    assert [power.dtype, quotient.dtype, top.dtype, delta.dtype] == ["int64", symc.config.floatX, "int64", "int64"]
    assert symc.from_sympy(n / 3, {n: k}, dtype="float64").eval({k: 1}) == 1 / 3
    assert symc.from_sympy(sympy.Integer(3)).dtype == "int64"


def test_numbers_keep_their_digits():
    """Whatever floatX is, numbers beside float64 variables have the digits of float64."""
    x = T.dscalar("x")
    third = Rational(1, 3)
    table = [a + third, third + sympy.pi, sympy.Piecewise((third, a > 0), (sympy.pi, True)), sympy.Heaviside(a, third),
             sympy.Piecewise((sympy.pi, a < 0), (third, a > 0)), a * third * sympy.sqrt(3), third, sympy.arg(-a - 1),
             sympy.Max(third, sympy.sin(a)), sympy.Matrix([[third, a]])[0, 0] + 0 * a]  # fmt: skip
    assert symc.config.floatX == "float32"
    for expr, have in zip(table, symc.from_sympy(table, {a: x})):
        for at in (0.0, 0.25):
            want = by_sympy(expr, {a: at})
            f = symc.function([x], have, device="interp", mode="fast_compile", on_unused_input="ignore")
            assert f(at) == pytest.approx(want, rel=3e-16, nan_ok=True), expr


def test_names_and_values():
    x = T.dscalar("a")
    assert symc.from_sympy(a + 1, [x]).eval({x: 2.0}) == 3
    assert symc.from_sympy(a + b, {"a": x, b: 4.0}).eval({x: 2.0}) == 6
    t = sympy.Symbol("t")
    f = sympy.Function("f")
    assert symc.from_sympy(f(t) + 1, {f(t): x}).eval({x: 2.0}) == 3
    assert symc.from_sympy(f(a) + 1, {a: x, f: T.sqr}).eval({x: 3.0}) == 10
    nested = symc.from_sympy({"p": (a, [a**2])}, {a: x})
    assert isinstance(nested["p"], tuple) and nested["p"][1][0].eval({x: 3.0}) == 9


def test_complex_numbers():
    z, x = T.zscalar("z"), T.dscalar("x")
    table = [
        a * sympy.I + 2,
        sympy.re(a),
        sympy.im(a),
        sympy.conjugate(a),
        sympy.exp(sympy.I * b),
        a / 3 - (1 + sympy.I),
    ]
    f = symc.function([z, x], symc.from_sympy(table, {a: z, b: x}), device="interp")
    w = 0.5 - 2j
    want = [w * 1j + 2, 0.5, -2, 0.5 + 2j, np.exp(0.25j), w / 3 - (1 + 1j)]
    for have, expected, expr in zip(f(w, 0.25), want, table):
        assert have == pytest.approx(expected, rel=1e-14), expr


def test_what_has_no_counterpart_is_named():
    x = T.dscalar("x")
    with pytest.raises(TypeError, match=r"LambertW has no counterpart in symc, in LambertW\(a\)(.|\n)*test_interop"):
        symc.from_sympy(1 + sympy.LambertW(a), {a: x})
    made = symc.from_sympy(1 + sympy.LambertW(a), {a: x}, functions={"LambertW": lambda v: v * 10})
    assert made.eval({x: 2.0}) == 21
    for wrong in (sympy.Derivative(sympy.Function("f")(a), a), sympy.DiracDelta(a)):
        with pytest.raises(TypeError, match="Derivative|DiracDelta"):
            symc.from_sympy(wrong, {a: x})
    with pytest.raises(TypeError, match="infinite number of terms"):
        symc.from_sympy(sympy.Sum(sympy.sin(a * i**3), (i, 1, sympy.oo)), {a: x})
    with pytest.raises(MissingInputError, match=r"no variable is given for b, c \(given: a\)"):
        symc.from_sympy(a + b * c, {a: x})
    with pytest.raises(TypeError, match="indices and limits must be integers"):
        symc.from_sympy(sympy.Sum(a, (i, 0, b)), {a: x, b: T.dscalar("y")})
    with pytest.raises(ShapeError, match="is a matrix of shape"):
        symc.from_sympy(sympy.MatrixSymbol("M", 2, 2), {sympy.MatrixSymbol("M", 2, 2): x})


# --- matrices and tensors ---------------------------------------------------------------------------------------------

RNG = np.random.default_rng(3)
MX, MY = RNG.normal(size=(3, 3)) + 4 * np.eye(3), RNG.normal(size=(3, 3))
COLUMN = RNG.normal(size=(3, 1))
X, Y = sympy.MatrixSymbol("X", 3, 3), sympy.MatrixSymbol("Y", 3, 3)
V = sympy.MatrixSymbol("V", 3, 1)
INVERSE = np.linalg.inv(MX)
MATRICES = [
    (X + Y, MX + MY), (X * Y, MX @ MY), (2 * X - Y, 2 * MX - MY), (X.T * V, MX.T @ COLUMN), (X.I * V, INVERSE @ COLUMN),
    (Y * X.I, MY @ INVERSE), (X.I * Y * V, INVERSE @ MY @ COLUMN), (X**3, MX @ MX @ MX), (X**-2, INVERSE @ INVERSE),
    (sympy.Trace(X * Y), np.trace(MX @ MY)), (sympy.Determinant(X), np.linalg.det(MX)),
    (X + sympy.Identity(3), MX + np.eye(3)), (X[1, 2] * 2, MX[1, 2] * 2), (X[0:2, 1:3], MX[:2, 1:3]),
    (sympy.HadamardProduct(X, Y), MX * MY), (HadamardPower(X, 2), MX**2), (X.adjoint(), MX.T),
    (sympy.Matrix([[1, 2, 3], [4, 5, 6], [7, 8, 10]]) * V, np.array([[1, 2, 3], [4, 5, 6], [7, 8, 10]]) @ COLUMN),
    (sympy.BlockMatrix([[X, V], [V.T, sympy.ZeroMatrix(1, 1)]]),
     np.block([[MX, COLUMN], [COLUMN.T, np.zeros((1, 1))]])),
    (X.applyfunc(sympy.sin), np.sin(MX)), (sympy.kronecker_product(X, Y), np.kron(MX, MY)),
    (sympy.OneMatrix(3, 3) * X, np.ones((3, 3)) @ MX), (sympy.diag(a, b), np.diag([0.5, 1.5])),
    (sympy.Matrix([[a, b], [1, a * b]]), np.array([[0.5, 1.5], [1, 0.75]])), (sympy.Matrix([[a]]) * 3, [[1.5]]),
    (sympy.Matrix([a, b]).norm(), np.hypot(0.5, 1.5)), (sympy.Matrix([[a, b], [b, a]]).inv(),
     [[-0.25, 0.75], [0.75, -0.25]]),
    (sympy.Matrix([sympy.sin(a), b]).jacobian([a, b]), np.diag([np.cos(0.5), 1])),
    (sympy.FunctionMatrix(2, 3, sympy.Lambda((i, j), i * 10 + j)), [[0, 1, 2], [10, 11, 12]]),
    (DiagMatrix(V), np.diag(COLUMN[:, 0])), (DiagonalOf(X), np.diag(MX)[:, None]),
    (sympy.Sum(X[i, i], (i, 0, 2)), np.trace(MX)),
    (sympy.Sum(X[i, j] * Y[j, i], (i, 0, 2), (j, 0, 2)), np.trace(MX @ MY)),
    (sympy.Array([[a, 1], [b, a]]), [[0.5, 1], [1.5, 0.5]]), (sympy.Array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (sympy.zeros(0, 2), np.zeros((0, 2))), (sympy.Inverse(X), INVERSE),
]  # fmt: skip


def test_matrices():
    x, y, v = T.dmatrix("x"), T.dmatrix("y"), T.tensor("float64", shape=(None, 1), name="v")
    p, q = T.dscalars("p", "q")
    made = symc.from_sympy([e for e, _ in MATRICES], {X: x, Y: y, V: v, a: p, b: q})
    f = symc.function([x, y, v, p, q], made, device="interp")
    for (expr, want), have in zip(MATRICES, f(MX, MY, COLUMN, 0.5, 1.5)):
        np.testing.assert_allclose(have, want, rtol=1e-12, atol=1e-13, err_msg=str(expr))


def test_entries_that_are_tensors_are_leading_axes():
    """Rotations by many angles, and a matrix for each of them."""
    turn = sympy.Matrix([[sympy.cos(a), -sympy.sin(a)], [sympy.sin(a), sympy.cos(a)]])
    angles = np.linspace(0, 3, 5)
    have = symc.lambdify([a, b], turn * b)(angles, 2.0)
    assert have.shape == (5, 2, 2)
    for angle, matrix in zip(angles, have):
        want = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        np.testing.assert_allclose(matrix, 2 * np.array(want), atol=1e-15)
    scaled = symc.lambdify([a, X], a * X)(np.array([1.0, 2.0]), MX)
    np.testing.assert_array_equal(scaled, [MX, 2 * MX])


def test_lengths_of_matrices_are_symbols():
    rows, columns = sympy.symbols("rows columns", integer=True)
    M = sympy.MatrixSymbol("M", rows, columns)
    f = symc.lambdify([M], [sympy.Trace(M * M.T) / rows, M.T * M + sympy.Identity(columns)])
    given = RNG.normal(size=(4, 2))
    mean, gram = f(given)
    assert mean == pytest.approx((given**2).sum() / 4)
    np.testing.assert_allclose(gram, given.T @ given + np.eye(2))


def test_indexed():
    A, B = sympy.IndexedBase("A"), sympy.IndexedBase("B", shape=(n, n))
    values, square = RNG.normal(size=6), RNG.normal(size=(4, 4))
    f = symc.lambdify(
        [A, n], [sympy.Sum(A[i] * (i + 1), (i, 0, n - 1)), sympy.Product(A[i], (i, 1, n - 1)), A[2] - A[n - 1]]
    )
    total, product, gap = f(values, 5)
    assert total == pytest.approx(values[:5] @ np.arange(1, 6)) and product == pytest.approx(values[1:5].prod())
    assert gap == pytest.approx(values[2] - values[4])
    empty = f(values, 0)[:2]
    assert [float(v) for v in empty] == [0, 1]
    g = symc.lambdify(B, sympy.Sum(B[i, j], (j, 0, i), (i, 0, n - 1)))  # the lower triangle; n is its length
    assert g(square) == pytest.approx(np.tril(square).sum())
    D = sympy.DeferredVector("D")
    assert symc.lambdify(D, D[0] * D[2])(values) == pytest.approx(values[0] * values[2])


# --- lambdify ---------------------------------------------------------------------------------------------------------


def test_lambdify_broadcasts_and_keeps_dtypes():
    f = symc.lambdify((a, b), sympy.Piecewise((a, a > b), (b**2, b > 0)))
    x = np.linspace(-1, 2, 7)
    with np.errstate(invalid="ignore"):
        want = np.where(x[:, None] > x, x[:, None], np.where(x > 0, x**2, np.nan))
    np.testing.assert_array_equal(f(x[:, None], x), want)
    np.testing.assert_array_equal(f(x, 1.0), np.where(x > 1, x, 1.0))
    assert f(x.astype("float32"), 1.0).dtype == "float32" and f(1, 2).dtype == "float64"
    g = symc.lambdify((a, b), a / 3 + b)
    assert g(1, 0) == 1 / 3 and g(np.float32(1), 0).dtype == "float32"
    assert symc.lambdify((a, b), a * b + 1)(2, 3).dtype == "int64"
    assert symc.lambdify(a, a / 3, dtype="float32")(1.0).dtype == "float32"
    assert g(b=1.0, a=3.0) == 2 and g.compiled(1.0, 1.0) is g.compiled(2.0, 3.0)


def test_lambdify_accepts_both_orders():
    assert symc.lambdify((a, b), a - b)(3.0, 1.0) == 2
    assert symc.lambdify(a - b, (a, b))(3.0, 1.0) == 2
    assert symc.lambdify(sympy.sin(a), a)(0.0) == 0
    assert symc.lambdify(a, b, {"c": None}).args == (a,)  # both are symbols: the order of sympy
    assert symc.lambdify(a, [a, b * 0 + a])(2.0) == [2, 2]
    with pytest.raises(TypeError, match="the arguments must be symbols"):
        symc.lambdify(a + 1, a * b)
    with pytest.raises(TypeError, match="the arguments must be symbols"):
        symc.lambdify({a, b}, a)


def test_lambdify_nests_arguments_and_results():
    f = symc.lambdify([a, [b, c]], {"sum": a + b, "rest": (c, [a * c])})
    assert f(1.0, [2.0, 3.0]) == {"sum": 3, "rest": (3, [3])}
    entries = sympy.Matrix([[a, b]])
    assert symc.lambdify([entries], a + 10 * b)(np.array([[1.0, 2.0]])) == 21
    assert symc.lambdify([entries], a + 10 * b)([1.0, 2.0]) == 21
    with pytest.raises(TypeError, match="expected 2 values"):
        f(1.0, [2.0])
    with pytest.raises(TypeError, match="takes 2 arguments"):
        f(1.0)


def test_lambdify_is_differentiable():
    f = symc.lambdify((a, b), sympy.exp(a) * b**2)
    x = T.dvector("x")
    slope = symc.function([x], symc.grad(f(x, 3.0).sum(), x))
    np.testing.assert_allclose(slope([0.0, 1.0]), 9 * np.exp([0.0, 1.0]))
    assert symc.lambdify(a, sympy.zeta(a), {"zeta": lambda v: v + 1})(1.0) == 2
    again = pickle.loads(pickle.dumps(f))
    assert again(0.0, 2.0) == 4


# --- from symc --------------------------------------------------------------------------------------------------------


def test_to_sympy_and_back():
    """Elementwise functions become expressions with the same values and derivatives."""
    x, y = T.dscalars("x", "y")
    sx, sy = sympy.symbols("x y")
    table = [
        x + y * 2 - x / y, x**y, T.sqrt(x) + T.sqr(y), T.exp(x) + T.expm1(y) + T.exp2(x), T.log(x) + T.log1p(y),
        T.log2(x) - T.log10(y), T.sin(x) * T.cos(y) + T.tan(x), T.arcsin(x) + T.arccos(x) + T.arctan(y),
        T.arctan2(x, y), T.sinh(x) + T.cosh(y) + T.tanh(x), T.arcsinh(x) + T.arccosh(y + 1) + T.arctanh(x),
        T.nnet.sigmoid(x) + T.nnet.softplus(y), T.erf(x) + T.erfc(y), T.gamma(x) + T.gammaln(y), T.maximum(x, y),
        T.minimum(x, y) + T.clip(x, 0.5, 1.0), T.switch(x > y, x**2, y), T.switch((x < y) & ~(x <= 0), x, y),
        abs(x - y) + T.sgn(y), T.floor(y) + T.ceil(x) + T.trunc(-y), T.round(y) + T.cast(y * 3, "int64"), y % x, y // x,
        T.nnet.relu(x - y), T.cast(x > y, "float64") + 1, T.deg2rad(x), T.inv(x) - x**3, T.sgn(-x), T.eq(x, y),
        T.fill(x, y) + T.zeros_like(x) + T.ones_like(y), T.disconnected_grad(x) * y, 0.5 * x + 0.1,
    ]  # fmt: skip
    at = {sx: 0.625, sy: 1.375}
    values = symc.function([x, y], table, device="interp", mode="fast_compile")(*at.values())
    for expr, want in zip(symc.to_sympy(table), values):
        assert by_sympy(expr, at) == pytest.approx(want.item(), rel=1e-13), expr


def test_to_sympy_of_gradients_and_tensors():
    x, v = T.dscalar("x"), T.dmatrix("v")
    assert (
        sympy.simplify(symc.to_sympy(symc.grad(T.sin(x) * x, x)) - sympy.diff(sympy.sin("x") * sympy.Symbol("x"))) == 0
    )
    slope = symc.to_sympy(symc.grad((v**3 * T.tanh(v)).sum(), v))
    s = sympy.Symbol("v")
    assert sympy.simplify((slope - sympy.diff(s**3 * sympy.tanh(s), s)).rewrite(sympy.exp)) == 0
    assert symc.to_sympy(T.dscalar() + T.dscalar()) == sympy.Symbol("x0") + sympy.Symbol("x1")
    assert symc.to_sympy(x / 2 + 0.1, {x: a}) == a / 2 + sympy.Float(0.1)
    for wrong, op in (
        (v.sum(), "sum"),
        (v + v.T, "dimshuffle"),
        (T.dot(v, v), "dot|matmul"),
        (v[0], "subtensor|slice"),
    ):
        with pytest.raises(TypeError, match=rf"to_sympy: ({op})[^\n]* is no elementwise function(.|\n)*test_interop"):
            symc.to_sympy(wrong)
    total = v.sum()
    assert symc.to_sympy(total**2, {total: b}) == b**2


def test_a_round_trip_is_exact():
    expr = sympy.sin(a) ** 2 / (1 + b) + sympy.Piecewise((a, a > b), (sympy.exp(b), True))
    assert symc.to_sympy(symc.from_sympy(expr, {a: T.dscalar("a"), b: T.dscalar("b")})) == expr


# --- networkx ---------------------------------------------------------------------------------------------------------


def test_to_networkx():
    x, w = T.vector("x"), symc.shared(np.ones(3, "float32"), "w")
    square = x * x
    out = T.exp(square + w) * 2
    graph = symc.to_networkx([out, square])
    assert isinstance(graph, nx.DiGraph) and nx.is_directed_acyclic_graph(graph)
    kinds = [graph.nodes[node]["kind"] for node in graph]
    assert kinds.count("op") == sum(graph.nodes[node].get("op") is not None for node in graph)
    assert {graph.nodes[v]["kind"] for v in (x, w)} == {"input", "shared"}
    assert graph.edges[x, square.owner]["positions"] == (0, 1)
    assert graph.nodes[out]["output"] == (0,) and graph.nodes[square]["output"] == (1,)
    assert graph.nodes[out]["kind"] == "result" and graph.nodes[out]["dtype"] == "float32"
    assert (
        graph.nodes[square.owner]["label"] == "mul" and "test_interop" in graph.nodes[square.owner]["location"].filename
    )
    (two,) = [node for node in graph if graph.nodes[node]["kind"] == "constant"]
    assert graph.nodes[two]["value"] == 2
    assert nx.has_path(graph, x, out) and set(nx.ancestors(graph, square)) == {x, square.owner}
    f = symc.function([x], {"y": out}, updates={w: w + 1})
    assert (
        sum(
            symc.to_networkx(f).nodes[n]["output"] != ()
            for n in symc.to_networkx(f)
            if "output" in symc.to_networkx(f).nodes[n]
        )
        == 2
    )
