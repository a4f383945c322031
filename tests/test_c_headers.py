"""The selection of header definitions for a generated text (symc_backends.c.headers)."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

import symc
import symc.tensor as T
from symc.loops.expr import names_in, var
from symc.loops.ir import Call, For, Let, Load, Store
from symc_backends.c import headers, toolchain
from symc_backends.c.build import RUNTIME
from symc_backends.c.kernel_text import chunk_grain

pytestmark = pytest.mark.skipif(toolchain.command("") is None, reason="no C compiler")

SAMPLE = """# 1 "<built-in>"
#define __STDC__ 1
# 1 "/h/a.h" 1
#include <stdint.h>
# 1 "/usr/include/stdint.h" 1
typedef long int64_t;
# 3 "/h/a.h" 2
typedef float v_f32 __attribute__((vector_size(64), aligned(4)));
typedef void (*task)(void *arg, int64_t begin);
typedef union { v_f32 v; float lane[16]; } vu_f32;
struct pair { int a; struct { int b; } c; };
enum { FIRST = 1, SECOND = FIRST + 2 };
static const double __attribute__((unused)) table[3] = {1., 2., 3.};
#define TWICE(x) ((x) + (x))
#define GONE 1
#undef GONE
static inline int
# 20 "/h/a.h"
twice(int x) { if (x) { return TWICE(x); } return '}' ? 0 : ";"[0]; }
__attribute__((noinline)) void run(task t, struct pair *p);
extern int counter;
#define JOIN(a, b) a ##b
#define TYPED(name, T) JOIN(name_, T)
#define PICK(T) pick_ ##T
static inline int pick_f32(void) { return counter; }
"""


def test_a_text_is_divided_into_definitions() -> None:
    found = headers.divided(SAMPLE, "/h")
    assert [d.names for d in found] == [
        ("v_f32",), ("task",), ("vu_f32",), ("pair",), ("FIRST", "SECOND"), ("table",), ("TWICE",), ("twice",),
        ("run",), ("counter",), ("JOIN",), ("TYPED",), ("PICK",), ("pick_f32",),
    ]  # fmt: skip
    assert all(d.system == ("#include <stdint.h>",) for d in found)
    twice = found[7].text
    assert twice.startswith("static inline int\ntwice(int x)") and twice.endswith(';"[0]; }')


@pytest.mark.parametrize(
    "text, names",
    [
        ("twice(1)", ["TWICE", "twice"]),
        ("vu_f32 x;", ["v_f32", "vu_f32"]),
        ("run(0, 0)", ["task", "pair", "run"]),
        ("SECOND", ["FIRST"]),
        ("PICK(f32)()", ["counter", "PICK", "pick_f32"]),  # a name completed by ##
        ("JOIN(pick_, f32)()", ["counter", "JOIN", "pick_f32"]),  # and one completed by a macro of the text
        ("nothing", []),
    ],
)
def test_a_text_gets_what_it_refers_to(text: str, names: list[str]) -> None:
    needed = headers._Headers(headers.divided(SAMPLE, "/h")).needed(text)
    assert [d.names[0] for d in needed] == names


def _whole() -> list[headers.Definition]:
    text = toolchain.preprocessed("".join(f'#include "{name}"\n' for name in headers.OWN), str(RUNTIME))
    assert text is not None
    return headers.divided(text, str(RUNTIME))


def test_the_definitions_of_the_headers_are_complete(tmp_path) -> None:
    """Together, and each group of functions with what it needs, they compile as C without a warning."""
    whole = _whole()
    assert len(whole) > 500 and all(d.names or "_Static_assert" in d.text for d in whole)
    known = headers._Headers(whole)
    code = [d for d in whole if not d.text.startswith("#")]
    functions = [d.names[0] for d in code if d.text.rstrip().endswith("}") and "(" in d.text.split("{")[0]]
    assert len(functions) > 400
    for k, group in enumerate([functions[::40], functions[7::40]]):
        needed = known.needed(" ".join(group))
        assert len(needed) < len(whole)
        system = dict.fromkeys(line for d in needed for line in d.system)
        uses = [f"void *const use_{name} = (void *){name};" for name in group]
        path = tmp_path / f"part{k}.c"
        path.write_text("\n".join([*system, *(d.text for d in needed), *uses]))
        command = [*toolchain._needed(), *toolchain.flags(), "-Werror=implicit-function-declaration", "-O0", "-c"]
        done = subprocess.run([*command, str(path), "-o", str(path) + ".o"], capture_output=True, text=True)
        assert not done.returncode, done.stderr[:2000]


def test_a_small_kernel_gets_a_small_text() -> None:
    text = '#include "kernels/support.h"\n#include "base/symc_rt.h"\n\nfloat f(float x) { return sx_max_f32(x, 0); }\n'
    short = headers.selected(text, "test", str(RUNTIME))
    assert "support.h" not in short and "sx_max_f32" in short and "vm_tanh_f32" not in short
    assert len(short) < 2000 and short.endswith(text.split("\n", 2)[2])
    assert "#include <stdint.h>" in headers.selected(text.replace("sx_max_f32(x, 0)", "x"), "test", str(RUNTIME))
    # Other texts are left as they are.
    assert headers.selected("int x;", "test", str(RUNTIME)) == "int x;"
    own = text + '#include "kernels/vecmath.h"\n'
    assert headers.selected(own, "test", str(RUNTIME)) == own


def test_a_compiler_that_does_not_preprocess_gets_the_whole_headers(monkeypatch) -> None:
    monkeypatch.setattr(toolchain, "preprocessed", lambda text, include: None)
    text = '#include "kernels/support.h"\n#include "base/symc_rt.h"\nint x;\n'
    assert headers.selected(text, "no such digest", str(RUNTIME)) == text


@pytest.mark.parametrize("name", ["gcc", "clang"])
def test_kernels_compile_with_this_compiler(name: str, tmp_path) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"no {name}")
    with symc.config.change(compiler=name, cache_dir=str(tmp_path)):
        x = T.vector("x", dtype="float64")
        f = symc.function([x], [T.gammaln(x), T.switch(x > 1, T.tanh(x), x), T.argmax(x)])
        value = np.array([0.5, 1.5, 4.0])
        logs, chosen, place = f(value)
    np.testing.assert_allclose(logs, [0.5723649429247001, -0.1207822376352452, 1.791759469228055], rtol=1e-12)
    np.testing.assert_allclose(chosen, [0.5, np.tanh(1.5), np.tanh(4.0)])
    assert place == 2


def test_short_loops_stay_on_one_thread():
    n, m, at = var("n0"), var("n1"), var("o")
    copy = (Load("x", "b0", at, "int64"), Store("b1", at, var("x", "int64")))
    short = For("o", n, copy, "parallel")
    nested = For("o", n, (For("i", m, copy),), "parallel")
    assert chunk_grain(short).value == 65536 // 2 and names_in(chunk_grain(nested)) == {"n1"}
    measured = For("o", n, (Let("count", n // 2), For("i", var("count"), copy)), "parallel")
    library = For("o", n, (Call("gemm_f32", ("b0",), (n,)),), "parallel")
    assert chunk_grain(measured).value == chunk_grain(library).value == 1
