"""The part file of a download that is not complete: `name.part`, beside its target.

Invariants. Blocking I/O, no HTTP. `name.part.json` says of which representation the bytes are (a key for the URL, and a
validator with which to ask for the rest); a part file without it is never resumed. The target appears in one step, when
the file is complete and checked. Every method may be called in any thread; `end` waits for a write that is under way,
so no file is closed during a write.
"""

from __future__ import annotations

import os
import threading
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol

from adieu.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PartFile", "Remainder", "checked_digest"]

# The most bytes that are read at a time.
_BLOCK = 1024 * 1024


class Remainder(NamedTuple):
    """The facts for requesting the rest of a part file: the number of its bytes, and the validator."""

    size: int
    validator: str


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class PartFile:
    """The part file of one download. `path` is without the `.part`; `algorithm` names a hash, or is None."""

    def __init__(self, path: str, algorithm: str | None) -> None:
        self.path = path + ".part"
        self._facts = self.path + ".json"
        self._algorithm = algorithm
        self._digest: _Hash | None = None
        self._file: IO[bytes] | None = None
        # Held while the file is read or written.
        self._lock = threading.Lock()
        self.size = 0

    def known(self, url: str) -> Remainder | None:
        """The part file of an earlier download of this URL; None if there is nothing to resume."""
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
        return Remainder(size, validator) if isinstance(validator, str) and validator else None

    def start(self, size: int, facts: Mapping[str, str] | None) -> None:
        """Open the file, to write after its first `size` bytes.

        `facts` are written beside a new file, so that it can be resumed; None: it cannot.
        """
        with self._lock:
            if self._algorithm is not None:
                import hashlib

                self._digest = hashlib.new(self._algorithm)
            if not size:
                # First: no byte of the new representation may stand beside the facts of the old one.
                _remove(self._facts)
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
            # Never through a symbolic link: another user may have put it there, to have a file overwritten.
            descriptor = os.open(self.path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
            self._file = file = os.fdopen(descriptor, "r+b", buffering=0)
            file.truncate(size)
            self.size = 0 if self._digest is not None else size
            file.seek(self.size)
            if facts is not None and not size:
                import json

                with open(self._facts, "w", encoding="ascii") as facts_file:
                    json.dump(facts, facts_file)

    def rehash(self, size: int) -> bool:
        """Add one block of the bytes that were there before to the checksum. True when all `size` bytes were added."""
        with self._lock:
            if self._file is None or self.size >= size:
                return True
            block = self._file.read(min(_BLOCK, size - self.size))
            self.size += len(block)
            if self._digest is not None:
                self._digest.update(block)
            return not block or self.size >= size

    def write(self, data: bytes) -> None:
        """Append these bytes."""
        with self._lock:
            if self._file is None:
                return  # `end` was called in the meantime.
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
            self.size += len(data)
            if self._digest is not None:
                self._digest.update(data)

    def digest(self) -> str:
        """The checksum so far, in hexadecimal."""
        assert self._digest is not None
        return self._digest.hexdigest()

    def finish(self, target: str, fsync: bool, exclusive: bool) -> None:
        """Close the file and rename it to the target. `exclusive`: raise `FileExistsError` if the target exists."""
        with self._lock:
            file, self._file = self._file, None
            assert file is not None
            with file:
                if fsync:
                    os.fsync(file.fileno())
            if exclusive:
                # Create the target first: `os.replace` alone would overwrite a file that appeared meanwhile.
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
        """Close the file if it is open. Remove it unless `keep`, and if it is empty or cannot be resumed."""
        with self._lock:
            file, self._file = self._file, None
            if file is None:
                return
            file.close()
            if not (keep and self.size and os.path.exists(self._facts)):
                _remove(self.path)
                _remove(self._facts)


def checked_digest(checksum: object) -> tuple[str, str] | None:
    """The algorithm and the digits of a checksum "sha256:<hex>". Raises `InvalidRequest`."""
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
