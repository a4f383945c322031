"""The parts of the run-time library: each file is in one, and each is complete with ``core``."""

from __future__ import annotations

import numpy as np
import pytest

import symc
import symc.tensor as T

pytest.importorskip("cffi")
from symc.loops.calls import CALLS
from symc.loops.routines import ROUTINES
from symc_backends.c import library
from symc_backends.c.dialect import TAG


def test_every_file_has_a_part():
    files = {p.stem for p in library.sources()[0]}
    assert set().union(*(library._files(part) for part in library.PARTS)) == files
    shared = [set(library._files(part)) for part in library.PARTS if not part.startswith(("products", "convolutions"))]
    assert sum(map(len, shared)) == len(set().union(*shared))


def test_every_call_is_exported_by_its_part():
    from symc_backends.c.build import runtime

    names = [(c, t) for c in CALLS for t in ("f32", "f64")]
    names += [(name, TAG[d]) for name, routine in ROUTINES.items() for d in routine.dtypes]
    for name, tag in names:
        symbol = f"symc_{name}_{tag}"
        assert library.part_of(symbol) != "core" and getattr(runtime(), symbol) is not None


def test_a_program_loads_the_parts_that_it_calls(monkeypatch):
    from symc_backends.c.build import runtime

    asked = []
    monkeypatch.setattr(library.Runtime, "part", lambda self, name: asked.append(name))
    runtime().need("symc_parallel(a); symc_gemm_f32(b, p); symc_conv2d_forward_f64(b, p); symc_argsort_u8(b, p);")
    assert asked == ["convolutions_f64", "core", "products_f32", "sorting_unsigned"]


def test_settings_reach_parts_that_are_loaded_later():
    """A part that is loaded after a setting was changed follows it."""
    x, w = T.tensor4("x", dtype="float64"), T.tensor4("w", dtype="float64")
    with symc.config.change(conv_algorithm="panels"):
        f = symc.function([x, w], T.nnet.conv2d(x, w), profile=True)
        f(np.ones((1, 2, 5, 5)), np.ones((3, 2, 3, 3)))
    assert "panels" in f.profile.summary()
