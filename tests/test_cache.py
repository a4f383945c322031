"""The cache: results are right whatever happens to its files and its folder, and abandoned files are removed."""

from __future__ import annotations

import errno
import gc
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import symc
import symc.tensor as T

pytest.importorskip("cffi")
from symc_backends import cache, loading, scratch
from symc_backends.c import headers, toolchain

library = sys.modules["symc_backends.c.library"]
build_module = sys.modules["symc_backends.c.build"]

pytestmark = pytest.mark.skipif(toolchain.missing() is not None, reason="needs a C compiler")


@pytest.fixture
def fresh(tmp_path):
    """An empty cache folder."""
    with symc.config.change(cache_dir=str(tmp_path / "cache")):
        yield tmp_path / "cache"


@pytest.fixture
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def python(code: str, **environment: str) -> subprocess.Popen:
    """A process that runs ``code`` with other variables in its environment."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def output(process: subprocess.Popen) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out + err


# --- damage -----------------------------------------------------------------------------------------------------------


def damages(data: bytes, rng: random.Random):
    """Pairs of a name and what a damaged file holds."""
    for k in {0, 1, len(data) // 2, len(data) - 1, len(data) - 64, len(data) - 65, *rng.sample(range(len(data)), 12)}:
        changed = bytearray(data)
        changed[k] ^= 1 << rng.randrange(8)
        yield f"bit of byte {k}", bytes(changed)
    for k in {0, 1, 63, 64, len(data) // 3, len(data) - 1}:
        yield f"cut after {k}", data[:k]
    yield "bytes behind the end", data + b"\0"
    yield "bytes before the start", b"\0" + data
    yield "twice", data + data
    yield "no text", b"\xff\xfe" * 50
    yield "zeros", bytes(len(data))


@pytest.mark.parametrize("good", [b"", b"x", bytes(range(256)) * 20], ids=len)
def test_damaged_content_is_made_again(fresh, no_warnings, good):
    made = []

    def build(path):
        made.append(path)
        Path(path).write_bytes(good)

    assert cache.content("entry", build) == good and cache.content("entry", build) == good and len(made) == 1
    path = fresh / "entry"
    sound = path.read_bytes()
    for number, (name, data) in enumerate(damages(sound, random.Random(0)), 2):
        path.write_bytes(data)
        assert cache.content("entry", build) == good, name
        assert len(made) == number and path.read_bytes() == sound, name


def test_content_under_another_name_is_refused(fresh):
    cache.write_text("one", "1")
    cache.write_text("two", "2")
    shutil.copyfile(fresh / "one", fresh / "two")
    assert cache.read_text("one") == "1" and cache.read_text("two") is None


@pytest.mark.parametrize("kind", ["gone", "folder", "link", "pipe", "no cache folder"])
def test_something_else_in_the_place_of_a_file(fresh, kind, tmp_path):
    cache.write("entry", b"good")
    path = fresh / "entry"
    path.rename(tmp_path / "moved")
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(tmp_path / "moved")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "no cache folder":
        shutil.rmtree(fresh)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert cache.content("entry", lambda p: Path(p).write_bytes(b"again")) == b"again"
    assert kind == "folder" or cache.read("entry") == b"again"


def forget():
    """As a new process would, but for the run-time library."""
    toolchain._identity.cache_clear()
    headers._headers.cache_clear()
    build_module._known.clear()


def test_every_kind_of_file_of_the_c_back_end(tmp_path):
    """Generated code, the compiler's identity and the headers' definitions, damaged one after the other.

    The run-time library and the launcher stay loaded.
    """
    x = T.vector("x")
    a = np.arange(5, dtype="float32")
    symc.function([x], x - 1)(a)
    rng = random.Random(1)
    with symc.config.change(cache_dir=str(tmp_path)):
        forget()
        assert symc.function([x], x * 3 + 1)(a).tolist() == (a * 3 + 1).tolist()
        kept = files(tmp_path)
        assert {p.suffix for p in kept} == {".so", ""}
        for path in kept:
            sound = path.read_bytes()
            text = path.suffix == ""
            for name, data in [*damages(sound, rng)][:: 4 if text else 9]:
                path.write_bytes(data)
                if text:  # such files are read when code is compiled
                    for code in tmp_path.glob("*.so"):
                        code.unlink()
                forget()
                assert symc.function([x], x * 3 + 1)(a).tolist() == (a * 3 + 1).tolist(), (path, name)
                assert not text or path.read_bytes() == sound, name
        forget()


def test_code_that_runs_does_not_depend_on_its_file(fresh):
    x = T.vector("x")
    f = symc.function([x], T.exp(x) - 5)
    a = np.linspace(-1, 1, 1001).astype("float32")
    want = f(a)
    for path in files(fresh):
        size = path.stat().st_size
        with open(path, "r+b") as file:  # in place, as a copy or an editor would
            file.write(b"\xcc" * size)
            file.flush()
            np.testing.assert_array_equal(f(a), want)
            file.truncate(0)
        np.testing.assert_array_equal(f(a), want)
    np.testing.assert_array_equal(symc.function([x], T.exp(x) - 5)(a), want)


PROGRAM = """
    import warnings
    warnings.simplefilter("error")
    import numpy as np, symc, symc.tensor as T
    x, w = T.matrix("x"), symc.shared(np.ones((3, 2), "float32"))
    f = symc.function([x], T.dot(x, w).sum(axis=0), updates={w: w + 1})
    a = np.ones((4, 3), "float32")
    print(f(a).tolist(), f(a).tolist())
