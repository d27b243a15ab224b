from __future__ import annotations

import codecs
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import adieu
from adieu.messages.decoding import charset
from adieu.messages.decoding.charset import (
    IncrementalText,
    charset_of,
    decode_text,
    detect,
)


def in_pieces(pieces: list[bytes], content_type: str | None, default: str = "utf-8") -> str:
    text = IncrementalText(content_type, default)
    return "".join([text.feed(piece) for piece in pieces]) + text.finish()


def singles(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


# Content-Type


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html;charset=utf-8",
        "text/html; charset=UTF-8",
        'text/html; charset="utf-8"',
        "TEXT/HTML; CharSet=Utf-8",
        "text/html ; charset = utf-8 ",
        "text/html;\tcharset=utf8;",
        "text/html; charset='utf-8'",
        'text/html; charset=" utf-8 "',
        'text/html; charset="utf-8',
        r'text/html; charset="ut\f-8"',
        "text/html;;; charset=utf-8",
        "text/html; x; charset=utf-8",
        "text/html; charset=utf-8, text/html",
        "text/html; charset=utf-8; charset=koi8-r",
        "multipart/mixed; boundary=abc; charset=utf-8",
        'text/html; title="; charset=koi8-r"; charset=utf-8',
        r'text/html; title="\"; charset=koi8-r"; charset=utf-8',
        "; charset=utf-8",
    ],
)
def test_the_charset_is_found_in_every_spelling(content_type: str) -> None:
    assert charset_of(content_type) == "utf-8"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/html",
        "text/html; charset",
        "text/html; charset=",
        'text/html; charset=""',
        "text/html; xcharset=utf-8",
        'text/html; title="charset=utf-8"',
        'text/html; title="; charset=utf-8',
        "text/html charset=utf-8",
        "text/html; charset=no-such-thing",
        "text/html; charset=\0",
        "text/html; charset=utf-8\udcff",
        "text/html; charset=ütf-8",
        "text/html; charset=" + "x" * 100_000,
        "text/html; charset=utf-8" + "8" * 100,
        '"' * 50_000 + ";charset=" * 10_000,
    ],
)
def test_an_unknown_or_missing_charset_is_none(content_type: str | None) -> None:
    assert charset_of(content_type) is None


@pytest.mark.parametrize(
    "label",
    [
        "hex",
        "base64",
        "zip",
        "zlib_codec",
        "bz2",
        "rot13",
        "rot_13",
        "quopri",
        "uu",
        "idna",
        "punycode",
        "unicode_escape",
        "raw-unicode-escape",
        "undefined",
        "charmap",
        "mbcs",
        "oem",
        "utf-7",
        "hz-gb-2312",
        "iso-2022-kr",
        "aliases",
        "os",
        "..sys",
        "__init__",
    ],
)
def test_only_text_encodings_can_be_chosen_by_a_header(label: str) -> None:
    modules = set(sys.modules)
    assert charset_of(f"text/plain; charset={label}") is None
    assert decode_text(b"eJwr", f"text/plain; charset={label}") == "eJwr"
    assert set(sys.modules) == modules


def test_every_encoding_that_can_be_chosen_is_a_text_encoding_of_python() -> None:
    for name in charset._CODECS:
        assert charset_of(f"text/plain; charset={name}") == name.replace("_", "-")
        assert isinstance(b"abc".decode(name.replace("_", "-"), "replace"), str)
        assert codecs.getincrementaldecoder(name)("replace").decode(b"", True) == ""
    assert set(charset._REPLACED.values()) <= charset._CODECS
    assert set(charset._LABELS.values()) <= charset._CODECS


