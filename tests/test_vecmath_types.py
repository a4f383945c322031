"""Vectors of every type: memory access, comparisons, selections, reductions and conversions."""

import numpy as np
import pytest
from vecmath_library import CTYPES, DTYPES, FLOATS, MASKS, TARGETS, assemble, build, edges, needs_compiler, require

pytestmark = needs_compiler


def memory_text(t):
    """C text of the memory helpers, selections and reductions of one type."""
    s, m, ms = CTYPES[t], MASKS[t], CTYPES[MASKS[t]]
    reductions = "".join(
        f"void reduce_{r}_{t}(const {s} *p, {s} *out) {{ *out = vreduce_{r}_{t}(vload_{t}(p)); }}\n"
        for r in ("add", "mul", "min", "max")
    )
    comparisons = "".join(
        f"void {c}_{t}(const {s} *p, const {s} *q, {ms} *out)"
        f" {{ vstore_{m}(out, v{c}_{t}(vload_{t}(p), vload_{t}(q))); }}\n"
        for c in ("lt", "le", "gt", "ge", "eq", "ne")
    )
    extrema = "".join(
        f"void {c}_{t}(const {s} *p, const {s} *q, {s} *out)"
        f" {{ vstore_{t}(out, v{c}_{t}(vload_{t}(p), vload_{t}(q))); }}\n"
        for c in ("min", "max")
    )
    return reductions + comparisons + extrema + (
        f"void copy_{t}(const {s} *p, {s} *q) {{ vstore_{t}(q, vload_{t}(p)); }}\n"
        f"void stream_{t}(const {s} *p, {s} *q) {{ vstream_{t}(q, vload_{t}(p)); vstream_fence(); }}\n"
        f"void load_n_{t}(const {s} *p, {s} *q, int64_t n) {{ vstore_{t}(q, vload_n_{t}(p, n)); }}\n"
        f"void store_n_{t}(const {s} *p, {s} *q, int64_t n) {{ vstore_n_{t}(q, vload_{t}(p), n); }}\n"
        f"void gather_{t}(const {s} *p, {s} *q, int64_t stride) {{ vstore_{t}(q, vgather_{t}(p, stride)); }}\n"
        f"void gather_n_{t}(const {s} *p, {s} *q, int64_t stride, int64_t n)"
        f" {{ vstore_{t}(q, vgather_n_{t}(p, stride, n)); }}\n"
        f"void scatter_{t}(const {s} *p, {s} *q, int64_t stride) {{ vscatter_{t}(q, stride, vload_{t}(p)); }}\n"
        f"void scatter_n_{t}(const {s} *p, {s} *q, int64_t stride, int64_t n)"
        f" {{ vscatter_n_{t}(q, stride, vload_{t}(p), n); }}\n"
        f"void index_{t}(const {s} *p, const int64_t *i, {s} *q) {{ vstore_{t}(q, vindex_{t}(p, vload_i64(i))); }}\n"
        f"void index_n_{t}(const {s} *p, const int64_t *i, {s} *q, int64_t n)"
        f" {{ vstore_{t}(q, vindex_n_{t}(p, vload_i64(i), n)); }}\n"
        f"void select_{t}(const {ms} *m, const {s} *p, const {s} *q, {s} *out)"
        f" {{ vstore_{t}(out, vselect_{t}(vload_{m}(m), vload_{t}(p), vload_{t}(q))); }}\n"
        f"void set1_{t}({s} x, {s} *out) {{ vstore_{t}(out, vset1_{t}(x)); }}\n"
    )  # fmt: skip


def cast_text(a, b):
    return (
        f"void cast_{a}_{b}(const {CTYPES[a]} *p, {CTYPES[b]} *q)"
        f" {{ vstore_{b}(q, vcast_{a}_{b}(vload_{a}(p))); }}\n"
        f"void scalar_{a}_{b}(const {CTYPES[a]} *p, {CTYPES[b]} *q)"
        f" {{ for (int i = 0; i < VM_LANES; i++) q[i] = ({CTYPES[b]})p[i]; }}\n"
    )


