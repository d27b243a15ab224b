"""A storage of files: one for each entry, in a folder that only its owner may read.

Invariants. A file comes into being whole, by a rename, or not at all; its last bytes tell whether it is whole. So
several processes may share a folder without a lock, and a process that ends in the middle leaves a temporary file,
which is removed later. Each file is the body, then the head as JSON, then the length of the head in eight bytes.

The name of an entry is made of its key and of random bytes, so it is found by its key and by its id.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from uuid import UUID

import hishel

from adieu_cache.collecting import CollectingStorage

__all__ = ["FileStorage"]

_NEW = ".new-"
_LENGTH_BYTES = 8
# A temporary file of this age was left by a process that has ended (seconds).
_ABANDONED = 3600.0
# The size of all files is looked at whenever so many were stored.
_STORES_BETWEEN_LOOKS = 32
# How far the time of last use of a file may lag, so that most hits write nothing (seconds).
_TOUCH_INTERVAL = 60.0


class FileStorage(CollectingStorage):
    """Keeps entries in files, of up to `max_size` bytes together; the least recently used are removed first.

    Processes may share the folder. It is made if it does not exist, for its owner alone, and files are, too.
    """

    def __init__(self, folder: str | os.PathLike[str], max_size: int = 1024**3) -> None:
        super().__init__(max_size)
        self.folder = Path(folder)
        self._stores = 0

    def _new_id(self, key: str) -> UUID:
        return UUID(bytes=_prefix(key) + os.urandom(8))

    def _keep(self, entry: hishel.Entry, key: str, body: bytes) -> None:
        self._write(self._path(entry.id), _head_of(entry, key), body)
        self._stores += 1
        if self._stores % _STORES_BETWEEN_LOOKS == 1:
            self._clean()

    def _write(self, path: Path, head: dict[str, Any], body: bytes) -> None:
        self.folder.mkdir(exist_ok=True, mode=0o700)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        # It has the mode 0600, whatever the umask.
        with NamedTemporaryFile(dir=path.parent, prefix=_NEW, delete=False) as file:
            try:
                encoded = json.dumps(head).encode()
                file.write(body + encoded + len(encoded).to_bytes(_LENGTH_BYTES, "big"))
                file.close()
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise

    def get_entries(self, key: str) -> list[hishel.Entry]:
        folder = self.folder / _prefix(key).hex()
        if not folder.is_dir():
            return []
        found = []
        for path in sorted(folder.iterdir()):
            if path.name.startswith(_NEW):
                continue
            read = _read(path)
            if read is None:
                path.unlink(missing_ok=True)
            elif read[0]["key"] == key:
                found.append(_entry_of(path, *read))
                _touch(path)
        return found

    def update_headers(self, id: UUID, headers: hishel.Headers) -> None:
        path = self._path(id)
        read = _read(path) if path.exists() else None
        if read is not None:
            head, body = read
            self._write(path, {**head, "fields": _lists(headers)}, body)

    def remove_entry(self, id: UUID) -> None:
        self._path(id).unlink(missing_ok=True)

    def _path(self, entry_id: UUID) -> Path:
        return self.folder / entry_id.bytes[:8].hex() / entry_id.bytes[8:].hex()

    def _clean(self) -> None:
        """Remove what was used least recently, and what another process has left unfinished."""
        used: list[tuple[float, int, Path]] = []
        for folder in self.folder.iterdir():
            for path in folder.iterdir() if folder.is_dir() else ():
                facts = path.stat()
                if not path.name.startswith(_NEW):
                    used.append((facts.st_mtime, facts.st_size, path))
                elif time.time() - facts.st_mtime > _ABANDONED:
                    path.unlink(missing_ok=True)
        size = sum(facts[1] for facts in used)
        for _, length, path in sorted(used):
            if size <= self.max_size:
                break
            path.unlink(missing_ok=True)
            size -= length


def _prefix(key: str) -> bytes:
    return bytes.fromhex(key[:16])


def _touch(path: Path) -> None:
    now = time.time()
    if now - path.stat().st_mtime > _TOUCH_INTERVAL:
        os.utime(path)


def _lists(headers: hishel.Headers) -> dict[str, list[str]]:
    return {name: headers.get_list(name) or [] for name in headers}


def _head_of(entry: hishel.Entry, key: str) -> dict[str, Any]:
    return {
        "key": key,
        "method": entry.request.method,
        "url": entry.request.url,
        "status": entry.response.status_code,
        "fields": _lists(entry.response.headers),
    }


def _read(path: Path) -> tuple[dict[str, Any], bytes] | None:
    """The head and the body of a file; None if it is not whole."""
    content = path.read_bytes()
    length = int.from_bytes(content[-_LENGTH_BYTES:], "big")
    begin = len(content) - _LENGTH_BYTES - length
    if begin < 0:
        return None
    try:
        head = json.loads(content[begin:-_LENGTH_BYTES])
    except ValueError:
        return None
    return (head, content[:begin]) if isinstance(head, dict) and "key" in head else None


def _entry_of(path: Path, head: dict[str, Any], body: bytes) -> hishel.Entry:
    entry_id = UUID(hex=path.parent.name + path.name)
    request = hishel.Request(head["method"], head["url"])
    response = hishel.Response(head["status"], hishel.Headers(head["fields"]), iter((body,)))
    return hishel.Entry(entry_id, request, response)
