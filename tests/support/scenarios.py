"""Scenarios: one function for each way in which an exchange can end. The tests run all and check what is left open.

A scenario gets a stage and a client that may have one connection. It returns the object that its caller would keep: the
exception, the response, the chunk. It must not make a reference cycle, so it stores no exception in a variable: the
traceback of the exception refers to the frame that called, and so to the variable.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from unittest import mock

import adieu
from adieu.lifecycle.threads import BackgroundThread
from adieu.testing import TLSFaults, refused_port
from servers import FullHole
from support.proxies import FaultProxy
from support.stage import caught
from support.three_requests import ThreeRequestsAuth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adieu.testing.faults_net import TLSFault
    from support.stage import Stage

__all__ = ["SCENARIOS", "Failing", "Oops", "Scenario", "classic_script", "play_twice"]

LARGE = "/bytes?n=1000000"
SHORT = adieu.Timeout(connect=30, read=0.02, write=0.02, pool=30)
_SOON = adieu.Timeout(connect=30, read=0.05, write=30, pool=30)


Play = Callable[["Stage", Any], object]


class Oops(Exception):
    """An error that the user's code raises."""


class Failing(adieu.CleanupPolicy):
    """Another policy, of which one hook raises."""

    def __init__(
        self, inner: adieu.CleanupPolicy, hook: str, error: Callable[[], BaseException]
    ) -> None:
        self.inner = inner
        self.hook = hook
        self.error = error

    @property
    def keep_alive(self) -> bool:  # type: ignore[override]
        return self.inner.keep_alive

    def _ask(self, hook: str, *question: Any) -> Any:
        if hook == self.hook:
            raise self.error()
        return getattr(self.inner, hook)(*question)

    def on_headers(self, view: Any) -> Any:
        return self._ask("on_headers", view)

    def on_complete(self, view: Any) -> Any:
        return self._ask("on_complete", view)

    def on_close(self, view: Any, why: Any) -> Any:
        return self._ask("on_close", view, why)

    def on_client_close(self, view: Any) -> Any:
        return self._ask("on_client_close", view)

    def on_abandoned(self, info: Any) -> None:
        self._ask("on_abandoned", info)


class Scenario(NamedTuple):
    """A name, a function, and the options of the client.

    `connects` is false if no exchange begins, so that no policy is ever called. `needs`: see `support.needs`.
    """

    name: str
    play: Play
    options: dict[str, Any]
    connects: bool
    needs: str | None


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    name: str = "", *, connects: bool = True, needs: str | None = None, **options: Any
) -> Callable[[Play], Play]:
    def add(play: Play) -> Play:
        known = name or play.__name__.strip("_").replace("_", "-")
        SCENARIOS[known] = Scenario(known, play, options, connects, needs)
        return play

    return add


def play_twice(stage: Stage, scenario: Scenario) -> None:
    """Play it on a client with one connection. The next call works, and after the block no socket is open."""
    with stage.block(stage.one(**scenario.options)) as client:
        held = scenario.play(stage, client)
        assert stage.in_use(client) == []
        assert stage.sockets() == len(client.connections())
        stage.next_works(client)
        # The same again, perhaps on a reused connection.
        again = scenario.play(stage, client)
        assert stage.in_use(client) == []
        stage.next_works(client)
        assert stage.sockets() == len(client.connections()) <= 1
    assert stage.nothing_open()
    assert held is not None
    assert again is not None


def classic_script(stage: Stage, client: Any, times: int) -> list[Any]:
    """Requests of each kind, as people write them: read, unread or failed. All results stay referenced."""
    held = [stage.get(client, "/bytes?n=500", "HEAD") for _ in range(times)]
    for _ in range(times):
        response = stage.get(client, "/bytes?n=20000")
        assert len(stage.read(response)) == 20_000
        held.append(response)
    for _ in range(times):
        held.append(stage.get(client, "/bytes?n=500"))
        held.append(stage.get(client, "/bytes?n=20000"))
    for _ in range(times):
        missing = stage.get(client, "/status/404?body=20000")
        assert missing.status_code == 404
        held.append(missing)
    chain = stage.get(client, "/redirect?n=3&body=500")
    assert chain.status_code == 200
    assert len(chain.history) == 3
    held.append(chain)
    held.append(caught(adieu.ReadTimeout, stage.get, client, "/stall-head", timeout=_SOON))
    held.append(caught(Oops, _leave_in_the_middle, stage, client))
    return held