@pytest.mark.parametrize(
    ("labels", "codec"),
    [
        ("utf-8 utf8 UTF_8 unicode-1-1-utf-8 x-unicode20utf8 cp65001 utf-8-sig", "utf-8"),
        (
            "iso-8859-1 latin1 l1 us-ascii ascii ISO_8859-1:1987 iso88591 cp819 windows-1252",
            "cp1252",
        ),
        ("x-cp1252 ansi_x3.4-1968 csISOLatin1", "cp1252"),
        ("iso-8859-9 latin5 windows-1254 iso88599", "cp1254"),
        ("iso-8859-2 latin2 iso88592 iso_8859-2:1987", "iso8859-2"),
        ("iso-8859-8 iso-8859-8-i csiso88598e visual logical", "iso8859-8"),
        ("iso-8859-15 latin9 csisolatin9", "iso8859-15"),
        ("windows-1251 cp1251 x-cp1251", "cp1251"),
        ("koi8-r koi cskoi8r", "koi8-r"),
        ("koi8-u koi8-ru", "koi8-u"),
        ("gb2312 gbk gb18030 x-gbk chinese gb_2312-80 cp936", "gb18030"),
        ("big5 big5-hkscs cn-big5 x-x-big5", "big5hkscs"),
        ("shift_jis sjis x-sjis ms_kanji windows-31j", "cp932"),
        ("euc-jp x-euc-jp", "euc-jp"),
        ("iso-2022-jp", "iso2022-jp"),
        ("euc-kr ks_c_5601-1987 windows-949 korean", "cp949"),
        ("tis-620 windows-874 iso-8859-11 dos-874", "cp874"),
        ("macintosh x-mac-roman mac", "mac-roman"),
        ("x-mac-cyrillic x-mac-ukrainian", "mac-cyrillic"),
        ("utf-16 utf-16le unicode ucs-2", "utf-16-le"),
        ("utf-16be unicodefffe", "utf-16-be"),
        ("ibm866 cp866", "cp866"),
        ("ibm037", "cp037"),
    ],
)
def test_labels_have_their_meaning_in_browsers(labels: str, codec: str) -> None:
    for label in labels.split():
        assert charset_of(f"text/html; charset={label}") == codec, label
        assert charset_of(f"text/html; charset={label.upper()}") == codec, label


def test_iso_8859_1_is_decoded_as_windows_1252() -> None:
    sent = "“smart” … 5 €".encode("cp1252")
    assert decode_text(sent, "text/html; charset=ISO-8859-1") == "“smart” … 5 €"
    assert decode_text(bytes(range(0xA0, 0x100)), "text/plain; charset=latin1") == bytes(
        range(0xA0, 0x100)
    ).decode("latin-1")


# Bytes to text


