"""The entries of the corpus, and the bytes that most of them begin with."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

__all__ = ["CHUNKED", "FIVE", "OK", "Reply", "Verdict", "bad", "good"]

Verdict = Literal["ok", "error"]

OK: Final = b"HTTP/1.1 200 OK\r\n"
FIVE: Final = b"Content-Length: 5\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"


class Reply(NamedTuple):
    """All bytes that a server sends in answer to one request.

    `request_method` is the method of that request (HEAD changes the framing). After `raw` the server closes if
    `closes`, else it waits for the next request. For the verdict ``ok``, the client must deliver `status` and `body`,
    and `reusable` says whether it may send another request on the connection. `why` names the rule.
    """

    name: str
    request_method: str
    raw: bytes
    closes: bool
    verdict: Verdict
    why: str
    status: int | None = None
    body: bytes | None = None
    reusable: bool = False


def good(
    name: str,
    raw: bytes,
    body: bytes,
    why: str,
    *,
    status: int = 200,
    method: str = "GET",
    closes: bool = False,
    reusable: bool = True,
) -> Reply:
    """An entry whose message the client must deliver."""
    return Reply(name, method, raw, closes, "ok", why, status, body, reusable)


def bad(name: str, raw: bytes, why: str, *, method: str = "GET") -> Reply:
    """An entry for which the client must raise an error."""
    return Reply(name, method, raw, closes=True, verdict="error", why=why)
