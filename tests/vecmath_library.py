"""Compile C text with the vector mathematics headers, and call it with NumPy arrays."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import cffi
import numpy as np
import pytest

HEADERS = Path(__file__).resolve().parent.parent / "backends" / "c" / "runtime" / "kernels"
COMPILER = shutil.which(os.environ.get("CC", "gcc")) or shutil.which("clang") or shutil.which("cc")
FLAGS = ["-O2", "-g0", "-fno-math-errno", "-fno-trapping-math"]
SILENCE = ["-Wall", "-Wno-psabi", "-Wno-unused-function", "-Werror"]
TARGETS = ["native", "x86-64-v3", "x86-64"]

needs_compiler = [
    pytest.mark.skipif(COMPILER is None, reason="needs a C compiler"),
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="flags are those of x86-64"),
]

CTYPES = {
    "f32": "float", "f64": "double", "i8": "int8_t", "i16": "int16_t", "i32": "int32_t", "i64": "int64_t",
    "u8": "uint8_t", "u16": "uint16_t", "u32": "uint32_t", "u64": "uint64_t",
}  # fmt: skip
DTYPES = {
    name: np.dtype({"f": "float", "i": "int", "u": "uint"}[name[0]] + name[1:]) for name in CTYPES
}  # fmt: skip
MASKS = {name: "i" + name[1:] for name in CTYPES}
FLOATS = ("f32", "f64")


def build(text, target, folder):
    """Compile C text against the headers for one `-march` and load it; also declares every `void` function in it."""
    source, library = folder / f"{target}.c", folder / f"{target}.so"
    source.write_text('#include "vecmath.h"\n' + text)
    command = [COMPILER, *FLAGS, *SILENCE, f"-march={target}", "-mprefer-vector-width=512", f"-I{HEADERS}"]
    subprocess.run([*command, "-shared", "-fPIC", str(source), "-o", str(library), "-lm"], check=True)
    ffi = cffi.FFI()
    ffi.cdef("".join(line.split("{")[0] + ";\n" for line in text.splitlines() if line.startswith("void")))
    return Library(ffi, ffi.dlopen(str(library)))


def assemble(text, folder, target="native"):
    """The names of the instructions, in order, that C text compiles to for one `-march`."""
    source, output = folder / "text.c", folder / "text.s"
    source.write_text('#include "vecmath.h"\n' + text)
    command = [COMPILER, *FLAGS, "-w", f"-march={target}", "-mprefer-vector-width=512", f"-I{HEADERS}"]
    subprocess.run([*command, "-S", str(source), "-o", str(output)], check=True)
    words = (line.split() for line in output.read_text().splitlines() if line.startswith("\t"))
    return [w[0] for w in words if w and not w[0].startswith((".", "#"))]


class Library:
    """Calls with NumPy arrays in place of pointers."""

    def __init__(self, ffi, library):
        self.ffi, self.library = ffi, library

    def __call__(self, name, *arguments):
        function = getattr(self.library, name)
        types = self.ffi.typeof(function).args
        function(*(self.convert(t, a) for t, a in zip(types, arguments)))

    def convert(self, ctype, value):
        return self.ffi.cast(ctype, value.ctypes.data) if isinstance(value, np.ndarray) else value


def require(target):
    """Skip the test where this processor does not run code for `target`."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if target == "x86-64-v3" and " avx2 " not in flags:
        pytest.skip(f"this processor does not run {target}")


def edges(dtype):
    info = np.finfo(dtype)
    positive = [
        0.0,
        info.smallest_subnormal,
        info.tiny,
        1e-30,
        0.5,
        1.0,
        1.5,
        2.0,
        2.5,
        3.0,
        100.0,
        1e7,
        1e30,
        info.max,
    ]
    values = np.array([*positive, np.inf, np.nan], dtype)
    return np.concatenate([values, -values])
