"""A WSGI app as a server, in process: its environ, the limits of the app, and that its iterable is closed once."""

from __future__ import annotations

import contextlib
import gc
import io
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import pytest

import adieu
from adieu.client import call
from adieu.lifecycle.deadline import Deadline
from adieu_wsgi import AppError, NotWSGI, WSGIAdapter
from support.alarm import HAS_ALARMS, Alarm, fell_before
from support.stage import COUNTS_REFERENCES, POLICIES, caught, drop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.lifecycle

URL = "http://app.test"
TEXT = [("Content-Type", "text/plain")]


class Pieces:
    """An app's iterable that records the calls on it. It raises a piece that is an exception."""

    def __init__(self, *pieces: Any, shutdown_quietly: BaseException | None = None) -> None:
        self._pieces = iter(pieces)
        self.taken = 0
        self.closed = 0
        self._farewell = shutdown_quietly

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> bytes:
        assert not self.closed
        piece = next(self._pieces)
        self.taken += 1
        if isinstance(piece, BaseException):
            raise piece
        taken: bytes = piece
        return taken

    def close(self) -> None:
        self.closed += 1
        if self._farewell is not None:
            raise self._farewell


def giving(
    pieces: Any, status: str = "200 OK", headers: list[tuple[str, str]] | None = None
) -> Any:
    """An app that answers every request with these pieces."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, TEXT if headers is None else headers)
        return pieces

    return app


def client_of(app: Any, **options: Any) -> adieu.Client:
    own = ("raise_app_exceptions", "script_name", "remote_addr")
    adapter = WSGIAdapter(app, **{name: options.pop(name) for name in own if name in options})
    return adieu.Client(URL, adapter=adapter, **options)


def environ_for(method: str = "GET", url: str = "/", **options: Any) -> dict[str, Any]:
    """The environ that the app gets for a request."""
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ)
        start_response("200 OK", list(TEXT))
        return [b"seen"]

    script_name = options.pop("script_name", "")
    # The validator knows http and https only.
    checked = validator(app) if not url.startswith("app:") else app
    with client_of(checked, script_name=script_name) as client:
        assert client.request(method, url, **options).status_code == 200
    return seen


# The environ


def test_the_environ_names_the_request_as_cgi_does() -> None:
    environ = environ_for("POST", "/a/b?x=1&y=%20", content=b"hello", headers={"X-Some": "thing"})
    told = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a/b",
        "QUERY_STRING": "x=1&y=%20",
        "REQUEST_URI": "/a/b?x=1&y=%20",
        "CONTENT_LENGTH": "5",
        "SERVER_NAME": "app.test",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "app.test",
        "HTTP_X_SOME": "thing",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    assert {name: environ[name] for name in told} == told
    assert "CONTENT_TYPE" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ


def test_a_media_type_is_content_type_and_nothing_else() -> None:
    environ = environ_for("POST", json={"a": 1})
    assert environ["CONTENT_TYPE"] == "application/json"
    assert "HTTP_CONTENT_TYPE" not in environ


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://app.test/", ("https", "app.test", "443", "app.test")),
        ("https://app.test:8443/", ("https", "app.test", "8443", "app.test:8443")),
        ("http://[::1]:5000/", ("http", "[::1]", "5000", "[::1]:5000")),
        ("app://inner/", ("app", "inner", "80", "inner")),
    ],
)
def test_scheme_host_and_port_are_those_of_the_url(url: str, told: tuple[str, ...]) -> None:
    environ = environ_for(url=url)
    names = ("wsgi.url_scheme", "SERVER_NAME", "SERVER_PORT", "HTTP_HOST")
    assert tuple(environ[name] for name in names) == told


def test_a_host_field_of_the_caller_wins() -> None:
    environ = environ_for(headers={"Host": "shop.example.org"})
    assert environ["HTTP_HOST"] == "shop.example.org"
    assert environ["SERVER_NAME"] == "app.test"


def test_the_path_is_decoded_into_a_native_string() -> None:
    environ = environ_for(url="/caf%C3%A9/a%2Fb%25")
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/café/a/b%"
    assert environ["REQUEST_URI"] == "/caf%C3%A9/a%2Fb%25"


def test_repeated_fields_are_one_variable_and_cookies_are_joined_by_semicolons() -> None:
    fields = [("X-A", "1"), ("X-A", "2"), ("Cookie", "a=1"), ("Cookie", "b=2")]
    environ = environ_for(headers=fields)
    assert environ["HTTP_X_A"] == "1, 2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"


def test_a_field_with_an_underscore_cannot_pass_for_one_with_a_hyphen() -> None:
    environ = environ_for(headers=[("X-User", "me"), ("X_User", "root"), ("Remote_User", "root")])
    assert environ["HTTP_X_USER"] == "me"
    assert "HTTP_REMOTE_USER" not in environ


@pytest.mark.parametrize("script_name", ["/api", "/api/", "/a b", "/"])
def test_the_script_name_is_split_off_the_path(script_name: str) -> None:
    mounted = script_name.rstrip("/")
    with_path = environ_for(url=f"{mounted}/items", script_name=script_name)
    assert (with_path["SCRIPT_NAME"], with_path["PATH_INFO"]) == (mounted, "/items")
    bare = environ_for(url=mounted or "/", script_name=script_name)
    assert (bare["SCRIPT_NAME"], bare["PATH_INFO"]) == (mounted, "" if mounted else "/")


@pytest.mark.parametrize("path", ["/", "/apix", "/other/api"])
def test_a_url_that_is_not_below_the_script_name_is_refused(path: str) -> None:
    with (
        client_of(giving([b"x"]), script_name="/api") as client,
        pytest.raises(adieu.InvalidURL, match=r"is not below /api/"),
    ):
        client.get(path)


@pytest.mark.parametrize("wrong", ["api", 7, None])
def test_a_script_name_that_is_no_path_is_refused(wrong: Any) -> None:
    with pytest.raises(adieu.InvalidRequest, match='begins with "/"'):
        WSGIAdapter(giving([]), script_name=wrong)


def test_an_app_must_be_callable() -> None:
    with pytest.raises(adieu.InvalidRequest, match="a WSGI app is called with environ"):
        WSGIAdapter("app")  # type: ignore[arg-type]


def test_the_remote_address_may_be_chosen() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["REMOTE_ADDR"].encode()]

    with client_of(app, remote_addr="192.0.2.7") as client:
        assert client.get("/").text == "192.0.2.7"


# The request's content


def echo(read: Callable[[Any], bytes]) -> Any:
    """An app that answers with the content that this reads from its input."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = read(environ["wsgi.input"])
        start_response("200 OK", list(TEXT))
        return [body]

    return app


