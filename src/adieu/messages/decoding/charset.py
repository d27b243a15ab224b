"""Charsets: which encoding a body has, and its text, at once or piece by piece.

Invariants: no bytes of a server raise here; bytes that cannot be decoded become U+FFFD. No name from a server reaches
Python's codec registry: a header chooses among the text encodings listed below, never "hex", "zip", "unicode_escape" or
a module to import.

The encoding is chosen as in browsers (https://encoding.spec.whatwg.org/#decode), with JSON added: first a byte order
mark; then the charset parameter of Content-Type; then, for JSON, its first bytes; then the default, which is UTF-8 for
every type (RFC 2616, now obsolete, had ISO-8859-1 for text). Nothing is guessed, unless the caller asks for it with
`detect`.

Labels have their meaning in browsers: "iso-8859-1", "latin1" and "us-ascii" are windows-1252, "gb2312" is gb18030,
"shift_jis" is windows-31j and so on: the superset that servers really send under the old name. The text differs from
that of requests only for bytes that are control characters in ISO-8859-1, which text does not contain: here they are
quotes, dashes and the euro sign. For one character per byte, use `content.decode("latin-1")`. UTF-7, HZ and ISO-2022-KR
or -CN are not decoded, as in browsers: they hide markup in bytes that look like plain ASCII.
"""

from __future__ import annotations

import codecs
import re
from encodings import normalize_encoding
from encodings.aliases import aliases
from functools import lru_cache

from adieu.errors import MissingExtra
from adieu.messages.fields.parameters import parameters

__all__ = ["IncrementalText", "charset_of", "decode_text", "detect"]

_CODEC_NAMES = """
utf_8 utf_16_le utf_16_be utf_32_le utf_32_be
iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_10 iso8859_13
iso8859_14 iso8859_15 iso8859_16 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258
koi8_r koi8_t koi8_u kz1048 ptcp154 hp_roman8 mac_arabic mac_croatian mac_cyrillic mac_farsi
mac_greek mac_iceland mac_latin2 mac_roman mac_romanian mac_turkish
cp437 cp720 cp737 cp775 cp850 cp852 cp855 cp856 cp857 cp858 cp860 cp861 cp862 cp863 cp864 cp865
cp866 cp869 cp874 cp1006 cp1125 cp037 cp273 cp424 cp500 cp875 cp1026 cp1140
big5hkscs cp950 gb18030 cp932 shift_jis_2004 shift_jisx0213 euc_jp euc_jis_2004 euc_jisx0213
iso2022_jp cp949 johab
"""
_CODECS = frozenset(_CODEC_NAMES.split())

# Codecs that browsers decode with another one, mostly a superset.
_REPLACED = {
    "ascii": "cp1252",
    "latin_1": "cp1252",
    "iso8859_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
    "big5": "big5hkscs",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "utf_8_sig": "utf_8",  # the byte order mark is removed in any case
    "utf_16": "utf_16_le",  # without a byte order mark; WHATWG's choice, by what servers send
    "utf_32": "utf_32_le",
}

# Labels of the WHATWG standard that Python does not know.
_LABELS = {
    label: codec
    for codec, labels in {
        "utf_8": "unicode_1_1_utf_8 unicode11utf8 unicode20utf8",
        "utf_16_le": "csunicode iso_10646_ucs_2 ucs_2 unicode unicodefeff",
        "utf_16_be": "unicodefffe",
        "iso8859_7": "sun_eu_greek",
        "iso8859_8": "logical visual",
        "iso8859_15": "csisolatin9",
        "koi8_r": "koi koi8",
        "koi8_u": "koi8_ru",
        "mac_cyrillic": "mac_ukrainian",
        "mac_roman": "csmacintosh mac",
        "cp932": "windows_31j",
        "cp874": "dos_874 windows_874",
        "cp949": "cseuckr csksc56011987 iso_ir_149 ks_c_5601_1989 ksc_5601 windows_949",
        "gb18030": "csgb2312 gb_2312 gb_2312_80",
        "big5hkscs": "cn_big5 x_big5",
        "euc_jp": "cseucpkdfmtjapanese",
    }.items()
    for label in labels.split()
}

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before that of UTF-16, which begins with the same bytes
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# From how many bytes of a body its charset is guessed.
_SAMPLE_SIZE = 64 * 1024

_ISO_8859 = re.compile(r"(?:cs)?iso_?8859_?([0-9]{1,2})(?:_?[ei])?(?:_[0-9]{4})?").fullmatch
_IS_JSON = re.compile(r"\s*(?:application|text)/(?:[^;\s]*\+)?json\s*(?:;|$)", re.IGNORECASE).match


def charset_of(content_type: str | None) -> str | None:
    """The Python codec for the charset of a Content-Type field value; None if it has none, or an unknown one.

    For "text/html; charset=ISO-8859-1" it is "cp1252": the docstring of the module says why.
    """
    if content_type is None or ";" not in content_type:
        return None
    # Long values are not cached, or a server could fill the cache with megabytes.
    return (_charset_of if len(content_type) < 200 else _charset_of.__wrapped__)(content_type)


