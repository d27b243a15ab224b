"""`client.download(url, path)`: a body into a file that is there whole or not at all, and goes on where it broke off.

Theory of operation. The bytes go to `path.part`; when all of them are there, and the checksum holds, that file takes
the target's place in one step. If a transfer breaks, the part stays, with the validator of what it is a part of (a
strong ETag, or a Last-Modified that is strong enough: RFC 9110, section 8.8). The next call asks for the rest on
condition that nothing has changed (Range and If-Range, section 13.1.5), and begins anew if it has. Content codings are
not asked for: offsets count the bytes that are sent. What is no success is an error, and is never written.

What decides is here, once, as steps. Files block: `Client` writes where it stands, `AsyncClient` in a thread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from adieu.client.part_file import PartFile, checked_digest
from adieu.errors import AdieuError, BodyTruncated, InvalidRequest
from adieu.messages.fields.disposition import file_name, safe_name
from adieu.messages.headers import Headers, merge
from adieu.messages.response import StatusError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from adieu.lifecycle.steps import Steps

__all__ = ["AsyncDownload", "Download", "DownloadError", "Downloaded", "Progress"]

Progress = Callable[[int, "int | None"], object]

# So much is collected before it is written.
_BLOCK = 256 * 1024
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)").fullmatch
_LENGTH = re.compile(r"\d{1,18}").fullmatch
_UNSATISFIED = re.compile(r"bytes \*/(\d{1,18})").fullmatch


class DownloadError(AdieuError):
    """A download cannot become the file that was asked for: its checksum is wrong, or the file exists already."""


class Downloaded(NamedTuple):
    """What a download has made: the file, its size, and how many bytes of it an earlier call had left."""

    path: Path
    size: int
    resumed: int
    headers: Headers


class _Plan(NamedTuple):
    """What a response means for the file: where its bytes go, how many there will be in all, and what they are of."""

    offset: int
    total: int | None
    facts: dict[str, str] | None
    complete: bool = False


class _Download:
    """One call. Subclasses say how files and pieces are waited for."""

    def __init__(
        self,
        client: Any,
        url: Any,
        path: str | os.PathLike[str],
        options: Mapping[str, Any],
        *,
        resume: bool,
        checksum: str | None,
        progress: Progress | None,
        fsync: bool,
    ) -> None:
        own = Headers(options.get("headers"))
        for name in ("Range", "If-Range"):
            if name in own:
                raise InvalidRequest(f"a download sets {name} by itself")
        self._client = client
        self._url = client.build_request("GET", url, params=options.get("params")).url
        self._options = {k: v for k, v in options.items() if k not in ("headers", "params")}
        self._headers = merge(Headers({"Accept-Encoding": "identity"}), own)
        self._resume = resume
        self._digest = checked_digest(checksum)
        self._progress = progress
        self._fsync = fsync
        self._path = os.fspath(path)
        self._into = os.path.isdir(self._path)
        if not self._into and not os.path.isdir(os.path.dirname(self._path) or "."):
            raise InvalidRequest(f"there is no folder for {self._path!r}")
        self._response: Any = None
        self._pending: list[bytes] = []

    def steps(self) -> Steps[Downloaded]:
        """The whole of it."""
        from hashlib import sha256

        # Not the URL itself, which may hold a secret: this is written beside the file.
        key = sha256(str(self._url).encode()).hexdigest()
        # The name is not known before the answer is there, if the server is to choose it.
        path = os.path.join(self._path, f".{key[:16]}") if self._into else self._path
        part = PartFile(path, None if self._digest is None else self._digest[0])
        try:
            plan = yield from self._ask(part, key)
            target = self._target()
            yield self._aside(part.start, plan.offset, plan.facts)
            while self._digest is not None and not (yield self._aside(part.rehash, plan.offset)):
                pass
            if not plan.complete:
                yield from self._receive(part, plan)
            yield from self._check(part, plan)
            try:
                yield self._aside(part.finish, target, self._fsync, self._into)
            except FileExistsError:
                raise _exists(target) from None
            return Downloaded(Path(target), part.size, plan.offset, self._response.headers)
        finally:
            # Nothing to do when it has succeeded. If not, what has come is kept, to go on from there.
            self._end(part)

    def _ask(self, part: PartFile, key: str) -> Steps[_Plan]:
        """Ask for the rest of what is there, and for all of it if that cannot be had."""
        known = (yield self._aside(part.known, key)) if self._resume else None
        while True:
            headers = self._headers
            if known is not None:
                headers = merge(headers, {"Range": f"bytes={known[0]}-", "If-Range": known[1]})
            response = yield self._client.stream("GET", self._url, headers=headers, **self._options)
            self._response = response
            plan = _plan(response, known, key)
            if plan is not None:
                return plan
            yield response.close()
            known = None

    def _target(self) -> str:
        if not self._into:
            return self._path
        response = self._response
        name = file_name(response.headers.get("content-disposition")) or _last_segment(response.url)
        target = os.path.join(self._path, name)
        if os.path.lexists(target):
            raise _exists(target)
        return target

    def _receive(self, part: PartFile, plan: _Plan) -> Steps[None]:
        pieces = self._response.iter_bytes()
        pending = self._pending
        received, size = plan.offset, 0
        self._tell(received, plan.total)
        while piece := (yield self._advance(pieces)):
            pending.append(piece)
            size += len(piece)
            if size >= _BLOCK:
                block = b"".join(pending)
                pending.clear()
                size = 0
                yield self._aside(part.write, block)
            received += len(piece)
            self._tell(received, plan.total)
        block = b"".join(pending)
        pending.clear()
        yield self._aside(part.write, block)

    def _check(self, part: PartFile, plan: _Plan) -> Steps[None]:
        if plan.total is not None and part.size < plan.total:
            raise BodyTruncated(
                f"{self._url} gave {part.size} bytes of {plan.total}",
                received=part.size,
                expected=plan.total,
                method="GET",
                url=str(self._url),
            )
        wrong = ""
        if plan.total is not None and part.size > plan.total:
            wrong = f"it has {part.size} bytes, of {plan.total}"
        elif self._digest is not None and (found := part.digest()) != self._digest[1]:
            wrong = f"its {self._digest[0]} is {found}, not {self._digest[1]}"
        if wrong:
            # Nothing of it can be trusted, so there is nothing to go on with.
            yield self._aside(part.end, False)
            raise DownloadError(f"the download of {self._url} is not what it should be: {wrong}")

    def _tell(self, received: int, total: int | None) -> None:
        if self._progress is not None:
            self._progress(received, total)

    def _end(self, part: PartFile) -> None:
        try:
            if self._pending:
                part.write(b"".join(self._pending))
        finally:
            part.end(True)
            response, self._response = self._response, None
            if response is not None and response.body is not None:
                response.body.abort("download ended")

    def _aside(self, do: Callable[..., Any], *args: Any) -> Any:
        """Do something that blocks."""
        raise NotImplementedError

    def _advance(self, pieces: Any) -> Any:
        """The next piece; b"" at the end."""
        raise NotImplementedError


class Download(_Download):
    """For `Client`."""

    def _aside(self, do: Callable[..., Any], *args: Any) -> Any:
        return do(*args)

    def _advance(self, pieces: Any) -> bytes:
        return next(pieces, b"")


class AsyncDownload(_Download):
    """For `AsyncClient`."""

    async def _aside(self, do: Callable[..., Any], *args: Any) -> Any:
        from adieu.net.async_backend import in_trio

        if in_trio():
            import trio

            return await trio.to_thread.run_sync(do, *args)
        from asyncio import to_thread

        return await to_thread(do, *args)

    def _advance(self, pieces: Any) -> Awaitable[bytes]:
        return anext(pieces, b"")


def _plan(response: Any, known: tuple[int, str] | None, key: str) -> _Plan | None:
    """What to do with this response; None: ask again, for all of it. Raises `StatusError` for what is no file."""
    headers, status = response.headers, response.status_code
    coded = headers.get("content-encoding", "identity").lower() != "identity"
    if status == 200:
        length = headers.get("content-length", "")
        total = int(length) if _LENGTH(length) and not coded else None
        validator = None if coded else _validator(headers)
        facts = None if validator is None else {"url": key, "validator": validator}
        return _Plan(0, total, facts)
    if known is not None and status == 206:
        found = _RANGE(headers.get("content-range", ""))
        # A server that does not know If-Range sends the rest of something else.
        same = headers.get("etag" if known[1][0] == '"' else "last-modified", known[1]) == known[1]
        if found is None or int(found[1]) != known[0] or coded or not same:
            return None
        return _Plan(known[0], None if found[3] == "*" else int(found[3]), {})
    if known is not None and status == 416:
        # Nothing is left to ask for, if that is all there is.
        found = _UNSATISFIED(headers.get("content-range", ""))
        size = known[0]
        return _Plan(size, size, {}, True) if found and int(found[1]) == size else None
    response.raise_for_status()
    raise StatusError(
        f"{status} {response.reason} for GET {response.url}, where a download is 200",
        response=response,
    )


def _validator(headers: Headers) -> str | None:
    """What may go into If-Range: a strong ETag, or a Last-Modified well before Date (RFC 9110, section 8.8.2.2)."""
    etag = headers.get("etag")
    if etag is not None:
        return etag if re.fullmatch(r'"[\x21\x23-\x7e\x80-\xff]*"', etag) else None
    modified, date = headers.get("last-modified"), headers.get("date")
    if modified is None or date is None:
        return None
    from email.utils import parsedate_to_datetime

    try:
        apart = parsedate_to_datetime(date) - parsedate_to_datetime(modified)
    except (ValueError, TypeError, OverflowError):
        return None
    return modified if apart.total_seconds() >= 60 else None


def _last_segment(url: Any) -> str:
    from urllib.parse import unquote

    return safe_name(unquote(url.path.rstrip("/").rpartition("/")[2])) or "download"


def _exists(target: str) -> DownloadError:
    return DownloadError(
        f"{target!r} exists already: a name that the server chooses replaces nothing. "
        "Give the path of the file to replace it"
    )
