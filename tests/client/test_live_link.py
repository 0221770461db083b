# SPDX-License-Identifier: Apache-2.0
"""Packets of the Live Link Face app: read as they are, and nothing else is."""

from __future__ import annotations

import contextlib
import math
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effigy_client.capture.live_link import ARKIT, Listener, decode


def packet(values=None, *, version=6, name=b"Face"):
    head = bytes([version]) + struct.pack(">i36si", 36, b"D" * 36, len(name)) + name
    if values is None:
        return head + struct.pack(">ifii", 1, 0.0, 60, 1)
    return head + struct.pack(">ifiib", 1, 0.0, 60, 1, len(values)) + struct.pack(f">{len(values)}f", *values)


@pytest.fixture()
def listener():
    opened = Listener("127.0.0.1", 0)
    yield opened
    opened.close()


def test_a_packet_has_every_shape_and_the_head_in_degrees():
    values = [index / 100 for index in range(len(ARKIT))]
    moment = decode(packet(values))
    assert moment is not None
    for index, name in enumerate(ARKIT):
        if not name.startswith("head"):
            assert moment.channels[name][0] == pytest.approx(values[index])
    assert moment.channels["yaw"][0] == pytest.approx(math.degrees(values[52]))
    assert moment.channels["pitch"][0] == pytest.approx(-math.degrees(values[53]))


def test_a_packet_without_values_saw_no_face():
    assert decode(packet()) is None
    assert decode(packet([])) is None
    assert decode(packet()[: -struct.calcsize(">ifii")]) is None


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"", "cut short"),
        (packet([0.0] * 61)[:-1], "cut short"),
        (packet()[:-1], "cut short"),
        (packet([0.0] * 61, version=5), "version 5"),
        (packet([0.0] * 52), "52 values instead of 61"),
        (packet([math.nan] + [0.0] * 60), "no number"),
        (b"\x06\x7f\xff\xff\xff", "a name of"),
        (b"\x06\xff\xff\xff\xff", "a name of -1"),
    ],
)
def test_what_is_no_packet_is_refused_with_a_reason(bad, why):
    with pytest.raises(ValueError, match=why):
        decode(bad)


@given(st.binary(max_size=400))
def test_no_bytes_do_anything_but_raise_a_value_error(noise):
    for data in (noise, b"\x06" + noise):
        with contextlib.suppress(ValueError):
            decode(data)


def test_the_newest_moment_wins_and_noise_is_passed_over(listener):
    assert listener.newest() is None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        for sent in (packet([0.1] * 61), b"noise", packet([0.2] * 61)):
            phone.sendto(sent, ("127.0.0.1", listener.port))
    moment = listener.newest()
    assert moment is not None
    assert moment.channels["jawopen"][0] == pytest.approx(0.2)
    assert listener.newest() is None


def test_after_a_stall_the_newest_is_the_newest(listener):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        for number in range(120):
            phone.sendto(packet([number / 1000] * 61), ("127.0.0.1", listener.port))
    moment = listener.newest()
    assert moment is not None
    assert moment.channels["jawopen"][0] == pytest.approx(0.119)
    assert listener.packets == 120


def test_the_first_phone_is_the_one_that_is_heard(listener):
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        for sender, value in ((phone, 0.1), (other, 0.9)):
            sender.sendto(packet([value] * 61), ("127.0.0.1", listener.port))
            moment = listener.newest()
            assert (moment is None) == (sender is other)


def test_why_nothing_is_heard_is_kept_for_the_user(listener):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.sendto(packet([0.0] * 61, version=7), ("127.0.0.1", listener.port))
        assert listener.newest() is None
        assert "version 7" in listener.refusal
        phone.sendto(packet([0.0] * 61), ("127.0.0.1", listener.port))
        assert listener.newest() is not None
        assert listener.refusal == ""


def test_a_port_in_use_is_an_error_and_leaves_no_socket(listener):
    with pytest.raises(OSError, match="in use"):
        Listener("127.0.0.1", listener.port)


def test_of_what_was_zero_ever_since_a_stream_says_nothing(listener):
    """A phone whose switch for the head is off sends zeros."""
    jaw = ARKIT.index("jawopen")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        for opening in (0.0, 0.5, 0.0):
            phone.sendto(
                packet([opening if index == jaw else 0.0 for index in range(61)]), ("127.0.0.1", listener.port)
            )
            moment = listener.newest()
            assert moment.turn is None
            assert ("jawopen" in moment.silent) == (opening == 0.0 and not listener._heard)
            assert "tongueout" in moment.silent
        phone.sendto(packet([0.0] * 53 + [0.1] + [0.0] * 7), ("127.0.0.1", listener.port))
        assert listener.newest().turn.shape == (1, 3)
