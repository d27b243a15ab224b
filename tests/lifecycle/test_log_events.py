"""Events as lines of `logging`: their texts on every adapter, which never contain a secret."""

from __future__ import annotations

import base64
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing.faults import FaultServer
from servers import KNOWN_PORTS
from support.proxies import FaultProxy
from support.stage import caught, drop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.stage import Stage

pytestmark = pytest.mark.lifecycle

MODES = ("sync", "async")

_SECRET = "s3cr3t"
# As it is, and as it is sent.
_FORMS = (_SECRET, base64.b64encode(f"me:{_SECRET}".encode()).decode(), _SECRET.encode().hex())


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[_Lines]:
    """The records of all loggers, at the lowest level."""
    with caplog.at_level(1):
        yield _Lines(caplog)


class _Lines:
    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def ours(self) -> list[str]:
        """Remove and return the lines of adieu, oldest first, with numbers and times made equal."""
        shown = [
            re.sub(r"\d+\.\d{3} s", "_ s", re.sub(r"connection \d+", "connection _", line))
            for line in (
                record.getMessage() for record in self._caplog.records if record.name == "adieu"
            )
        ]
        self._caplog.clear()
        return shown

    def everything(self) -> str:
        """Everything that could reach a file, also attributes that formatters do not show."""
        return "\n".join(
            f"{record.getMessage()} {vars(record)!r} {record.exc_text}"
            for record in self._caplog.records
        )


def test_every_exchange_has_its_line(bare: Stage, lines: _Lines) -> None:
    url = bare.server.url
    kept = bare.adapter != "close"
    again = "reused" if kept else "new"
    opened = [f"connection _: connecting to {url}", "connection _: open after _ s"]
    over = [] if kept else ["connection _: closed (complete)"]
    with bare.block(bare.client(events=adieu.LogEvents())) as client:
        bare.get(client, "/ok")
        first = f"GET {url}/ok: 200 in _ s, connection _, new"
        assert lines.ours() == [*opened, first, *over]
        bare.get(client, "/echo?x=1", "POST", content=b"x")
        second = f"POST {url}/echo?x=1: 200 in _ s, connection _, {again}"
        assert lines.ours() == [*([] if kept else opened), second, *over]
        bare.get(client, "/redirect?n=1&to=/status/404")
        hops = [line for line in lines.ours() if line.startswith("GET")]
        assert hops == [
            f"GET {url}/redirect?n=1&to=/status/404: 302 in _ s, connection _, {again}",
            f"GET {url}/status/404: followed, by a 302",
            f"GET {url}/status/404: 404 in _ s, connection _, {again}",
        ]
        short = adieu.Timeout(read=0.05)
        caught(adieu.ReadTimeout, bare.get, client, "/stall-head", timeout=short)
        assert lines.ours()[-2:] == [
            f"GET {url}/stall-head: ReadTimeout after _ s, connection _, {again}",
            "connection _: closed (ReadTimeout)",
        ]
        caught(adieu.BodyTruncated, bare.get, client, "/truncated", cleanup=adieu.Prefetch())
        broken = f"GET {url}/truncated: BodyTruncated in the body after _ s, connection _"
        assert broken in lines.ours()


def test_retries_name_their_reason(bare: Stage, lines: _Lines) -> None:
    retry = adieu.Retry(1, backoff=0)
    with bare.block(bare.client(events=adieu.LogEvents(), retry=retry)) as client:
        bare.get(client, "/status/503")
        caught(adieu.ReadError, bare.get, client, "/reset")
    found = [line for line in lines.ours() if "retry 1" in line]
    url = bare.server.url
    assert found == [
        f"GET {url}/status/503: retry 1 in _ s, because of 503",
        f"GET {url}/reset: retry 1 in _ s, because of ReadError",
    ]


def test_a_refused_connection_has_its_lines(bare: Stage, lines: _Lines) -> None:
    from adieu.testing.faults_net import refused_port

    with (
        refused_port() as port,
        bare.block(bare.runner.client(adapter=bare.adapter, events=adieu.LogEvents())) as client,
    ):
        caught(adieu.ConnectError, bare.get, client, f"http://127.0.0.1:{port}/")
    assert lines.ours() == [
        f"connection _: connecting to http://127.0.0.1:{port}",
        "connection _: could not be opened",
        f"GET http://127.0.0.1:{port}/: ConnectError after _ s, connection _, new",
    ]


def _dropped(stage: Stage, kept: list[Any]) -> None:
    kept.clear()
    stage.runner.settle()
    drop()


def test_a_leak_is_a_warning_and_no_second_line(bare: Stage, lines: _Lines) -> None:
    bare.policy = adieu.ReleaseOnRead()
    with bare.block(bare.client(events=adieu.LogEvents())) as client:
        held = bare.run(client.stream("GET", "/bytes?n=900000"))
        lines.ours()
        kept = [held]
        del held
        with pytest.warns(ResourceWarning, match="dropped unread"):
            _dropped(bare, kept)
    assert lines.ours() == ["connection _: closed (abandoned)"]