@pytest.fixture(scope="module", params=TARGETS)
def helpers(request, tmp_path_factory):
    require(request.param)
    text = "".join(memory_text(t) for t in CTYPES) + "".join(cast_text(a, b) for a in CTYPES for b in CTYPES)
    text += "void lanes(int32_t *p) { *p = VM_LANES; }\n"
    text += "void iota(int32_t *p, int64_t *q) { vstore_i32(p, viota_i32()); vstore_i64(q, viota_i64()); }\n"
    text += "void any(const int32_t *p, const int64_t *q, int32_t *out)"
    text += " { out[0] = vany_i32(vload_i32(p)); out[1] = vany_i64(vload_i64(q)); }\n"
    text += "".join(
        f"void isnan_{t}(const {CTYPES[t]} *p, {CTYPES[MASKS[t]]} *q, {CTYPES[MASKS[t]]} *r)"
        f" {{ vstore_{MASKS[t]}(q, vm_isnan_{t}(vload_{t}(p))); vstore_{MASKS[t]}(r, vm_isinf_{t}(vload_{t}(p))); }}\n"
        for t in FLOATS
    )
    folder = tmp_path_factory.mktemp("helpers")
    found = build(text, request.param, folder)
    # A copy of an unknown number of lanes would be a call for each partial vector: longer than many whole ones.
    assert b"memcpy\0" not in (folder / f"{request.param}.so").read_bytes()
    return found


@pytest.fixture(scope="module")
def lanes(helpers):
    """How many lanes the vectors have: as many as floats fit a register."""
    count = np.zeros(1, np.int32)
    helpers("lanes", count)
    assert count[0] in (4, 8, 16)
    return int(count[0])


def numbers(t, seed, count):
    """Random numbers over the whole range of an integer type; of a float type, around one."""
    rng, dtype = np.random.default_rng(seed), DTYPES[t]
    if dtype.kind == "f":
        return rng.uniform(-2, 2, count).astype(dtype)
    return np.frombuffer(rng.bytes(count * dtype.itemsize), dtype).copy()


def aligned(dtype, count):
    """Zeros at a multiple of 128 bytes."""
    raw = np.zeros(count * dtype.itemsize + 128, np.uint8)
    start = -raw.ctypes.data % 128
    return raw[start : start + count * dtype.itemsize].view(dtype)


@pytest.mark.parametrize("t", CTYPES)
def test_whole_vectors_travel_unchanged(helpers, lanes, t):
    x = numbers(t, 1, lanes + 1)[1:]
    for name in ("copy", "stream"):
        out = aligned(DTYPES[t], lanes)
        helpers(f"{name}_{t}", x, out)
        np.testing.assert_array_equal(out, x)
    value = -0.0 if t in FLOATS else int(x[0])
    helpers(f"set1_{t}", value, out)
    assert (out == value).all() and (t not in FLOATS or np.signbit(out).all())


@pytest.mark.parametrize("t", CTYPES)
def test_partial_moves_touch_the_first_lanes_alone(helpers, lanes, t):
    x = numbers(t, 2, lanes)
    for n in range(lanes + 1):
        out = np.full(lanes, 7, DTYPES[t])
        helpers(f"load_n_{t}", x, out, n)
        np.testing.assert_array_equal(out, np.where(np.arange(lanes) < n, x, 0).astype(DTYPES[t]))
        out = np.full(lanes, 7, DTYPES[t])
        helpers(f"store_n_{t}", x, out, n)
        np.testing.assert_array_equal(out, np.where(np.arange(lanes) < n, x, 7).astype(DTYPES[t]))


@pytest.mark.parametrize("t", CTYPES)
@pytest.mark.parametrize("stride", [1, 3, 0, -2])
def test_strided_moves(helpers, lanes, t, stride):
    few, most = lanes // 3, lanes - 1
    source = numbers(t, 3, 64)
    start = 32 if stride < 0 else 0
    places = start + stride * np.arange(lanes)
    out = np.zeros(lanes, DTYPES[t])
    helpers(f"gather_{t}", source[start:], out, stride)
    np.testing.assert_array_equal(out, source[places])
    helpers(f"gather_n_{t}", source[start:], out, stride, few)
    np.testing.assert_array_equal(out, np.where(np.arange(lanes) < few, source[places], 0).astype(DTYPES[t]))
    helpers(f"index_{t}", source, places.astype(np.int64), out)
    np.testing.assert_array_equal(out, source[places])
    helpers(f"index_n_{t}", source, places.astype(np.int64), out, most)
    np.testing.assert_array_equal(out, np.where(np.arange(lanes) < most, source[places], 0).astype(DTYPES[t]))
    if stride:
        target, expected = np.zeros(64, DTYPES[t]), np.zeros(64, DTYPES[t])
        expected[places] = source[:lanes]
        helpers(f"scatter_{t}", source, target[start:], stride)
        np.testing.assert_array_equal(target, expected)
        target[:] = expected[:] = 0
        expected[places[:few]] = source[:few]
        helpers(f"scatter_n_{t}", source, target[start:], stride, few)
        np.testing.assert_array_equal(target, expected)


