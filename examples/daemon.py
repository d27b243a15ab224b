"""A client of a daemon behind a Unix socket, such as Docker's.

`python examples/daemon.py /run/docker.sock` prints the version, and then the events as they come.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import adieu
from adieu_native import NativeAdapter

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Daemon"]


class Daemon:
    """The daemon at this socket. Every URL leads to it; the name of the host has no meaning."""

    def __init__(self, path: str) -> None:
        wire = NativeAdapter(adieu.UnixWire(path), limits=adieu.Limits(4))
        self._client = adieu.Client("http://daemon", adapter=wire, proxy=None)

    def version(self) -> dict[str, Any]:
        """What the daemon says of itself."""
        answer: dict[str, Any] = self._client.get("/version").raise_for_status().json()
        return answer

    def events(self) -> Iterator[dict[str, Any]]:
        """Events, one line of JSON each, until the daemon or the reader stops."""
        endless = adieu.Timeout(read=None)
        cleanup = adieu.CloseOnExit()  # There is no end of the body to wait for.
        with self._client.stream("GET", "/events", timeout=endless, cleanup=cleanup) as response:
            for line in response.raise_for_status().iter_lines():
                yield json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.close()


if __name__ == "__main__":
    with Daemon(sys.argv[1]) as daemon:
        print(daemon.version())
        for happened in daemon.events():
            print(happened)
