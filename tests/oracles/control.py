"""Oracles of branches and loops, in plain Python."""

from __future__ import annotations

import numpy as np

import symc.tensor as T

from . import Table, draw, example

M, V = draw(5, 3), draw(3)
ONE, ZERO = np.int64(1), np.int64(0)


def repeated(step, sequence, state, backwards=False):
    """The states after every step."""
    states = []
    for entry in sequence[::-1] if backwards else sequence:
        state = step(entry, state)
        states.append(state)
    return np.array(states)


def leaky(x, h):
    return 0.5 * h + x


def powers(v, n):
    return np.array([v ** (k + 1) for k in range(n)])


def slopes(sequence, start):
    """The derivatives of the sum of all states of ``h = h / 2 + x``: each input decays in all later states."""
    n = len(sequence)
    by_x = np.array([sum(0.5 ** (later - k) for later in range(k, n)) for k in range(n)])
    return [by_x[:, None] * np.ones_like(sequence), sum(0.5 ** (k + 1) for k in range(n)) * np.ones_like(start)]


def states_and_slopes(x, h):
    states, _ = T.scan(leaky, x, h)
    return [states, *T.grad(states.sum(), [x, h])]


def chosen_and_slope(v, s):
    chosen = T.ifelse(v.sum() > s, v * 2, v + 1)
    return [chosen, T.grad(chosen.sum(), v)]


TABLE: Table = {
    "ifelse": [
        example(lambda c, x, y: T.ifelse(c, x, y), lambda c, x, y: x if c else y, condition, M, M + 1)
        for condition in (ONE, ZERO)
    ]
    + [
        example(
            lambda v, s=s: chosen_and_slope(v, s),
            lambda v, s=s: [v * 2, np.full(3, 2.0)] if v.sum() > s else [v + 1, np.ones(3)],
            V,
        )
        for s in (V.sum() - 1, V.sum() + 1)
    ],
    "scan": [
        example(lambda x, h: T.scan(leaky, x, h)[0], lambda x, h: repeated(leaky, x, h), M, V),
        example(lambda x, h: T.scan(leaky, x, h, go_backwards=True)[0], lambda x, h: repeated(leaky, x, h, True), M, V),
        example(
            lambda v: T.scan(lambda h, by: h * by, None, T.ones_like(v), v, n_steps=4)[0], lambda v: powers(v, 4), V
        ),
        example(lambda x: T.scan(lambda row: row.sum() * row, x)[0], lambda x: x.sum(1, keepdims=True) * x, M),
        example(states_and_slopes, lambda x, h: [repeated(leaky, x, h), *slopes(x, h)], M, V),
    ],
}