@pytest.mark.parametrize("t", CTYPES)
def test_comparisons_selection_and_extrema(helpers, lanes, t):
    a, b = numbers(t, 4, lanes), numbers(t, 5, lanes)
    b[::3] = a[::3]
    if t in FLOATS:
        a[1], b[2], a[-1], b[-1] = [np.nan] * 4
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):
        mask = np.zeros(lanes, DTYPES[MASKS[t]])
        helpers(f"{name}_{t}", a, b, mask)
        expected = getattr(a, f"__{name}__")(b)
        np.testing.assert_array_equal(mask, -expected.astype(mask.dtype))
        out = np.zeros(lanes, DTYPES[t])
        helpers(f"select_{t}", mask, a, b, out)
        np.testing.assert_array_equal(out, np.where(expected, a, b))
    for name, function in (("min", np.minimum), ("max", np.maximum)):
        helpers(f"{name}_{t}", a, b, out)
        np.testing.assert_array_equal(out, function(a, b))


def tree(function, x):
    """The order of the reductions: lane i with the one half of all lanes further, until one is left."""
    while len(x) > 1:
        half = len(x) // 2
        x = function(x[:half], x[half:])
    return x[0]


@pytest.mark.parametrize("t", CTYPES)
@pytest.mark.parametrize(
    "name, function", [("add", np.add), ("mul", np.multiply), ("min", np.minimum), ("max", np.maximum)]
)
def test_reductions_follow_one_tree(helpers, lanes, t, name, function):
    for seed in range(5):
        x, out = numbers(t, seed, lanes), np.zeros(1, DTYPES[t])
        helpers(f"reduce_{name}_{t}", x, out)
        assert out[0] == tree(function, x)
    if t in FLOATS:
        for lane in range(lanes):
            x[:] = 1
            x[lane] = np.nan
            helpers(f"reduce_{name}_{t}", x, out)
            assert np.isnan(out[0])


@pytest.mark.parametrize("a", CTYPES)
def test_conversions_agree_with_those_of_scalars(helpers, lanes, a):
    for b in CTYPES:
        x = numbers(a, 6, 16)
        if a in FLOATS:
            limits = {"f": 1e30, "i": 2.0 ** (int(b[1:]) - 2), "u": 2.0 ** (int(b[1:]) - 1)}[b[0]]
            x = np.concatenate([[-1.5, 2.5, -0.5, 0.99], np.random.default_rng(1).uniform(-limits, limits, 12)])
            x = (abs(x) if b[0] == "u" else x).astype(DTYPES[a])
        vector, scalar = np.zeros((2, 16), DTYPES[b])
        for k in range(0, 16, lanes):
            helpers(f"cast_{a}_{b}", x[k:], vector[k:])
            helpers(f"scalar_{a}_{b}", x[k:], scalar[k:])
        np.testing.assert_array_equal(vector, scalar, err_msg=f"{a} to {b}")


@pytest.mark.parametrize("a, b", [("f32", "i64"), ("f64", "i64"), ("i64", "f32"), ("i64", "f64")])
def test_conversions_of_64_bits_for_small_large_and_mixed_numbers(helpers, lanes, a, b):
    rng, end = np.random.default_rng(4), 2**51
    near = [end - 2, end - 1, end, end + 1, 2**24 + 1, 2**40 + 2**16, 2**40 + 2**16 + 1, 2**40 + 3 * 2**16]
    small = rng.integers(-(2**20), 2**20, 16)
    groups = [small, np.array(near + [-v for v in near]), rng.integers(-(2**62), 2**62, 16)]
    groups += [np.where(np.arange(16) == k, 2**60 + 1, small) for k in range(16)]
    for group in groups:
        x = group.astype(DTYPES[a])
        if a in FLOATS and abs(group).max() < 2**20:
            x += DTYPES[a].type(0.75)
        vector = np.zeros(16, DTYPES[b])
        for k in range(0, 16, lanes):
            helpers(f"cast_{a}_{b}", x[k:], vector[k:])
        np.testing.assert_array_equal(vector, x.astype(DTYPES[b]))


