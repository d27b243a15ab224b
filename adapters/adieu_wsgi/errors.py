"""What can go wrong with an app: it raises, or it does not keep to PEP 3333. And what every error says besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from adieu.errors import ProtocolError, TransportError

if TYPE_CHECKING:
    from adieu.errors import Sent
    from adieu.lifecycle.exchange import Exchange

__all__ = ["AppError", "Facts", "NotWSGI"]

E = TypeVar("E", bound=TransportError)


class AppError(TransportError):
    """The app raised an exception, which is the `__cause__` of this one. `phase` is "head" or "body"."""


class NotWSGI(ProtocolError):
    """The app did what no WSGI app may do (PEP 3333); the text says what."""


class Facts:
    """What is known of one call of an app, for the errors that tell of it.

    `fault`: the first thing that the app did and may not do. The app may catch what it is told then; the client is told
    all the same.
    """

    __slots__ = ("_since", "fault", "method", "request_sent", "response_started", "url")

    def __init__(self, exchange: Exchange) -> None:
        self.method = exchange.method
        self.url = str(exchange.url)
        self._since = exchange.deadline
        self.request_sent: Sent = "partly"
        self.response_started = False
        self.fault: str | None = None

    def state(self, error: E) -> E:
        """The same error, with the facts."""
        error.method = self.method
        error.url = self.url
        error.request_sent = self.request_sent
        error.response_started = self.response_started
        if error.elapsed is None:
            error.elapsed = self._since.elapsed()
        return error

    def refuse(self, what: str) -> NotWSGI:
        """The error for something that the app may not do."""
        if self.fault is None:
            self.fault = what
        return self.violation()

    def violation(self) -> NotWSGI:
        """The error for what the app did."""
        return self.state(
            NotWSGI(
                f"the app does not keep to PEP 3333 in {self.method} {self.url}: {self.fault}",
                phase="body" if self.response_started else "head",
            )
        )

    def raised(self, error: BaseException) -> AppError:
        """The error for what the app raised."""
        return self.state(
            AppError(
                f"the app raised {type(error).__name__} while it answered "
                f"{self.method} {self.url}: {error}",
                phase="body" if self.response_started else "head",
            )
        )
