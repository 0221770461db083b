# SPDX-License-Identifier: Apache-2.0
"""Identities are open while a client holds them, and their number is limited."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effigy.service import identities
from effigy.service.identities import Identities


def face(key, size=0):
    return SimpleNamespace(key=key, size=size)


def test_an_identity_is_open_while_anybody_holds_it():
    known = Identities()
    known.open(b"a", face("x"))
    known.open(b"b", face("x"))
    assert known.release(b"a", "x")
    assert not known.release(b"a", "x")
    assert known.get(b"a", "x") is not None, "whose latent one knows one may show"
    known.forget(b"b")
    assert known.get(b"b", "x") is None
    assert len(known) == 0


@pytest.mark.parametrize(("held", "in_all"), [(3, 100), (100, 3)])
def test_one_too_many_lets_go_of_the_one_used_longest_ago(monkeypatch, held, in_all):
    monkeypatch.setattr(identities, "MAX_HELD", held)
    monkeypatch.setattr(identities, "MAX_OPEN", in_all)
    known = Identities()
    for key in "xyz":
        known.open(b"a", face(key))
    known.get(b"a", "x")
    known.open(b"a", face("new"))
    assert [key for key in ("x", "y", "z", "new") if known.get(b"a", key)] == ["x", "z", "new"]


def test_large_people_are_let_go_of_before_they_fill_the_memory(monkeypatch):
    monkeypatch.setattr(identities, "MAX_BYTES", 100)
    known = Identities()
    for key in "xyz":
        known.open(b"a", face(key, 40))
        known.open(b"b", face(key, 40))
    assert [key for key in "xyz" if known.get(b"a", key)] == ["y", "z"]
    known.forget(b"a")
    known.forget(b"b")
    known.open(b"a", face("whole", 200))
    assert known.get(b"a", "whole") is not None, "the only one stays, however large"
    known.open(b"a", face("small", 1))
    assert [key for key in ("whole", "small") if known.get(b"a", key)] == ["small"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["open", "get", "release", "forget"]), st.sampled_from([b"a", b"b"]), st.integers(0, 9)
        )
    )
)
def test_the_books_agree_and_stay_within_their_bounds(events):
    known = Identities()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identities, "MAX_HELD", 3)
        patch.setattr(identities, "MAX_OPEN", 4)
        for what, client, number in events:
            key = str(number)
            if what == "open":
                known.open(client, face(key))
                assert known.get(client, key) is not None
            elif what == "forget":
                known.forget(client)
            else:
                getattr(known, what)(client, key)
            held = {(holder, key) for key, (_, holders) in known._open.items() for holder in holders}
            assert held == {(holder, key) for holder, keys in known._held.items() for key in keys}
            assert all(holders for _, holders in known._open.values())
            assert len(known) <= 4
            assert all(0 < len(keys) <= 3 for keys in known._held.values())