@pytest.mark.parametrize(
    ("mark", "codec"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_byte_order_mark_overrides_the_header_and_is_removed(mark: bytes, codec: str) -> None:
    for text in ("", "häß€", "\ufeffx"):
        data = mark + text.encode(codec)
        for content_type in (
            None,
            "text/html; charset=iso-8859-2",
            "application/json",
            "a/b; charset=utf-16",
        ):
            assert decode_text(data, content_type) == text
            assert in_pieces(singles(data), content_type) == text
            assert in_pieces([data], content_type) == text


def test_an_incomplete_byte_order_mark_is_text() -> None:
    for data in (b"\xef", b"\xef\xbb", b"\xff", b"\xfe", b"\0", b"\0\0\xfe", b"\xef\xbba"):
        expected = data.decode("cp1252", "replace")
        assert decode_text(data, "text/plain; charset=latin1") == expected
        assert in_pieces(singles(data), "text/plain; charset=latin1") == expected


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", ['{"ä": 1}', '"é"', "[]", "1", '["\ud83d\ude00"]', ""])
def test_json_without_a_charset_shows_its_encoding(codec: str, text: str) -> None:
    text = text.encode("utf-16", "surrogatepass").decode("utf-16")
    data = text.encode(codec)
    for content_type in (
        "application/json",
        "Application/Problem+JSON; v=1",
        "text/json",
        "application/json;",
    ):
        assert decode_text(data, content_type, "cp1252") == text
        assert in_pieces(singles(data), content_type, "cp1252") == text


def test_json_with_a_charset_is_in_that_charset() -> None:
    assert decode_text(b'"\xe9"', "application/json; charset=iso-8859-1") == '"é"'
    assert decode_text(b'"\xc3\xa9"', "application/json; charset=unknown") == '"é"'


def test_a_body_without_a_charset_has_the_default() -> None:
    assert decode_text("é".encode(), None) == "é"
    assert decode_text("é".encode(), "text/html") == "é"
    assert decode_text(b"\xe9", "text/html", "cp1252") == "é"
    assert in_pieces([b"\xe9"], "text/html", "cp1252") == "é"
    assert decode_text(b"a\0", "text/plain") == "a\0"


def test_bytes_that_cannot_be_decoded_are_replaced() -> None:
    assert decode_text(b"caf\xe9!", "text/plain; charset=utf-8") == "caf\ufffd!"
    assert in_pieces([b"caf\xe9", b"!"], "text/plain; charset=utf-8") == "caf\ufffd!"
    assert in_pieces([b"caf\xe2\x82"], "text/plain") == "caf\ufffd"
    assert decode_text(b"\x81", "text/plain; charset=latin1") == "\ufffd"


def test_text_is_returned_as_soon_as_it_is_complete() -> None:
    text = IncrementalText("text/event-stream")
    assert text.feed(b"d") == "d"
    assert text.feed(b"ata: \xe2\x82") == "ata: "
    assert text.feed(b"") == ""
    assert text.feed(b"\xac\n") == "€\n"
    assert text.finish() == ""
    assert IncrementalText(None).finish() == ""


def test_a_broken_escape_sequence_is_replaced_in_pieces_too() -> None:
    # Python's own incremental decoder raises for this one, under any error handler.
    broken = b"abc\x1b(\x81$\x81~\x0e~\x81\x81\x81" * 10
    for pieces in (singles(broken), [broken]):
        text = in_pieces(pieces, "text/plain; charset=iso-2022-jp")
        assert "abc" in text
        assert "\ufffd" in text
    sane = "日本語 and ASCII".encode("iso2022_jp")
    assert in_pieces(singles(sane), "text/plain; charset=iso-2022-jp") == "日本語 and ASCII"


# Any input


content_types = st.one_of(
    st.none(),
    st.sampled_from(["application/json", "text/html", "text/html; charset="]),
    st.sampled_from(sorted(charset._CODECS - {"iso2022_jp"})).map("text/plain; charset={}".format),
    st.text(max_size=60).map("text/plain;{}".format),
)


@settings(max_examples=400)
@given(
    st.binary(max_size=60)
    | st.text(max_size=20).map(lambda text: text.encode("utf-16", "replace")),
    content_types,
    st.lists(st.integers(0, 60), max_size=8),
)
def test_any_bytes_in_any_pieces_are_the_text_of_the_whole(
    data: bytes, content_type: str | None, places: list[int]
) -> None:
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    assert in_pieces(pieces, content_type) == decode_text(data, content_type)


@settings(max_examples=300)
@given(st.text(), st.integers(0, 3))
def test_no_content_type_raises(text: str, wrapping: int) -> None:
    for content_type in (
        text,
        f"text/html;{text}",
        f"text/html; charset={text}",
        f'a/b; charset="{text}"',
    ):
        codec = charset_of(content_type)
        assert codec is None or codec.replace("-", "_") in charset._CODECS


# Guessing


def test_utf_8_needs_no_guess() -> None:
    assert detect(b"") == detect(b"plain") == detect("größe".encode()) == "utf-8"
    assert detect(("ü" * 100_000).encode()) == "utf-8"  # cut within a character
    assert detect(b"x" + ("ü" * 100_000).encode()) == "utf-8"


@pytest.mark.parametrize("codec", ["cp1251", "koi8-r", "shift_jis", "utf-16"])
def test_an_undeclared_charset_is_guessed_from_the_beginning(codec: str) -> None:
    text = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"
    if codec in {"cp1251", "koi8-r"}:
        text = "Все счастливые семьи похожи друг на друга. "  # noqa: RUF001
    data = (text * 20).encode(codec)
    found = detect(data)
    assert found is not None
    assert data.decode(found).removeprefix("\ufeff") == text * 20
    response = adieu.Response(200, body=data)
    response.encoding = response.detect_encoding() or "utf-8"
    assert response.text.removeprefix("\ufeff") == text * 20


def test_a_large_body_is_not_examined_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    charset_normalizer = pytest.importorskip("charset_normalizer")
    examined: list[bytes] = []
    real = charset_normalizer.from_bytes

    def from_bytes(data: bytes) -> object:
        examined.append(data)
        return real(data[:1000])

    monkeypatch.setattr(charset_normalizer, "from_bytes", from_bytes)
    body = bytes(range(128, 256)) * 1000
    detect(body)
    assert examined == [body[: 64 * 1024]]


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    with pytest.raises(adieu.MissingExtra, match=r"pip install 'adieu\[charset\]'"):
        detect(b"\xe4\xf6")
    assert detect(b"x") == "utf-8"
