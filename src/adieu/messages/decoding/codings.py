"""The content codings, one by one: gzip, deflate, br, zstd (RFC 9110, section 8.4.1).

The stages are independent of each other; `adieu.messages.decoding.decoder` combines them. The library for a coding is
imported when it is first needed. Where the RFCs leave a choice:

- deflate is the zlib format (section 8.4.1.2), but some servers send raw deflate. The first two bytes show which.
- Several gzip members or zstd frames in a row are one body (RFC 1952, section 2.2; RFC 8878, section 3.1). Other bytes
  after a complete one are dropped: servers do send padding and stray line ends, and the decoded content is complete.
  Browsers, requests and httpx decode such bodies; curl returns their content and then fails.
- Bytes after the end of a br stream are an error: its library does not say where the stream ended.
- A zstd frame may require a window of at most 8 MiB (RFC 9659).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from adieu.errors import DecodeError
from adieu.messages.decoding.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["Brotli", "Deflate", "Gzip", "Zstd", "available"]

_MAX_WINDOW_LOG = 23  # 8 MiB


class Deflate(Stage):
    """RFC 1950 around RFC 1951, or RFC 1951 alone."""

    __slots__ = ()
    coding = "deflate"

    def __init__(self) -> None:
        super().__init__()
        self._min_input = 2

    def _decode(self, block: bytes | memoryview, max_length: int) -> tuple[bytes, int]:
        if self._state == "over":
            return b"", len(block)
        if self._state == "start":
            # RFC 1950, section 2.2: method 8, a window of at most 32 KiB, a multiple of 31. Raw deflate cannot begin
            # so: its first block would be a stored one, with a padding that is not zero.
            is_zlib = block[0] & 0x8F == 8 and (block[0] << 8 | block[1]) % 31 == 0
            self._begin(15 if is_zlib else -15)
        return self._inflate(block, max_length)

    def _begin(self, wbits: int) -> None:
        import zlib

        self._engine = zlib.decompressobj(wbits)
        self._error = zlib.error
        self._state = "inside"
        self._min_input = 1

    def _inflate(self, block: bytes | memoryview, max_length: int) -> tuple[bytes, int]:
        engine = self._engine
        piece: bytes = engine.decompress(block, max_length)
        if engine.eof:
            self._holds_output = False
            self._end()
            return piece, len(block) - len(engine.unused_data)
        rest = len(engine.unconsumed_tail)
        # All input is used and the output is full: zlib may have copied a repeated string only in part.
        self._holds_output = not rest and len(piece) == max_length
        return piece, len(block) - rest

    def _end(self) -> None:
        self._state = "over"


class Gzip(Deflate):
    """RFC 1952: members in a row."""

    __slots__ = ()
    coding = "gzip"

    def __init__(self) -> None:
        super().__init__()
        self._begin(31)

    def _decode(self, block: bytes | memoryview, max_length: int) -> tuple[bytes, int]:
        if self._state != "inside":
            if not self._member_follows(block):
                return b"", len(block)
            self._begin(31)
        return self._inflate(block, max_length)

    def _end(self) -> None:
        self._end_member(3)

    def _begins_member(self, lead: bytes) -> bool:
        return b"\x1f\x8b\x08".startswith(lead)


class Brotli(Stage):
    """RFC 7932."""

    __slots__ = ("_spare",)
    coding = "br"

    def __init__(self) -> None:
        super().__init__()
        module = _brotli()
        assert module is not None  # or `available` would not have this stage
        self._engine = module.Decompressor()
        self._error = module.error
        self._spare = memoryview(b"")  # output beyond the `max_length` of an earlier call

    def _decode(self, block: bytes | memoryview, max_length: int) -> tuple[bytes, int]:
        if not self._spare:
            if self._state == "over":
                raise DecodeError(
                    f"the br body goes on after its end, in the first {self.bytes_in} coded bytes"
                )
            # The limit is a hint: the library fills the buffers that it has begun, which makes up to twice the limit,
            # and at least 32 KiB.
            self._spare = memoryview(
                self._engine.process(bytes(block), output_buffer_limit=max_length)
            )
            if self._engine.is_finished():
                self._state = "over"
        piece = bytes(self._spare[:max_length])
        self._spare = self._spare[max_length:]
        # `can_accept_more_data` says that all input was used, not that all output was returned: only a call that
        # returns nothing shows that.
        may_hold = bool(piece) or not self._engine.can_accept_more_data()
        self._holds_output = bool(self._spare) or (may_hold and self._state != "over")
        return piece, len(block)


class Zstd(Stage):
    """RFC 8878: frames in a row."""

    __slots__ = ()
    coding = "zstd"

    def __init__(self) -> None:
        super().__init__()
        self._begin()

    def _begin(self) -> None:
        module = _zstd()
        assert module is not None  # or `available` would not have this stage
        options = {module.DecompressionParameter.window_log_max: _MAX_WINDOW_LOG}
        self._engine = module.ZstdDecompressor(options=options)
        self._error = module.ZstdError
        self._state = "inside"
        self._min_input = 1

    def _decode(self, block: bytes | memoryview, max_length: int) -> tuple[bytes, int]:
        if self._state != "inside":
            if not self._member_follows(block):
                return b"", len(block)
            self._begin()
        engine = self._engine
        piece: bytes = engine.decompress(block, max_length)
        if engine.eof:
            self._end_member(4)
            return piece, len(block) - len(engine.unused_data)
        self._holds_output = not engine.needs_input
        return piece, len(block)

    def _begins_member(self, lead: bytes) -> bool:
        if b"\x28\xb5\x2f\xfd".startswith(lead):
            return True
        # A skippable frame (section 3.1.2): 0x184D2A50 to 0x184D2A5F.
        return lead[0] & 0xF0 == 0x50 and b"\x2a\x4d\x18".startswith(lead[1:])


@lru_cache(maxsize=1)
def available() -> dict[str, Callable[[], Stage]]:
    """The stage for each coding (and old alias) whose library is installed."""
    makers: dict[str, Callable[[], Stage]] = {"gzip": Gzip, "x-gzip": Gzip, "deflate": Deflate}
    if _brotli() is not None:
        makers["br"] = Brotli
    if _zstd() is not None:
        makers["zstd"] = Zstd
    return makers


@lru_cache(maxsize=1)
def _brotli() -> ModuleType | None:
    """The module of the extra `brotli`, or None: brotli on CPython, brotlicffi elsewhere."""
    for name in ("brotli", "brotlicffi"):
        module = _module(name)
        # Before 1.2, the output of a call could not be limited: as good as not installed.
        if hasattr(getattr(module, "Decompressor", None), "can_accept_more_data"):
            return module
    return None


@lru_cache(maxsize=1)
def _zstd() -> ModuleType | None:
    """The module of the extra `zstd`, or None: the standard library's (3.14), or its backport."""
    return _module("compression.zstd") or _module("backports.zstd")


def _module(name: str) -> ModuleType | None:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        return None
