"""A request as the `FaultServer` received it, and the parameters in its query."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Headers", "Refused", "Request"]

Headers = list[tuple[str, str]]


class Refused(Exception):
    """The request cannot be served: it is malformed, or its parameters exceed a route's limit."""


class Request:
    """One request as it was received.

    `connection` is the number of its connection on the server, from 1; `nth` is its place on that connection, from 1,
    so ``nth > 1`` is a request on a reused connection; `number` is its place among all requests of the server. `body`
    has the first MiB of the body, `body_length` is the number of bytes received, `body_read` says whether the body has
    ended. `trailers` are the fields after it.
    """

    def __init__(self, method: str, target: str, version: str, headers: Headers) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.headers = headers
        self.connection = 0
        self.nth = 0
        self.number = 0
        self.body = b""
        self.body_length = 0
        self.body_read = False
        self.trailers: Headers = []
        # An absolute-form target (RFC 9112, section 3.2.2) is what a client sends to a plain proxy.
        local = re.sub(r"\Ahttps?://[^/?]*", "", target) or "/"
        self.path, _, query = local.partition("?")
        self.query = parse_qs(query, keep_blank_values=True)

    def __repr__(self) -> str:
        return (
            f"<Request {self.number}: {self.method} {self.target} on {self.connection}/{self.nth}>"
        )

    def header(self, name: str) -> str | None:
        """The value of the first field of this name, in any case."""
        wanted = name.lower()
        return next((value for field, value in self.headers if field.lower() == wanted), None)

    def text(self, name: str, default: str) -> str:
        """A query parameter as it is."""
        return self.query.get(name, [default])[0]

    def count(self, name: str, default: int, most: int = 100_000_000) -> int:
        """A query parameter as a number from 0 to `most`; `Refused` if it is anything else."""
        return int(self._bounded(name, default, most, int))

    def seconds(self, name: str, default: float, most: float = 60.0) -> float:
        """A query parameter in seconds, from 0 to `most`; `Refused` if it is anything else."""
        return self._bounded(name, default, most, float)

    def _bounded(
        self, name: str, default: float, most: float, number: Callable[[str], float]
    ) -> float:
        given = self.text(name, str(default))
        try:
            value = number(given)
        except ValueError:
            raise Refused(f"{name}={given!r} is not a number") from None
        if not 0 <= value <= most:
            raise Refused(f"{name}={given} is not between 0 and {most}")
        return value

    @property
    def wants_close(self) -> bool:
        """The client will not send another request here (RFC 9112, section 9.3)."""
        options = [
            option.strip().lower()
            for field, value in self.headers
            if field.lower() == "connection"
            for option in value.split(",")
        ]
        if self.version == "HTTP/1.0":
            return "keep-alive" not in options
        return "close" in options
