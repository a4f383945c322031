"""What the machine can do at most, measured by small C programs: multiply-adds, reading, copying and streaming."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from pathlib import Path
from threading import Thread
from time import perf_counter

import numpy as np

__all__ = ["limits"]

SOURCE = r"""
#include <stddef.h>
#if defined(__AVX512F__)
#define WIDTH 64
#elif defined(__AVX2__)
#define WIDTH 32
#else
#define WIDTH 16
#endif
typedef float v __attribute__((vector_size(WIDTH), aligned(4)));
typedef float w __attribute__((vector_size(WIDTH)));
#define EACH(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
#define START(k) v a##k = x * k;
#define STEP(k) a##k = a##k * x + y; __asm__("" : "+" VECTOR (a##k));
#define TOTAL(k) s += a##k[0];
#if defined(__x86_64__)
#define VECTOR "v"
#else
#define VECTOR "w"
#endif
float multiply_add(long n) {
    v x, y;
    for (int i = 0; i < WIDTH / 4; i++) x[i] = 0.999f, y[i] = 1e-3f;
    EACH(START)
    for (long t = 0; t < n; t++) { EACH(STEP) }
    float s = 0;
    EACH(TOTAL)
    return s;
}
long multiply_add_flops(void) { return 12 * 2 * WIDTH / 4; }
float reading(const float *p, size_t n) {
    v a[8] = {0};
    for (size_t i = 0; i + 8 * WIDTH / 4 <= n; i += 8 * WIDTH / 4)
        for (int k = 0; k < 8; k++) a[k] += *(const v *)(p + i + k * WIDTH / 4);
    float s = 0;
    for (int k = 0; k < 8; k++) s += a[k][0];
    return s;
}
void copying(float *q, const float *p, size_t n) {
    for (size_t i = 0; i + WIDTH / 4 <= n; i += WIDTH / 4) *(v *)(q + i) = *(const v *)(p + i);
}
void streaming(float *q, const float *p, size_t n) {
    for (size_t i = 0; i + WIDTH / 4 <= n; i += WIDTH / 4) {
#if defined(__AVX512F__)
        __builtin_ia32_movntps512((float *)(q + i), *(const w *)(p + i));
#elif defined(__AVX2__)
        __builtin_ia32_movntps256(q + i, *(const w *)(p + i));
#else
        *(v *)(q + i) = *(const v *)(p + i);
#endif
    }
}
"""

BYTES = 64 << 20
"""Size of the arrays: what most rows read."""


def _aligned(count: int) -> np.ndarray:
    raw = np.ones(count + 16, "float32")
    begin = (-raw.ctypes.data % 64) // 4
    return raw[begin : begin + count]


def limits(threads: int, compiler: str = "cc", flags: str = "") -> dict[str, float]:
    """Gflop/s of float32 multiply-adds and GB/s of three kinds of traffic, on this many threads at once.

    Empty without a C compiler. Copied bytes count twice: once read, once written.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "limits.c"), Path(folder, "limits.so")
        source.write_text(SOURCE)
        command = [compiler, "-O3", "-march=native", *flags.split(), "-ffp-contract=fast", "-shared", "-fPIC"]
        try:
            subprocess.run([*command, "-o", target, source], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return {}
        library = ctypes.CDLL(str(target))
    count = BYTES // 4 // threads
    arrays = [(_aligned(count), _aligned(count)) for _ in range(threads)]
    pointers = [[a.ctypes.data_as(ctypes.c_void_p) for a in pair] for pair in arrays]
    size, turns = ctypes.c_size_t(count), 2_000_000
    moved = float(count * 4 * threads)

    def best(call: object, amount: float) -> float:
        return amount / min(_together(call, threads) for _ in range(5)) / 1e9

    return {
        "gflops": best(
            lambda k: library.multiply_add(ctypes.c_long(turns)), library.multiply_add_flops() * turns * threads
        ),
        "read": best(lambda k: library.reading(pointers[k][0], size), moved),
        "copy": best(lambda k: library.copying(*pointers[k], size), 2 * moved),
        "stream": best(lambda k: library.streaming(*pointers[k], size), 2 * moved),
    }


def _together(call: object, threads: int) -> float:
    """Seconds until all threads are done; ctypes releases the interpreter's lock."""
    workers = [Thread(target=call, args=(k,)) for k in range(threads)]  # type: ignore[arg-type]
    start = perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return perf_counter() - start