def _leave_in_the_middle(stage: Stage, client: Any) -> None:
    with stage.block(client.stream("GET", "/bytes?n=1000000")) as response:
        for _ in stage.runner.each(response.iter_bytes()):
            raise Oops


def _stream(stage: Stage, client: Any, path: str, use: Callable[[Any], object]) -> object:
    """Use a response in its `with` block."""
    with stage.block(client.stream("GET", path)) as response:
        kept = use(response)
    return response, kept


# Left by the user

_PATHS = {
    "small": "/ok",
    "large": LARGE,
    "chunked": "/chunked?n=200000&size=5000",
    "until-close": "/until-close?n=200000",
}


def _left(path: str, how: str) -> Play:
    def play(stage: Stage, client: Any) -> object:
        def use(response: Any) -> object:
            if how == "unread":
                return None
            pieces = stage.runner.each(response.iter_bytes())
            first = next(pieces)
            if how == "iterator-dropped":
                del pieces
                return first
            if how == "iterator-closed":
                pieces.close()  # type: ignore[attr-defined]
            return first, pieces

        return _stream(stage, client, path, use)

    return play


for _name, _path in _PATHS.items():
    for _how in ("unread", "partly-read", "iterator-dropped", "iterator-closed"):
        scenario(f"{_how}-{_name}")(_left(_path, _how))


scenario("unread-stalled")(_left("/stall-body?n=2000&sent=1000&seconds=30", "unread"))


def _raised(error: Callable[[], BaseException], read: bool) -> Play:
    def play(stage: Stage, client: Any) -> object:
        def use(response: Any) -> NoReturn:
            if read:
                next(stage.runner.each(response.iter_bytes()))
            raise error()

        return caught(BaseException, _stream, stage, client, LARGE, use)

    return play


for _error in (Oops, KeyboardInterrupt, SystemExit, GeneratorExit):
    scenario(f"block-raises-{_error.__name__}")(_raised(_error, read=False))
    scenario(f"block-raises-{_error.__name__}-in-the-body")(_raised(_error, read=True))


@scenario()
def _closed_by_hand(stage: Stage, client: Any) -> object:
    response = stage.get(client, LARGE)
    stage.run(response.close())
    stage.run(response.close())
    return response


@scenario()
def _closed_by_hand_in_the_middle(stage: Stage, client: Any) -> object:
    response = stage.run(client.stream("GET", LARGE))
    pieces = stage.runner.each(response.iter_bytes())
    first = next(pieces)
    stage.run(response.close())
    return response, first, caught(adieu.BodyClosed, next, pieces)


@scenario()
def _status_404_unread(stage: Stage, client: Any) -> object:
    response = stage.get(client, "/status/404?body=900000")
    return caught(adieu.StatusError, response.raise_for_status)


@scenario()
def _status_500_in_a_block(stage: Stage, client: Any) -> object:
    def fail(response: Any) -> object:
        return response.raise_for_status()

    return caught(adieu.StatusError, _stream, stage, client, "/status/500?body=900000", fail)


# Bodies that cannot be decoded


def _whole(stage: Stage, client: Any, path: str, method: str = "GET", **options: Any) -> object:
    response = stage.get(client, path, method, **options)
    return stage.read(response)


def _pieces(stage: Stage, client: Any, path: str, **options: Any) -> list[Any]:
    with stage.block(client.stream("GET", path, **options)) as response:
        return list(stage.runner.each(response.iter_bytes()))


for _size in (3_000, 300_000):

    @scenario(f"decode-error-{_size}")
    def _decode_error(stage: Stage, client: Any, size: int = _size) -> object:
        return caught(adieu.DecodeError, _whole, stage, client, f"/broken-gzip?n={size}")

    @scenario(f"decode-error-in-a-stream-{_size}")
    def _decode_error_in_a_stream(stage: Stage, client: Any, size: int = _size) -> object:
        return caught(adieu.DecodeError, _pieces, stage, client, f"/broken-gzip?n={size}")


