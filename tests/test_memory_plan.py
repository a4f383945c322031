"""The memory plan compared with brute force: live buffers never overlap, and little memory is wasted."""

import random
import time

import numpy as np
import pytest

import lasagne_like
import symc
import symc.tensor as T
from lasagne_like import layers
from symc.compiler.memory_plan import ALIGN, lower_bound, place
from symc.printing.stages import state_after
from symc.runtime.segments import Segments, offsets_of


def draw(rng, count):
    """Random lifetimes and sizes, some of which nobody uses."""
    lifetimes, sizes = [], []
    for _ in range(count):
        first = rng.randrange(count)
        last = rng.choice([first, first + rng.randrange(4), rng.randrange(first, count), count, first - 1])
        lifetimes.append((first, last))
        sizes.append(rng.choice([0, 1, 63, 64, 65, 4096, rng.randrange(100_000)]))
    return lifetimes, sizes


def peak(lifetimes, sizes):
    """The most bytes alive at one step, by counting each step."""
    rounded = [max(1, -(-s // 64)) * 64 for s in sizes]
    steps = {first for first, _ in lifetimes}
    return max(sum(s for (f, l), s in zip(lifetimes, rounded) if f <= k <= l) for k in steps)


def check(lifetimes, sizes, offsets, total):
    alive = [(f, l, o, o + s) for (f, l), s, o in zip(lifetimes, sizes, offsets) if f <= l]
    assert all(o % ALIGN == 0 and 0 <= o and end <= total for _, _, o, end in alive)
    for k, (f, l, start, end) in enumerate(alive):
        for g, m, other, stop in alive[:k]:
            if f <= m and g <= l:
                assert end <= other or stop <= start


@pytest.mark.parametrize("count", [1, 2, 5, 40, 127, 129, 400])
@pytest.mark.parametrize("seed", range(6))
def test_buffers_alive_at_once_never_overlap(count, seed):
    lifetimes, sizes = draw(random.Random(100 * count + seed), count)
    offsets, total = place(lifetimes, sizes)
    check(lifetimes, sizes, offsets, total)
    assert lower_bound(lifetimes, sizes) == peak(lifetimes, sizes)
    assert total <= 1.35 * peak(lifetimes, sizes)


def test_no_buffers():
    assert place([], []) == ([], 0)


def test_many_buffers_take_little_time():
    rng = random.Random(0)
    lifetimes = [(k, k + int(rng.expovariate(0.05))) for k in range(100_000)]
    lifetimes += [(k, 200_000 - k) for k in range(100_000)]  # as what a backward pass needs
    sizes = [rng.randrange(1, 100_000) for _ in lifetimes]
    start = time.process_time()
    offsets, total = place(lifetimes, sizes)
    assert time.process_time() - start < 3  # a quadratic plan takes minutes
    assert total <= 1.1 * lower_bound(lifetimes, sizes)
    assert max(offsets) < total


def network(name):
    x, y = T.tensor4("x"), T.ivector("y")
    size, filters = (28, (20, 50)) if name == "lenet" else (32, (16, 32, 64))
    h = layers.InputLayer((None, 1 if name == "lenet" else 3, size, size), x)
    for n in filters:
        for _ in range(1 if name == "lenet" else 2):
            h = layers.Conv2DLayer(h, n, 5 if name == "lenet" else 3, pad="valid" if name == "lenet" else "same")
        h = layers.MaxPool2DLayer(h, 2)
    h = layers.DenseLayer(layers.DenseLayer(h, 100), 10, nonlinearity=lasagne_like.nonlinearities.softmax)
    loss = lasagne_like.objectives.categorical_crossentropy(layers.get_output(h), y).mean()
    params = layers.get_all_params(h, trainable=True)
    return symc.function([x, y], loss, updates=lasagne_like.updates.momentum(loss, params, 0.01), device="interp")


@pytest.mark.parametrize("name", ["lenet", "vgg"])
def test_training_graphs_lose_little(name):
    f = network(name)
    program = f.fitting().program
    (segment,) = Segments(program)
    sizes = segment.sizes([32] * len(program.symbols))
    offsets, total = offsets_of(program, segment, sizes)
    lifetimes = [(program.buffers[k].first, program.buffers[k].last) for k in segment.temporaries]
    chosen = segment.bytes(sizes)
    check(lifetimes, chosen, [offsets[k] for k in segment.temporaries], total)
    assert len(lifetimes) > 10
    assert total <= 1.1 * peak(lifetimes, chosen)


def test_buffers_one_after_another_share_memory():
    lifetimes = [(k, k + 1) for k in range(10)]
    assert place(lifetimes, [ALIGN] * 10)[1] == 2 * ALIGN


@pytest.mark.parametrize("kind", ["row", "column", "both"])
def test_a_map_that_a_gate_scales_stays_where_it_is(kind):
    """Values per row, such as the gates of squeeze-and-excite blocks, do not keep a group from working in place."""
    x, g = T.TensorType("float32", (4, 8, 35))("x"), T.TensorType("float32", (4, 8))("g")
    gate = T.nnet.sigmoid(g).dimshuffle(0, 1, "x")
    before = T.sort(x, axis=-1)
    if kind == "row":
        scaled = before * gate + 1
    elif kind == "column":
        scaled = before * T.exp(x[0, 0]) - 1
    else:
        scaled = T.nnet.relu(before * gate - before * before) + T.tanh(x[1, 2])
    f = symc.function([x, g], T.sort(scaled, axis=1), on_unused_input="ignore")
    program = state_after(f, "lower_loops").program
    temps = [k for k, b in enumerate(program.buffers) if b.role == "temp" and b.shape == (4, 8, 35)]
    assert [program.buffers[k].alias for k in temps] == [-1, temps[0]]
    rng = np.random.default_rng(0)
    a, h = rng.standard_normal((4, 8, 35)).astype("float32"), rng.standard_normal((4, 8)).astype("float32")
    sorted_, gates = np.sort(a, axis=-1), 1 / (1 + np.exp(-h[:, :, None]))
    want = {
        "row": sorted_ * gates + 1,
        "column": sorted_ * np.exp(a[0, 0]) - 1,
        "both": np.maximum(sorted_ * gates - sorted_ * sorted_, 0) + np.tanh(a[1, 2]),
    }[kind]
    np.testing.assert_allclose(f(a, h), np.sort(want, axis=1), rtol=1e-5, atol=1e-6)


def _row(a, i, k, g):
    a[k] = g[0] + a[k]


def _rows(a, i, k, g):
    a[i] = g


def _rows_of_rows(a, i, k, g):
    a[i] = a[i] * 2 + g


def _slice(a, i, k, g):
    a[k : k + 2] = g[:2]


def _slice_of_itself(a, i, k, g):
    a[1:3] = a[0:2].copy()


REPLACED = {
    "row": (_row, lambda a, i, k, g: T.set_subtensor(a[k], g[0] + a[k])),
    "rows": (_rows, lambda a, i, k, g: T.set_subtensor(a[i], g)),
    "rows of rows": (_rows_of_rows, lambda a, i, k, g: T.set_subtensor(a[i], a[i] * 2 + g)),
    "slice": (_slice, lambda a, i, k, g: T.set_subtensor(a[k : k + 2], g[:2])),
    "slice of itself": (_slice_of_itself, lambda a, i, k, g: T.set_subtensor(a[1:3], a[0:2])),
}


@pytest.mark.parametrize("case", REPLACED)
def test_replaced_parts_are_written_over_the_old_values(case):
    """A buffer of which a call replaces a few rows is neither copied nor doubled."""
    meaning, expression = REPLACED[case]
    rng = np.random.default_rng(0)
    old = rng.normal(size=(30_000, 3))
    a, i, k, g = symc.shared(old), T.lvector("i"), T.lscalar("k"), T.dmatrix("g")
    f = symc.function([i, k, g], [], updates={a: expression(a, i, k, g)}, on_unused_input="ignore")
    wanted = old.copy()
    for at in (4, 29_998, 0):
        given = np.array([5, at, 5, 7]), at, rng.normal(size=(4, 3))
        f(*given)
        meaning(wanted, *given)
        np.testing.assert_allclose(a.get_value(), wanted, rtol=1e-13)
    program = f.specialisation.program
    (update,) = [b for b in program.buffers if b.role == "update"]
    over = update.alias >= 0 and program.buffers[update.alias].role == "shared"
    assert over == (case != "slice of itself")  # whose old values would be read too late
