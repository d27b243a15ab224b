"""`adieu URL`: one request from the command line, in a pipe, in a terminal, and interrupted."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from adieu.testing import payload
from support.command_line import COMMAND, in_terminal

if TYPE_CHECKING:
    from pathlib import Path

    from adieu.testing import FaultServer
    from adieu.testing.faults import Ending, Peer, Request
    from servers import TLSServer

posix = pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal and signals")


@pytest.fixture(autouse=True)
def _nothing_stays_open(fault_server: FaultServer) -> Any:
    yield
    fault_server.wait_until(lambda: fault_server.open == 0)


# -- what is sent ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "method", "body", "content_type"),
    [
        ([], "GET", "", None),
        (["a=1", "b:=[2]"], "POST", '{"a":"1","b":[2]}', "application/json"),
        (["a=1", "b:=[2]", "-f"], "POST", "a=1&b=%5B2%5D", "application/x-www-form-urlencoded"),
        (["-d", "plain: text"], "POST", "plain: text", None),
        (["-d", "a=1", "-f"], "POST", "a=1", "application/x-www-form-urlencoded"),
        (["-d", "{}", "Content-Type:text/x"], "POST", "{}", "text/x"),
        (["-X", "put", "a=1"], "PUT", '{"a":"1"}', "application/json"),
    ],
)
def test_the_items_make_the_request(
    adieu_: Any,
    fault_server: FaultServer,
    argv: list[str],
    method: str,
    body: str,
    content_type: str | None,
) -> None:
    ran = adieu_(f"{fault_server.url}/echo", *argv)
    assert (ran.status, ran.error) == (0, "")
    headers = {name.lower(): value for name, value in ran.json["headers"]}
    assert (ran.json["method"], ran.json["body"]) == (method, body)
    assert headers.get("content-type") == content_type


def test_parameters_and_fields_are_added_and_removed(
    adieu_: Any, fault_server: FaultServer
) -> None:
    ran = adieu_(
        "delete", f"{fault_server.url}/echo?a=0", "b==1 2", "X-A:1", "Accept:", "-H", "X-B: c: d"
    )
    assert ran.json["method"] == "DELETE"
    assert ran.json["target"] in {"/echo?a=0&b=1+2", "/echo?a=0&b=1%202"}
    headers = {name.lower(): value for name, value in ran.json["headers"]}
    assert (headers["x-a"], headers["x-b"]) == ("1", "c: d")
    assert "accept" not in headers


def test_files_are_uploaded_and_content_comes_from_files_and_from_standard_input(
    adieu_: Any, fault_server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    url = f"{fault_server.url}/echo"
    form = adieu_(url, f"scan@{tmp_path}/photo.jpg", "title=a").json["body"]
    assert 'name="scan"; filename="photo.jpg"' in form
    assert 'name="title"\r\n\r\na\r\n' in form
    assert adieu_(url, "-d", f"@{tmp_path}/photo.jpg").json["body"] == "ÿØ"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from outside")))
    assert adieu_("PUT", url, "-d", "@-").json["body"] == "from outside"


def test_credentials_are_sent(
    adieu_: Any, fault_server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def authorization(*argv: str) -> str:
        headers = dict(adieu_(f"{fault_server.url}/echo", *argv).json["headers"])
        return str(headers["Authorization"])

    assert authorization("-u", "me:pw") == "Basic bWU6cHc="
    assert authorization("--bearer", "31d4") == "Bearer 31d4"
    monkeypatch.setattr(
        "getpass.getpass", lambda prompt: "pw" if prompt == "Password of me: " else ""
    )
    assert authorization("-u", "me") == "Basic bWU6cHc="
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password pw\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert authorization("--netrc") == "Basic bWU6cHc="


def test_digest_answers_a_challenge(adieu_: Any, fault_server: FaultServer) -> None:
    def guarded(peer: Peer, request: Request) -> Ending:
        given = request.header("authorization") or ""
        if given.startswith("Digest "):
            peer.reply(200, b"in")
        else:
            peer.reply(401, b"", [("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')])
        return "keep"

    fault_server.on("/guarded", guarded)
    assert adieu_(f"{fault_server.url}/guarded", "-u", "me:pw", "--digest").out == "in"


def test_curl_is_printed_and_nothing_is_sent(adieu_: Any, fault_server: FaultServer) -> None:
    url = f"{fault_server.url}/echo"
    ran = adieu_(url, "a=b", "X-Api-Key:31d4", "--curl")
    assert ran.out.startswith("curl ")
    assert "X-Api-Key: 31d4" in ran.out
    assert "31d4" not in adieu_(url, "X-Api-Key:31d4", "--curl", "--mask").out
    assert fault_server.requests == []


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (":{port}/ok", "http://localhost:{port}/ok"),
        (":/ok", "http://localhost/ok"),
        ("example.org/ok", "https://example.org/ok"),
        ("127.0.0.1:{port}", "https://127.0.0.1:{port}/"),
    ],
)
def test_a_url_may_be_short(adieu_: Any, fault_server: FaultServer, given: str, meant: str) -> None:
    ran = adieu_(given.format(port=fault_server.port), "--curl")
    assert ran.out.split()[-1] == meant.format(port=fault_server.port)


# -- what is printed ---------------------------------------------------------------------------------------------------


def test_a_pipe_gets_the_bytes_of_the_content(adieu_: Any, fault_server: FaultServer) -> None:
    for path in ("/bytes?n=300000", "/chunked?n=1000", "/gzip?n=5000"):
        count = int(path.partition("n=")[2])
        assert adieu_(fault_server.url + path).raw == payload(count)
    assert adieu_(f"{fault_server.url}/bytes?n=10", "-i").out.startswith("HTTP/1.1 200 ")
    head = adieu_(f"{fault_server.url}/bytes?n=10", "-I")
    assert "content-length: 10\n" in head.out.lower()
    assert fault_server.requests[-1].method == "HEAD"


def test_verbose_shows_the_messages_as_they_were_sent(
    adieu_: Any, fault_server: FaultServer
) -> None:
    heads: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer = listener.accept()[0]
            for answer in (
                b"HTTP/1.1 302 Found\r\nLocation: /two\r\nContent-Length: 0\r\n\r\n",
                b"HTTP/1.1 200 Fine\r\nX-One: 1\r\nContent-Length: 2\r\n\r\nok",
            ):
                got = b""
                while not got.endswith(b"\r\n\r\n") and b"{" not in got:
                    got += peer.recv(4096)
                heads.append(got)
                peer.sendall(answer)
            peer.close()

        server = threading.Thread(target=serve)
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        ran = adieu_(f"{url}/one?token=31d4", "a=b", "X-Two:2", "-v")
        server.join()
    sent = "".join(head.decode().replace("\r\n", "\n") for head in heads)
    printed = ran.out.replace('{\n  "a": "b"\n}\n', '{"a":"b"}')
    first, _, rest = printed.partition("HTTP/1.1 302 Found\n")
    second, _, last = rest.partition("HTTP/1.1 200 Fine\n")
    assert first + second.partition("Location: /two\nContent-Length: 0\n\n")[2] == sent
    assert last == "X-One: 1\nContent-Length: 2\n\nok\n"


def test_mask_hides_secrets(adieu_: Any, fault_server: FaultServer) -> None:
    def login(peer: Peer, request: Request) -> Ending:
        peer.reply(
            200, b'{"token": "31d4"}', [("Set-Cookie", "id=31d4"), ("Content-Type", "a/json")]
        )
        return "keep"

    fault_server.on("/login", login)
    argv = (f"{fault_server.url}/login?key=31d4", "password=31d4", "-u", "me:31d4", "-v")
    assert adieu_(*argv).out.count("31d4") == 4  # The password is in Base64 there.
    masked = adieu_(*argv, "--mask").out
    assert "31d4" not in masked
    assert "bWU6MzFkNA" not in masked
    assert masked.count("***") == 5


def test_masked_json_stays_json(adieu_: Any, fault_server: FaultServer) -> None:
    body = b'{"next": "/items?token=31d4", "n": 1, "auth": {"ids": ["31d4", 31]}}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    fault_server.reply("/json", head % len(body) + body)
    for option in ((), ("--raw",)):
        out = adieu_(f"{fault_server.url}/json", "-v", "--mask", *option).out
        shown = json.loads(out[out.index("{") :])
        assert shown == {"next": "/items?token=***", "n": 1, "auth": {"ids": ["***", "***"]}}


def test_content_goes_into_a_file(adieu_: Any, fault_server: FaultServer, tmp_path: Path) -> None:
    file = tmp_path / "there"
    assert adieu_(f"{fault_server.url}/bytes?n=100", "-o", str(file)).raw == b""
    assert file.read_bytes() == payload(100)
    ran = adieu_(f"{fault_server.url}/ok", "-o", str(tmp_path / "no" / "folder"))
    assert ran.status == 1
    assert "No such file or directory" in ran.error


def test_a_download_goes_on_where_it_broke(
    adieu_: Any, fault_server: FaultServer, tmp_path: Path
) -> None:
    whole = payload(10_000)

    def export(peer: Peer, request: Request) -> Ending:
        asked = request.header("range")
        start = int(asked.partition("=")[2].partition("-")[0]) if asked else 0
        fields = [("ETag", '"1"'), ("Content-Length", str(len(whole) - start))]
        if asked:
            fields.append(("Content-Range", f"bytes {start}-9999/10000"))
        peer.start(206 if asked else 200, fields)
        peer.send(whole[start:] if asked else whole[:4000])
        return "keep" if asked else "close"

    fault_server.on("/export", export)
    target = tmp_path / "export"
    argv = (f"{fault_server.url}/export", "--download", "-o", str(target))
    assert adieu_(*argv).status == 1
    ran = adieu_(*argv)
    assert ran.out == f"{target}: 10,000 bytes, of which 4,000 were there\n"
    assert target.read_bytes() == whole
    assert adieu_(f"{fault_server.url}/status/404", "--download", "-o", str(target)).status == 4


def test_events_are_printed_as_they_come(adieu_: Any, fault_server: FaultServer) -> None:
    turns = [b"id: 1\ndata: a\ndata: b\n\n", b"event: end\ndata: \x1b[2J\n\n"]

    def feed(peer: Peer, request: Request) -> Ending:
        if not turns:
            peer.reply(204, b"")
            return "keep"
        peer.start(200, [("Content-Type", "text/event-stream"), ("Connection", "close")])
        peer.send(b"retry: 1\n" + turns.pop(0))
        return "close"

    fault_server.on("/feed", feed)
    ran = adieu_(f"{fault_server.url}/feed", "--events")
    assert ran.out == "id: 1\ndata: a\ndata: b\n\nevent: end\nid: 1\ndata: \\x1b[2J\n\n"


def test_a_stream_that_connects_again_ends_in_time(adieu_: Any, fault_server: FaultServer) -> None:
    def feed(peer: Peer, request: Request) -> Ending:
        peer.start(200, [("Content-Type", "text/event-stream"), ("Connection", "close")])
        peer.send(b"retry: 1\ndata: a\n\n")
        return "close"

    fault_server.on("/feed", feed)
    ran = adieu_(f"{fault_server.url}/feed", "--events", "--max-time", "0.2")
    assert ran.status == 7
    assert "within --max-time 0.2 s" in ran.error


def test_cookies_are_kept_in_a_file(adieu_: Any, fault_server: FaultServer, tmp_path: Path) -> None:
    jar = str(tmp_path / "cookies.txt")
    adieu_(f"{fault_server.url}/ok?header=Set-Cookie:a%3D1;Max-Age%3D9999", "--cookies", jar)
    headers = dict(adieu_(f"{fault_server.url}/echo", "--cookies", jar).json["headers"])
    assert headers["Cookie"] == "a=1"


# -- how it ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        (["/status/404"], 0, ""),
        (["/status/404", "--fail"], 4, ""),
        (["/status/503", "--fail"], 5, ""),
        (["/redirect?n=1", "--fail"], 0, ""),
        (["/redirect?n=1", "--fail", "--no-follow"], 3, ""),
        (["/redirect?n=3", "--max-redirects", "2"], 8, "redirect"),
        (["/stall-head", "--timeout", "0.05"], 7, "0.05 s"),
        (["/stall-head", "--max-time", "0.05"], 7, "0.05 s"),
        (["/reset"], 1, ""),
        (["/ok", "word"], 2, "'word' is no item of a request"),
        (["/ok", "-d", "x", "a=b"], 2, "-d is the whole content"),
        (["/ok", "-d", "@/nowhere"], 2, "'/nowhere' cannot be read: No such file"),
        (["/ok", "-H", "word"], 2, "-H 'word' is no header field"),
        (["/ok", "--digest"], 2, "--digest needs a user"),
        (["/ok", "--key", "k"], 2, "--key is the key of a certificate"),
        (["/ok", "-u", "a:b", "--netrc"], 2, "exclude each other"),
        (["/ok", "--adapter", "nobody"], 1, "nobody"),
        (["/ok", "--download", "-X", "PUT"], 2, "--download is for GET, not for PUT"),
        (["/ok", "--nonsense"], 2, "unrecognized arguments: --nonsense"),
        (["/ok", "-L"], 2, "-L: redirects are followed; --no-follow switches that off"),
        (["/ok", "--json"], 2, "--json: name=value after the URL makes JSON"),
    ],
)
def test_the_exit_status_tells_scripts_what_happened(
    adieu_: Any, fault_server: FaultServer, argv: list[str], status: int, said: str
) -> None:
    path, *options = argv
    ran = adieu_(fault_server.url + path, *options)
    assert ran.status == status
    assert said in ran.error
    assert ran.error.count("\n") <= 3
    assert "Traceback" not in ran.error


def test_without_a_connection_the_exit_status_is_6(
    adieu_: Any, fault_server: FaultServer, tls_server: TLSServer
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        assert adieu_(f"http://127.0.0.1:{held.getsockname()[1]}").status == 6
        proxy = f"http://127.0.0.1:{held.getsockname()[1]}"
        assert adieu_(f"{fault_server.url}/ok", "--proxy", proxy).status == 6
    assert adieu_(f"{tls_server.url}/ok").status == 6
    assert adieu_(f"{tls_server.url}/ok", "--cacert", str(tls_server.ca_path)).status == 0


def test_a_certificate_may_be_left_unchecked(adieu_: Any, tls_server: TLSServer) -> None:
    ran = adieu_(f"{tls_server.url}/ok", "-k")
    assert (ran.status, ran.error) == (0, "")


@pytest.mark.parametrize(
    "options",
    [
        ("--adapter", "native"),
        ("--adapter", "h11"),
        ("--adapter", "urllib3", "--proxy", "none"),
        ("--adapter", "close"),
        ("--cleanup", "CloseOnExit"),
    ],
)
def test_the_connection_ends_as_it_is_asked_to(
    adieu_: Any, fault_server: FaultServer, options: tuple[str, ...]
) -> None:
    ran = adieu_(f"{fault_server.url}/echo", "-v", *options)
    sent = json.loads(ran.out[ran.out.index("{") :])["headers"]
    assert ran.out.startswith(
        "".join(["GET /echo HTTP/1.1\n", *(f"{name}: {value}\n" for name, value in sent), "\n"])
    )
    assert (["Connection", "close"] in sent) == (options[1] in ("close", "CloseOnExit"))


def test_help_has_every_option_in_80_columns(adieu_: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ran = adieu_("--help")
    assert ran.status == 0
    assert max(map(len, ran.out.splitlines())) <= 80
    for needed in ("--download", "exit status:", "  8     too many redirects", "  demo "):
        assert needed in ran.out
    assert adieu_("--version").out.startswith("adieu ")
    assert "--max-time" in adieu_("--completion", "bash").out
    assert adieu_().status == 2
    assert "GET is a method, and needs a URL after it" in adieu_("GET").error


# -- in a terminal, and interrupted ------------------------------------------------------------------------------------


@posix
def test_a_terminal_gets_the_head_and_indented_json_in_colours(fault_server: FaultServer) -> None:
    url = f"{fault_server.url}/echo"
    coloured = in_terminal(url, "X-Long:" + "x" * 200, NO_COLOR="")
    assert "\x1b[" in coloured
    plain = in_terminal(url, NO_COLOR="1")
    assert "\x1b" not in plain
    head, _, content = plain.partition("\n\n")
    assert head.startswith("HTTP/1.1 200 Scripted\n")
    assert content.startswith('{\n  "method": "GET",\n')
    assert json.loads(content)["method"] == "GET"
    # A long line stays one line: it can be copied.
    assert f'"{"x" * 200}"' in in_terminal(url, "X-Long:" + "x" * 200, TERM="dumb")


@posix
def test_nothing_of_the_servers_drives_a_terminal(fault_server: FaultServer) -> None:
    def nasty(peer: Peer, request: Request) -> Ending:
        peer.reply(
            200, b"bell \x07, clear \x1b[2J, \xc2\x9b2J\ntab\t.", [("Content-Type", "text/plain")]
        )
        return "keep"

    fault_server.on("/nasty", nasty)
    for option in ("--color=never", "--stream", "--color=always"):
        out = in_terminal(f"{fault_server.url}/nasty", option)
        assert "bell \\x07, clear \\x1b[2J, \\x9b2J\ntab" in out
    out = in_terminal(f"{fault_server.url}/bytes?n=300000", NO_COLOR="1")
    assert out.endswith("(300,000 bytes of binary content: -o FILE writes them into a file)\n")


@posix
def test_a_download_shows_how_far_it_is(fault_server: FaultServer, tmp_path: Path) -> None:
    target = tmp_path / "there"
    out = in_terminal(f"{fault_server.url}/bytes?n=100000", "--download", "-o", str(target))
    assert "100.0/100.0 kB" in out
    assert target.stat().st_size == 100_000


@posix
@pytest.mark.parametrize("options", [(), ("--stream",), ("--events",), ("-v",)])
def test_an_interrupt_ends_it_and_its_connection(
    fault_server: FaultServer, options: tuple[str, ...]
) -> None:
    reached = threading.Event()

    def silent(peer: Peer, request: Request) -> Ending:
        reached.set()
        peer.pause(60)
        return "drop"

    fault_server.on("/silent", silent)
    with subprocess.Popen(
        [*COMMAND, f"{fault_server.url}/silent", *options], stderr=subprocess.PIPE
    ) as running:
        assert reached.wait(30)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert (running.returncode, said) == (130, b"\ninterrupted\n")


@posix
def test_a_reader_that_goes_away_ends_it_quietly(fault_server: FaultServer) -> None:
    url = f"{fault_server.url}/bytes?n=10000000"
    with subprocess.Popen(
        [*COMMAND, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(10)
        running.stdout.close()
        said = running.stderr.read()
    assert (running.returncode, said) == (1, b"")