READERS: dict[str, Callable[[Any], bytes]] = {
    "read": lambda file: file.read(),
    "read all": lambda file: file.read(-1),
    "small reads": lambda file: b"".join(iter(lambda: file.read(3), b"")),
    "large reads": lambda file: b"".join(iter(lambda: file.read(100_000), b"")),
    "a byte, then all": lambda file: file.read(1) + file.read(),
    "lines": lambda file: b"".join(iter(file.readline, b"")),
    "readlines": lambda file: b"".join(file.readlines()),
    "iteration": b"".join,
}
CONTENTS: dict[str, Callable[[], Any]] = {
    "bytes": lambda: b"one\ntwo\nthree" * 1000,
    "a file": lambda: io.BytesIO(b"one\ntwo\nthree" * 1000),
    "a list": lambda: [b"one\n", b"two\n", b"three"] * 1000,
    "an iterator": lambda: (piece for piece in [b"one\n", b"two\n", b"three"] * 1000),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("content", CONTENTS)
def test_the_app_reads_the_content_however_it_likes(reader: str, content: str) -> None:
    with client_of(echo(READERS[reader])) as client:
        assert client.post("/", content=CONTENTS[content]()).content == b"one\ntwo\nthree" * 1000


def test_without_content_the_input_is_empty() -> None:
    with client_of(validator(echo(lambda file: bytes(file.read(10))))) as client:
        assert client.get("/").content == b""
        assert client.post("/").content == b""


def test_the_content_is_read_when_the_app_reads_it_and_not_before() -> None:
    given: list[int] = []

    def content() -> Iterator[bytes]:
        for number in range(3):
            given.append(number)
            yield b"%d" % number

    seen: list[list[int]] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        seen.append(given.copy())
        for _ in range(3):
            piece = environ["wsgi.input"].read(1)
            seen.append(given.copy())
            yield piece

    with client_of(app) as client, client.stream("POST", "/", content=content()) as response:
        assert seen == [[], [0]]
        pieces = response.iter_raw()
        assert next(pieces) == b"0"
        assert seen == [[], [0]]
        assert b"".join(pieces) == b"12"
        assert seen == [[], [0], [0, 1], [0, 1, 2]]


def test_content_of_unknown_length_ends_where_it_ends() -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ)
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    with client_of(app) as client:
        assert client.post("/", content=iter([b"a", b"b"])).content == b"ab"
    assert seen["wsgi.input_terminated"] is True
    assert "CONTENT_LENGTH" not in seen
    assert "HTTP_TRANSFER_ENCODING" not in seen


