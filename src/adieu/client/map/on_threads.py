"""The threads of a map: made when they are needed, never more than its limit, and over when it is."""

from __future__ import annotations

import threading
from collections import deque
from contextvars import Context, copy_context
from queue import SimpleQueue
from time import sleep
from typing import TYPE_CHECKING

from adieu.client.map.job import carry
from adieu.lifecycle.lock import start_in_helper

if TYPE_CHECKING:
    from adieu.client.map.job import Job, Sender
    from adieu.client.map.sync_map import Told

    Assignment = tuple[Sender, Job, Context, Told]
    Jobs = SimpleQueue[Assignment | None]

__all__ = ["Threads"]

# How long a thread's first steps are not looked at (seconds).
_MOMENT = 0.001


class Threads:
    """A crew of threads. They know the queue of their jobs, and nothing else of the map."""

    __slots__ = ("_idle", "_jobs", "_sender", "_threads")

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._jobs: Jobs = SimpleQueue()
        # One token for each thread that waits for a job, and for which none is in the queue.
        self._idle: deque[None] = deque()
        self._threads: list[_Thread] = []

    def submit(self, job: Job, told: Told) -> None:
        try:
            self._idle.pop()
        except IndexError:
            thread = _Thread(self._jobs, self._idle, f"adieu-map-{len(self._threads) + 1}")
            start_in_helper(thread, thread.begun.pop)
            self._threads.append(thread)
        self._jobs.put((self._sender, job, copy_context(), told))

    def dismiss(self) -> None:
        self._jobs.put(None)

    def join(self) -> None:
        for thread in self._threads:
            thread.wait()


class _Thread(threading.Thread):
    """Does jobs until there is the one that says that there are no more."""

    def __init__(self, jobs: Jobs, idle: deque[None], name: str) -> None:
        # One that waits for a peer must not keep the interpreter from ending.
        super().__init__(name=name, daemon=True)
        self._jobs = jobs
        self._free = idle
        # Empty once it has taken its first steps.
        self.begun: list[None] = [None]

    def run(self) -> None:
        jobs = self._jobs
        while True:
            job = jobs.get()
            if job is None:
                jobs.put(None)  # For the others: it is one for all.
                return
            _do(*job)
            del job  # What somebody else has now must not be kept, and freed, here.
            self._free.append(None)

    def wait(self) -> None:
        """Wait for its end."""
        while self.begun:
            sleep(_MOMENT)
        if self.ident is not None:
            self.join()


def _do(sender: Sender, job: Job, context: Context, told: Told) -> None:
    try:
        carried = context.run(carry, sender, job.wanted, job.ending, False)
    except BaseException as failure:
        carried = [None, failure.with_traceback(None)]
    told(job.nth, carried)
