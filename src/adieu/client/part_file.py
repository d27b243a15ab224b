"""The part file of a download that is not complete: `name.part`, beside its target.

Invariants. Blocking I/O, no HTTP. `name.part.json` says of which representation the bytes are (a key for the URL, a
validator with which to ask for the rest, the content coding, the size of the whole); a part file without it is never
resumed. Neither file is trusted because of its name: a new one is created exclusively, and one that was found is used
only if it is a regular file of this user with no second name. The target appears in one step, when the file is complete
and checked. Every method may be called in any thread; `end` waits for a write that is under way, so no file is closed
during a write, and after it nothing is opened.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol

from adieu.errors import ClientClosed, InvalidRequest
from adieu.lifecycle.lock import locked, new_lock

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PartFile", "Remainder", "checked_digest"]

# The most bytes that are read at a time.
_BLOCK = 1024 * 1024
# The most bytes of `name.part.json`. Servers keep their fields to less.
_MOST_FACTS = 32 * 1024
# Never through a symbolic link, which another user may have put there; and without waiting for the other end of a FIFO.
_FLAGS = os.O_RDWR
for _name in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"):
    _FLAGS |= getattr(os, _name, 0)


class Remainder(NamedTuple):
    """What an earlier call has left: the bytes in its part file, and the facts of their representation.

    `total`: the size of the whole, None if it is not known; `coding`: its content coding, "identity" for none.
    """

    size: int
    validator: str
    total: int | None
    coding: str


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
        # How many of the bytes are in the digest.
        self._hashed = 0
        self._file: IO[bytes] | None = None
        self._ended = False
        # Held while the file is opened, read, written or closed.
        self._lock = new_lock()
        self.size = 0

    def known(self, url: str) -> Remainder | None:
        """The part file of an earlier download of this URL; None if there is nothing to resume."""
        return locked(self._lock, self._known, url)

    def _known(self, url: str) -> Remainder | None:
        facts = _read_facts(self._facts)
        validator, total, coding = facts.get("validator"), facts.get("total"), facts.get("coding")
        if (
            self._ended
            or facts.get("url") != url
            or not (isinstance(validator, str) and validator)
            or not (total is None or type(total) is int)
            or not isinstance(coding, str)
        ):
            return None
        # It stays open: what is judged here is what is written to later.
        self._file = file = _opened(self.path)
        if file is None:
            return None
        self.size = os.fstat(file.fileno()).st_size
        return Remainder(self.size, validator, total, coding) if self.size else None

    def start(self, size: int, facts: Mapping[str, object] | None) -> None:
        """Write after the first `size` bytes of the file that is known, or, for 0, into a new file.

        `facts` are written beside a new file, so that it can be resumed; None: it cannot.
        """
        locked(self._lock, self._start, size, facts)

    def _start(self, size: int, facts: Mapping[str, object] | None) -> None:
        if self._ended:
            return
        if self._algorithm is not None:
            import hashlib

            self._digest = hashlib.new(self._algorithm)
        if not size:
            former, self._file = self._file, None
            if former is not None:
                former.close()
            # First: no byte of the new representation may stand beside the facts of the old one.
            _unlink(self._facts)
            self._file = _created(self.path)
            if facts is not None:
                import json

                with _created(self._facts) as facts_file:
                    facts_file.write(json.dumps(facts).encode())
        file = self._file
        assert file is not None
        self.size = size
        file.truncate(size)
        file.seek(0 if self._digest is not None else size)

    def rehash(self, size: int) -> bool:
        """Add one block of the bytes that were there before to the checksum. True when all `size` bytes were added."""
        return locked(self._lock, self._rehash, size)

    def _rehash(self, size: int) -> bool:
        if self._file is None or self._digest is None or self._hashed >= size:
            return True
        block = self._file.read(min(_BLOCK, size - self._hashed))
        self._hashed += len(block)
        self._digest.update(block)
        return not block or self._hashed >= size

    def write(self, data: bytes) -> None:
        """Append these bytes."""
        locked(self._lock, self._write, data)

    def _write(self, data: bytes) -> None:
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
        locked(self._lock, self._finish, target, fsync, exclusive)

    def _finish(self, target: str, fsync: bool, exclusive: bool) -> None:
        file = self._file
        assert file is not None
        with file:
            if fsync:
                os.fsync(file.fileno())
            if not _is_at(self.path, file):
                raise FileNotFoundError(
                    errno.ENOENT, "the part file was removed or replaced meanwhile", self.path
                )
        self._file = None
        if exclusive:
            # Create the target first: `os.replace` alone would overwrite a file that appeared meanwhile.
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            os.replace(self.path, target)
        except BaseException:
            # An interrupt may have fallen after the replacement: then the target is the download.
            if exclusive and os.path.lexists(self.path):
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
        try:
            locked(self._lock, self._end, keep)
        except ClientClosed:
            pass  # The interpreter ends, and has stopped the thread that writes: nothing can be done to the file.

    def _end(self, keep: bool) -> None:
        self._ended = True
        file = self._file
        if file is None or file.closed:
            return  # It never was open, or `finish` has closed it.
        with file:
            is_own = _is_at(self.path, file)
        if is_own and not (keep and self.size and os.path.exists(self._facts)):
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


def _opened(path: str) -> IO[bytes] | None:
    """A file that an earlier call has left; None if there is none, or one that another program may have put there."""
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            return None  # Before it is opened: the open of a device may do something.
        file: IO[bytes] = os.fdopen(os.open(path, _FLAGS), "r+b", buffering=0)
    except OSError:
        return None
    opened = os.fstat(file.fileno())
    if os.path.samestat(found, opened) and opened.st_nlink <= 1 and _is_ours(opened):
        return file
    file.close()
    return None


def _created(path: str) -> IO[bytes]:
    """A new file in the place of whatever has this name. Never what another program creates at this moment."""
    _unlink(path)
    descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
    return os.fdopen(descriptor, "r+b", buffering=0)


def _read_facts(path: str) -> dict[str, object]:
    """The facts beside a part file; empty if there are none that this module has written."""
    import json

    file = _opened(path)
    if file is None:
        return {}
    try:
        with file:
            facts = json.loads(file.read(_MOST_FACTS))
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _is_at(path: str, file: IO[bytes]) -> bool:
    """Whether the path still is the name of this open file."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(file.fileno()))
    except OSError:
        return False


def _is_ours(found: os.stat_result) -> bool:
    return sys.platform == "win32" or found.st_uid == os.geteuid()


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