class _Oops(Exception):
    pass


def failing() -> Iterator[bytes]:
    yield b"first"
    raise _Oops("the disk")


@pytest.mark.parametrize("swallows", [False, True])
@pytest.mark.parametrize("raising", [False, True])
def test_an_error_of_the_content_is_raised_in_the_client_whatever_the_app_does(
    swallows: bool, raising: bool
) -> None:
    told: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            told.append(str(error))
            if not swallows:
                raise
        start_response("400 Bad Request", [])
        return [b"?"]

    with (
        client_of(app, raise_app_exceptions=raising) as client,
        pytest.raises(adieu.ContentError, match="the disk") as error,
    ):
        client.post("/", content=failing())
    assert isinstance(error.value.__cause__, _Oops)
    assert told == ["the client broke off in the middle of its request"]


@pytest.mark.parametrize(
    ("pieces", "text"), [([b"abc"], "2 bytes shorter"), ([b"abc", b"defgh"], "3 bytes longer")]
)
def test_content_that_is_not_as_long_as_announced_is_refused_as_on_the_wire(
    pieces: list[bytes], text: str
) -> None:
    with (
        client_of(echo(lambda file: bytes(file.read()))) as client,
        pytest.raises(adieu.InvalidRequest, match=text),
    ):
        client.post("/", content=iter(pieces), headers={"Content-Length": "5"})


def test_async_content_is_refused_before_the_app_runs() -> None:
    async def content() -> Any:
        yield b""

    ran: list[int] = []
    with (
        client_of(lambda environ, start_response: ran.append(1)) as client,
        pytest.raises(adieu.InvalidRequest, match="async"),
    ):
        client.post("/", content=content())
    assert ran == []


# The response


