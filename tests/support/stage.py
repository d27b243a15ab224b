"""The objects of a lifecycle test: a runner, an adapter, a policy, a server, and the system's count of sockets."""

from __future__ import annotations

import contextlib
import gc
import platform
import time
from typing import TYPE_CHECKING, Any, TypeVar

import adieu

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from adieu.testing import FaultServer
    from support.runner import Runner
    from support.watch import Watch

__all__ = [
    "ADAPTERS",
    "COUNTS_REFERENCES",
    "PATIENCE",
    "POLICIES",
    "Stage",
    "caught",
    "collect",
    "collection_after",
    "drop",
    "eventually",
    "growing",
    "in_time",
    "with_head",
]

T = TypeVar("T")

ADAPTERS = ("urllib3", "native", "close")

COUNTS_REFERENCES = platform.python_implementation() == "CPython"
"""Whether dropping the last reference to an object ends it at once."""

POLICIES: dict[str, Callable[[], adieu.CleanupPolicy]] = {
    "Prefetch": adieu.Prefetch,
    "ReleaseOnRead": adieu.ReleaseOnRead,
    "CloseOnExit": adieu.CloseOnExit,
    "NoKeepAlive": adieu.NoKeepAlive,
    # Between the small and the large bodies of these tests, so that they cover both cases.
    "PrefetchUpTo": lambda: adieu.PrefetchUpTo(1000),
    "Strict": adieu.Strict,
}

# Longer than any machine stands still, and shorter than pytest's timeout: a lost slot is a `PoolTimeout`.
PATIENCE = adieu.Timeout(connect=30, read=30, write=30, pool=30)


class Stage:
    """A client's environment, with short methods for the steps that every test has."""

    def __init__(
        self,
        runner: Runner,
        adapter: str,
        policy: adieu.CleanupPolicy | None,
        server: FaultServer,
        watch: Watch,
    ) -> None:
        self.runner = runner
        self.run = runner.run
        self.adapter = adapter
        self.policy = policy
        self.server = server
        self.watch = watch

    def client(self, **options: Any) -> Any:
        """A client with this stage's adapter and policy."""
        options.setdefault("adapter", self.adapter)
        options.setdefault("cleanup", self.policy)
        options.setdefault("timeout", PATIENCE)
        options.setdefault("base_url", self.server.url)
        return self.runner.client(**options)

    def one(self, **options: Any) -> Any:
        """The same, limited to one connection, so that the next call detects a lost slot."""
        return self.client(limits=adieu.Limits(connections=1), **options)

    def block(self, thing: Any) -> AbstractContextManager[Any]:
        """A client or a stream as a `with` block."""
        return self.runner.block(thing)

    def get(self, client: Any, url: str, method: str = "GET", **options: Any) -> Any:
        """The response of a call."""
        return self.run(client.request(method, url, **options))

    def read(self, response: Any) -> bytes:
        """The content of a response."""
        content: bytes = self.run(response.read())
        return content

    def sockets(self) -> int:
        """The number of client sockets, counted by the operating system."""
        self.runner.settle()
        return self.watch.count()

    def nothing_open(self) -> bool:
        """No client socket is open; if one is, the test fails with the system's rows."""
        self.runner.settle()
        self.watch.check()
        return True

    def in_use(self, client: Any) -> list[str]:
        """The leased connections, as text."""
        return [str(line) for line in client.connections() if line.state != "idle"]

    def next_works(self, client: Any) -> None:
        """The next call on the client gets its own answer."""
        before = self.server.served
        answer = self.get(client, "/ok", cleanup=adieu.Prefetch())
        assert self.run(answer.read())
        number = int(answer.headers["x-request-number"])
        assert before < number <= self.server.served


def caught(kinds: Any, call: Callable[..., object], *args: Any, **options: Any) -> BaseException:
    """The exception that a call raises, kept with its traceback and without a cycle through this frame."""
    try:
        call(*args, **options)
    except kinds as error:
        kept: BaseException = error
    else:
        raise AssertionError(f"{call} raised nothing")
    try:
        return kept
    finally:
        del kept


def drop() -> None:
    """Finalize dropped objects: CPython has done so already, PyPy needs a collection."""
    if not COUNTS_REFERENCES:
        collect()


def collect() -> None:
    """Collect garbage, and finalize it before this returns.

    After `gc.collect()`, PyPy runs finalizers in whichever thread comes first, perhaps a server's, and this thread goes
    on meanwhile. What is found while they are switched off runs in the thread that switches them on again.
    """
    if COUNTS_REFERENCES:
        gc.collect()
        return
    enabled = gc.isenabled()
    gc.disable()
    for _ in range(3):  # A finalizer may drop the last reference to an object with another one.
        while not gc.collect_step().major_is_done:  # type: ignore[attr-defined]
            pass
    gc.enable()
    if not enabled:
        gc.disable()


@contextlib.contextmanager
def collection_after(objects: int, make_garbage: Callable[[], object]) -> Iterator[None]:
    """A block in which a collection of this garbage begins when so many objects were made. For CPython."""
    # CPython keeps 2000 tuples of each size at hand, whose use counts for nothing.
    tuples = [(number, number) for number in range(3000)]
    thresholds, enabled = gc.get_threshold(), gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        make_garbage()
        gc.set_threshold(gc.get_count()[0] + objects, *thresholds[1:])
        gc.enable()
        yield
    finally:
        gc.set_threshold(*thresholds)
        if not enabled:
            gc.disable()
        tuples.clear()


def growing(seconds: float) -> Iterator[float]:
    """Limits that must end one certain wait: try the next one where the machine stood still before that wait."""
    for _ in range(5):
        yield seconds
        seconds *= 4


def with_head(get: Callable[[float], T], late: type[Exception] = adieu.RequestTimeout) -> T:
    """What `get` returns, with a short limit in seconds, within which the head of the response has come."""
    for seconds in growing(0.05):
        with contextlib.suppress(late):
            return get(seconds)
    raise AssertionError("no head has come")


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """The block does not wait for a peer that keeps silent for 60 s. Half of that is enough on any machine."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < 30


def eventually(predicate: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait, for a bounded time, until another thread or the peer has done something."""
    until = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < until, f"not so after {seconds:g} s"
        time.sleep(0.002)
