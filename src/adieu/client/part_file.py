"""The file of a download while it is not complete: `name.part`, beside its target, and what is known of it.

Rules of the room: blocking I/O and no HTTP. `name.part.json` says which representation the bytes are of (URL, and a
validator that allows to ask for the rest); without it a part is never continued. The target appears in one step, when
all is there and has been checked. Every method may be called in any thread; ending waits for a write that is under way,
so no thread is left with a file that is closed under it.
"""

from __future__ import annotations

import os
import threading
from typing import IO, TYPE_CHECKING, Any

from adieu.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PartFile", "checked_digest"]

_BLOCK = 1024 * 1024


class PartFile:
    """The part of one download. `path` is without its `.part`; `algorithm` names a hash, or is None."""

    def __init__(self, path: str, algorithm: str | None) -> None:
        self.path = path + ".part"
        self._facts = self.path + ".json"
        self._algorithm = algorithm
        self._digest: Any = None
        self._file: IO[bytes] | None = None
        self._busy = threading.Lock()
        self.size = 0

    def known(self, url: str) -> tuple[int, str] | None:
        """The size and the validator of what an earlier download left; None: there is nothing to go on with."""
        import json

        try:
            with open(self._facts, "rb") as file:
                facts = json.loads(file.read(_BLOCK))
            size = os.path.getsize(self.path)
        except (OSError, ValueError):
            return None
        if not isinstance(facts, dict) or facts.get("url") != url or not size:
            return None
        validator = facts.get("validator")
        return (size, validator) if isinstance(validator, str) and validator else None

    def start(self, size: int, facts: Mapping[str, str] | None) -> None:
        """Open it to go on after `size` bytes. `facts`: what allows to go on once more; None: nothing does."""
        with self._busy:
            if self._algorithm is not None:
                import hashlib

                self._digest = hashlib.new(self._algorithm)
            if not size:
                # Before there is a byte that somebody could take for the other representation.
                _remove(self._facts)
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
            # A link that somebody else has put there leads to a file that is not ours.
            descriptor = os.open(self.path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
            self._file = file = os.fdopen(descriptor, "r+b", buffering=0)
            file.truncate(size)
            self.size = 0 if self._digest is not None else size
            file.seek(self.size)
            if facts is not None and not size:
                import json

                with open(self._facts, "w", encoding="ascii") as noted:
                    json.dump(facts, noted)

    def rehash(self, size: int) -> bool:
        """Read a block of what was there before, for the checksum; whether that was all of it (`size` bytes)."""
        with self._busy:
            if self._file is None or self.size >= size:
                return True
            block = self._file.read(min(_BLOCK, size - self.size))
            self.size += len(block)
            if self._digest is not None:
                self._digest.update(block)
            return not block or self.size >= size

    def write(self, data: bytes) -> None:
        """Add these bytes."""
        with self._busy:
            if self._file is None:
                return  # It was ended in the meantime.
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
            self.size += len(data)
            if self._digest is not None:
                self._digest.update(data)

    def digest(self) -> str:
        """The checksum so far, in hexadecimal."""
        found: str = self._digest.hexdigest()
        return found

    def finish(self, target: str, fsync: bool, exclusive: bool) -> None:
        """Close it, and let it take the target's place. `exclusive`: `FileExistsError` if there is one already."""
        with self._busy:
            file, self._file = self._file, None
            assert file is not None
            with file:
                if fsync:
                    os.fsync(file.fileno())
            if exclusive:
                # The name is taken first, so that nobody's file of this name is replaced.
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            try:
                os.replace(self.path, target)
            except OSError:
                if exclusive:
                    _remove(target)
                raise
            _remove(self._facts)
            if fsync and os.name == "posix":
                folder = os.open(os.path.dirname(target) or ".", os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)

    def end(self, keep: bool) -> None:
        """Close it if it is open. Without `keep`, or without anything in it, or to go on by, it is removed."""
        with self._busy:
            file, self._file = self._file, None
            if file is None:
                return
            file.close()
            if not (keep and self.size and os.path.exists(self._facts)):
                _remove(self.path)
                _remove(self._facts)


def checked_digest(checksum: Any) -> tuple[str, str] | None:
    """A checksum "sha256:<hex>" as its algorithm and its digits. Raises `InvalidRequest`."""
    if checksum is None:
        return None
    import hashlib

    name, colon, digits = checksum.partition(":") if isinstance(checksum, str) else ("", "", "")
    name, digits = name.strip().lower(), digits.strip().lower()
    try:
        size = hashlib.new(name).digest_size * 2 if name else 0
    except ValueError:
        size = 0
    if not (colon and size and len(digits) == size and not digits.strip("0123456789abcdef")):
        raise InvalidRequest(
            f"checksum is 'algorithm:hexdigits', as in 'sha256:9f86d08…', not {checksum!r}"
        )
    return name, digits


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