@pytest.mark.needs("silent loggers")
def test_no_secret_reaches_any_record(bare: Stage, lines: _Lines, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login me password {_SECRET}\n")
    netrc.chmod(0o600)
    server = bare.server
    server.reply(
        "/set",
        (
            f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nSet-Cookie: session={_SECRET}\r\n"
            f"Location: http://me:{_SECRET}@127.0.0.1:{server.port}/ok?access_token={_SECRET}"
            f"#token={_SECRET}\r\n\r\n"
        ).encode(),
    )
    server.reply(
        "/digest",
        b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: Digest realm=x, nonce=%b\r\n\r\n"
        % _SECRET.encode(),
    )
    place = server.url.removeprefix("http://")
    calls: list[tuple[str, dict[str, Any]]] = [
        (f"http://me:{_SECRET}@{place}/ok", {}),
        (f"http://{_SECRET}@{place}/ok", {}),
        (f"/ok?token={_SECRET}&x=1&API_KEY={_SECRET}&password={_SECRET}#{_SECRET}", {}),
        ("/ok", {"params": {"access_token": _SECRET}}),
        ("/ok", {"auth": ("me", _SECRET)}),
        ("/ok", {"auth": adieu.BearerAuth(_SECRET)}),
        ("/digest", {"auth": adieu.DigestAuth("me", _SECRET)}),
        ("/ok", {"auth": adieu.NetrcAuth(netrc)}),
        ("/ok", {"headers": {"X-Api-Key": _SECRET, "Authorization": _SECRET, "X-Odd": _SECRET}}),
        ("/ok", {"cookies": {"session": _SECRET}}),
        ("/set", {}),
        ("/ok", {}),  # With the cookie that has just been set.
        ("/echo", {"data": {"password": _SECRET}}),
        ("/echo", {"json": {"password": _SECRET}}),
    ]
    failing: list[tuple[str, dict[str, Any]]] = [
        (f"/reset?token={_SECRET}", {"auth": ("me", _SECRET)}),
        (f"/stall-head?token={_SECRET}", {"timeout": 0.05, "headers": {"Cookie": _SECRET}}),
        ("/garbage?kind=http-2-settings", {"auth": ("me", _SECRET)}),
        (f"/truncated?token={_SECRET}", {}),
        (f"/redirect?n=9&token={_SECRET}", {}),
        (f"http://me:{_SECRET}@127.0.0.1:1/?token={_SECRET}", {}),
    ]
    with bare.block(
        bare.client(
            events=adieu.LogEvents(),
            max_redirects=1,
            cookies={"id": _SECRET},
            headers={"X-Token": _SECRET},
            retry=adieu.Retry(1, backoff=0),
        )
    ) as client:
        for url, options in calls:
            bare.get(client, url, "POST" if url == "/echo" else "GET", **options)
        for url, options in failing:
            caught(adieu.AdieuError, bare.get, client, url, **options)
    text = lines.everything()
    assert text.count(" 200 in ") >= 12
    assert "***" in text
    for form in _FORMS:
        assert form not in text


@pytest.mark.parametrize("accepted", [True, False])
@pytest.mark.parametrize("digest", [False, True])
def test_no_secret_of_a_proxy_reaches_any_record(
    bare: Stage, lines: _Lines, accepted: bool, digest: bool
) -> None:
    basic = f"Basic {_FORMS[1]}"
    with FaultProxy(auth=basic if accepted else "Basic other") as proxy, FaultServer() as server:
        KNOWN_PORTS.update((proxy.port, server.port))
        given = adieu.Proxy(
            f"http://127.0.0.1:{proxy.port}",
            auth=("me", _SECRET),
            digest=digest,
            headers={"X-Token": _SECRET},
        )
        for setting in (given, f"http://me:{_SECRET}@127.0.0.1:{proxy.port}"):
            options: dict[str, Any] = {"proxy": setting, "events": adieu.LogEvents()}
            with bare.block(bare.client(**options)) as client:
                for url in ("http://there.example/ok", "https://there.example/ok"):
                    try:
                        bare.get(client, url)
                    except adieu.AdieuError:
                        pass
    text = lines.everything()
    assert f"via http://127.0.0.1:{proxy.port}" in text
    for form in _FORMS:
        assert form not in text


def test_no_text_is_formatted_for_a_disabled_logger(bare: Stage) -> None:
    name = f"quiet.{bare.adapter}"
    logging.getLogger(name).setLevel(logging.INFO)
    events = adieu.LogEvents(name)
    seen: list[Any] = []
    events.logger.addHandler(_Keeper(seen))
    with bare.block(bare.client(events=events)) as client:
        bare.get(client, "/ok")
        assert seen == []
    events = adieu.LogEvents(events.logger, level=logging.INFO)
    with bare.block(bare.client(events=events)) as client:
        bare.get(client, "/ok")
    assert {record.levelno for record in seen} == {logging.INFO}
    assert {record.name for record in seen} == {name}


class _Keeper(logging.Handler):
    def __init__(self, seen: list[Any]) -> None:
        super().__init__()
        self._seen = seen

    def emit(self, record: logging.LogRecord) -> None:
        self._seen.append(record)


def test_an_answer_from_this_process_has_a_line_too(lines: _Lines) -> None:
    answer = adieu.adapter(lambda request: adieu.Response(200, body=b"here"))
    with adieu.Client(adapter=answer, events=adieu.LogEvents()) as client:
        client.get("memory://host/")
    assert lines.ours() == ["GET memory://host/: 200 in _ s, no connection"]
