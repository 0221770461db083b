# SPDX-License-Identifier: Apache-2.0
"""Answers keep the protocol's rules, whatever was asked for and whatever failed."""

from __future__ import annotations

import numpy as np
import structlog
from hypothesis import given
from hypothesis import strategies as st

from effigy.faces.welcome import encode_floats
from effigy.service.answers import MAX_TEXT_SHOWN, answer
from effigy_protocol import decode_reply
from effigy_protocol.messages import Error, Identity, Pose, StatusReport

texts = st.text(st.characters(codec=None), max_size=20).flatmap(
    lambda part: st.integers(0, 3000).map(lambda times: part * times)
)


@given(texts, texts)
def test_whatever_is_echoed_can_be_read(said, hint):
    read = decode_reply(answer(7, Error("failed", said, hint)))
    assert read.id == 7
    for text, shown in ((said, read.message.message), (hint, read.message.hint)):
        assert len(shown.encode()) <= MAX_TEXT_SHOWN
        if len(text.encode("utf-8", "replace")) <= MAX_TEXT_SHOWN:
            assert shown == text.encode("utf-8", "replace").decode()
    status = decode_reply(answer(8, StatusReport("failed", said, "cpu", 1.0, 1, 1, 1, 1)))
    assert len(status.message.detail.encode()) <= MAX_TEXT_SHOWN


def test_an_answer_that_breaks_the_rules_becomes_an_error_of_the_same_id():
    broken = Identity("k", "m", b"", Pose(0.0, float("inf"), 0.0, 1.0, 0.0, 0.0), encode_floats(np.zeros((3, 2))))
    with structlog.testing.capture_logs() as logs:
        read = decode_reply(answer(9, broken))
    assert read.id == 9
    assert isinstance(read.message, Error)
    assert read.message.code == "failed"
    assert "Identity.pose.pitch" in read.message.message
    assert logs[0]["log_level"] == "error"
