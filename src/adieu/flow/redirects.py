"""Redirects (RFC 9110, section 15.4): the next request, and which fields and content of the last one it keeps."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from adieu.errors import InvalidURL, RedirectError, TooManyRedirects
from adieu.messages.masking import is_secret
from adieu.messages.request import Request
from adieu.messages.url.split import shown

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
                f"{request.method} {request.url} redirects once more, after {hops} redirects (max_redirects)"
            )
        hops += 1
        request = redirected(request, response)


def redirected(request: Request, response: ResponseHead) -> Request:
    """The request that a redirect asks for. Raises `RedirectError` if that is impossible or refused."""
    status = response.status_code
    location = response.headers.get_list("location")[0]
    target = _target(request.url, location)
    if request.url.scheme == "https" and target.scheme != "https":
        raise RedirectError(
            f"{request.url} redirects from https to {target.scheme}:// ({target}); "
            "the request could be read on its way"
        )
    if request.url.scheme in _WEB and target.scheme not in _WEB:
        raise RedirectError(
            f"{request.url} redirects to {target}; "
            f"a web server must not choose what is requested at {target.scheme}:// (a file, say)"
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
    elif not request.content.replayable:
        raise RedirectError(
            f"{request.method} {request.url} redirects with {status}, so the content must be sent again, "
            "but it was an iterator that has been used up: pass bytes, a file or a list"
        )
    if target.origin != request.url.origin:
        # One of the user's own names a virtual host of that origin.
        headers.pop("host", None)
        # Fields that authenticate the user to one origin must not be sent to another: Authorization, Cookie, and the
        # like (X-Api-Key, Private-Token ...). They are the fields that no log shows.
        for name in [name for name in headers if is_secret(name)]:
            del headers[name]
    return following


def _target(url: URL, location: str) -> URL:
    if not location.isascii():
        # Raw bytes, mostly UTF-8. Browsers escape the bytes; decoded as Latin-1 they would be other characters.
        location = "".join(c if c < "\x80" else f"%{ord(c):02X}" for c in location)
    try:
        target = url.join(location)
    except InvalidURL as error:
        raise RedirectError(
            f"{url} redirects to {shown(location)}, which is no URL: {error}"
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
