"""NVRTC through ctypes, and PyCUDA on the emulated device, for the emulator's own tests."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from cuda_emulator import emulator


class Refused(Exception):
    """NVRTC did not compile a source; the text is its log."""


def cubin(source: str, *options: str, headers: dict[str, str] | None = None, arch: str = "sm_90") -> bytes:
    """What NVRTC makes of CUDA C; ``headers`` are texts by the names they are included under."""
    nvrtc = ctypes.CDLL(str(emulator.libraries() / "libnvrtc.so.13"))
    program, headers = ctypes.c_void_p(), headers or {}
    texts = (ctypes.c_char_p * len(headers))(*[text.encode() for text in headers.values()])
    names = (ctypes.c_char_p * len(headers))(*[name.encode() for name in headers])
    assert not nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"user.cu", len(headers), texts, names)
    words = [f"--gpu-architecture={arch}", *options]
    failed = nvrtc.nvrtcCompileProgram(
        program, len(words), (ctypes.c_char_p * len(words))(*[w.encode() for w in words])
    )
    log, code = _read(nvrtc, program, "ProgramLog"), b"" if failed else _read(nvrtc, program, "CUBIN")
    assert not nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    if failed:
        raise Refused(log.rstrip(b"\0").decode())
    return code


def _read(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    assert not getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(max(size.value, 1))
    if size.value:
        assert not getattr(nvrtc, f"nvrtcGet{what}")(program, buffer)
    return buffer.raw[: size.value]


class Gpu:
    """PyCUDA on the emulated device: kernels by name, arrays to and fro."""

    def __init__(self) -> None:
        self.emulated = emulator.device()
        import pycuda.driver as driver

        self.driver = driver
        driver.init()
        self.context = driver.Device(0).retain_primary_context()

    def load(self, source: str, *options: str, **more: Any) -> Any:
        return self.driver.module_from_buffer(cubin(source, *options, **more))

    def array(self, values: Any) -> Any:
        """A copy of ``values`` on the device."""
        values = np.ascontiguousarray(values)
        memory = self.driver.mem_alloc(values.nbytes)
        self.driver.memcpy_htod(memory, values)
        return memory

    def read(self, memory: Any, shape: Any, dtype: Any = np.float32) -> np.ndarray:
        values = np.empty(shape, dtype)
        self.driver.memcpy_dtoh(values, memory)
        return values

    def launch(self, module: Any, name: str, *arguments: Any, grid: Any = 1, block: Any = 32, shared: int = 0,
               stream: Any = None) -> None:  # fmt: skip
        """Start a kernel whose parameters are all addresses or 64-bit integers."""
        words = np.array([int(a) for a in arguments], np.int64)
        full = [(x, 1, 1) if isinstance(x, int) else x for x in (grid, block)]
        module.get_function(name)._launch_kernel(*full, words, shared, stream)