# User code that raises


def _hooked(error: Callable[[], BaseException]) -> Callable[[Any], None]:
    def hook(subject: Any) -> None:
        if "boom" in str(subject.url):
            raise error()

    return hook


for _kind in ("request", "response"):
    for _error in (Oops, KeyboardInterrupt, SystemExit, GeneratorExit):

        @scenario(f"{_kind}-hook-raises-{_error.__name__}", event_hooks={_kind: [_hooked(_error)]})
        def _hook_raises(stage: Stage, client: Any, error: type[BaseException] = _error) -> object:
            return (
                caught(error, _whole, stage, client, LARGE + "&boom=1"),
                caught(error, _pieces, stage, client, "/bytes?n=50&boom=1"),
            )


def _caught_if_asked(
    stage: Stage, error: Any, call: Any, client: Any, path: str, policy: adieu.CleanupPolicy
) -> object:
    if stage.adapter == "close":
        # That decides how the connection ends, so this hook is never called.
        call(stage, client, path, cleanup=policy)
        return "not asked"
    return caught(error, call, stage, client, path, cleanup=policy)


for _error in (Oops, KeyboardInterrupt):

    @scenario(f"policy-raises-{_error.__name__}-at-the-headers")
    def _on_headers(stage: Stage, client: Any, error: Any = _error) -> object:
        policy = Failing(stage.policy or adieu.Prefetch(), "on_headers", error)
        return caught(error, _whole, stage, client, LARGE, cleanup=policy)

    @scenario(f"policy-raises-{_error.__name__}-at-the-end")
    def _on_complete(stage: Stage, client: Any, error: Any = _error) -> object:
        policy = Failing(adieu.Prefetch(), "on_complete", error)
        return (
            _caught_if_asked(stage, error, _whole, client, LARGE, policy),
            _caught_if_asked(stage, error, _whole, client, "/empty", policy),
            _caught_if_asked(stage, error, _pieces, client, LARGE, policy),
        )

    @scenario(f"policy-raises-{_error.__name__}-at-the-exit")
    def _on_close(stage: Stage, client: Any, error: Any = _error) -> object:
        policy = Failing(adieu.ReleaseOnRead(), "on_close", error)

        def leave(stage: Stage, client: Any, path: str, cleanup: Any) -> None:
            with stage.block(client.stream("GET", path, cleanup=cleanup)):
                pass

        return _caught_if_asked(stage, error, leave, client, LARGE, policy)

    @scenario(f"policy-raises-{_error.__name__}-at-a-redirect")
    def _on_redirect(stage: Stage, client: Any, error: Any = _error) -> object:
        policy = Failing(adieu.ReleaseOnRead(), "on_close", error)
        return _caught_if_asked(stage, error, _whole, client, "/redirect?n=1&body=900000", policy)


def _bad_chunks(error: Callable[[], BaseException]) -> Iterator[bytes]:
    yield b"x" * 1000
    raise error()


for _error in (Oops, KeyboardInterrupt):

    @scenario(f"content-raises-{_error.__name__}")
    def _content_raises(stage: Stage, client: Any, error: Any = _error) -> object:
        # adieu wraps an error of the user's iterator in an error of its own, but not an interrupt.
        kinds = (error, adieu.AdieuError)
        return caught(kinds, _whole, stage, client, "/echo", "POST", content=_bad_chunks(error))


@scenario()
def _content_is_no_bytes(stage: Stage, client: Any) -> object:
    content: Any = iter([b"x" * 100, 42])
    return caught(adieu.InvalidRequest, _whole, stage, client, "/echo", "POST", content=content)


# Behaviour of the peer

