# SPDX-License-Identifier: Apache-2.0
"""Sends damaged messages to a running service, and counts its answers: one for each, whatever was sent.

    effigy serve --connection-file /tmp/c.json &
    python recipes/bench/fuzz.py --connection-file /tmp/c.json --messages 120000

The same messages are decoded here first, in both directions: nothing but ProtocolError may come of them.
"""

from __future__ import annotations

import argparse
import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import zmq

from effigy_protocol import ProtocolError, decode_reply, decode_request, encode
from effigy_protocol.connection import read_connection
from effigy_protocol.messages import (
    Cancel,
    CancelJob,
    Error,
    FromLatent,
    FromPhoto,
    FromSeed,
    Hello,
    JobStatus,
    Mix,
    OpenIdentity,
    Ping,
    Pong,
    ReadPicture,
    Release,
    Request,
    Status,
    Synthesize,
)

WINDOW = 256  # messages on their way: fewer than a client may have waiting
PATIENCE_MS = 120_000
WHOLE: tuple[Request, ...] = (
    Hello("fuzz"),
    OpenIdentity(FromSeed(3)),
    OpenIdentity(FromLatent(bytes(64), "model")),
    OpenIdentity(Mix(bytes(64), bytes(64), 0.5)),
    OpenIdentity(FromPhoto((b"\x89PNG", bytes(64)), 2, "ffhq", tune=True), own=True),
    Synthesize("nobody", 1.0, 2.0, {"jawOpen": 0.5}, "final", passes=("normal",)),
    Synthesize("nobody", 1.0, 2.0, {}, half=True, stream=3, matte="head"),
    Synthesize("nobody", 1.0, 2.0, {}, "final", "exr", passes=("depth", "albedo"), unit=0.1, distance=2.0),
    ReadPicture((b"\x89PNG", bytes(64)), 2, painted=True),
    Cancel((1, 2, 3)),
    Release("nobody"),
    JobStatus("nothing"),
    CancelJob("nothing"),
    Status(),
    Ping(),
)
JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 2**63, -(2**63), 1e308, float("nan"), "", "x" * 9000, "FromSeed", b"raw", [], [[]] * 300, {},
    {"kind": "Mix"}, {"kind": {}}, {str(number): number for number in range(300)}, {"kind": "FromSeed", "seed": "1"},
)  # fmt: skip


def damaged(random: np.random.Generator, request_id: int) -> list[bytes]:
    """Returns the frames of a message with up to three things wrong."""
    frames = [bytes(frame) for frame in encode(request_id, WHOLE[random.integers(len(WHOLE))])]
    for _ in range(random.integers(0, 4)):
        way = random.choice(6, p=(0.15, 0.1, 0.1, 0.1, 0.05, 0.5))
        which = int(random.integers(len(frames)))
        if way == 0 and frames[which]:  # another byte
            raw = bytearray(frames[which])
            raw[random.integers(len(raw))] = random.integers(256)
            frames[which] = bytes(raw)
        elif way == 1:  # cut off
            frames[which] = frames[which][: random.integers(len(frames[which]) + 1)]
        elif way == 2 and len(frames) > 1:  # a frame is missing
            frames.pop(which)
        elif way == 3:  # a frame too many
            frames.append(random.bytes(int(random.integers(100))))
        elif way == 4:  # bytes of nothing
            frames[which] = random.bytes(int(random.integers(300)))
        else:
            frames[0] = _other_value(random, frames[0])
    return frames


def _other_value(random: np.random.Generator, header: bytes) -> bytes:
    """Returns the header with one of its values, at any depth, replaced by one of JUNK."""
    try:
        fields = msgpack.unpackb(header, strict_map_key=False)
        node = fields
        while isinstance(node, dict) and node:
            key = list(node)[random.integers(len(node))]
            if isinstance(node[key], dict) and node[key] and random.random() < 0.7:
                node = node[key]
                continue
            node[key] = JUNK[random.integers(len(JUNK))]
            break
        return bytes(msgpack.packb(fields))
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException):
        return header


def fuzz(connection_file: Path, messages: int, seed: int) -> Counter[str]:
    """Sends damaged messages; returns how often the service answered with what.

    Raises AssertionError where answers are missing or too many.
    """
    connection, random = read_connection(connection_file), np.random.default_rng(seed)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    secret = connection.client_key.encode()
    socket.curve_publickey, socket.curve_secretkey = zmq.curve_public(secret), secret
    socket.curve_serverkey = connection.service_key.encode()
    socket.linger = 0
    socket.connect(connection.endpoint)
    said: Counter[str] = Counter()
    try:
        for start in range(0, messages, WINDOW):
            count = min(WINDOW, messages - start)
            for number in range(start, start + count):
                frames = damaged(random, 1 + number)
                for decode in (decode_request, decode_reply):
                    with contextlib.suppress(ProtocolError):
                        decode(frames)
                socket.send_multipart(frames)
            for _ in range(count):
                assert socket.poll(PATIENCE_MS), f"an answer is missing after {start} messages"
                reply = decode_reply(socket.recv_multipart()).message
                said[reply.code if isinstance(reply, Error) else type(reply).__name__] += 1
        socket.send_multipart(encode(2**62, Ping()))
        assert socket.poll(PATIENCE_MS), "the service answers nothing any more"
        last = decode_reply(socket.recv_multipart())
        assert (last.id, last.message) == (2**62, Pong()), "there was an answer too many"
    finally:
        socket.close()
        context.term()
    return said


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connection-file", type=Path, required=True)
    parser.add_argument("--messages", type=int, default=120_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for answer, times in fuzz(arguments.connection_file, arguments.messages, arguments.seed).most_common():
        print(f"{times:8} {answer}")
