"""Multipart forms: the bytes of browsers and RFC 7578, their length, and whether they can be sent again."""

from __future__ import annotations

import asyncio
import io
import pickle
import re
import tempfile
from email import message_from_bytes
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adieu.errors import InvalidHeader, InvalidRequest
from adieu.messages.content.encode import encode_content
from adieu.messages.content.multipart import AsyncMultipart, Multipart
from adieu.messages.request import Request

if TYPE_CHECKING:
    import pathlib
    from collections.abc import AsyncIterator, Iterator

    from adieu.messages.content.value import Content


def encoded(files: Any, data: Any = None, boundary: str = "B") -> Content:
    return encode_content(data=data, files=files, boundary=boundary)


def sent(content: Content) -> bytes:
    chunks = list(content.chunks())
    assert all(type(chunk) is bytes and chunk for chunk in chunks)
    return b"".join(chunks)


def parts(content: Content) -> list[tuple[dict[str, str], bytes]]:
    """The parts as the e-mail parser of the standard library reads them."""
    assert content.media_type is not None
    raw = f"Content-Type: {content.media_type}\r\n\r\n".encode() + sent(content)
    message = message_from_bytes(raw)
    assert message.is_multipart()
    return [
        ({k.lower(): v for k, v in part.items()}, part.get_payload(decode=True))  # type: ignore[union-attr, misc]
        for part in message.get_payload()
    ]


def refusal(files: Any, data: Any = None, **more: Any) -> str:
    with pytest.raises((InvalidRequest, InvalidHeader)) as caught:
        sent(encode_content(data=data, files=files, **more))
    return str(caught.value)


def test_fields_come_first_and_then_the_files_byte_for_byte() -> None:
    content = encoded({"file": ("a.txt", b"abc")}, {"name": "Zoë", "tags": ["x", "y"], "no": None})
    whole = (
        '--B\r\nContent-Disposition: form-data; name="name"\r\n\r\nZoë\r\n'
        '--B\r\nContent-Disposition: form-data; name="tags"\r\n\r\nx\r\n'
        '--B\r\nContent-Disposition: form-data; name="tags"\r\n\r\ny\r\n'
        '--B\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
        "Content-Type: text/plain\r\n\r\nabc\r\n"
        "--B--\r\n"
    ).encode()
    assert content.body == whole
    assert content.length == len(whole)
    assert content.media_type == "multipart/form-data; boundary=B"
    assert content.replayable


def test_pairs_repeat_a_name_and_keep_their_order() -> None:
    content = encoded([("f", b"1"), ("g", b"2"), ("f", b"3")], [("a", 1), ("b", True), ("a", 2.5)])
    found = re.findall(rb'name="(\w)".*?\r\n\r\n(.*?)\r\n', sent(content), re.DOTALL)
    assert found == [
        (b"a", b"1"), (b"b", b"true"), (b"a", b"2.5"), (b"f", b"1"), (b"g", b"2"), (b"f", b"3"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ('a"b', b'name="a%22b"'),
        ("a\r\nb", b'name="a%0D%0Ab"'),
        ("a\nb", b'name="a%0D%0Ab"'),
        ("a\rb", b'name="a%0D%0Ab"'),
        ("a\\b", b'name="a\\b"'),
        ("a%22b", b'name="a%22b"'),
        ("größe", 'name="größe"'.encode()),
        ("日本", 'name="日本"'.encode()),
        ("", b'name=""'),
    ],
)
def test_names_are_escaped_as_browsers_do(name: str, written: bytes) -> None:
    assert written in sent(encoded({name: b""}))
    assert written in sent(encoded({"f": b""}, {name: ""}))


@pytest.mark.parametrize(
    ("filename", "written"),
    [
        ('say "hi".txt', b'filename="say %22hi%22.txt"'),
        ("a\nb", b'filename="a%0Ab"'),
        ("a\rb", b'filename="a%0Db"'),
        ("naïve.pdf", 'filename="naïve.pdf"'.encode()),
        ("", b'filename=""'),
    ],
)
def test_filenames_are_escaped_and_their_line_ends_kept_apart(
    filename: str, written: bytes
) -> None:
    assert written in sent(encoded({"f": (filename, b"")}))


def test_no_name_can_make_a_header_or_a_part_of_its_own() -> None:
    evil = 'x"\r\nContent-Type: text/html\r\n\r\n--B--\r\n'
    raw = sent(encoded({evil: (evil, b"")}, {evil: "value"}))
    assert raw.count(b"\r\n--B--\r\n") == 1
    assert b"\r\nContent-Type: text/html" not in raw