for _path, _kind_of in {
    "/reset": adieu.ReadError,
    "/reset-body?n=100000&sent=500": adieu.ReadError,
    "/close": adieu.PeerClosed,
    "/truncated?n=100000&sent=500": adieu.BodyTruncated,
    "/truncated-chunked?where=size": adieu.BodyTruncated,
    "/truncated-chunked?where=data": adieu.BodyTruncated,
    "/truncated-chunked?where=end": adieu.BodyTruncated,
    "/truncated-chunked?where=trailer": adieu.BodyTruncated,
    "/endless-1xx?n=1000": adieu.ProtocolError,
    "/big-head?n=200000": adieu.ProtocolError,
    "/many-headers?n=5000": adieu.ProtocolError,
}.items():

    @scenario("peer" + _path.replace("/", "-").replace("?", "-").replace("&", "-"))
    def _peer(stage: Stage, client: Any, path: str = _path, kind: Any = _kind_of) -> object:
        return (
            caught(kind, _whole, stage, client, path),
            caught(kind, _pieces, stage, client, path),
        )


@scenario()
def _surplus(stage: Stage, client: Any) -> object:
    return [_whole(stage, client, path) for path in ("/surplus", "/second-response", "/surplus")]


@scenario()
def _early_answer_to_an_upload(stage: Stage, client: Any) -> object:
    content = b"x" * 5_000_000
    response = stage.get(client, "/early", "POST", content=content)
    assert response.status_code == 413
    # The policy has read its body, or closes it unread.
    stage.run(response.close())
    return response


# Time


@scenario()
def _head_timeout(stage: Stage, client: Any) -> object:
    return caught(adieu.ReadTimeout, _whole, stage, client, "/stall-head", timeout=SHORT)


@scenario()
def _body_timeout(stage: Stage, client: Any) -> object:
    path = "/stall-body?n=90000&sent=500"
    return (
        caught(adieu.ReadTimeout, _whole, stage, client, path, timeout=SHORT),
        caught(adieu.ReadTimeout, _pieces, stage, client, path, timeout=SHORT),
    )


@scenario()
def _write_timeout(stage: Stage, client: Any) -> object:
    content = b"x" * 20_000_000
    return caught(
        adieu.WriteTimeout,
        _whole,
        stage,
        client,
        "/stall-read",
        "POST",
        content=content,
        timeout=SHORT,
    )


@scenario()
def _total_exceeded(stage: Stage, client: Any) -> object:
    brief = adieu.Timeout(total=0.02)
    return (
        caught(adieu.DeadlineExceeded, _whole, stage, client, "/drip-head", timeout=brief),
        caught(adieu.DeadlineExceeded, _whole, stage, client, "/drip", timeout=brief),
        caught(adieu.DeadlineExceeded, _pieces, stage, client, "/drip", timeout=brief),
    )


@scenario()
def _pool_timeout(stage: Stage, client: Any) -> object:
    brief = adieu.Timeout(pool=0.02)
    held = stage.run(client.stream("GET", LARGE))
    return (
        caught(adieu.PoolTimeout, _whole, stage, client, "/ok", timeout=brief),
        stage.run(held.close()),
    )


# No connection


def _tls(kind: TLSFault) -> Play:
    def play(stage: Stage, client: Any) -> object:
        with TLSFaults(kind) as server:
            stage.watch.also(server.port)
            brief = adieu.Timeout(connect=0.02 if kind == "stall" else 30)
            expected = adieu.ConnectTimeout if kind == "stall" else adieu.ConnectError
            return (
                caught(expected, _whole, stage, client, server.url, timeout=brief),
                stage.nothing_open(),
            )

    return play


for _fault in ("stall", "close", "reset", "plain", "alert", "half"):
    scenario(f"tls-{_fault}", connects=False)(_tls(_fault))


@scenario(connects=False)
def _refused(stage: Stage, client: Any) -> object:
    with refused_port() as port:
        stage.watch.also(port)
        return caught(adieu.ConnectError, _whole, stage, client, f"http://127.0.0.1:{port}/")


@scenario(connects=False)
def _connect_timeout(stage: Stage, client: Any) -> object:
    with FullHole() as hole:
        stage.watch.also(hole.port)
        brief = adieu.Timeout(connect=0.02)
        return caught(adieu.ConnectTimeout, _whole, stage, client, hole.url, timeout=brief)


def _no_such_name(*_: object) -> NoReturn:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@scenario(connects=False)
def _dns_failure(stage: Stage, client: Any) -> object:
    with mock.patch.object(socket, "getaddrinfo", _no_such_name):
        return caught(adieu.DNSError, _whole, stage, client, "http://nowhere.invalid/")


