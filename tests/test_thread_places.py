"""Where the pool's threads wake up: on other processors than the caller's, within what others allow."""

from __future__ import annotations

import os
import subprocess

import pytest

pytest.importorskip("cffi")
from symc_backends.c import library, toolchain

PROGRAM = r"""
#include "base/pool.c"
#include <assert.h>
#include <sys/wait.h>

static int a = -1, b = -1; /* two processors */

static void nothing(void *arg, int64_t begin, int64_t end) { (void)arg, (void)begin, (void)end; }

static void until_the_worker_sleeps(void)
{
    while (workers[1].kept_off || !workers[1].asleep || !pool.sleeping_workers)
        usleep(1000);
}

static cpu_set_t only(int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    return set;
}

static void give_worker(cpu_set_t set) { assert(!pthread_setaffinity_np(workers[1].thread, sizeof set, &set)); }

static int may_run(int on_a, int on_b)
{
    cpu_set_t set;
    assert(!pthread_getaffinity_np(workers[1].thread, sizeof set, &set));
    return !!CPU_ISSET(a, &set) == on_a && !!CPU_ISSET(b, &set) == on_b;
}

static void call_from(int processor)
{
    cpu_set_t set = only(processor);
    assert(!sched_setaffinity(0, sizeof set, &set));
    until_the_worker_sleeps();
    keep_sleepers_off_caller();
}

static void loop(void) { symc_parallel(nothing, NULL, 2, 1); }

static void check(void)
{
    cpu_set_t both = only(a);
    CPU_SET(b, &both);
    assert(!sched_setaffinity(0, sizeof both, &both));
    loop();
    for (int k = 0; k < 3; k++) {
        call_from(k % 2 ? b : a);
        assert(may_run(k % 2, !(k % 2)));
        loop();
        until_the_worker_sleeps();
        assert(may_run(1, 1));
    }
    give_worker(only(a));
    call_from(a); /* its only processor */
    assert(may_run(1, 0));
    call_from(b);
    assert(may_run(1, 0));
    loop();
    until_the_worker_sleeps();
    assert(may_run(1, 0));
    give_worker(both);
    call_from(b);
    assert(may_run(1, 0));
}

int main(void)
{
    cpu_set_t set;
    assert(!sched_getaffinity(0, sizeof set, &set));
    for (int k = 0; k < CPU_SETSIZE; k++)
        if (CPU_ISSET(k, &set))
            *(a < 0 ? &a : &b) = k;
    symc_set_num_threads(2);
    check();
    pid_t child = fork(); /* while its parent's worker is kept off a processor */
    if (!child) {
        check();
        return 0;
    }
    int status;
    assert(waitpid(child, &status, 0) == child && !status);
    return 0;
}
"""


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="wants two processors, on Linux"
)
def test_a_worker_is_kept_off_its_callers_processor_until_it_wakes(tmp_path):
    if toolchain.missing() is not None:
        pytest.skip("no C compiler")
    source = tmp_path / "places.c"
    source.write_text(PROGRAM)
    base = library.RUNTIME / "base"
    sources = [source, *(p for p in sorted(base.glob("*.c")) if p.name != "pool.c")]
    program = tmp_path / "places"
    line = [*toolchain.command_line(), f"-I{library.RUNTIME}", f"-I{base}", *map(str, sources)]
    made = subprocess.run([*line, "-o", str(program), "-lm", "-ldl"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    done = subprocess.run([program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
