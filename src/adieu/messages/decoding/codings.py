"""The content codings, one by one: gzip, deflate, br, zstd (RFC 9110, section 8.4.1).

Rules of the room: the stages know nothing of each other; `adieu.messages.decoding.decoder` puts them
together. What undoes a coding is imported when it is first needed. What the codings leave open is
decided here, for the reasons given:

- deflate is the zlib format (section 8.4.1.2), but some servers send raw deflate. The first two
  bytes tell.
- Several gzip members or zstd frames in a row are one body (RFC 1952, section 2.2; RFC 8878,
  section 3.1). Anything else after a complete one is dropped: what was given out is complete by
  its own account, and servers do send padding and stray line ends. Browsers, requests and httpx
  read such bodies; curl gives their content and then fails.
- After a br stream more bytes are an error: its library cannot say where the stream ended.
- A zstd frame may ask for 8 MiB of window at most (RFC 9659).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from adieu.errors import DecodeError
from adieu.messages.decoding.stage import INSIDE, OVER, START, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Brotli", "Deflate", "Gzip", "Zstd", "available"]

_WINDOW_LOG = 23


class Deflate(Stage):
    """RFC 1950 around RFC 1951, or RFC 1951 alone."""

    __slots__ = ()
    coding = "deflate"

    def __init__(self) -> None:
        super().__init__()
        self._need = 2

    def _run(self, block: bytes | memoryview, room: int) -> tuple[bytes, int]:
        if self._state is OVER:
            return b"", len(block)
        if self._state is START:
            # RFC 1950, section 2.2: method 8, at most 32 KiB of window, a multiple of 31. Raw
            # deflate cannot look so: its first block would be stored, with a padding not zero.
            wrapped = block[0] & 0x8F == 8 and (block[0] << 8 | block[1]) % 31 == 0
            self._open(15 if wrapped else -15)
        return self._inflate(block, room)

    def _open(self, wbits: int) -> None:
        import zlib

        self._engine = zlib.decompressobj(wbits)
        self._error = zlib.error
        self._state = INSIDE
        self._need = 1

    def _inflate(self, block: bytes | memoryview, room: int) -> tuple[bytes, int]:
        engine = self._engine
        piece: bytes = engine.decompress(block, room)
        if engine.eof:
            self._more = False
            self._ended()
            return piece, len(block) - len(engine.unused_data)
        rest = len(engine.unconsumed_tail)
        # All input used and no room left: a repeated string may be half copied inside zlib.
        self._more = not rest and len(piece) == room
        return piece, len(block) - rest

    def _ended(self) -> None:
        self._state = OVER


class Gzip(Deflate):
    """RFC 1952: members in a row."""

    __slots__ = ()
    coding = "gzip"

    def __init__(self) -> None:
        super().__init__()
        self._open(31)

    def _run(self, block: bytes | memoryview, room: int) -> tuple[bytes, int]:
        if self._state is not INSIDE:
            if not self._follows(block):
                return b"", len(block)
            self._open(31)
        return self._inflate(block, room)

    def _ended(self) -> None:
        self._between(3)

    def _opens(self, lead: bytes) -> bool:
        return b"\x1f\x8b\x08".startswith(lead)


class Brotli(Stage):
    """RFC 7932."""

    __slots__ = ("_spare",)
    coding = "br"

    def __init__(self) -> None:
        super().__init__()
        module = _brotli()
        self._engine = module.Decompressor()
        self._error = module.error
        self._spare = memoryview(b"")

    def _run(self, block: bytes | memoryview, room: int) -> tuple[bytes, int]:
        if not self._spare:
            if self._state is OVER:
                raise DecodeError(
                    f"the br body goes on after its end, in the first {self.taken} coded bytes"
                )
            # Its limit is a hint: the library fills the buffers that it has begun, which is up to
            # twice of what was asked for, and 32 KiB at least.
            self._spare = memoryview(self._engine.process(bytes(block), output_buffer_limit=room))
            if self._engine.is_finished():
                self._state = OVER
        piece = bytes(self._spare[:room])
        self._spare = self._spare[room:]
        # "Can accept more data" says that all input was used, not that all output was given: only
        # a call that gives nothing says that.
        held = bool(piece) or not self._engine.can_accept_more_data()
        self._more = bool(self._spare) or (held and self._state is not OVER)
        return piece, len(block)


class Zstd(Stage):
    """RFC 8878: frames in a row."""

    __slots__ = ()
    coding = "zstd"

    def __init__(self) -> None:
        super().__init__()
        self._open()

    def _open(self) -> None:
        module = _zstd()
        options = {module.DecompressionParameter.window_log_max: _WINDOW_LOG}
        self._engine = module.ZstdDecompressor(options=options)
        self._error = module.ZstdError
        self._state = INSIDE
        self._need = 1

    def _run(self, block: bytes | memoryview, room: int) -> tuple[bytes, int]:
        if self._state is not INSIDE:
            if not self._follows(block):
                return b"", len(block)
            self._open()
        engine = self._engine
        piece: bytes = engine.decompress(block, room)
        if engine.eof:
            self._between(4)
            return piece, len(block) - len(engine.unused_data)
        self._more = not engine.needs_input
        return piece, len(block)

    def _opens(self, lead: bytes) -> bool:
        if b"\x28\xb5\x2f\xfd".startswith(lead):
            return True
        # A frame to skip (section 3.1.2): 0x184D2A50 to 0x184D2A5F.
        return lead[0] & 0xF0 == 0x50 and b"\x2a\x4d\x18".startswith(lead[1:])


@lru_cache(maxsize=1)
def available() -> dict[str, Callable[[], Stage]]:
    """Names of codings (with old aliases), and what undoes them, as far as it is installed."""
    makers: dict[str, Callable[[], Stage]] = {"gzip": Gzip, "x-gzip": Gzip, "deflate": Deflate}
    if _brotli() is not None:
        makers["br"] = Brotli
    if _zstd() is not None:
        makers["zstd"] = Zstd
    return makers


@lru_cache(maxsize=1)
def _brotli() -> Any:
    """The module of the extra `brotli`, or None: brotli on CPython, brotlicffi elsewhere."""
    for name in ("brotli", "brotlicffi"):
        module = _module(name)
        # Before 1.2 no call could be told how much to give at most: as good as not installed.
        if hasattr(getattr(module, "Decompressor", None), "can_accept_more_data"):
            return module
    return None


@lru_cache(maxsize=1)
def _zstd() -> Any:
    """The module of the extra `zstd`, or None: the standard library's (3.14), or its backport."""
    return _module("compression.zstd") or _module("backports.zstd")


def _module(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        return None
