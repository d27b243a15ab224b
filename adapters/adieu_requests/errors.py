"""The errors of adieu as those of requests and of urllib3, and the other way round."""

from __future__ import annotations

from http.client import IncompleteRead
from typing import TYPE_CHECKING

from requests import exceptions
from urllib3 import exceptions as below

import adieu
from adieu.texts import show

if TYPE_CHECKING:
    from requests import PreparedRequest

    from adieu.errors import Phase, Sent
    from adieu.lifecycle.deadline import Deadline, Wait

__all__ = ["BrokenResponse", "as_adieu", "as_requests", "as_urllib3", "without_secrets"]


class BrokenResponse(
    exceptions.ConnectionError, exceptions.ChunkedEncodingError, exceptions.InvalidHeader
):
    """The server answered, and not in HTTP/1.1, or broke off.

    requests raises one of the three, depending on what `http.client` made of the bytes. Code that expects any of them
    gets it.
    """


# The first class that fits counts.
_CLASSES: tuple[tuple[type[adieu.AdieuError], type[exceptions.RequestException]], ...] = (
    # Safe to send again, which is what requests says of its ConnectTimeout.
    (adieu.PoolTimeout, exceptions.ConnectTimeout),
    (adieu.ConnectTimeout, exceptions.ConnectTimeout),
    (adieu.RequestTimeout, exceptions.ReadTimeout),
    (adieu.ProxyError, exceptions.ProxyError),
    (adieu.TLSError, exceptions.SSLError),
    (adieu.InvalidHeader, exceptions.InvalidHeader),
    (adieu.InvalidURL, exceptions.InvalidURL),
    (adieu.TransportError, exceptions.ConnectionError),
    (adieu.ClientClosed, exceptions.ConnectionError),
)


def as_requests(error: adieu.AdieuError, request: PreparedRequest) -> exceptions.RequestException:
    """The error that requests raises for the same reason, around the one of urllib3."""
    kind = next((theirs for ours, theirs in _CLASSES if isinstance(error, ours)), None)
    if isinstance(error, adieu.TransportError):
        if isinstance(error, adieu.RequestTimeout):
            if error.phase == "body":
                kind = exceptions.ConnectionError  # As requests: its timeouts end with the head.
        elif error.response_started:
            kind = BrokenResponse
    return (kind or exceptions.RequestException)(as_urllib3(error), request=request)


def as_urllib3(error: adieu.AdieuError) -> below.HTTPError:
    """The error that urllib3 raises for the same reason; requests makes its own of those that reading raises."""
    text = str(error)
    if isinstance(error, (adieu.ConnectTimeout, adieu.PoolTimeout)):
        return below.ConnectTimeoutError(text)
    if isinstance(error, adieu.RequestTimeout):
        # Programs look for these three words.
        text = f"Read timed out. ({text})"
        timeout = below.ReadTimeoutError(None, error.url, text)  # type: ignore[arg-type]
        timeout.args = (text,)  # Without "None: ", for there is no pool of urllib3's.
        return timeout
    if isinstance(error, adieu.BodyTruncated):
        missing = None if error.expected is None else error.expected - error.received
        return below.ProtocolError(text, IncompleteRead(b"", missing))
    if isinstance(error, adieu.ProxyError):
        return below.ProxyError(text, error)
    if isinstance(error, adieu.TLSError):
        return below.SSLError(text)
    if isinstance(error, adieu.InvalidRequest):
        return below.HTTPError(text)
    return below.ProtocolError(text, error)


