"""Each row of docs/from-requests.md and docs/from-httpx.md runs: the code of both columns, against the same server."""

from __future__ import annotations

import ast
import asyncio
import gzip
import http
import inspect
import json
import os
import re
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter

import adieu
from adieu.testing import FaultServer
from adieu_wsgi import WSGIAdapter
from support.documents import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from adieu.testing.faults import Ending, Peer
    from adieu.testing.request import Request
    from servers import Authority

pytestmark = [
    # requests and httpx leave sockets open, and httpx deprecates some of what the rows show.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_CODE = re.compile(r"`([^`]+)`")


class Row(NamedTuple):
    """The code of the other library and of adieu, and what they give, if the row says so."""

    page: str
    subject: str
    theirs: str | None
    ours: str | None
    they_give: str | None
    we_give: str | None


def rows_of(page: str) -> Iterator[Row]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for line in text.partition("## Names")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not line.startswith("| ") or len(cells) != 3 or cells[0] == "---" or not cells[0]:
            continue
        (theirs, they_give), (ours, we_give) = _code(cells[1]), _code(cells[2])
        # A row about a setting or a default may have code in one column, or in none; an idiom has it in both.
        if (theirs and ours) or they_give or we_give:
            yield Row(page, cells[0], theirs, ours, they_give, we_give)


def _code(cell: str) -> tuple[str | None, str | None]:
    """The code at the beginning of a cell, and what the arrow after it shows."""
    code = _CODE.match(cell)
    if code is None:
        return None, None
    rest = cell[code.end() :].strip()
    gives = _CODE.match(rest[1:].strip()) if rest.startswith("→") else None
    if rest and gives is None:
        return None, None
    return code[1], gives[1] if gives else None


ROWS = [*rows_of("from-requests.md"), *rows_of("from-httpx.md")]


def echo(peer: Peer, request: Request) -> Ending:
    body = request.body.decode("latin-1")
    sent = {
        "method": request.method,
        "target": request.target,
        "path": request.path,
        "query": request.target.partition("?")[2],
        "headers": {name.lower(): value for name, value in request.headers},
        "type": (request.header("content-type") or "").partition(";")[0],
        "body": body,
        "json": json.loads(body) if request.header("content-type") == "application/json" else None,
    }
    content = json.dumps(sent).encode()
    peer.start(200, [("content-type", "application/json"), ("content-length", str(len(content)))])
    peer.body(content if request.method != "HEAD" else b"")
    return "keep"


def flaky(peer: Peer, request: Request) -> Ending:
    """503 to every other request of a connection."""
    peer.start(503 if request.nth % 2 else 200, [("content-length", "0")])
    return "keep"


def reply(content: bytes, *fields: str, length: int | None = None, status: str = "200 OK") -> bytes:
    size = len(content) if length is None else length
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {size}", *fields, "", ""])
    return head.encode() + content


@pytest.fixture(scope="module")
def places(authority: Authority) -> Iterator[dict[str, Any]]:
    """The URLs that the rows name."""
    whole = gzip.compress(os.urandom(1000))
    with FaultServer() as server, FaultServer(tls=authority.server_context()) as tls:
        for place in (server, tls):
            place.on("/echo", echo)
        server.on("/flaky", flaky)
        server.reply("/login", reply(b"", "Set-Cookie: id=31d4"))
        server.reply("/page", reply(b"", 'Link: </page/2>; rel="next"'))
        server.reply("/lines", reply(b"one\ntwo\n", "Content-Type: text/plain"))
        server.reply(
            "/text", reply("Äpfel, Öl und süße Früchte".encode(), "Content-Type: text/plain")
        )
        server.reply("/cut", reply(b"half", length=8), close=True)
        server.reply("/cutgzip", reply(whole[:-20], "Content-Encoding: gzip"))
        names = dict.fromkeys(["login", "page", "lines", "text", "cut", "cutgzip", "flaky"])
        yield {
            **{name: f"{server.url}/{name}" for name in names},
            "base": server.url,
            "url": f"{server.url}/echo",
            "missing": f"{server.url}/status/404",
            "moved": f"{server.url}/redirect",
            "big": f"{server.url}/bytes?n=100000",
            "abroad": "http://abroad.example/echo",
            "proxy": server.url,
            "secure": f"{tls.url}/echo",
            "ca": str(authority.path),
        }


class Answers(BaseAdapter):
    """The mock of the last row of idioms."""

    def __init__(self, status: int, content: bytes) -> None:
        super().__init__()
        self.answer = status, content

    def send(self, request: Any, *_: Any, **options: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response._content = self.answer
        response.url, response.request = request.url, request
        return response

    def close(self) -> None:
        pass


def app(environ: object, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hi"]


def _context(verify: Any, **_: object) -> ssl.SSLContext:
    return verify if isinstance(verify, ssl.SSLContext) else _CONTEXT


def value_of(code: str, names: dict[str, Any]) -> object:
    """The value of the last expression, or of `got`; the name of an error that is raised."""
    tree = ast.parse(code)
    last = tree.body[-1]
    if isinstance(last, ast.Expr):
        tree.body[-1] = ast.copy_location(
            ast.Assign([ast.Name("got", ast.Store())], last.value), last
        )
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compiled = compile(ast.fix_missing_locations(tree), "row", "exec", flags=flags)

    async def main() -> None:
        # One loop for the async client, which is made here.
        names["aclient"] = names["make_async"]()
        try:
            await eval(compiled, names)
        finally:
            await names["end_async"](names["aclient"])

    try:
        if compiled.co_flags & inspect.CO_COROUTINE:
            asyncio.run(main())
        else:
            exec(compiled, names)
    except Exception as error:
        return type(error)
    return names["got"]


def gives(value: object, said: str) -> bool:
    return value.__name__ == said if isinstance(value, type) else repr(value) == said


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.page}:{row.subject}")
def test_the_code_of_a_row_runs_and_gives_what_the_page_says(
    row: Row, places: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETRC", "/dev/null")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password pw\n")
    netrc.chmod(0o600)
    shared: dict[str, Any] = {
        **places,
        "netrc": str(netrc),
        "os": os,
        "http": http,
        "ssl": ssl,
        "app": app,
    }
    # httpx reads the authorities whenever a client is made, which takes it 0.1 s.
    monkeypatch.setattr("httpx._transports.default.create_ssl_context", _context)
    with requests.Session() as session, httpx.Client() as theirs, adieu.Client() as ours:
        values: list[object] = []
        if row.theirs is not None:
            names = {"requests": requests, "httpx": httpx, "urllib3": urllib3, "session": session}
            names |= {"HTTPAdapter": HTTPAdapter, "Answers": Answers, "client": theirs}
            names |= {"make_async": httpx.AsyncClient, "end_async": httpx.AsyncClient.aclose}
            values.append(value_of(row.theirs, shared | names))
            if row.they_give is not None:
                assert gives(values[0], row.they_give), values[0]
        if row.ours is not None:
            names = {"adieu": adieu, "client": ours, "WSGIAdapter": WSGIAdapter}
            names |= {"make_async": adieu.AsyncClient, "end_async": adieu.AsyncClient.close}
            values.append(value_of(row.ours, shared | names))
            if row.we_give is not None:
                assert gives(values[-1], row.we_give), values[-1]
        if row.they_give is None and row.we_give is None:
            assert len(values) == 2
            assert values[0] == values[1]
            assert not isinstance(values[0], type)


def test_the_rows_were_found() -> None:
    found = [(row.page, row.they_give is None and row.we_give is None) for row in ROWS]
    assert found.count(("from-requests.md", True)) >= 30
    assert found.count(("from-httpx.md", True)) >= 20
    assert len(found) >= 70
