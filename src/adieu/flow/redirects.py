"""Redirects (RFC 9110, section 15.4): the next request, and which fields and content of the last one it keeps."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, TypedDict

from adieu.errors import InvalidURL, RedirectError, TooManyRedirects
from adieu.messages.request import Request
from adieu.messages.url.split import shown
from adieu.texts import show_reference, show_url

if TYPE_CHECKING:
    from adieu.messages.response import ResponseHead
    from adieu.messages.url import URL

__all__ = ["REDIRECTS", "follow", "redirected"]

REDIRECTS = frozenset((301, 302, 303, 307, 308))
_WEB = ("http", "https")
# The fields that describe content besides Content-*, its digests (RFC 9530, RFC 3230), and the fields about sending it
# (RFC 9110, section 15.4). They are dropped with it.
_WITH_CONTENT = frozenset(
    ("digest", "expect", "last-modified", "repr-digest", "trailer", "transfer-encoding")
)

# The fields that may follow a redirect to another origin: those by which a request says what it is and what it would
# like, and those of its content. Any other may be meant for the first origin alone, and no list of words finds every
# name of a secret. Host is among the others: one of the user's own names a virtual host of the first origin.
_ANY_ORIGIN = frozenset(
    (
        "accept", "accept-charset", "accept-encoding", "accept-language", "accept-ranges", "accept-patch",
        "cache-control", "pragma", "priority", "prefer", "user-agent", "dnt", "sec-gpc", "save-data",
        "connection", "keep-alive", "te", "trailer", "transfer-encoding", "expect", "upgrade",
        "content-digest", "content-disposition", "content-encoding", "content-language", "content-length",
        "content-location", "content-md5", "content-range", "content-type", "digest", "repr-digest", "last-modified",
        "want-content-digest", "want-digest", "want-repr-digest", "mime-version", "soapaction",
        "range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since",
        "date", "idempotency-key", "traceparent", "max-forwards", "depth", "x-requested-with",
        "x-http-method-override", "access-control-request-headers", "access-control-request-method",
        "sec-websocket-extensions", "sec-websocket-key", "sec-websocket-protocol", "sec-websocket-version",
    )
)  # fmt: skip


def follow(request: Request, max_redirects: int) -> Generator[Request, ResponseHead, None]:
    """Yield the requests of a call, one after the other, and receive their responses. Ends when one is no redirect."""
    hops = 0
    while True:
        response = yield request
        if response.status_code not in REDIRECTS or "location" not in response.headers:
            return
        if request.method == "CONNECT":
            return  # A proxy cannot name another proxy: any status but 2xx is a refusal (RFC 9110, section 9.3.6).
        if hops >= max_redirects:
            raise TooManyRedirects(
                f"{hops} redirects were followed, and there is one more (max_redirects={max_redirects})",
                limit=max_redirects,
                **_facts(request, response),
            )
        hops += 1
        request = redirected(request, response)


def redirected(request: Request, response: ResponseHead) -> Request:
    """The request that a redirect asks for. Raises `RedirectError` if that is impossible or refused."""
    status = response.status_code
    target = _target(request, response)
    if request.url.scheme == "https" and target.scheme == "http":
        raise RedirectError(
            f"it redirects from https to {show_url(target)}; the request could be read on its way",
            **_facts(request, response),
        )
    if request.url.scheme in _WEB and target.scheme not in _WEB:
        raise RedirectError(
            f"it redirects to {show_url(target)}, which is not on the web: "
            "a web server must not choose what else is opened (a file, say)",
            **_facts(request, response),
        )
    method = _method(request.method, status)
    following = request.copy()
    following.method = method
    following.url = target
    headers = following.headers
    if method != request.method:
        for name in list(headers):
            if name.lower().startswith("content-") or name.lower() in _WITH_CONTENT:
                del headers[name]
        following.content = Request(method, target).content
    elif not request.content.sendable:
        raise RedirectError(
            f"it redirects with {status}, so the content must be sent again, "
            "but it was an iterator that has been used up: pass bytes, a file or a list",
            **_facts(request, response),
        )
    if target.origin != request.url.origin:
        for name in [name for name in headers if name.lower() not in _ANY_ORIGIN]:
            del headers[name]
    return following


class _Facts(TypedDict):
    method: str
    url: str
    status_code: int
    location: str


def _facts(request: Request, response: ResponseHead) -> _Facts:
    """The facts of a `RedirectError`."""
    return {
        "method": request.method,
        "url": str(request.url),
        "status_code": response.status_code,
        "location": show_reference(response.headers.get_list("location")[0], 1000),
    }


def _target(request: Request, response: ResponseHead) -> URL:
    url = request.url
    location = response.headers.get_list("location")[0]
    if not location.isascii():
        # Raw bytes, mostly UTF-8. Browsers escape the bytes; decoded as Latin-1 they would be other characters.
        location = "".join(c if c < "\x80" else f"%{ord(c):02X}" for c in location)
    try:
        target = url.join(location)
    except InvalidURL as error:
        raise RedirectError(
            f"it redirects to {shown(location)}, which is no URL: {error}",
            **_facts(request, response),
        ) from error
    if target.fragment is None and url.fragment is not None:
        target = target.replace(fragment=url.fragment)  # RFC 9110, section 10.2.2
    # A user name and password in a Location are the server's, not the user's.
    return target.without_userinfo()


def _method(method: str, status: int) -> str:
    if status == 303 and method not in ("GET", "HEAD"):
        return "GET"
    if status in (301, 302) and method == "POST":
        return "GET"  # As all clients do, and RFC 9110, sections 15.4.2 and 15.4.3, now allows.
    return method
