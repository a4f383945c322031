"""The dependencies of the cache keys of compiled code."""

from __future__ import annotations

from importlib import import_module
from unittest import mock

import pytest

import symc
from symc_backends import cache

build = import_module("symc_backends.c.build")  # the package's attribute of this name is the function


class _Asked(Exception):
    """Raised in place of a compilation, with the key that was asked for."""


@pytest.fixture
def key(monkeypatch):
    """From a text, and the number of its timed steps, to the key of its library; nothing is compiled."""

    def content(key, make):
        raise _Asked(key)

    monkeypatch.setattr(build, "runtime", mock.MagicMock())
    monkeypatch.setattr(cache, "content", content)

    def ask(text, timed=0):
        with pytest.raises(_Asked) as caught:
            build.build(text, timed)
        return caught.value.args[0]

    return ask


def test_a_key_depends_on_the_text_the_flags_and_the_headers(key, monkeypatch):
    first = key("int f(void) { return 1; }")
    assert first == key("int f(void) { return 1; }")
    others = [key("int f(void) { return 2; }"), key("int f(void) { return 1; }", timed=1)]
    with symc.config.change(cflags=f"{symc.config.cflags} -DOTHER"):
        others.append(key("int f(void) { return 1; }"))
    monkeypatch.setattr(build, "generated_code_depends_on", lambda: "other headers")
    others.append(key("int f(void) { return 1; }"))
    assert len({first, *others}) == 5


def test_digests_tell_where_a_part_ends():
    assert cache.digest("ab", "c") != cache.digest("a", "bc") != cache.digest("abc")
    assert cache.digest("ab") == cache.digest(b"ab")
