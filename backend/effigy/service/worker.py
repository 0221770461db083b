# SPDX-License-Identifier: Apache-2.0
"""The worker: the one thread that owns the model and paints."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
import zmq

from effigy_protocol.messages import ServicePhase, Synthesize, Welcome

from ..faces import BundleError, FaceModel
from .answering import Answering
from .answers import answer
from .jobs import Jobs
from .scheduler import Forget, Queued, Scheduler

log = structlog.get_logger()


class Worker(threading.Thread):
    """Loads the model, then answers the scheduler's requests. Replies go to the I/O thread over an inproc socket."""

    def __init__(
        self,
        load: Callable[[], FaceModel],
        scheduler: Scheduler,
        context: zmq.Context[zmq.Socket[bytes]],
        outbox: str,
    ) -> None:
        super().__init__(name="effigy-worker", daemon=True)
        self._load = load
        self._scheduler = scheduler
        self._context = context
        self._outbox = outbox
        self._answering: Answering | None = None
        self.jobs = Jobs()
        # Read by the I/O thread; each is assigned whole.
        self.phase: ServicePhase = "loading"
        self.detail = "the model is loading"
        self.welcome: Welcome | None = None

    @property
    def identities(self) -> int:
        """The number of open identities."""
        return self._answering.identities if self._answering is not None else 0

    @property
    def painted(self) -> int:
        """The number of pictures painted so far."""
        return self._answering.painted if self._answering is not None else 0

    def run(self) -> None:
        replies = self._context.socket(zmq.PUSH)
        replies.set_hwm(0)  # no reply is ever dropped
        replies.connect(self._outbox)
        try:
            self._answering = answering = Answering(self._load(), self.jobs)
            self.welcome, model = answering.welcome(), answering.model
            self.detail, self.phase = model.name, "ready"
            log.info("model ready", model=model.model_id, name=model.name, device=str(model.generator.device))
            self._work(answering, replies)
        except BundleError as error:
            self._fail(str(error))
        except Exception as error:
            log.exception("worker failed")
            self._fail(f"{type(error).__name__}: {error}")
        finally:
            if self._answering is not None:
                self._answering.close()
            replies.close()

    def _fail(self, why: str) -> None:
        log.error("the worker ended", error=why)
        self.detail, self.phase = why, "failed"

    def _work(self, answering: Answering, replies: zmq.Socket[bytes]) -> None:
        while not self._scheduler.is_closed:
            # Long work goes on while nothing else waits, and by a step after everything else that is done.
            if (queued := self._scheduler.take(wait=not len(self.jobs))) is not None:
                self._do(queued, answering, replies)
            self.jobs.step()

    def _do(self, queued: Queued, answering: Answering, replies: zmq.Socket[bytes]) -> None:
        if isinstance(queued.request, Forget):
            answering.forget(queued.client)
            return
        queue = [queued]
        if isinstance(queued.request, Synthesize):
            queue += self._scheduler.take_finals(queued.request.encoding, answering.together(queued))
        for answered, reply in zip(queue, answering.answer(queue), strict=True):
            replies.send_multipart([answered.client, *answer(answered.id, reply)], copy=False)