@pytest.mark.parametrize("a, b", [("i32", "u8"), ("i32", "i16"), ("i16", "i8"), ("i64", "i32"), ("i32", "f64")])
def test_narrower_lanes_are_not_taken_out_one_by_one(tmp_path, a, b):
    s, r = CTYPES[a], CTYPES[b]
    text = f"void f(const {s} *p, {r} *q) {{ vstore_{b}(q, vcast_{a}_{b}(vload_{a}(p))); }}\n"
    assert len(assemble(text, tmp_path, "x86-64-v3")) <= 12


@pytest.mark.parametrize("target", ["native", "x86-64-v3"])
@pytest.mark.parametrize("a, b", [("i8", "i32"), ("u8", "f32"), ("i16", "i32"), ("u16", "u32"), ("u8", "u32")])
def test_narrow_lanes_become_wide_ones_at_once(tmp_path, a, b, target):
    require(target)
    s, r = CTYPES[a], CTYPES[b]
    text = f"void f(const {s} *p, {r} *q) {{ vstore_{b}(q, vcast_{a}_{b}(vload_{a}(p))); }}\n"
    assert len(assemble(text, tmp_path, target)) <= 6


def test_lane_numbers_and_any(helpers, lanes):
    p, q, out = np.zeros(lanes, np.int32), np.zeros(lanes, np.int64), np.zeros(2, np.int32)
    helpers("any", p, q, out)
    assert (out == 0).all()
    helpers("iota", p, q)
    np.testing.assert_array_equal([p, q], [np.arange(lanes)] * 2)
    for lane in range(lanes):
        p[:] = q[:] = 0
        p[lane] = q[-1 - lane] = -1
        helpers("any", p, q, out)
        assert (out != 0).all()


@pytest.mark.parametrize("t", FLOATS)
def test_classification(helpers, lanes, t):
    x = edges(DTYPES[t])[:16].copy()
    nan, inf = np.zeros((2, 16), DTYPES[MASKS[t]])
    for k in range(0, 16, lanes):
        helpers(f"isnan_{t}", x[k:], nan[k:], inf[k:])
    np.testing.assert_array_equal(nan, -np.isnan(x).astype(nan.dtype))
    np.testing.assert_array_equal(inf, -np.isinf(x).astype(inf.dtype))


@pytest.mark.parametrize("t", ["f32", "f64"])
def test_nothing_falls_apart_into_lanes(tmp_path, t):
    s = CTYPES[t]
    names = ("exp", "log", "log1p", "expm1", "tanh", "sigmoid", "softplus", "exp2", "log2", "log10", "sqrt", "rint")
    text = "".join(f"void {n}_(const {s} *p, {s} *q) {{ vstore_{t}(q, vm_{n}_{t}(vload_{t}(p))); }}\n" for n in names)
    text += f"void max_(const {s} *p, {s} *q) {{ vstore_{t}(q, vmax_{t}(vload_{t}(p), vload_{t}(q))); }}\n"
    scalar = {"comiss", "comisd", "mulss", "mulsd", "addss", "addsd", "sqrtss", "sqrtsd", "call", "callq"}
    instructions = assemble(text, tmp_path)
    assert instructions.count("ret") + instructions.count("retq") == len(names) + 1
    assert not scalar & {i.removeprefix("v") for i in instructions}


def test_unused_functions_cost_nothing(tmp_path):
    assert assemble("", tmp_path) == []


@pytest.mark.parametrize("t, body", [("f64", "vm_floor_f64(x)"), ("f64", "vm_sqrt_f64(x + 1) * x"), ("i64", "x + x")])
def test_values_of_two_registers_pass_from_memory_to_memory_in_registers(tmp_path, t, body):
    """A value that is wider than a register must not be moved word by word, nor through the stack."""
    s = CTYPES[t]
    text = f"void f(const {s} *p, {s} *q) {{ const v_{t} x = vload_{t}(p); vstore_{t}(q, {body}); }}\n"
    moves = [i for i in assemble(text, tmp_path, "x86-64-v3") if i.startswith(("mov", "vmov", "vpinsr", "vextract"))]
    assert len(moves) <= 4, moves


@pytest.mark.parametrize("name", ["sin", "log", "log2", "log1p"])
def test_a_rare_case_keeps_the_usual_one_in_registers(tmp_path, name):
    """Doubles beside a call for rare arguments: no word of a vector is inserted, few registers are saved."""
    text = f"void f(const double *p, double *q) {{ vstore_f64(q, vm_{name}_f64(vload_f64(p))); }}\n"
    instructions = assemble(text, tmp_path, "x86-64-v3")
    assert "vpinsrq" not in instructions
    assert sum(i.startswith("vmov") for i in instructions) <= 60
