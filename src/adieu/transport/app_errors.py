"""Errors of an app that is called in this process: it raises an exception, or it breaks the rules of its interface.

For adapters that call an app. Each adds the name of the interface, and an error of its own for a broken rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from adieu.errors import BodyTruncated, ProtocolError, TransportError
from adieu.texts import show_url

if TYPE_CHECKING:
    from adieu.errors import Sent
    from adieu.lifecycle.exchange import ExchangeBase

__all__ = ["AppError", "AppFacts"]

E = TypeVar("E", bound=TransportError)
V = TypeVar("V", bound=ProtocolError)


class AppError(TransportError):
    """The app raised an exception, which is the `__cause__` of this one. `phase` is "head" or "body"."""


class AppFacts(Generic[V]):
    """The facts of one call of an app, for its errors.

    `fault`: the first rule that the app broke. The app gets an exception then, which it may catch; the client gets the
    error in any case.
    """

    interface: ClassVar[str]
    """The name of the interface."""
    violated: type[V]
    """The error for an app that breaks its rules."""

    __slots__ = ("_since", "fault", "method", "request_sent", "response_started", "url")

    def __init__(self, exchange: ExchangeBase) -> None:
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

    def refuse(self, what: str) -> V:
        """The error for something that the app may not do."""
        if self.fault is None:
            self.fault = what
        return self.violation()

    def violation(self) -> V:
        """The error for the rule that the app broke."""
        return self.state(
            self.violated(
                f"the app does not keep to {self.interface} in {self.method} {show_url(self.url)}: {self.fault}",
                phase="body" if self.response_started else "head",
            )
        )

    def raised(self, error: BaseException) -> AppError:
        """The error for an exception of the app."""
        return self.state(
            AppError(
                f"the app raised {type(error).__name__} while it answered "
                f"{self.method} {show_url(self.url)}: {error}",
                phase="body" if self.response_started else "head",
            )
        )

    def truncated(self, received: int, remaining: int | None, why: str) -> BodyTruncated:
        """The error for a body that ended too early."""
        expected = None if remaining is None else received + remaining
        of = "" if expected is None else f" of {expected}"
        error = BodyTruncated(
            f"the body ended after {received}{of} bytes: {why}",
            received=received,
            expected=expected,
        )
        return self.state(error)