@lru_cache(maxsize=256)
def _charset_of(content_type: str) -> str | None:
    for name, label in parameters(content_type):
        if name == "charset":  # the first one counts, as in browsers
            return _codec(label)
    return None


def _codec(label: str) -> str | None:
    label = label.strip(" \t'\"")
    if not label.isascii() or len(label) > 40:
        return None
    name = normalize_encoding(label).lower().replace(".", "_")
    iso = _ISO_8859(name)
    for known in (f"iso8859_{iso[1]}",) if iso else (name, name.removeprefix("x_")):
        codec = _LABELS.get(known) or aliases.get(known, known)
        codec = _REPLACED.get(codec, codec)
        if codec in _CODECS:
            return codec.replace("_", "-")
    return None


def decode_text(data: bytes, content_type: str | None, default: str = "utf-8") -> str:
    """A whole body as text. `default` is a Python codec, for bodies without a charset."""
    codec, mark = _choose(data, content_type, default)
    return str(memoryview(data)[mark:], codec, "replace") if mark else data.decode(codec, "replace")


def _choose(head: bytes, content_type: str | None, default: str) -> tuple[str, int]:
    """The codec for a body with these first 4 bytes, and the length of its byte order mark."""
    if head[:1] in {b"\xef", b"\xff", b"\xfe", b"\0"}:
        for mark, codec in _MARKS:
            if head.startswith(mark):
                return codec, len(mark)
    charset = charset_of(content_type)
    if charset is None and content_type is not None and _IS_JSON(content_type):
        charset = _json_codec(head)
    return charset or default, 0


def _json_codec(head: bytes) -> str:
    """UTF-8 (RFC 8259, section 8.1), or the codec that the zero bytes beside the first character show.

    That character is always ASCII, and RFC 4627, section 3, allowed UTF-16 and UTF-32.
    """
    zeros = [byte == 0 for byte in head[:4]]
    if zeros[:4] == [True, True, True, False]:
        return "utf-32-be"
    if zeros[:4] == [False, True, True, True]:
        return "utf-32-le"
    if zeros[:2] == [True, False]:
        return "utf-16-be"
    if zeros[:2] == [False, True]:
        return "utf-16-le"
    return "utf-8"


def detect(data: bytes) -> str | None:
    """The likely codec of text without a declared charset; None if the bytes are no text.

    Valid UTF-8 is UTF-8; other bytes are left to charset-normalizer (extra `charset`). Only the first 64 KiB are
    examined: a large body would take minutes. Raises `MissingExtra`.
    """
    head = data[:_SAMPLE_SIZE]
    try:
        # The end of the sample may cut a character in two; the end of the data may not.
        codecs.getincrementaldecoder("utf-8")().decode(head, len(head) == len(data))
    except UnicodeDecodeError:
        pass
    else:
        return "utf-8"
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        raise MissingExtra(
            "guessing a charset needs charset-normalizer: pip install 'adieu[charset]'"
        ) from None
    best = from_bytes(head).best()
    return None if best is None else best.encoding.replace("_", "-")


class IncrementalText:
    """Text, decoded piece by piece; joined, the same as `decode_text` of the whole body.

    One exception: for broken escape sequences of ISO-2022-JP, the number of U+FFFD may differ.
    """

    __slots__ = ("_codec", "_content_type", "_decoder", "_default", "_head")

    def __init__(self, content_type: str | None, default: str = "utf-8") -> None:
        self._content_type = content_type
        self._default = default
        self._head = b""  # the first bytes, while the codec is not known
        self._codec = ""
        self._decoder: codecs.IncrementalDecoder | None = None

    def feed(self, data: bytes) -> str:
        """Take bytes, return the text that they complete; an incomplete character is kept."""
        if self._decoder is not None:
            return self._decode(self._decoder, data, final=False)
        self._head += data
        if self._undecided():
            return ""
        return self._start(final=False)

    def finish(self) -> str:
        """Return the rest: bytes kept until the codec was known; U+FFFD if the body ends within a character."""
        if self._decoder is None:
            return self._start(final=True)
        return self._decode(self._decoder, b"", final=True)

    def _undecided(self) -> bool:
        head = self._head
        if len(head) >= 4:
            return False
        if any(mark.startswith(head) for mark, _ in _MARKS):
            return True
        kind = self._content_type
        return kind is not None and _IS_JSON(kind) is not None and charset_of(kind) is None

    def _start(self, *, final: bool) -> str:
        head, self._head = self._head, b""
        self._codec, mark = _choose(head, self._content_type, self._default)
        self._decoder = codecs.getincrementaldecoder(self._codec)("replace")
        return self._decode(self._decoder, head[mark:], final=final)

    def _decode(self, decoder: codecs.IncrementalDecoder, data: bytes, *, final: bool) -> str:
        try:
            return decoder.decode(data, final)
        except UnicodeError:
            # Python's ISO-2022 decoder keeps at most 8 bytes, and raises for a longer escape sequence without an end,
            # whatever the error handler says.
            kept = decoder.getstate()[0]
            decoder.reset()
            return (kept + data).decode(self._codec, "replace")
