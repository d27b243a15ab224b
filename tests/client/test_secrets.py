"""No text shows a secret of a URL's query, or what a peer sent as it is: errors, reprs, reports, warnings, events."""

from __future__ import annotations

import gc
import traceback
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from support.places import PLACES, Place, placed
from support.stage import caught

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adieu.testing.faults import Ending, FaultServer, Peer
    from adieu.testing.request import Request as Received
    from support.watch import Watch

NAMES = ("api_key", "sig", "key", "code", "auth", "jwt", "X-Amz-Signature", "api%5Fkey", "q")
SECRET = "hunter2Hunter2hunter2"  # Under a name that says nothing it is known by its form.
QUERY = "&".join(f"{name}={SECRET}" for name in NAMES)

REPLIES = {
    "/bad-field": b"HTTP/1.1 200 OK\r\nSet-Cookie x=%b\r\n\r\n" % SECRET.encode(),
    "/bad-line": b"HTTP/1.1 OK\r\nSet-Cookie: x=hunter2; Path=/\r\n\r\n",
    "/bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\x1b\r\n",
    "/bad-gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno",
    "/reason": b"HTTP/1.1 500 token=%b \x9b2J\r\nContent-Length: 0\r\n\r\n" % SECRET.encode(),
    "/too-large": b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000,
}
FAILURES = {
    "/to-ftp": adieu.RedirectError,
    "/to-nowhere": adieu.RedirectError,
    "/loop": adieu.TooManyRedirects,
    "/bad-field": adieu.ProtocolError,
    "/bad-line": adieu.ProtocolError,
    "/bad-chunk": adieu.ProtocolError,
    "/bad-gzip": adieu.DecodeError,
    "/too-large": adieu.BodyTooLarge,
    "/reason": adieu.StatusError,
    "/status/404": adieu.StatusError,
    "/truncated": adieu.BodyTruncated,
    "/reset": adieu.ReadError,
    "/close": adieu.PeerClosed,
    "/stall-head": adieu.ReadTimeout,
    "/stall-body": adieu.DeadlineExceeded,
}
TIMEOUT = {"/stall-head": adieu.Timeout(read=0.1), "/stall-body": adieu.Timeout(total=0.2)}


@pytest.fixture(params=PLACES)
def place(
    request: pytest.FixtureRequest, fault_server: FaultServer, census: Watch
) -> Iterator[Place]:
    yield from placed(request.param, fault_server, census)


def redirecting(to: str) -> Callable[[Peer, Received], Ending]:
    def redirect(peer: Peer, request: Received) -> Ending:
        peer.reply(302, b"", [("location", to)])
        return "keep"

    return redirect


def closing(peer: Peer, request: Received) -> Ending:
    return "close"


class Recorder(adieu.Events):
    """Every event as a line of text."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name == "lines":
            return object.__getattribute__(self, name)
        return lambda *facts: self.lines.append(f"{name} {facts}")


def shows_nothing(texts: list[str]) -> None:
    assert [text for text in texts if "hunter2" in text.lower()] == []
    assert [text for text in texts if "\x1b" in text or "\x9b" in text] == []


def full_text(error: BaseException) -> str:
    """The error as a log has it, with its causes."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def prepare(server: FaultServer) -> None:
    for path, reply in REPLIES.items():
        server.reply(path, reply)
    server.on("/close", closing)
    server.on("/to-ftp", redirecting(f"ftp://h/?{QUERY}"))
    server.on("/to-nowhere", redirecting(f"http://h:x/?{QUERY}#token={SECRET}"))
    server.on("/loop", redirecting(f"/loop?{QUERY}"))


@pytest.mark.parametrize("path", FAILURES)
def test_an_error_names_its_request_and_shows_no_secret(place: Place, path: str) -> None:
    prepare(place.server)
    recorder = Recorder()
    retry = adieu.Retry(1, backoff=0)

    def call(client: Any) -> None:
        timeout = TIMEOUT.get(path, 30)
        place.get(client, f"{path}?{QUERY}", timeout=timeout).raise_for_status().json()

    with place.block(place.client(events=recorder, retry=retry, max_body=2000)) as client:
        error = caught(FAILURES[path], call, client)
        texts = [str(error), repr(error), full_text(error), *recorder.lines]
    shows_nothing(texts)
    assert f"GET {place.server.url}{path}?api_key=***&" in str(error)


