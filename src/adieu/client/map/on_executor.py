"""A map over an executor that the user brings: threads, processes, or the machines of a cluster.

What leaves this process is pickled by the executor: the client as its settings, the request, and the response, which
was read. A job that runs in this process (an executor of threads) uses the client itself, and is cancelled with the
map. A job that has begun in another process ends by itself, and its result is dropped.
"""

from __future__ import annotations

import os
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING

from adieu.client.map.job import JobResult, run_job
from adieu.errors import AdieuError, InvalidRequest, TransportError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from adieu.client.map.job import Job, OnDone, Send

    Futures = dict[int, Future[JobResult]]

__all__ = ["ExecutorWorkers"]


class ExecutorWorkers:
    """The workers of an executor, which the map uses and does not end."""

    __slots__ = ("_executor", "_futures", "_send")

    def __init__(self, send: Send, executor: Executor) -> None:
        if not isinstance(executor, Executor):
            raise InvalidRequest(
                f"map: executor takes a concurrent.futures.Executor, not {executor!r:.80}"
            )
        self._send = send
        self._executor = executor
        self._futures: Futures = {}

    def submit(self, job: Job, on_done: OnDone) -> None:
        """Hand the job to the executor."""
        # Dask runs equal calls once, but two equal requests are two.
        unique = os.urandom(16)
        call = partial(run_job, self._send, job.wanted, job.handle, True, unique)
        try:
            future = self._executor.submit(call)
        except (RuntimeError, OSError) as error:
            # It is broken or shut down, or the system gives it nothing: every further job would fail in the same way.
            raise TransportError(f"the executor takes no request: {error}") from error
        except Exception as error:
            # Some executors pickle here, others later. In both cases it is this job's error.
            on_done(job.nth, JobResult.failed(error))
            return
        self._futures[job.nth] = future
        future.add_done_callback(partial(_on_future_done, self._futures, job, on_done))

    def stop(self) -> None:
        """Cancel the jobs that have not begun."""
        for future in list(self._futures.values()):
            future.cancel()

    def join(self) -> None:
        """Does nothing: the executor's workers go on with other work."""


def _on_future_done(futures: Futures, job: Job, on_done: OnDone, future: Future[JobResult]) -> None:
    futures.pop(job.nth, None)
    try:
        result = future.result()
    except BaseException as failure:
        # The executor's own error: it cannot pickle something, was shut down, or has lost a worker.
        result = JobResult.failed(_mapped(failure))
    on_done(job.nth, result)


def _mapped(failure: BaseException) -> BaseException:
    """An error of adieu's for a worker that was lost. The request may have been sent by then."""
    if isinstance(failure, AdieuError) or not isinstance(failure, (RuntimeError, OSError)):
        return failure
    mapped = TransportError(f"the executor lost this request: {failure}", request_sent="partly")
    mapped.__cause__ = failure.with_traceback(None)
    return mapped
