"""The garbage collector while large graphs are built: suspended, resumed, and never left with unbounded garbage."""

import gc
import weakref

import pytest

from symc.graph import collector


class _Node:
    def __init__(self) -> None:
        self.me = self


@collector.uncollected
def _build(count):
    assert not gc.isenabled()
    kept = [_Node() for _ in range(count)]
    lost = _Node()
    return kept, weakref.ref(lost)


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    monkeypatch.setattr(collector, "_unseen", 0)
    monkeypatch.setattr(collector, "_survived", 0)
    frozen = gc.get_freeze_count()  # by conftest.py
    gc.unfreeze()
    yield
    gc.unfreeze()
    if frozen:
        gc.freeze()


def test_the_collector_is_resumed_also_after_an_error():
    @collector.uncollected
    def fails():
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        fails()
    assert gc.isenabled()


def test_a_collector_that_the_user_disabled_stays_disabled():
    gc.disable()
    try:
        _build(3)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_full_collections_take_time_in_proportion_to_new_objects(monkeypatch):
    """After one that left many objects, the next is due when as many are new."""
    monkeypatch.setattr(collector, "LARGE", 1000)
    monkeypatch.setattr(collector, "MOST", 2000)
    runs = []
    monkeypatch.setattr(collector.gc, "collect", lambda: runs.append(1))
    kept = [_build(3000)]
    assert len(runs) == 1 and collector._survived > 10_000  # what the tests' modules consist of
    kept.append(_build(3000))
    assert len(runs) == 1
    monkeypatch.setattr(collector, "_survived", 100)
    kept.append(_build(3000))
    assert len(runs) == 2


def test_what_a_large_pass_leaves_is_old_and_not_frozen(monkeypatch):
    monkeypatch.setattr(collector, "LARGE", 1000)
    runs = []
    gc.collect()  # no collection is due before the pass begins
    gc.callbacks.append(lambda phase, info: runs.append(info["generation"]) if phase == "start" else None)
    try:
        kept, _ = _build(5000)
    finally:
        gc.callbacks.pop()
    assert runs == []  # nothing went through the new objects
    assert gc.get_freeze_count() == 0
    assert any(x is kept[0] for x in gc.get_objects(generation=2))


def test_garbage_of_large_passes_is_collected_before_it_grows_without_bound(monkeypatch):
    monkeypatch.setattr(collector, "LARGE", 1000)
    monkeypatch.setattr(collector, "MOST", 12_000)
    _, lost = _build(5000)
    assert lost() is not None
    for _ in range(3):
        _build(5000)
    assert lost() is None


def test_objects_that_the_user_froze_stay_frozen(monkeypatch):
    monkeypatch.setattr(collector, "LARGE", 10)
    gc.freeze()
    before = gc.get_freeze_count()
    _build(100)
    assert gc.get_freeze_count() >= before - 50
    assert gc.get_freeze_count() > 0