def test_a_report_shows_no_secret(place: Place) -> None:
    recorder = Recorder()
    options: dict[str, Any] = {"events": recorder, "limits": adieu.Limits(1)}
    url = f"/bytes?n=300000&{QUERY}"
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with place.block(place.client(**options)) as client:
            with place.block(client.stream("GET", url)) as response:
                texts += [repr(response.request), response.request.as_curl(), repr(response)]
                texts += [repr(response.body), repr(response.body.exchange)]
                texts += [f"{line} {line!r}" for line in client.connections()]
                wait = adieu.Timeout(pool=0.05)
                error = caught(adieu.PoolTimeout, place.get, client, f"/ok?{QUERY}", timeout=wait)
                assert isinstance(error, adieu.PoolTimeout)
                texts += [full_text(error), repr(error), str(error.holders)]
                # It names its own request, and those that hold the connections.
                assert f"(GET {place.server.url}/ok?api_key=***&" in str(error)
                assert f"GET {place.server.url}/bytes?n=300000&api_key=***&" in str(error)
            unread = place.get(client, url, cleanup=adieu.ReleaseOnRead())
            del response, unread, error
            gc.collect()
    texts += recorder.lines
    texts += [str(each.message) for each in warned]
    assert any("dropped unread" in text for text in texts)
    shows_nothing(texts)


def test_content_that_is_no_json_is_described_and_not_quoted(place: Place) -> None:
    answer = b"access_token=%b&token_type=bearer" % SECRET.encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
    place.server.reply("/token", head % len(answer) + answer)
    page = b"<!doctype html>"
    place.server.reply("/page", head.replace(b"plain", b"html") % len(page) + page)
    with place.block(place.client()) as client:
        error = caught(adieu.DecodeError, place.get(client, "/token").json)
        page_error = caught(adieu.DecodeError, place.get(client, "/page").json)
    shows_nothing([full_text(error)])
    assert f"it is {len(answer)} bytes of text/plain (`content` has them)" in str(error)
    assert "15 bytes of text/html that begins as HTML or XML does" in str(page_error)
    assert f"(GET {place.server.url}/token)" in str(error)


def test_too_many_redirects_have_facts(place: Place) -> None:
    place.server.on("/loop", redirecting("/loop"))
    with place.block(place.client(max_redirects=3)) as client:
        error = caught(adieu.TooManyRedirects, place.get, client, "/loop")
    assert isinstance(error, adieu.TooManyRedirects)
    url = f"{place.server.url}/loop"
    facts = error.limit, error.method, error.url, error.status_code, error.location
    assert facts == (3, "GET", url, 302, "/loop")
    text = f"3 redirects were followed, and there is one more (max_redirects=3) (GET {url})"
    assert str(error) == text


def test_a_redirect_to_an_address_is_shown_as_it_is(place: Place) -> None:
    place.server.on("/mail", redirecting("mailto:joe@example.org"))
    with place.block(place.client()) as client:
        error = caught(adieu.RedirectError, place.get, client, "/mail")
    assert str(error).startswith("it redirects to mailto:joe@example.org, which is not on the web")


@pytest.mark.parametrize("kind", [str, adieu.URL, lambda url: adieu.Request("GET", url)])
def test_an_outcome_shows_no_secret(fault_server: FaultServer, kind: Callable[[str], Any]) -> None:
    url = f"{fault_server.url}/truncated?n=900&sent=500&token=31d4"
    with adieu.Client(proxy=None) as client:
        (outcome,) = client.map([kind(url)])
    assert "/truncated?n=900&sent=500&token=***" in repr(outcome)
    assert "31d4" not in repr(outcome) + str(outcome.error)
    assert "BodyTruncated(" in repr(outcome)