"""
RESULT = "[12.0, 12.0] [24.0, 24.0]"


def test_a_whole_damaged_cache_and_processes_that_start_together(tmp_path, monkeypatch):
    """A bit of every file changes, that of the run-time library and the launcher too; then processes share the rest."""
    rng = random.Random(2)

    def libraries():  # the run-time library below is taken from another cache, without its object files
        return [path for path in files(tmp_path / "cache") if path.suffix != ".o"]

    environment = {"SYMC_CACHE": str(tmp_path / "cache"), "SYMC_FLAGS": ""}
    for part in ("core", "products_f32"):  # building them once, below, takes long enough
        image = library.image(part, toolchain.identity())
        with symc.config.change(cache_dir=str(tmp_path / "cache")), monkeypatch.context() as patch:
            patch.setattr(cache, "content", lambda name, build, image=image: cache.write(name, image))
            library.image(part, toolchain.identity())
    assert RESULT in output(python(PROGRAM, **environment))
    first = libraries()
    for path in first:
        data = bytearray(path.read_bytes())
        data[rng.randrange(len(data))] ^= 4
        path.write_bytes(data)
    assert RESULT in output(python(PROGRAM, **environment))
    assert libraries() == first
    runtime = max(first, key=lambda p: p.stat().st_size)
    for path in first:
        if path != runtime:
            path.unlink()
    processes = [python(PROGRAM, **environment) for _ in range(3)]
    assert all(RESULT in output(process) for process in processes)
    assert libraries() == first


def test_machine_code_for_gpus(emulated_device, tmp_path):
    x = T.vector("x")
    a = np.arange(4, dtype="float32")
    rng = random.Random(3)
    with symc.config.change(cache_dir=str(tmp_path)):

        def result():
            from symc_backends.cuda.build import _code

            _code.cache_clear()
            return symc.function([x], x * 7 - 2, device="cuda")(a).tolist()

        want = (a * 7 - 2).tolist()
        assert result() == want
        (path,) = tmp_path.glob("*.cubin")
        for name, data in [*damages(path.read_bytes(), rng)][::6]:
            path.write_bytes(data)
            assert result() == want, name


def test_other_flags_give_other_code(fresh, monkeypatch):
    """Every kind of code is named by the flags it is compiled with."""
    launch = sys.modules["symc_backends.c.launch"]
    names = []

    def note(name, build):
        names.append(name)
        return b""

    monkeypatch.setattr(cache, "content", note)
    monkeypatch.setattr(build_module, "runtime", mock.MagicMock())
    monkeypatch.setattr(build_module, "Code", lambda image: threading.Lock())
    for flags in ("", "-DA", "-DB"):
        with symc.config.change(cflags=flags):
            build_module.build("text")
            library.image("core", toolchain.identity())
            launch._built("text", [])
    assert len(set(names)) == len(names) == 9


# --- folders that cannot be used --------------------------------------------------------------------------------------


def works_without(folder, repair) -> str:
    """Compile twice with this cache folder; gives the one warning, which names the folder and the repair."""
    x = T.vector("x")
    with symc.config.change(cache_dir=str(folder)), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in (2, 3):
            forget()
            assert symc.function([x], x * k + 5)(np.ones(2, "float32")).tolist() == [5 + k] * 2
        forget()
    (text,) = [str(w.message) for w in caught]
    assert str(folder) in text and repair in text, text
    return text


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    assert "SYMC_CACHE" in works_without(tmp_path / "file" / "cache", "symc.config.cache_dir")
    works_without(tmp_path / "file", "symc.config.cache_dir")
    works_without("/proc/symc/cache", "symc.config.cache_dir")


def test_a_full_folder(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache.os, "replace", full)
    assert "No space left" in works_without(tmp_path, "free space")
    assert not files(tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="who may do everything, may write everywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path):
    tmp_path.chmod(0o500)
    works_without(tmp_path, "make it writable")


@pytest.mark.skipif(os.name != "posix", reason="needs owners and modes")
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702, 0o770])
def test_a_folder_that_others_can_write_to(tmp_path, mode):
    x = T.vector("x")
    with symc.config.change(cache_dir=str(tmp_path)):
        symc.function([x], x + 41)
    kept = {path: path.read_bytes() for path in files(tmp_path)}
    tmp_path.chmod(mode)
    works_without(tmp_path, f"chmod go-w {tmp_path}")
    assert {path: path.read_bytes() for path in files(tmp_path)} == kept
    with symc.config.change(cache_dir=str(tmp_path)):
        assert all(cache.read(path.name) is None for path in kept)
        tmp_path.chmod(0o700)
        assert all(cache.read(path.name) is not None for path in kept)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs the right to give folders away")
def test_a_folder_of_somebody_else(tmp_path):
    os.chown(tmp_path, 12345, 12345)
    assert "another user" in works_without(tmp_path, "symc.config.cache_dir")
    assert not files(tmp_path)


def test_a_home_folder_in_the_name(tmp_path):
    environment = {"HOME": str(tmp_path), "SYMC_FLAGS": "device=interp"}
    code = """
        import os, symc
        from symc_backends import cache
        print(symc.config.cache_dir)
        cache.write_text("first", "1")
        with symc.config.change(cache_dir="~/second"):
            cache.write_text("second", "2")
        with symc.config.change(cache_dir="~nobody-of-this-name/third"):
            cache.write_text("third", "3")
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, text=True,
        env={**os.environ, **environment, "SYMC_CACHE": "~/first"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    said = output(process)
    assert str(tmp_path / "first") in said and "~nobody-of-this-name/third" in said
    assert {path.name for path in tmp_path.iterdir()} == {"first", "second"}
    assert (tmp_path / "first" / "first").is_file() and (tmp_path / "second" / "second").is_file()


def test_a_folder_by_a_relative_name_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with symc.config.change(cache_dir="here"):
        os.mkdir("elsewhere")
        os.chdir("elsewhere")
        cache.write_text("one", "1")
    assert (tmp_path / "here" / "one").is_file()


# --- what is left behind ----------------------------------------------------------------------------------------------


def test_nothing_is_left_of_builds_that_end(fresh, tmp_path, monkeypatch):
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))
    x = T.vector("x")
    symc.function([x], x + 17)
    with pytest.raises(symc.errors.CompileError, match="no_such_thing"):
        build_module.build("no_such_thing")
    with pytest.raises(ZeroDivisionError):
        cache.content("failing", lambda path: 1 // 0)
    assert [p.name for p in tmp_path.iterdir()] == ["cache"] and not list((fresh / "partial").iterdir())


def test_builds_that_are_killed_leave_nothing_for_ever(tmp_path):
    """A process killed while the compiler runs leaves a folder; a later one removes it, but none that is in use."""
    compiler = tmp_path / "slow"
    compiler.write_text('#!/bin/sh\ncase "$*" in *-shared*) touch "$TMPDIR/left"; sleep 600;; esac\nexec cc "$@"\n')
    compiler.chmod(0o700)
    (tmp_path / "tmp").mkdir()
    environment = {"TMPDIR": str(tmp_path / "tmp"), "SYMC_CACHE": str(tmp_path / "cache"), "SYMC_FLAGS": ""}
    code = """
        import symc.config
        from symc_backends import cache
        from symc_backends.c import toolchain
        def make(path):
            toolchain.compile_shared("int x;", path, ".")
        cache.content("slow.so", make)
    """
    processes = [python(code, CC=str(compiler), **environment) for _ in range(2)]
    try:
        started = time.monotonic()
        while len(list((tmp_path / "tmp").glob("*/left"))) < 2:
            assert time.monotonic() - started < 60 and all(p.poll() is None for p in processes)
            time.sleep(0.05)
        folders = {p.parent for p in (tmp_path / "tmp").glob("*/left")}
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        (tmp_path / "cache" / "partial").mkdir(exist_ok=True)
        (tmp_path / "cache" / "partial" / "half").write_text("half")
        for path in [*folders, tmp_path / "cache" / "partial" / "half"]:
            os.utime(path, (time.time() - 7200,) * 2)
        output(python(code, CC="cc", **environment))
        (kept,) = {p.parent for p in (tmp_path / "tmp").glob("*/left")}
        assert kept in folders and not (tmp_path / "cache" / "partial" / "half").exists()
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)  # their compilers, too
            process.communicate()