def test_the_response_is_that_of_the_app() -> None:
    headers = [("Content-Type", "text/plain"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    with client_of(giving([b"a", b"", b"b"], "418 I'm a teapot", headers)) as client:
        response = client.get("/")
    assert (response.status_code, response.reason) == (418, "I'm a teapot")
    assert response.headers.multi_items() == headers
    assert response.content == b"ab"
    assert str(response.url) == f"{URL}/"


def test_the_app_runs_only_as_far_as_the_body_is_read() -> None:
    pieces = Pieces(b"", b"one", b"two", b"three")
    with client_of(giving(pieces)) as client:
        with client.stream("GET", "/") as response:
            assert pieces.taken == 2
            chunks = response.iter_raw()
            assert next(chunks) == b"one"
            assert pieces.taken == 2
            assert next(chunks) == b"two"
            assert pieces.taken == 3
        assert pieces.closed == 1


def test_an_app_may_begin_its_response_when_it_is_first_pulled() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        yield b""
        start_response("202 Accepted", [])
        yield b""
        yield b"later"

    with client_of(app) as client:
        response = client.get("/")
        assert (response.status_code, response.content) == (202, b"later")


def test_redirects_and_cookies_work_as_with_a_server() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/old":
            start_response("302 Found", [("Location", "/new"), ("Content-Length", "4")])
            return [b"over"]
        start_response("200 OK", [])
        return [b"new"]

    with client_of(app) as client:
        response = client.get("/old")
        assert response.text == "new"
        assert [hop.status_code for hop in response.history] == [302]


def test_written_bytes_come_before_the_returned_ones() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"one ")
        write(b"")
        write(b"two ")
        return [b"three"]

    with client_of(app) as client:
        assert client.get("/").content == b"one two three"


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_reads_the_same(policy: str) -> None:
    pieces = [b"x" * 700] * 5
    with client_of(giving(pieces), cleanup=POLICIES[policy]()) as client:
        assert client.get("/").read() == b"x" * 3500


def test_a_mount_takes_the_app_as_any_adapter() -> None:
    with adieu.Client() as client:
        client.mount("http://shop.test/api/", WSGIAdapter(giving([b"api"]), script_name="/api"))
        client.mount("http://shop.test/", WSGIAdapter(giving([b"site"])))
        assert client.get("http://shop.test/api/items").text == "api"
        assert client.get("http://shop.test/apis").text == "site"


# Every end


def _read(client: adieu.Client) -> object:
    return client.get("/").content


def _head(client: adieu.Client) -> object:
    return client.head("/").status_code


def _unread(client: adieu.Client) -> object:
    with client.stream("GET", "/") as response:
        return response


def _partly(client: adieu.Client) -> object:
    with client.stream("GET", "/") as response:
        next(response.iter_raw())
        return response


def _raised(client: adieu.Client) -> object:
    with contextlib.suppress(_Oops), client.stream("GET", "/"):
        raise _Oops
    return None


def _closed_early(client: adieu.Client) -> object:
    response = client.stream("GET", "/")
    response.close()
    response.close()
    return response


def _client_closed(client: adieu.Client) -> object:
    response = client.stream("GET", "/")
    client.close()
    caught(adieu.ClientClosed, response.read)
    return response


def _refused(client: adieu.Client) -> object:
    return caught(adieu.BodyTooLarge, client.get, "/", cleanup=adieu.Prefetch(max_bytes=4))


def _left_by_policy(client: adieu.Client) -> object:
    return client.get("/", cleanup=adieu.PrefetchUpTo(4))


ENDS = [
    _read,
    _head,
    _unread,
    _partly,
    _raised,
    _closed_early,
    _client_closed,
    _refused,
    _left_by_policy,
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("fails", [False, True])
def test_after_every_end_the_iterable_was_closed_once(
    end: Callable[[adieu.Client], object], fails: bool
) -> None:
    last = [_Oops()] if fails else []
    pieces = Pieces(b"first", b"second", b"third", *last)
    with client_of(giving(pieces)) as client:
        try:
            held = end(client)
        except AppError as error:
            assert fails
            held = error
    assert pieces.closed == 1
    assert held is None or held


@pytest.mark.parametrize("end", ENDS)
def test_the_validator_of_the_standard_library_finds_no_fault(
    end: Callable[[adieu.Client], object], capsys: pytest.CaptureFixture[str]
) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Pieces:
        start_response("200 OK", list(TEXT))
        return Pieces(b"first", b"second", b"third")

    with client_of(validator(app)) as client:
        held = end(client)
    drop()
    assert held is None or held
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("nth", [0, 1, 2])
@pytest.mark.parametrize("kind", [_Oops, KeyboardInterrupt, SystemExit])
def test_an_app_that_raises_at_any_piece_is_closed_once(
    nth: int, kind: type[BaseException]
) -> None:
    before: list[Any] = [b"a", b"b"][:nth]
    pieces = Pieces(*before, kind())
    with client_of(giving(pieces)) as client:
        with pytest.raises(AppError if kind is _Oops else kind):
            client.get("/")
        assert pieces.closed == 1


def test_an_iterable_without_close_needs_none() -> None:
    with client_of(giving((b"a", b"b"))) as client:
        assert client.get("/").content == b"ab"
        with client.stream("GET", "/"):
            pass


def test_a_generator_that_is_left_early_cleans_up_before_the_block_is_left() -> None:
    ends: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 1000
        finally:
            ends.append("closed")

    with client_of(app) as client:
        with client.stream("GET", "/"):
            pass
        assert ends == ["closed"]


def test_dropping_a_response_closes_the_iterable_and_reports_the_line_that_opened_it() -> None:
    pieces = Pieces(b"first", b"second")
    gc.disable()
    try:
        with client_of(giving(pieces)) as client:
            opened = [client.stream("GET", "/")]

            def forget() -> None:
                opened.clear()
                drop()

            with pytest.warns(ResourceWarning, match="dropped unread.*app.test.*test_wsgi.py"):
                forget()
            assert pieces.closed == 1
    finally:
        gc.enable()


@pytest.mark.skipif(not COUNTS_REFERENCES, reason="this interpreter counts no references")
@pytest.mark.parametrize("how", ["read", "raise", "refuse"])
def test_no_cycle_is_made(how: str) -> None:
    class Mark:
        pass

    alive: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        import weakref

        mark = Mark()
        alive.append(weakref.ref(mark))
        start_response("200 OK", [])
        yield b"a"
        if how == "raise":
            raise _Oops
        if how == "refuse":
            start_response("200 OK", [])
        yield b"b"

    gc.disable()
    try:
        with client_of(app) as client:
            if how == "read":
                assert client.get("/").content == b"ab"
            else:
                caught((AppError, NotWSGI), client.get, "/")
            assert alive[0]() is None
    finally:
        gc.enable()


def test_an_error_of_close_at_the_end_is_an_exception_of_the_app() -> None:
    pieces = Pieces(b"all", shutdown_quietly=_Oops("at the end"))
    with client_of(giving(pieces)) as client, pytest.raises(AppError, match="at the end"):
        client.get("/")
    assert pieces.closed == 1


def test_an_error_of_close_after_the_body_is_only_reported_if_exceptions_are_not_raised(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pieces = Pieces(b"all", shutdown_quietly=_Oops("at the end"))
    with client_of(giving(pieces), raise_app_exceptions=False) as client:
        assert client.get("/").content == b"all"
    assert "at the end" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_error_of_close_when_the_body_is_left_is_only_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reported.append(report.exc_value))
    pieces = Pieces(b"first", b"second", shutdown_quietly=_Oops("in passing"))
    with client_of(giving(pieces)) as client, client.stream("GET", "/"):
        pass
    assert [str(error) for error in reported] == ["in passing"]


# `start_response`


def _again(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    start_response("200 OK", [])
    return [b"x"]


def _never(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    return []


def _body_first(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    return [b"x"]


def _nothing(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [])


def _text(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [])
    return ["text"]


def _a_text(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [])
    return "text"


def _write_text(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [])("text")
    return []


def _swallowed(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    with contextlib.suppress(Exception):
        start_response("500 Oh", [])
    return [b"x"]


@pytest.mark.parametrize(
    ("app", "text"),
    [
        (_again, "called start_response again"),
        (_swallowed, "called start_response again"),
        (_never, "ended without a call of start_response"),
        (_body_first, "body before it called start_response"),
        (_nothing, "returned None"),
        (_text, "a piece of it is str"),
        (_a_text, "a piece of it is str"),
        (_write_text, "a piece of it is str"),
    ],
)
@pytest.mark.parametrize("raising", [False, True])
def test_a_violation_of_the_specification_is_a_protocol_error(
    app: Any, text: str, raising: bool
) -> None:
    with (
        client_of(app, raise_app_exceptions=raising) as client,
        pytest.raises(NotWSGI, match=text) as error,
    ):
        client.get("/")
    assert isinstance(error.value, adieu.ProtocolError)
    assert error.value.method == "GET"
    assert error.value.url == f"{URL}/"


@pytest.mark.parametrize(
    "status",
    ["200", "200OK", "OK", "", "20 OK", "2000 OK", "100 Continue", "101 Up", 200, b"200 OK", None,
     "200 OK\r\nX-Injected: 1", "200 OK\n", "200 \x00", "200 \u20ac"],
    ids=repr,
)  # fmt: skip
def test_an_invalid_status_is_refused(status: Any) -> None:
    with client_of(giving([b"x"], status)) as client, pytest.raises(NotWSGI, match="the status"):
        client.get("/")


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ([("X-A", "1\r\nX-Injected: 1")], "U\\+000D"),
        ([("X-A", "1\nX-Injected: 1")], "U\\+000A"),
        ([("X-A\r\nX-Injected", "1")], "header field name"),
        ([("X A", "1")], "header field name"),
        ([("", "1")], "empty"),
        ([("X-A", "\u20ac")], "not in Latin-1"),
        ([("X-A", 1)], "tuple of two str"),
        ([("X-A", b"1")], "tuple of two str"),
        ([("X-A",)], "tuple of two str"),
        ([["X-A", "1"]], "tuple of two str"),
        ((("X-A", "1"),), "must be a list"),
        ({"X-A": "1"}, "must be a list"),
        (None, "must be a list"),
        ([("Transfer-Encoding", "chunked")], "belongs to the server"),
        ([("Connection", "close")], "belongs to the server"),
        ([("Content-Length", "1"), ("Content-Length", "2")], "not one number"),
        ([("Content-Length", "-1")], "not one number"),
        ([("Content-Length", "1x")], "not one number"),
    ],
)
def test_invalid_headers_are_refused(headers: Any, text: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", headers)
        return [b"x"]

    with client_of(app) as client, pytest.raises(NotWSGI, match=text):
        client.get("/")


def test_two_equal_lengths_count_as_one() -> None:
    headers = [("Content-Length", "1"), ("Content-Length", "1")]
    with client_of(giving([b"x"], headers=headers)) as client:
        assert client.get("/").content == b"x"


def test_with_exc_info_a_head_that_was_not_sent_is_replaced() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X-First", "1")])
        try:
            raise _Oops
        except _Oops:
            start_response("500 Sorry", [("X-Second", "1")], sys.exc_info())
        return [b"sorry"]

    with client_of(app) as client:
        response = client.get("/")
    assert (response.status_code, response.text) == (500, "sorry")
    assert "x-first" not in response.headers


@pytest.mark.parametrize("wrote", ["write", "yield"])
def test_with_exc_info_after_the_head_was_sent_the_exception_is_raised_again(wrote: str) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", [])
        if wrote == "write":
            write(b"begun")
        else:
            yield b"begun"
        try:
            raise _Oops("too late")
        except _Oops:
            start_response("500 Sorry", [], sys.exc_info())
        yield b"sorry"

    with client_of(app) as client, pytest.raises(AppError, match="too late") as error:
        client.get("/")
    assert isinstance(error.value.__cause__, _Oops)
    assert error.value.response_started


def test_writing_after_the_client_disconnected_is_a_broken_pipe() -> None:
    kept: list[Any] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        kept.extend((start_response("200 OK", []), environ["wsgi.input"]))
        return [b"one", b"two"]

    with client_of(app) as client, client.stream("POST", "/", content=iter([b"a"])):
        pass
    write, file = kept
    with pytest.raises(BrokenPipeError, match="the client has disconnected"):
        write(b"more")
    with pytest.raises(ConnectionResetError, match="the client has disconnected"):
        file.read()


# The length of the body


def _long(length: int) -> list[tuple[str, str]]:
    return [("Content-Length", str(length))]


def test_a_body_that_ends_too_early_is_truncated_as_on_the_wire() -> None:
    pieces = Pieces(b"abc", b"de")
    with (
        client_of(giving(pieces, headers=_long(7))) as client,
        pytest.raises(adieu.BodyTruncated, match="after 5 of 7 bytes") as error,
    ):
        client.get("/")
    assert (error.value.received, error.value.expected) == (5, 7)
    assert (error.value.phase, error.value.request_sent) == ("body", "wholly")
    assert pieces.closed == 1


@pytest.mark.parametrize("pieces", [(b"abcdef",), (b"abc", b"de", b"f"), (b"abcde", b"", b"f")])
def test_a_body_that_is_too_long_is_an_error_of_the_protocol(pieces: tuple[bytes, ...]) -> None:
    watched = Pieces(*pieces)
    with (
        client_of(giving(watched, headers=_long(5))) as client,
        pytest.raises(NotWSGI, match="longer than its Content-Length"),
    ):
        client.get("/")
    assert watched.closed == 1


def test_a_stream_knows_the_remaining_length() -> None:
    with (
        client_of(giving([b"ab", b"cd"], headers=_long(4))) as client,
        client.stream("GET", "/") as response,
    ):
        assert response.body is not None
        views = [response.body.view()]
        views.extend(response.body.view() for _ in response.iter_raw())
    assert [(view.framing, view.received, view.remaining) for view in views] == [
        ("length", 0, 4),
        ("length", 2, 2),
        ("length", 4, 0),
    ]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_status_without_content_has_none(status: str) -> None:
    with client_of(giving([b""], status)) as client:
        response = client.get("/", cleanup=adieu.CloseOnExit())
        assert response.is_closed
        assert response.content == b""
    with (
        client_of(giving([b"x"], status)) as client,
        pytest.raises(NotWSGI, match=f"a {status[:3]} has none"),
    ):
        client.get("/")


def test_a_head_has_the_length_and_nothing_of_the_body() -> None:
    pieces = Pieces(*[b"x" * 1000] * 5)
    with client_of(giving(pieces, headers=_long(5000)), cleanup=adieu.CloseOnExit()) as client:
        response = client.head("/")
        assert response.is_closed
        assert pieces.closed == 1
        assert response.headers["content-length"] == "5000"
        assert response.content == b""
    assert pieces.taken == 1


def test_an_announced_length_of_nothing_holds_nothing() -> None:
    with client_of(giving([b""], headers=_long(0)), cleanup=adieu.CloseOnExit()) as client:
        assert client.get("/").is_closed


# Exceptions of the app


def test_an_exception_of_the_app_is_raised_with_its_cause_and_facts() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise _Oops("at once")

    with (
        client_of(app) as client,
        pytest.raises(AppError, match=r"_Oops while it answered GET .*/x: at once") as error,
    ):
        client.get("/x")
    assert isinstance(error.value.__cause__, _Oops)
    assert (error.value.phase, error.value.response_started) == ("head", False)
    assert isinstance(error.value, adieu.TransportError)


@pytest.mark.parametrize("where", ["call", "first piece"])
def test_an_exception_before_the_head_is_a_500_if_exceptions_are_not_raised(
    where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pieces = Pieces(_Oops("here"))

    def app(environ: dict[str, Any], start_response: Any) -> Pieces:
        start_response("200 OK", [("X-Mine", "1")])
        if where == "call":
            raise _Oops("here")
        return pieces

    with client_of(app, raise_app_exceptions=False) as client:
        response = client.get("/")
        assert (response.status_code, response.text) == (500, "Internal Server Error")
        assert "x-mine" not in response.headers
        assert pieces.closed == (where != "call")
        assert client.head("/").status_code == 500
    assert "_Oops: here" in capsys.readouterr().err


@pytest.mark.parametrize("headers", [[], _long(10)])
def test_an_exception_in_the_body_truncates_it_if_exceptions_are_not_raised(
    headers: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    pieces = Pieces(b"abc", _Oops("half way"))
    with (
        client_of(giving(pieces, headers=headers), raise_app_exceptions=False) as client,
        client.stream("GET", "/") as response,
    ):
        chunks = response.iter_raw()
        assert next(chunks) == b"abc"
        with pytest.raises(adieu.BodyTruncated, match="half way"):
            next(chunks)
    assert "_Oops: half way" in capsys.readouterr().err
    assert pieces.closed == 1


def test_an_exception_after_write_truncates_the_body_if_exceptions_are_not_raised() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])(b"begun")
        raise _Oops

    with (
        client_of(app, raise_app_exceptions=False) as client,
        client.stream("GET", "/") as response,
        pytest.raises(adieu.BodyTruncated),
    ):
        response.read()


# Timeouts, threads, the end of the client


def test_an_app_that_takes_too_long_is_an_error_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(call, "Deadline", partial(Deadline, clock=lambda: now[0]))

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        now[0] += 5
        yield b"b"

    with client_of(app) as client:
        with pytest.raises(adieu.ReadTimeout) as error:
            client.get("/", timeout=1)
        assert error.value.phase == "body"
        with pytest.raises(adieu.DeadlineExceeded):
            client.get("/", timeout=adieu.Timeout(read=None, total=1))
        assert client.get("/", timeout=None).content == b"ab"


def test_a_client_closed_in_another_thread_ends_the_app_when_its_step_is_over() -> None:
    inside, go_on, ends = threading.Event(), threading.Event(), []

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            yield b"first"
            inside.set()
            assert go_on.wait(30)
            yield b"second"
        finally:
            ends.append(threading.current_thread().name)

    client = client_of(app)
    response = client.stream("GET", "/")
    results: list[BaseException] = []
    reader = threading.Thread(
        target=lambda: results.append(caught(Exception, response.read)), name="reader"
    )
    reader.start()
    assert inside.wait(30)
    client.close()
    assert ends == []
    go_on.set()
    reader.join(30)
    assert [type(error) for error in results] == [adieu.ClientClosed]
    assert ends == ["reader"]


def test_a_client_closed_while_the_app_is_called_gets_no_response() -> None:
    inside, go_on = threading.Event(), threading.Event()
    pieces = Pieces(b"a")

    def app(environ: dict[str, Any], start_response: Any) -> Pieces:
        inside.set()
        assert go_on.wait(30)
        start_response("200 OK", [])
        return pieces

    client = client_of(app)
    results: list[BaseException] = []
    caller = threading.Thread(target=lambda: results.append(caught(Exception, client.get, "/")))
    caller.start()
    assert inside.wait(30)
    client.close()
    go_on.set()
    caller.join(30)
    assert [type(error) for error in results] == [adieu.ClientClosed]
    assert pieces.closed == 1


def test_many_threads_share_an_app() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield environ["PATH_INFO"].encode()
        yield environ["wsgi.input"].read()

    with client_of(app) as client:
        wrong: list[object] = []

        def work(number: int) -> None:
            for nth in range(50):
                got = client.post(f"/{number}/{nth}", content=b"!").text
                if got != f"/{number}/{nth}!":
                    wrong.append(got)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert wrong == []


def test_an_app_may_send_a_request_to_itself_through_the_same_client() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/outer":
            return [b"outer ", client.get("/inner").content]
        return [b"inner"]

    with client_of(app) as client:
        assert client.get("/outer").content == b"outer inner"


def test_an_app_may_close_the_client_that_calls_it() -> None:
    pieces = Pieces(b"a")

    def app(environ: dict[str, Any], start_response: Any) -> Pieces:
        start_response("200 OK", [])
        client.close()
        return pieces

    client = client_of(app)
    with pytest.raises(adieu.ClientClosed):
        client.get("/")
    assert pieces.closed == 1


def test_a_closed_adapter_refuses_and_may_be_closed_again() -> None:
    adapter = WSGIAdapter(giving([b"x"]))
    with adieu.Client(URL, adapter=adapter) as client:
        client.get("/")
    adapter.close()
    with adieu.Client(URL, adapter=adapter) as client, pytest.raises(adieu.ClientClosed):
        client.get("/")


# Interrupts


class _Answer:
    """An app that is its own iterable. The last line of `__init__` counts it: after that no interrupt is the app's."""

    made = closed = 0

    def __init__(self, environ: Any, start_response: Any) -> None:
        self._left = 5
        self._start = start_response
        _Answer.made += 1

    def __iter__(self) -> _Answer:
        return self

    def __next__(self) -> bytes:
        if self._left == 5:
            self._start("200 OK", TEXT)
        if not self._left:
            raise StopIteration
        self._left -= 1
        return b"x" * 100

    def close(self) -> None:
        _Answer.closed += 1


@pytest.mark.skipif(not HAS_ALARMS, reason="this platform has no interval timers")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("streamed", [False, True], ids=["read", "left"])
def test_after_an_interrupt_the_iterable_is_closed_and_was_closed_once(streamed: bool) -> None:
    def play() -> None:
        if not streamed:
            client.get("/")
            return
        with client.stream("GET", "/") as response:
            next(response.iter_bytes())

    with adieu.Client(URL, adapter=WSGIAdapter(_Answer)) as client, Alarm(530) as alarm:
        for _ in alarm.rounds(300):
            interrupt = alarm.call(play)
            if interrupt is not None and fell_before(interrupt, "__enter__", "__exit__"):
                interrupt = None
                drop()
            assert _Answer.closed == _Answer.made
            del interrupt


@pytest.mark.parametrize("at", [1, 2])
def test_a_close_that_an_interrupt_cut_short_is_called_once_more(at: int) -> None:
    pieces = Pieces(b"a", b"b")
    closes = iter([KeyboardInterrupt, None])

    def interrupted() -> None:
        pieces.closed += 1
        if (interrupt := next(closes)) is not None:
            raise interrupt

    pieces.close = interrupted  # type: ignore[method-assign]
    with adieu.Client(URL, adapter=WSGIAdapter(giving(pieces))) as client:
        response = client.stream("GET", "/")
        received = response.iter_bytes()
        for _ in range(at - 1):
            next(received)
        with pytest.raises(KeyboardInterrupt):
            response.close()
    assert pieces.closed == 2