@pytest.mark.parametrize(
    ("part", "filename", "kind"),
    [
        (("a.json", b"{}"), "a.json", "application/json"),
        (("a.tar.gz", b""), "a.tar.gz", "application/octet-stream"),
        (("a", b""), "a", "application/octet-stream"),
        (("a", "text"), "a", "text/plain; charset=utf-8"),
        (("a.csv", b"", "text/x-mine"), "a.csv", "text/x-mine"),
        ((None, b"{}", "application/json"), None, "application/json"),
        ((None, "x"), None, None),
        (("a.csv", b"", None, {"Content-Type": "text/x-own"}), "a.csv", "text/x-own"),
        (b"raw", "f", "application/octet-stream"),
    ],
)
def test_a_part_has_a_filename_and_a_content_type(
    part: Any, filename: str | None, kind: str | None
) -> None:
    [(headers, _)] = parts(encoded({"f": part}))
    disposition = 'form-data; name="f"' + ("" if filename is None else f'; filename="{filename}"')
    assert headers["content-disposition"] == disposition
    assert headers.get("content-type") == kind


def test_a_part_may_have_fields_of_its_own() -> None:
    [(headers, _)] = parts(encoded({"f": ("a", b"x", "text/plain", {"X-Nth": "1", "y": "2"})}))
    assert (headers["x-nth"], headers["y"]) == ("1", "2")


def test_a_file_is_named_without_its_folder_and_sent_from_its_position(
    tmp_path: pathlib.Path,
) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        file.seek(4)
        content = encoded({"f": file})
        assert type(content) is Multipart
        assert content.replayable
        for _ in range(2):
            [(headers, body)] = parts(content)
            assert headers["content-disposition"].endswith('filename="report.pdf"')
            assert headers["content-type"] == "application/pdf"
            assert body == b"456789"
        assert content.length == len(sent(content))


def test_a_file_without_a_name_is_called_like_its_field() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"abc")
        file.seek(0)
        assert b'filename="scan"' in sent(encoded({"scan": file}))
    assert b'filename="scan"' in sent(encoded({"scan": io.BytesIO(b"abc")}))


def test_small_parts_in_memory_are_one_piece_and_large_ones_are_not_copied() -> None:
    assert encoded({"f": b"x" * 1000}).body is not None
    large = encoded({"f": b"x" * 100_000})
    assert large.body is None
    assert large.length == len(sent(large)) == len(sent(large))


def test_a_part_of_unknown_length_makes_the_whole_unknown() -> None:
    content = encoded({"f": iter([b"a", "ü", bytearray(b"c")]), "g": b"x"})
    assert content.length is None
    assert not content.replayable
    assert [body for _, body in parts(content)] == ["aüc".encode(), b"x"]
    with pytest.raises(InvalidRequest, match=r"files\['f'\]|has been read"):
        sent(content)


def test_a_list_of_pieces_can_be_sent_again() -> None:
    content = encoded({"f": [b"a", b"b"]})
    assert (content.length, content.replayable) == (None, True)
    assert sent(content) == sent(content)


def test_parts_are_read_one_after_the_other_and_only_when_they_are_sent() -> None:
    log: list[str] = []

    def pieces(name: str) -> Iterator[bytes]:
        for nth in range(2):
            log.append(f"{name}{nth}")
            yield b"x"

    chunks = encoded({"a": pieces("a"), "b": pieces("b")}).chunks()
    assert log == []
    next(chunks)
    assert log == []
    next(chunks)
    assert log == ["a0"]
    list(chunks)
    assert log == ["a0", "a1", "b0", "b1"]


def test_an_async_part_is_for_the_async_client() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"12"
        yield b""
        yield b"34"

    content = encoded({"f": pieces(), "g": [b"5", b"6"], "h": b"7"})
    assert isinstance(content, AsyncMultipart)
    assert (content.is_async, content.length, content.replayable) == (True, None, False)

    async def gathered() -> bytes:
        return b"".join([chunk async for chunk in content.async_chunks()])

    raw = asyncio.run(gathered())
    assert re.findall(rb"\r\n\r\n(.*?)\r\n--B", raw) == [b"1234", b"56", b"7"]
    with pytest.raises(InvalidRequest, match=r"files\['f'\] is an async iterable"):
        sent(encoded({"f": pieces()}))


def test_boundaries_are_random_and_well_formed() -> None:
    found = set()
    for _ in range(20):
        media_type = encode_content(files={"f": b""}).media_type
        assert media_type is not None
        match = re.fullmatch("multipart/form-data; boundary=(adieu-[0-9a-f]{32})", media_type)
        assert match is not None
        found.add(match[1])
    assert len(found) == 20


@pytest.mark.parametrize("boundary", ["", "a ", "x" * 71, "a\r\nb", "ä", 'a"b', "a;b"])
def test_an_invalid_boundary_is_refused(boundary: str) -> None:
    assert "is no boundary for multipart" in refusal({"f": b""}, boundary=boundary)


