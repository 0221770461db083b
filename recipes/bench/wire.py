# SPDX-License-Identifier: Apache-2.0
"""Measures the cost of a message: of the checks by its sender, and of encryption (docs/protocol.md).

python recipes/bench/wire.py
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import zmq

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from effigy_protocol import decode_reply, encode
from effigy_protocol.messages import Frame, Pose, Synthesize, Timings

_TIMES = 60
_WARM_UP = 5


def exchange_ms(size: int, *, encrypted: bool) -> tuple[float, float]:
    """Returns milliseconds from a request to an answer of ``size`` bytes over loopback, with ZeroMQ's CURVE or without.

    They are the median of the clock's, and the mean of the processor's in all threads.
    """
    context = zmq.Context()
    router, dealer = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
    if encrypted:
        public, router.curve_secretkey = zmq.curve_keypair()
        router.curve_server = True
        dealer.curve_serverkey = public
        dealer.curve_publickey, dealer.curve_secretkey = zmq.curve_keypair()
    dealer.connect(f"tcp://127.0.0.1:{router.bind_to_random_port('tcp://127.0.0.1')}")

    def serve() -> None:
        for _ in range(_TIMES):
            router.send_multipart([router.recv_multipart()[0], bytes(size)], copy=False)

    thread = threading.Thread(target=serve)
    thread.start()
    taken, began = [], time.process_time()
    for _ in range(_TIMES):
        started = time.perf_counter()
        dealer.send(b"")
        dealer.recv(copy=False)
        taken.append(1e3 * (time.perf_counter() - started))
    thread.join()
    processor = 1e3 * (time.process_time() - began) / _TIMES
    context.destroy(linger=0)
    return median(taken[_WARM_UP:]), processor


def codec_us() -> dict[str, float]:
    """Returns microseconds for encoding and checking a request for a preview, and its answer."""
    controls = {f"control{number}": 0.1 for number in range(8)}
    pose, timings = Pose(0.0, 0.0, 0.0, 1.0, 0.5, 0.5), Timings(1.0, 1.0, 1.0, 1.0)
    asked = Synthesize("key", 3.0, 1.0, controls)
    frame = Frame("key", "preview", 128, 128, "rgba8", bytes(4 * 128**2), False, pose, (), {"yaw": 0.1}, timings)
    sent = encode(1, frame)
    return {
        "a request, encoded and checked": _us(lambda: encode(1, asked)),
        "an answer, encoded and checked": _us(lambda: encode(1, frame)),
        "an answer, decoded": _us(lambda: decode_reply(sent)),
    }


def _us(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(2000):
        started = time.perf_counter()
        work()
        taken.append(1e6 * (time.perf_counter() - started))
    return median(taken)


if __name__ == "__main__":
    for side in (128, 512, 1024):
        for how, encrypted in (("", False), (", encrypted", True)):
            clock, processor = exchange_ms(4 * side**2, encrypted=encrypted)
            print(f"a picture of {side} × {side}{how}: {clock:.2f} ms, of the processor {processor:.2f} ms")
    for what, taken in codec_us().items():
        print(f"{what}: {taken:.0f} µs")