# The first that fits counts. "no": nothing of the request can have been sent.
_OURS: tuple[tuple[type[Exception], type[adieu.TransportError], Sent], ...] = (
    (exceptions.ConnectTimeout, adieu.ConnectTimeout, "no"),
    (exceptions.Timeout, adieu.ReadTimeout, "partly"),
    (exceptions.ProxyError, adieu.ProxyError, "no"),
    (exceptions.SSLError, adieu.TLSError, "partly"),
    (exceptions.ChunkedEncodingError, adieu.ProtocolError, "wholly"),
    # Of an answer; a request with a wrong field never gets here.
    (exceptions.InvalidHeader, adieu.ProtocolError, "wholly"),
    (below.EmptyPoolError, adieu.PoolTimeout, "no"),
    (below.ConnectTimeoutError, adieu.ConnectTimeout, "no"),
    (below.TimeoutError, adieu.ReadTimeout, "partly"),
    (OSError, adieu.ReadError, "partly"),  # requests' ConnectionError is one.
    (below.HTTPError, adieu.ReadError, "partly"),
)


def as_adieu(
    error: Exception, phase: Phase, method: str, url: str, deadline: Deadline
) -> Exception:
    """The error of adieu's for one of requests', of urllib3's or of a file; any other one is returned as it is.

    Where requests does not tell whether the request was sent, "partly" is said, which is not safe to send again.
    """
    if isinstance(error, exceptions.InvalidURL):
        return adieu.InvalidURL(str(error))
    found = None if isinstance(error, adieu.AdieuError) else _found(error)
    if found is None:
        return error
    if isinstance(found, adieu.RequestTimeout):
        found = _timeout(found, deadline)
    if phase == "body":
        found.phase, found.request_sent, found.response_started = "body", "wholly", True
    found.method, found.url = method, url
    return found


def _timeout(found: adieu.RequestTimeout, deadline: Deadline) -> adieu.RequestTimeout:
    """The same with the limit that was set, if there was one."""
    wait: Wait = "connect" if isinstance(found, adieu.ConnectTimeout) else "read"
    if deadline.remaining_since(wait, 0) is None or isinstance(found, adieu.PoolTimeout):
        return found
    exceeded = deadline.exceeded(wait)
    exceeded.request_sent = found.request_sent
    return exceeded


def without_secrets(error: Exception) -> Exception:
    """The same error, which shows whole URLs in its texts and in those of its reasons: with the secrets masked."""
    for each in _chain(error):
        each.args = tuple(show(arg) if isinstance(arg, str) else arg for arg in each.args)
    return error


def _chain(error: BaseException) -> list[BaseException]:
    """An error with its reasons, and those in its arguments."""
    found: list[BaseException] = []
    left: list[object] = [error]
    while left:
        each = left.pop()
        if isinstance(each, BaseException) and each not in found:
            found.append(each)
            left += [*each.args, each.__cause__, each.__context__]
    return found


def _is_of_a_handshake(error: Exception) -> bool:
    """Whether a time limit was exceeded in a TLS handshake, which urllib3 takes for a read."""
    return any(
        isinstance(each, TimeoutError) and "handshake operation" in str(each)
        for each in _chain(error)
    )


def _found(error: Exception) -> adieu.TransportError | None:
    text = f"{type(error).__name__}: {show(str(error))}"
    reason = _reason(error)
    if isinstance(reason, below.IncompleteRead):
        # Only for a body of known length, of which it says how much came, and how much is missing.
        whole = reason.partial + reason.expected
        return adieu.BodyTruncated(text, received=reason.partial, expected=whole)
    if isinstance(reason, IncompleteRead):
        return adieu.BodyTruncated(text)
    if isinstance(reason, below.NameResolutionError):
        return adieu.DNSError(text)
    if isinstance(reason, below.NewConnectionError):
        return adieu.ConnectError(text)
    if _is_of_a_handshake(error):
        return adieu.ConnectTimeout(text, request_sent="no")
    for theirs, ours, sent in _OURS:
        if isinstance(error, theirs):
            return ours(text, request_sent=sent)
    return None


def _reason(error: Exception) -> object:
    """The error below those in which requests and urllib3 wrap it."""
    found: object = error
    while isinstance(found, Exception):
        if isinstance(found, (IncompleteRead, below.NewConnectionError)):
            return found
        inner = found.reason if isinstance(found, below.MaxRetryError) else found.args[-1:]
        found = inner[0] if isinstance(inner, tuple) and inner else inner
    return error
