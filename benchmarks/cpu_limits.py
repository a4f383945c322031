"""What the machine can do at most, measured by small C programs: multiply-adds, square roots, quotients, and memory."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from pathlib import Path
from threading import Thread
from time import perf_counter

import numpy as np

__all__ = ["limits", "traffic_by_size"]

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
#define QUOTIENT(k) a##k = y / a##k; __asm__("" : "+" VECTOR (a##k));
#define EACH8(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)
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
float quotients(long n) {
    v x, y;
    for (int i = 0; i < WIDTH / 4; i++) x[i] = 1.001f, y[i] = 1.5f;
    EACH(START)
    a0 = x;
    for (long t = 0; t < n; t++) { EACH8(QUOTIENT) }
    float s = 0;
    EACH(TOTAL)
    return s;
}
float roots(long n) {  /* of one array in the first-level cache: vectorised by the compiler */
    static _Thread_local float p[8 * WIDTH / 4];
    for (int i = 0; i < 8 * WIDTH / 4; i++) p[i] = 2.0f + i;
    for (long t = 0; t < n; t++) {
        for (int i = 0; i < 8 * WIDTH / 4; i++) p[i] = __builtin_sqrtf(p[i]);
        __asm__ volatile("" ::: "memory");
    }
    return p[0];
}
long lanes8(void) { return 8 * WIDTH / 4; }
void copying_often(float *q, const float *p, size_t n, long times) {
    for (long t = 0; t < times; t++) {
        for (size_t i = 0; i + WIDTH / 4 <= n; i += WIDTH / 4) *(v *)(q + i) = *(const v *)(p + i);
        __asm__ volatile("" ::: "memory");
    }
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
    """Random numbers, as rows have: some machines move equal ones faster, by a quarter."""
    raw = np.random.default_rng(1).random(count + 16, "float32")
    begin = (-raw.ctypes.data % 64) // 4
    return raw[begin : begin + count]


def _library(compiler: str, flags: str) -> ctypes.CDLL | None:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "limits.c"), Path(folder, "limits.so")
        source.write_text(SOURCE)
        command = [compiler, "-O3", "-march=native", *flags.split(), "-ffp-contract=fast", "-fno-math-errno", "-shared"]
        try:
            subprocess.run([*command, "-fPIC", "-o", target, source], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return ctypes.CDLL(str(target))


def _pairs(count: int, threads: int) -> tuple[list[list[ctypes.c_void_p]], list[np.ndarray]]:
    """Pointers to two arrays per thread, and what holds their memory."""
    arrays = [_aligned(count) for _ in range(2 * threads)]
    pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in arrays]
    return [pointers[2 * k : 2 * k + 2] for k in range(threads)], arrays


def limits(threads: int, compiler: str = "cc", flags: str = "") -> dict[str, float]:
    """Gflop/s of float32 multiply-adds, 1e9 square roots and quotients per second, GB/s of three kinds of traffic.

    All on this many threads at once. Empty without a C compiler. Copied bytes count twice: once read, once written.
    """
    library = _library(compiler, flags)
    if library is None:
        return {}
    count = BYTES // 4 // threads
    pointers, held = _pairs(count, threads)
    size, turns, few = ctypes.c_size_t(count), 2_000_000, 200_000
    moved = float(count * 4 * threads)

    def best(call: object, amount: float) -> float:
        return amount / min(_together(call, threads) for _ in range(5)) / 1e9

    found = {
        "gflops": best(
            lambda k: library.multiply_add(ctypes.c_long(turns)), library.multiply_add_flops() * turns * threads
        ),
        "roots": best(lambda k: library.roots(ctypes.c_long(few)), library.lanes8() * few * threads),
        "quotients": best(lambda k: library.quotients(ctypes.c_long(few)), library.lanes8() * few * threads),
        "read": best(lambda k: library.reading(pointers[k][0], size), moved),
        "copy": best(lambda k: library.copying(*pointers[k], size), 2 * moved),
        "stream": best(lambda k: library.streaming(*pointers[k], size), 2 * moved),
    }
    del held
    return found


SIZES = tuple(1 << k for k in range(16, 28, 2))
"""Bytes that all threads together read and write, from the first-level cache to memory."""


def traffic_by_size(threads: int, compiler: str = "cc", flags: str = "") -> dict[int, float]:
    """GB/s of copies on this many threads by the bytes that they read and write; without a C compiler empty."""
    library = _library(compiler, flags)
    found: dict[int, float] = {}
    for total in SIZES if library is not None else ():
        count = total // 8 // threads
        pointers, held = _pairs(count, threads)
        times = max(1, (64 << 20) // total)
        amount, copied = float(total * times), ctypes.c_size_t(count)

        def copies(k: int, where: object = pointers, size: object = copied, often: int = times) -> None:
            library.copying_often(*where[k], size, ctypes.c_long(often))  # type: ignore[index]

        copies(0)
        found[total] = amount / min(_together(copies, threads) for _ in range(5)) / 1e9
        del held
    return found


def _together(call: object, threads: int) -> float:
    """Seconds until all threads are done; ctypes releases the interpreter's lock."""
    workers = [Thread(target=call, args=(k,)) for k in range(threads)]  # type: ignore[arg-type]
    start = perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return perf_counter() - start