def test_a_boundary_with_odd_characters_is_quoted() -> None:
    content = encoded({"f": b"1"}, boundary="a b:c")
    assert content.media_type == 'multipart/form-data; boundary="a b:c"'
    assert [body for _, body in parts(content)] == [b"1"]


def test_the_users_own_content_type_gives_the_boundary() -> None:
    own = {"Content-Type": 'Multipart/Form-Data; charset=x; boundary="my own"'}
    request = Request("POST", "http://a/", files={"f": b"1"}, headers=own)
    assert request.headers["content-type"] == own["Content-Type"]
    assert request.content.body is not None
    assert request.content.body.startswith(b"--my own\r\n")


@pytest.mark.parametrize("own", ["multipart/form-data", "application/json", "multipart/form-data;"])
def test_a_content_type_without_a_boundary_is_refused(own: str) -> None:
    with pytest.raises(InvalidRequest, match="with a boundary, but the Content-Type header says"):
        Request("POST", "http://a/", files={"f": b"1"}, headers={"Content-Type": own})


def test_the_request_has_the_type_and_length_of_the_form() -> None:
    request = Request("POST", "http://a/", files={"f": b"1"}, data={"a": "b"})
    assert request.headers["content-length"] == str(request.content.length)
    assert request.headers["content-type"] == request.content.media_type
    request = Request("POST", "http://a/", files={"f": iter([b"1"])})
    assert request.headers["transfer-encoding"] == "chunked"


def test_no_files_are_no_multipart() -> None:
    nothing: list[Any] = [{}, [], None]
    for files in nothing:
        content = encode_content(data={"a": "b"}, files=files)
        assert content.media_type == "application/x-www-form-urlencoded"
    assert encode_content(files={}).body == b""


def test_a_refusal_names_the_part_that_cannot_be_sent(tmp_path: pathlib.Path) -> None:
    assert "content= and files= were given" in refusal({"f": b""}, content=b"x")
    assert "json= and files= were given" in refusal({"f": b""}, json={})
    assert "data= beside files= is a mapping or pairs, not bytes" in refusal({"f": b""}, b"x")
    assert "files= is a mapping of names to parts, or pairs of both, not bytes" in refusal(b"x")
    assert "files= takes pairs of name and part, not str" in refusal(["ab"])
    assert "a name in files= is text, not int" in refusal([(1, b"")])
    assert "files['f'] takes bytes, text" in refusal({"f": None})
    assert refusal({"f": tmp_path}).endswith("Path: open the file with 'rb'")
    assert "(filename, content), and perhaps content type" in refusal({"f": ("a",)})
    assert "the file in files['f'] is open for text" in refusal({"f": io.StringIO("x")})
    assert "Content-Disposition is made of" in refusal(
        {"f": ("a", b"", None, {"content-disposition": "x"})}
    )
    assert "lone surrogate" in refusal({"f\ud800": b""})
    assert "names of fields and files are text; that of 'f' is int" in refusal({"f": (7, b"")})
    assert "header field 'Content-Type'" in refusal({"f": ("a", b"", "text/plain\r\nx: y")})
    assert "form field 'a' is dict" in refusal({"f": b""}, {"a": {}})
    assert "files['f'] has to give bytes or text, but its item 1 is int" in refusal(
        {"f": [b"a", 1]}
    )


def test_a_request_with_files_pickles_if_its_parts_do() -> None:
    request = Request("POST", "http://a/", files={"f": b"x" * 100_000, "g": [b"y"]})
    again = pickle.loads(pickle.dumps(request))
    assert sent(again.content) == sent(request.content)


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"])),
            st.text(st.characters(exclude_categories=["Cs"])) | st.none(),
            st.binary() | st.lists(st.binary(), max_size=3),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_the_email_parser_reads_any_form_back(files: list[tuple[str, str | None, Any]]) -> None:
    content = encode_content(files=[(name, (filename, part)) for name, filename, part in files])
    raw = sent(content)
    assert content.length in (None, len(raw))
    mark = b"--" + (content.media_type or "").partition("boundary=")[2].encode()
    found = raw.removesuffix(b"\r\n" + mark + b"--\r\n").split(mark + b"\r\n")[1:]
    assert len(found) == len(files)
    for nth, (section, (_, _, part)) in enumerate(zip(found, files, strict=True)):
        head, _, body = section.partition(b"\r\n\r\n")
        body = body if nth == len(found) - 1 else body.removesuffix(b"\r\n")
        assert body == (part if isinstance(part, bytes) else b"".join(part))
        assert head.count(b"\r\n") <= 1
