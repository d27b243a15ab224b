"""Every Python block of the README and of the documents runs, in order, as a reader would run it.

A resolver and a certificate authority of the tests make `example.org` a local server; nothing else is different.
"""

from __future__ import annotations

import importlib
import inspect
import re
import socket
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing.faults import FaultServer
from support.documents import DOCUMENTS, ROOT, RUNNABLE, write_modules
from support.websockets import Sockets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import Authority

JSON = b'{"page": 2, "items": ["a", "b"]}'
LINES = b"a line of the export\n" * 20_000
EVENTS = b"id: 1\ndata: vase\n\nevent: done\ndata: -\n\n"


def answer(body: bytes, media_type: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (media_type, len(body)) + body


def script(server: FaultServer) -> None:
    server.reply("/items", answer(JSON, b"application/json"))
    server.reply("/export", answer(LINES, b"text/plain"))
    for path in ("/feed", "/chat"):
        server.reply(path, answer(EVENTS, b"text/event-stream"))
    Sockets(server, "/live")


@pytest.fixture
def example_org(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[None]:
    context = authority.server_context("*.example.org")
    with FaultServer(tls=context) as tls, FaultServer() as plain:
        monkeypatch.chdir(tmp_path)
        with FaultServer(unix="app.sock") as unix:
            for server in (tls, plain, unix):
                script(server)
            ports = {443: tls.port, 80: plain.port}
            resolve = socket.getaddrinfo

            def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
                if isinstance(host, str) and host.endswith(".example.org"):
                    return resolve("127.0.0.1", ports[port], *args, **options)
                return resolve(host, port, *args, **options)

            monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
            monkeypatch.setattr("certifi.where", lambda: str(authority.path))
            # Clients with equal settings share a context: an older one would trust the real authorities.
            monkeypatch.setattr("adieu.net.tls.config._contexts", {})
            yield


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_of_the_document_runs(
    document: Path, example_org: None, capsys: pytest.CaptureFixture[str]
) -> None:
    text = document.read_text()
    names: dict[str, Any] = {"__name__": "document"}
    for block in RUNNABLE.finditer(text):
        # With these empty lines, the line numbers of a failure are those of the document.
        before = "\n" * text.count("\n", 0, block.start(1))
        exec(compile(before + block.group(1), document, "exec"), names)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_source_file_that_the_document_names_exists(document: Path) -> None:
    roots = (ROOT, ROOT / "src/adieu")
    named = re.findall(r"`([\w./]+/\w+\.py)`", document.read_text())
    assert [name for name in named if not any((root / name).exists() for root in roots)] == []


def test_the_code_of_the_documents_fits_the_page() -> None:
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        blocks = re.findall(r"(?ms)^```py(?:thon)?\n(.*?)^```$", text)
        lines = [line for block in blocks for line in block.splitlines()]
        assert [line for line in lines if len(line) > 110] == [], document.name


def test_mypy_gets_every_block_at_the_line_of_its_page(tmp_path: Path) -> None:
    modules = {module.stem: module.read_text() for module in write_modules(tmp_path)}
    for page in DOCUMENTS:
        text = page.read_text()
        name = "_".join(page.relative_to(ROOT).with_suffix("").parts).replace("-", "_").lower()
        for block in RUNNABLE.finditer(text):
            line = text.count("\n", 0, block.start(1))
            assert modules[name].splitlines()[line] == block[1].splitlines()[0]


def test_the_readme_shows_code_and_it_was_found() -> None:
    assert len(RUNNABLE.findall((ROOT / "README.md").read_text())) >= 8


# The packages whose names users import, but for those that only other packages of ours use.
MODULES = [
    "adieu",
    "adieu.errors",
    "adieu.events",
    "adieu.testing",
    "adieu_httpx.httpx",
    *(
        path.name
        for path in sorted((ROOT / "adapters").glob("adieu_*"))
        if path.name != "adieu_httpx"
    ),
]


def in_the_reference() -> set[tuple[str, str]]:
    """The modules and names that the pages of the reference list."""
    listed: set[tuple[str, str]] = set()
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        module = ""
        text = page.read_text(encoding="utf-8")
        for directive, name in re.findall(r"(?m)^\.\. ([\w-]+):: ([\w.]+)", text):
            if directive in ("currentmodule", "automodule"):
                module = name
                names = importlib.import_module(name).__all__ if directive == "automodule" else ()
                listed.update((module, name) for name in names)
            else:
                listed.add((module, name))
    return listed


@pytest.mark.parametrize("module", MODULES)
def test_every_exported_name_is_in_the_reference(module: str) -> None:
    exported = importlib.import_module(module)
    # A name that is exported twice needs to be listed once.
    found = {id(getattr(importlib.import_module(m), n, None)) for m, n in in_the_reference()}
    assert [name for name in exported.__all__ if id(getattr(exported, name)) not in found] == []


def test_everything_exported_has_a_docstring() -> None:
    classes = [value for name in adieu.__all__ if isinstance(value := getattr(adieu, name), type)]
    without = [
        f"{kind.__name__}.{name}"
        for kind in classes
        for name, value in vars(kind).items()
        if not name.startswith("_") and callable(value) and not inspect.getdoc(getattr(kind, name))
    ]
    assert [name for name in adieu.__all__ if not inspect.getdoc(getattr(adieu, name))] == []
    assert without == []


def test_the_patterns_of_the_page_match_what_it_says() -> None:
    page = (ROOT / "docs/mounts.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| `(\S+://\S*)` \| (.+) \| (.+) \|$", page)
    assert len(rows) >= 6
    for pattern, matching, others in rows:
        with adieu.Client() as client:
            client.mount(pattern, lambda request: adieu.Response(200, body="mounted"))
            for cell, mounted in ((matching, True), (others, False)):
                for url in re.findall(r"`(\S+)`", cell):
                    served = client.mounts.select(adieu.URL(url)).pattern is not None
                    assert served is mounted, (pattern, url)


ONE_LINE = {
    "prove that nothing leaks": ("testing.md", "with proves_clean(client):"),
    "mock one endpoint": ("testing.md", "mock = MockAdapter({"),
    "record a test, and replay it": ("testing.md", "recorder = Recorder("),
    "check an adapter over a wire of one's own": (
        "writing-an-adapter.md",
        "lambda: HTTP1Adapter(Loopback())",
    ),
    "requests over adieu": ("bridges.md", 'session.mount("https://", AdieuAdapter())'),
    "httpx2 over adieu": (
        "bridges.md",
        "with httpx2.Client(transport=AdieuTransport()) as client:",
    ),
    "cache": ("caching.md", 'adapter="cache"'),
}


@pytest.mark.parametrize("what", ONE_LINE)
def test_what_takes_one_line_is_in_an_example_that_runs(what: str) -> None:
    page, line = ONE_LINE[what]
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert any(line in block for block in RUNNABLE.findall(text))