@scenario(connects=False)
def _dns_stall(stage: Stage, client: Any) -> object:
    over = threading.Event()

    def stalled(*_: object) -> NoReturn:
        over.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    brief = adieu.Timeout(connect=0.02)
    try:
        with mock.patch.object(socket, "getaddrinfo", stalled):
            url = "http://nowhere.invalid/"
            return caught(adieu.ConnectTimeout, _whole, stage, client, url, timeout=brief)
    finally:
        over.set()
        # The next call would join this look-up, and get its answer.
        for thread in threading.enumerate():
            if isinstance(thread, BackgroundThread) and thread.name.startswith("adieu-dns"):
                thread.wait(30)  # Not `join`, which raises if it has not begun yet.


def _proxy(fault: str) -> Play:
    def play(stage: Stage, client: Any) -> object:
        with FaultProxy(fault) as proxy:
            stage.watch.also(proxy.port)
            brief = adieu.Timeout(connect=0.02 if fault == "hangs" else 30)
            expected = adieu.ConnectTimeout if fault == "hangs" else adieu.ProxyError
            url, options = "https://127.0.0.1:9/", {"timeout": brief, "proxy": proxy.url}
            return (
                caught(expected, _whole, stage, client, url, **options),
                stage.nothing_open(),
            )

    return play


for _tunnel in ("refuses", "garbage", "hangs", "closes", "resets", "surplus"):
    scenario(f"proxy-{_tunnel}", connects=False)(_proxy(_tunnel))


# Redirects


@scenario()
def _redirect_with_fifty_megabytes(stage: Stage, client: Any) -> object:
    return stage.get(client, "/redirect?n=2&body=50000000", cleanup=stage.policy)


@scenario()
def _redirect_with_a_stalled_body(stage: Stage, client: Any) -> object:
    return stage.get(client, "/redirect?n=1&body=1000&stall=30")


@scenario()
def _redirect_loop(stage: Stage, client: Any) -> object:
    return caught(adieu.TooManyRedirects, _whole, stage, client, "/redirect?n=50&body=900")


@scenario()
def _redirect_to_nowhere(stage: Stage, client: Any) -> object:
    path = "/redirect?n=1&to=http://[&body=100000"
    return caught(adieu.RedirectError, _whole, stage, client, path)


@scenario()
def _redirect_not_followed(stage: Stage, client: Any) -> object:
    path = "/redirect?n=1&body=100000"
    response = stage.get(client, path, follow_redirects=False)
    assert response.status_code == 302
    stage.run(response.close())
    return response


# Calls that are no exchange after all


@scenario(needs="upgrades")
def _upgrade(stage: Stage, client: Any) -> object:
    headers = {"upgrade": "shout", "connection": "upgrade"}
    response = stage.get(client, "/upgrade", headers=headers)
    stream = response.upgraded
    stage.run(stream.send(b"hello"))
    assert stage.run(stream.recv()) == b"HELLO"
    stage.next_works(client)
    stage.run(stream.close())
    return response


@scenario()
def _body_too_large(stage: Stage, client: Any) -> object:
    policy = adieu.Prefetch(max_bytes=1000)
    return (
        caught(adieu.BodyTooLarge, _whole, stage, client, LARGE, cleanup=policy),
        caught(adieu.BodyTooLarge, _whole, stage, client, "/chunked?n=9000", cleanup=policy),
    )


@scenario()
def _invalid_request(stage: Stage, client: Any) -> object:
    return (
        caught(adieu.InvalidURL, _whole, stage, client, "http://[::1/"),
        caught(adieu.AdieuError, _whole, stage, client, "ftp://127.0.0.1/"),
        caught(adieu.InvalidHeader, _whole, stage, client, "/ok", headers={"x": "a\r\nb"}),
    )


# Authentication


@scenario()
def _auth_on_one_connection(stage: Stage, client: Any) -> object:
    return _whole(stage, client, "/chunked?n=2000", auth=ThreeRequestsAuth())


@scenario()
def _auth_flow_raises_between(stage: Stage, client: Any) -> object:
    return caught(Oops, _whole, stage, client, "/chunked?n=2000", auth=ThreeRequestsAuth(Oops))
