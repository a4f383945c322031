"""symc.compiler.lowering.prerequisites: what waits for several things is ready when all of them are known."""

from __future__ import annotations

from symc.compiler.lowering.prerequisites import Prerequisites


def taken(pending):
    found = []
    while (item := pending.next()) is not None:
        found.append(item)
    return found


def test_items_are_given_out_once_and_in_their_order():
    pending = Prerequisites([("a", "xy"), ("b", ""), ("c", "x"), ("d", "zz")])
    assert pending and taken(pending) == ["b"]
    pending.met("y")
    assert taken(pending) == []
    pending.met("xx")
    assert taken(pending) == ["a", "c"] and pending
    pending.met("xzy")
    assert taken(pending) == ["d"] and not pending


def test_without_items_nothing_waits():
    pending = Prerequisites([])
    pending.met("x")
    assert not pending and pending.next() is None