# --- threads, and memory ----------------------------------------------------------------------------------------------


def test_threads_build_one_thing_once(fresh):
    made, got = [], []

    def build(path):
        made.append(path)
        time.sleep(0.05)
        Path(path).write_bytes(b"content")

    threads = [threading.Thread(target=lambda: got.append(cache.content("entry", build))) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert got == [b"content"] * 8 and len(made) == 1


def test_threads_that_compile(fresh):
    x = T.vector("x")
    a = np.arange(3, dtype="float32")
    failed = []

    def work(k):
        try:
            for n in (k % 3, 5):
                assert symc.function([x], x * n + 2)(a).tolist() == (a * n + 2).tolist()
        except BaseException as problem:  # noqa: BLE001
            failed.append(problem)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed


def mapped() -> int:
    """How many pieces of loaded code this process has, without those that wait for the collector."""
    gc.collect()
    with open("/proc/self/maps") as f:
        return sum("memfd:symc" in line and "r-xp" in line for line in f)


def resident() -> int:
    gc.collect()
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


linux = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs Linux")


@linux
def test_equal_functions_share_their_code():
    x = T.vector("x")
    before = mapped()
    f = symc.function([x], x * 91 + 2)
    g = symc.function([x], x * 91 + 2)
    assert f.specialisation.executable.library is g.specialisation.executable.library and mapped() == before + 1
    del f
    assert g(np.ones(1, "float32")) == 93 and mapped() == before + 1
    del g
    assert mapped() == before


@linux
def test_hundreds_of_libraries_come_and_go(fresh):
    """Loading and unloading leaves no memory, no handle and no mapping behind, and no library is taken for another."""
    texts = [
        f"long symc_entry(void **b, long *n, long s) {{ (void)b; (void)n; (void)s; return {k}; }}" for k in range(40)
    ]
    build_module.runtime()  # which stays loaded
    handles = len(os.listdir("/proc/self/fd"))
    maps = mapped()

    def once():
        for k, text in enumerate(texts):
            assert build_module.build(text).symc_entry(build_module.ffi.NULL, build_module.ffi.NULL, 0) == k

    once()
    before = resident()
    for _ in range(25):
        once()
    assert resident() - before < 1 << 20
    assert mapped() == maps and len(os.listdir("/proc/self/fd")) == handles
    alive = [build_module.build(text) for text in texts]
    assert mapped() == maps + len(texts) and len(os.listdir("/proc/self/fd")) == handles
    assert [c.symc_entry(build_module.ffi.NULL, build_module.ffi.NULL, 0) for c in alive] == list(range(len(texts)))


@linux
def test_hundreds_of_functions_come_and_go():
    x = T.vector("x")
    a = np.ones(3, "float32")

    def compiled(count):
        for k in range(count):
            symc.function([x], x * (k % 4) + 3)(a)
        return resident()

    compiled(40)
    before, maps = compiled(20), mapped()
    assert compiled(200) - before < 200 * 5000  # 10 kB each was the leak of the loader alone
    assert mapped() == maps


def test_paths_for_the_loader_are_never_used_twice():
    names = {loading._alias(7) for _ in range(5000)}
    assert len(names) == 5000 and all(os.path.normpath(name) == "/proc/self/fd/7" for name in names)
    assert max(map(len, names)) < 100


def test_code_is_loaded_where_there_is_no_memory_with_a_path(fresh, tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError("not here")

    monkeypatch.setattr(loading.os, "memfd_create", refuse, raising=False)
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))
    x = T.vector("x")
    assert symc.function([x], x + 3.5)(np.ones(1, "float32")) == 4.5
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]
