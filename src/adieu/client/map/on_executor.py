"""A map over somebody's executor: threads, processes, or the machines of a cluster.

What leaves this process is pickled by the executor: the client as its settings, the request, and the response, which
has been read. What is carried in this process, by an executor of threads, uses the client itself, and is ended with the
map. What is carried elsewhere, and has begun, ends by itself, and nobody hears of it.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from adieu.client.map.job import carry
from adieu.errors import InvalidRequest

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from adieu.client.map.job import Carried, Job, Sender
    from adieu.client.map.sync_map import Told

__all__ = ["ExecutorWorkers"]


class ExecutorWorkers:
    """A crew that is not ours: it gets work, and is not sent home."""

    __slots__ = ("_executor", "_futures", "_sender")

    def __init__(self, sender: Sender, executor: Executor) -> None:
        if not callable(getattr(executor, "submit", None)) or isinstance(executor, type):
            raise InvalidRequest(
                f"map: executor takes a concurrent.futures.Executor, not {executor!r:.80}"
            )
        self._sender = sender
        self._executor = executor
        self._futures: dict[int, Future[Carried]] = {}

    def submit(self, job: Job, told: Told) -> None:
        # Dask does once what it is given twice, but two equal requests are two.
        unique = os.urandom(16)
        carried = partial(carry, self._sender, job.wanted, job.ending, True, unique)
        try:
            future = self._executor.submit(carried)
        except RuntimeError:
            raise  # It is broken, or shut down: and so would every other end.
        except Exception as error:
            # Some pickle now, others later: what cannot be is this one's error in either case.
            told(job.nth, [None, error.with_traceback(None)])
            return
        self._futures[job.nth] = future
        future.add_done_callback(partial(_came, self._futures, job, told))

    def dismiss(self) -> None:
        for future in list(self._futures.values()):
            future.cancel()

    def join(self) -> None:
        """They go on with other work."""


def _came(futures: dict[int, Any], job: Job, told: Told, future: Future[Carried]) -> None:
    futures.pop(job.nth, None)
    try:
        carried = future.result()
    except BaseException as failure:
        # The executor's own: it cannot pickle something, was shut down, or has lost a worker.
        carried = [None, failure.with_traceback(None)]
    told(job.nth, carried)
