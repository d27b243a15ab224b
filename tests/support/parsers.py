"""All parsers of adieu, as one table: what a test or a fuzzer calls with untrusted input.

The input of a parser can come from the wire, a file, the environment or an argument. The words of a row belong to the
grammar of its parser.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import adieu
from adieu.client.download import _plan
from adieu.client.part_file import Remainder
from adieu.flow.retries import _retry_after
from adieu.http1.chunk_guard import ChunkGuard
from adieu.http1.head import Malformed
from adieu.http1.native_codec import NativeCodec
from adieu.http1.request_writer import field_block
from adieu.messages.content.multipart import boundary_of
from adieu.messages.cookies.jar import Cookies
from adieu.messages.cookies.public_suffix import is_public_suffix
from adieu.messages.cookies.set_cookie import parse_set_cookie
from adieu.messages.decoding.charset import (
    IncrementalText,
    charset_of,
    decode_text,
    detect,
)
from adieu.messages.decoding.decoder import decode, decoder_for
from adieu.messages.decoding.lines import LineSplitter
from adieu.messages.decoding.sse import EventParser, check_event_stream
from adieu.messages.fields.challenge import parse_challenges, parse_parameters
from adieu.messages.fields.date import parse_date
from adieu.messages.fields.digest import DigestSession
from adieu.messages.fields.disposition import file_name
from adieu.messages.fields.links import parse_links
from adieu.messages.fields.trailers import received_trailers
from adieu.net.proxies.environment import Environment, NoProxy
from adieu.transport.mount_pattern import Pattern
from support.replay import ReplayWire, tunnel

__all__ = ["BASE", "GZIP", "PARSERS", "Parser", "attempt"]

BASE = adieu.URL("http://example.org/a/b")
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
GZIP = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"


class Parser(NamedTuple):
    """`parse` takes a text, or bytes if its words are bytes; `fails` are errors that it may raise besides `AdieuError`.

    `users`: its input always comes from the user of the program.
    """

    parse: Callable[[Any], object]
    words: tuple[Any, ...]
    fails: tuple[type[Exception], ...] = ()
    users: bool = False


def codec(before: bytes, piece: int) -> Callable[[bytes], object]:
    """Read a reply that begins like this, as the engine does: heads, then the body, then trailers."""

    def read(data: bytes) -> object:
        codec = NativeCodec()
        codec.request("GET", "/", field_block([("Host", "h")]))
        codec.end()
        head, reply = None, before + data
        at = 0
        while at < len(reply):
            codec.feed(reply[at : at + piece])
            at += piece
            while head is None or head.status < 200:
                if (head := codec.head()) is None:
                    break
            while head is not None and codec.body():
                pass
        if head is not None:
            codec.feed(b"")
            while codec.body():
                pass
        codec.is_reusable()
        return received_trailers(codec.trailers)

    return read


def in_pieces(data: bytes) -> object:
    """Feed it byte by byte, unless the number of calls alone would take too long."""
    return codec(b"", 1 if len(data) < 1000 else 400)(data)


def guarded_chunks(data: bytes) -> None:
    guard = ChunkGuard()
    for at in range(0, len(data), 1000):
        guard.check(data[at : at + 1000])


def via(proxy: str) -> Callable[[bytes], object]:
    return lambda data: tunnel(ReplayWire(data, 500), adieu.Proxy(proxy))


def in_file(read: Callable[[Path], object]) -> Callable[[bytes], object]:
    def parse(data: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "file")
            path.write_bytes(data)
            return read(path)

    return parse


def digest_credentials(text: str) -> object:
    session = DigestSession("user", "password")
    session.challenged(parse_challenges([f"Digest {text}"]))
    session.informed(parse_parameters(text))
    return session.credentials("GET", "/") if session.begun else None


def cookies_sent(text: str) -> object:
    jar = Cookies()
    jar.store(BASE, [text])
    return jar.header_for(BASE)


def lines(text: str) -> object:
    splitter = LineSplitter(1_000_000)
    return [
        list(splitter.feed(text[at : at + 100])) for at in range(0, len(text), 100)
    ], splitter.finish()


def characters(data: bytes) -> object:
    text = IncrementalText("text/html; charset=gb18030")
    return [text.feed(data[at : at + 100]) for at in range(0, len(data), 100)], text.finish()


def events(data: bytes) -> object:
    parser = EventParser(100_000)
    return [event for at in range(0, len(data), 100) for event in parser.feed(data[at : at + 100])]


def curl(text: str) -> object:
    request = adieu.Request("POST", BASE.replace(query=text), headers={"X-A": "a"}, content=text)
    return shlex.split(request.as_curl())


def download_plan(text: str) -> object:
    headers = adieu.Headers.from_wire(
        [(name, text) for name in ("content-range", "content-length", "etag", "date")]
    )
    for status in (200, 206, 416):
        response = adieu.Response(status, headers)
        _plan(response, Remainder(5, '"a"', None, "identity"), "key", False)
    return None


def decoded_with(coding: str) -> Callable[[bytes], object]:
    return lambda data: decode(data, coding, max_bytes=1 << 20)


def is_exempt(text: str) -> object:
    return NoProxy(text).covers(BASE.origin)


def from_environment(text: str) -> object:
    return Environment({"http_proxy": text, "no_proxy": "a"}).proxy_for(BASE.origin)


def keep_alive_hints(data: bytes) -> object:
    return codec(OK + b"Content-Length: 0\r\n", 1 << 20)(b"Keep-Alive: " + data + b"\r\n\r\n")


def as_json(data: bytes) -> object:
    return adieu.Response(200, body=data).json()


_DATE = ("Sun, ", "06 ", "Nov ", "1994 ", "08:49:37 ", "GMT", "99", ":", ";", "-", "\t")
_PARAMETER = (";", "=", '"', "\\", " ", "\t", ",", "a", "a=b;", 'a="b";', "*0*=", "''", "%e4")
_HEAD = (b"\r\n", b"\n", b"\r", b" ", b":", b"A: b\r\n", b"\0", b"\xff", b",", b"\t", b"1")
_CHALLENGE = ("Digest ", "Basic ", "realm=", 'nonce="a"', "qop=", "=", '"', "\\", ",", " ", "a")

PARSERS = {
    "url": Parser(adieu.URL, ("http://", "/", "..", "./", "@", ":", "[", "]", "%", "%41", "?", "#", "\\", "ü", "1.")),
    "reference": Parser(BASE.join, ("//", "/", "../", "./", "@", ":", "[", "%2e", "?", "#", "\\", "ü", ";")),
    "header value": Parser(lambda text: adieu.Headers({"X": text}), (" ", "\t", "a", "\r\n", "ü", "☃")),
    "header name": Parser(lambda text: adieu.Headers({text: "a"}), ("a", "-", " ", ":", "\r\n", "☃")),
    "set-cookie": Parser(parse_set_cookie, (*_PARAMETER, *_DATE, "Expires=", "Max-Age=", "Path=/", "Domain=.")),
    "cookie jar": Parser(cookies_sent, (*_PARAMETER, "Domain=example.org;", "__Host-", "Secure;", "Max-Age=9")),
    "date": Parser(parse_date, _DATE),
    "public suffix": Parser(is_public_suffix, (".", "com", "co.uk", "*", "!", "xn--", "a.", "ü")),
    "cookie file": Parser(
        in_file(Cookies.load),
        (b"\t", b"\n", b"#HttpOnly_", b"# ", b"TRUE\t", b"a", b"0\t", b"\xff", b"a.example\tTRUE\t/\tFALSE\t0\ta\tb\n"),
    ),
    "netrc": Parser(
        in_file(adieu.NetrcAuth),
        (b"machine ", b"default ", b"login ", b"password ", b"macdef ", b"#", b'"', b"\\", b"\n", b" ", b"a", b"\xff"),
    ),
    "challenges": Parser(lambda text: parse_challenges([text, text]), _CHALLENGE),
    "parameters": Parser(parse_parameters, _CHALLENGE),
    "digest": Parser(
        digest_credentials,
        (*_CHALLENGE, 'realm="a", nonce="b", ', "algorithm=SHA-256", "userhash=true,", "-sess"),
    ),
    "content-type": Parser(charset_of, (*_PARAMETER, "text/html", "charset=", "utf-8", "\0", "hex")),
    "text": Parser(
        lambda data: decode_text(data, None),
        (b"\xef\xbb\xbf", b"\xff\xfe", b"a", b"\xe4", b"\x1b$B", b"\0"),
    ),
    "text in pieces": Parser(characters, (b"\x81\x30", b"\x81", b"a", b"\xff", b"\r\n")),
    "detected text": Parser(detect, (b"a", b"\xe4", b"\x1b$B", b"\0", b"\xc3\xa4", b" ")),
    "lines": Parser(lines, ("\r", "\n", "\r\n", "a", "\x85", "\u2028")),
    "content-encoding": Parser(decoder_for, ("gzip", "br", "deflate", ",", " ", "identity", "x-", ";")),
    "multipart type": Parser(boundary_of, (*_PARAMETER, "multipart/form-data; ", "boundary=")),
    "events": Parser(
        events,
        (b"data:", b"id: ", b"retry:1", b"\n", b"\r", b"\r\n", b":", b"\xef\xbb\xbf", b"\xff", b"a"),
    ),
    "event type": Parser(lambda text: check_event_stream(text, "u"), (*_PARAMETER, "text/event-stream")),
    "links": Parser(lambda text: parse_links(text, BASE), (*_PARAMETER, "<", ">", "</a>;", "rel=next", "rel*=")),
    "disposition": Parser(
        file_name,
        (*_PARAMETER, "attachment;", "filename=", "filename*=UTF-8''", "../", "C:\\", "\0"),
    ),
    "retry-after": Parser(lambda text: _retry_after(text, 0.0), (*_DATE, "1", "²", "-")),
    "ranges of a download": Parser(download_plan, ("bytes ", "0-", "5-9", "/", "*", "9", "²", '"', ",", "W/", *_DATE)),
    "json": Parser(
        as_json,
        (b"[", b"{", b'"', b"\\", b"1", b",", b":", b'{"a":', b"\xff", b"null", b"1e9", b"\xef\xbb\xbf"),
    ),
    "chunks": Parser(
        guarded_chunks,
        (b"1\r\na\r\n", b"0\r\n", b"\r\n", b"\n", b"f", b";", b"a: b\r\n", b"\0"), (Malformed,),
    ),
    "head": Parser(codec(OK, 4000), (*_HEAD, b"Content-Length: 9\r\n", b"Connection: close\r\n"), (Malformed,)),
    "head in pieces": Parser(in_pieces, (*_HEAD, OK, b"HTTP/1.1 100 \r\n\r\n", b"HTTP/9.9 "), (Malformed,)),
    "chunked body": Parser(
        codec(CHUNKED, 999),
        (b"1\r\na\r\n", b"0\r\n", b"\r\n", b"f", b";a=", b"9\r\n"), (Malformed,),
    ),
    "trailers": Parser(codec(CHUNKED + b"0\r\n", 999), (*_HEAD, b"Set-Cookie: a\r\n", b"Trailer: b\r\n"), (Malformed,)),
    "interim heads": Parser(
        codec(b"", 4000),
        (b"HTTP/1.1 100 \r\n\r\n", b"HTTP/1.1 103 \r\nA: b\r\n\r\n"), (Malformed,),
    ),
    "keep-alive": Parser(keep_alive_hints, (b"timeout=", b"9", b",", b"=", b" ", b"\xb2", b"max=1"), (Malformed,)),
    "proxy url": Parser(adieu.Proxy.of, ("http://", "socks5://", "u:p@", "%", ":", "[", "/", "é"), users=True),
    "http_proxy": Parser(from_environment, ("http://", "socks5h://", "u:p@", "%", ":", "[", "/", "é", " "), users=True),
    "no_proxy": Parser(is_exempt, (",", " ", ".", "*", ":", "/", "[", "::", "10.", "0/8", "a", "%", "é")),
    "CONNECT": Parser(
        via("http://p"),
        (*_HEAD, OK, b"HTTP/1.1 407 \r\n", b'Proxy-Authenticate: Digest realm="a"\r\n'),
    ),
    "SOCKS 5": Parser(via("socks5h://u:p@p"), (b"\5\0", b"\5\2", b"\1\0", b"\5\0\0\1", b"\5\0\0\3", b"\xff", b"\0")),
    "SOCKS 4": Parser(via("socks4a://p"), (b"\0\x5a", b"\0\x5b", b"\0", b"\xff")),
    "mount": Parser(
        Pattern.parse,
        ("http://", "*", "*.", "a.", ":", ":*", "/", "..", "%2f", "%", "@", "[", "é", "?"), users=True,
    ),
    "pinned address": Parser(
        lambda text: adieu.Connect(addresses={"a": text}),
        ("1", ".", ":", "[", "]", "%", "::", "0x"),
    ),
    "curl": Parser(curl, ("'", '"', "\\", "$", "`", "\n", " ", "token=", "&", "=", "@", "é", "!", "\0")),
    **{
        coding: Parser(
            decoded_with(coding),
            (GZIP, b"\x78\x9c", b"\0", b"\xff", b"\x4b\x04\0", b"\x28\xb5\x2f\xfd", b"\x1f\x8b"),
        )
        for coding in ("gzip", "deflate", "br", "zstd", "gzip, gzip")
    },
}  # fmt: skip


def attempt(parser: Parser, given: Any) -> None:
    """It is parsed, or it is an error with a text."""
    text = "fine"
    expected: tuple[type[Exception], ...] = (adieu.AdieuError, *parser.fails)
    try:
        parser.parse(given)
    except expected as error:
        text = str(error)
    # An error quotes untrusted input only in part; it may quote the user's own input whole.
    assert text
    assert len(text) < 4000 or parser.users
