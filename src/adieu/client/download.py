"""`client.download(url, path)`: writes a body to a file that is complete or absent, and resumes a broken transfer.

Theory of operation. The bytes go to `path.part`. When all of them are there, and the checksum is right, that file
replaces the target in one step. If a transfer breaks, the part file stays, with the validator of its representation (a
strong ETag, or a Last-Modified that is strong enough: RFC 9110, section 8.8). The next call asks for the rest on the
condition that the representation is the same (Range and If-Range, section 13.1.5), and starts from the beginning if it
has changed. A response that is no success is an error, and is never written.

Size, checksum, offset and progress speak of the same bytes: those of the file. They are the bytes as the server stores
them, because a range counts these. So no content coding is asked for, and one that comes nevertheless is not undone (a
`.tar.gz` that the server labels gzip stays one), unless the caller chooses it; what was decoded is never resumed.

All decisions are in the steps here, which sync and async share. File operations block: `Client` does them in the
calling thread, `AsyncClient` in other threads, of which a process has 32.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from adieu.client.error_body import keep_error_body
from adieu.client.options import REQUEST_OPTIONS
from adieu.client.part_file import PartFile, Remainder, checked_digest
from adieu.errors import AdieuError, BodyTruncated, InvalidRequest, TransportError
from adieu.lifecycle.blocks import collect
from adieu.messages.fields.disposition import file_name, safe_name
from adieu.messages.headers import combined
from adieu.messages.response import StatusError
from adieu.texts import show, show_url
from adieu.transport.thread_pool import Threads, ThreadSlot, taken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator

    from adieu.client.option_types import CallOptions, RequestOptions, SendOptions
    from adieu.client.streams import StreamsResponses
    from adieu.lifecycle.blocks import Blocks
    from adieu.lifecycle.steps import Steps
    from adieu.messages.async_response import AsyncResponse
    from adieu.messages.headers import Headers
    from adieu.messages.response import Response
    from adieu.messages.response_head import ResponseHead
    from adieu.messages.url import URL

__all__ = ["AsyncDownload", "Download", "DownloadError", "Downloaded", "Progress"]

Progress = Callable[[int, "int | None"], object]

# How much is collected before it is written (bytes).
_BLOCK = 256 * 1024
_EXPECTED = (200, 206, 416)
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)").fullmatch
_IDENTITY = "identity"
_LENGTH = re.compile(r"\d{1,18}").fullmatch
_UNSATISFIED = re.compile(r"bytes \*/(\d{1,18})").fullmatch


class DownloadError(AdieuError):
    """The downloaded file cannot be put in place: its checksum is wrong, or a file of that name exists."""


class Downloaded(NamedTuple):
    """A finished download: the file, its size, and how many bytes of it an earlier call had received."""

    path: Path
    size: int
    resumed: int
    headers: Headers


class _Plan(NamedTuple):
    """The meaning of a response for the file.

    `offset`: where its bytes go; `total`: the size of the complete file, if that is known; `facts`: what allows to
    resume this download if it breaks; `complete`: the part file has all bytes already.
    """

    offset: int
    total: int | None
    facts: dict[str, object] | None
    complete: bool = False


class _Download:
    """One call of `download`. Subclasses say how to wait for file operations and for pieces of the body."""

    def __init__(
        self,
        client: StreamsResponses,
        url: URL | str,
        path: str | os.PathLike[str],
        options: CallOptions,
        *,
        resume: bool,
        checksum: str | None,
        progress: Progress | None,
        fsync: bool,
        decode: bool,
    ) -> None:
        headers = combined({"Accept-Encoding": "identity"}, options.get("headers"))
        names = {name.lower() for name, _ in headers}
        for name in ("Range", "If-Range"):
            if name.lower() in names:
                raise InvalidRequest(f"a download sets {name} by itself")
        self._client = client
        whole: CallOptions = {**options, "headers": headers}
        of_request = {name: value for name, value in whole.items() if name in REQUEST_OPTIONS}
        self._request = client.build_request("GET", url, **cast("RequestOptions", of_request))
        of_sending = {name: value for name, value in whole.items() if name not in REQUEST_OPTIONS}
        self._options = cast("SendOptions", of_sending)
        self._url = self._request.url
        self._decode = decode
        self._resume = resume
        self._digest = checked_digest(checksum)
        self._progress = progress
        self._fsync = fsync
        self._path = os.fspath(path)
        # The server chooses the name of the file in it.
        self._is_folder = os.path.isdir(self._path)
        if not self._is_folder and not os.path.isdir(os.path.dirname(self._path) or "."):
            raise InvalidRequest(f"there is no folder for {self._path!r}")
        self._response: Response | AsyncResponse | None = None
        # Pieces of the body that were not written yet.
        self._pending: Blocks = []

    def steps(self) -> Steps[Downloaded]:
        """The whole download."""
        from hashlib import sha256

        # Not the URL itself, which may hold a secret: the key is written to the disk.
        key = sha256(str(self._url).encode()).hexdigest()
        # In a folder, the name of the file is only known when the response is there.
        path = os.path.join(self._path, f".{key[:16]}") if self._is_folder else self._path
        part = PartFile(path, None if self._digest is None else self._digest[0])
        try:
            response, plan = yield from self._ask(part, key)
            target = self._target(response)
            yield self._run_blocking(part.start, plan.offset, plan.facts)
            while self._digest is not None:
                if (yield self._run_blocking(part.rehash, plan.offset)):
                    break
            if not plan.complete:
                yield from self._receive(response, part, plan)
            yield from self._check(part, plan)
            try:
                yield self._run_blocking(part.finish, target, self._fsync, self._is_folder)
            except FileExistsError:
                raise _exists(target) from None
            return Downloaded(Path(target), part.size, plan.offset, response.headers)
        finally:
            # After a success there is nothing left to do. After an error the part file is kept, to resume later.
            try:
                self._end(part)
            except BaseException:
                self._end(part)  # What an interrupt has left open.
                raise

    def _ask(self, part: PartFile, key: str) -> Steps[tuple[Response | AsyncResponse, _Plan]]:
        """Ask for the rest of the part file, or for the whole file if the server does not send the rest."""
        known: Remainder | None = None
        if self._resume:
            known = yield self._run_blocking(part.known, key)
            if known is not None and self._decode and known.coding != _IDENTITY:
                known = None  # Another call kept the coded bytes.
        while True:
            request = self._request.copy()
            if known is not None:
                request.headers["Range"] = f"bytes={known.size}-"
                request.headers["If-Range"] = known.validator
            response: Response | AsyncResponse
            response = yield self._client.send(request, stream=True, **self._options)
            self._response = response
            if response.status_code not in _EXPECTED:
                yield from keep_error_body(response)
            plan = _plan(response, known, key, self._decode)
            if plan is not None:
                return response, plan
            yield response.close()
            known = None

    def _target(self, response: ResponseHead) -> str:
        if not self._is_folder:
            return self._path
        name = file_name(response.headers.get("content-disposition")) or _last_segment(response.url)
        target = os.path.join(self._path, name)
        if os.path.lexists(target):
            raise _exists(target)
        return target

    def _receive(
        self, response: Response | AsyncResponse, part: PartFile, plan: _Plan
    ) -> Steps[None]:
        pieces = response.iter_bytes() if self._decode else response.iter_raw()
        pending = self._pending
        received, size = plan.offset, 0
        self._report(received, plan.total)
        while piece := (yield self._next_piece(pieces)):
            collect(pending, piece)
            size += len(piece)
            if size >= _BLOCK:
                block = b"".join(pending)
                pending.clear()
                size = 0
                yield self._run_blocking(part.write, block)
            received += len(piece)
            self._report(received, plan.total)
        block = b"".join(pending)
        pending.clear()
        yield self._run_blocking(part.write, block)

    def _check(self, part: PartFile, plan: _Plan) -> Steps[None]:
        if plan.total is not None and part.size < plan.total:
            raise BodyTruncated(
                f"the download has {part.size} bytes of {plan.total}",
                received=part.size,
                expected=plan.total,
                method="GET",
                url=str(self._url),
            )
        wrong = ""
        if plan.total is not None and part.size > plan.total:
            wrong = f"it has {part.size} bytes, not {plan.total}"
        elif self._digest is not None and (found := part.digest()) != self._digest[1]:
            wrong = f"its {self._digest[0]} is {found}, not {self._digest[1]}"
        if wrong:
            # None of the bytes can be trusted, so a later call must not resume from them.
            yield self._run_blocking(part.end, False)
            raise DownloadError(
                f"the download of {show_url(self._url)} is not what it should be: {wrong}"
            )

    def _report(self, received: int, total: int | None) -> None:
        if self._progress is not None:
            self._progress(received, total)

    def _end(self, part: PartFile) -> None:
        response, self._response = self._response, None
        try:
            # First, because the file may have to wait for a write that is under way in another thread.
            if response is not None and response.body is not None:
                response.body.abort("download ended")
        finally:
            pending, self._pending = self._pending, []
            try:
                if pending:
                    part.write(b"".join(pending))
            finally:
                part.end(True)

    def _run_blocking(self, do: Callable[..., object], *args: object) -> object:
        """Do something that blocks (async: an awaitable), and give its result."""
        raise NotImplementedError

    def _next_piece(self, pieces: Any) -> object:
        """The next piece (async: an awaitable); b"" at the end."""
        raise NotImplementedError


class Download(_Download):
    """The download of a `Client`."""

    def _run_blocking(self, do: Callable[..., object], *args: object) -> object:
        return do(*args)

    def _next_piece(self, pieces: Iterator[bytes]) -> bytes:
        return next(pieces, b"")


FILES = Threads(32, "adieu-files")
"""The threads in which all async downloads of the process do their file operations."""


class AsyncDownload(_Download):
    """The download of an `AsyncClient`."""

    async def _run_blocking(self, do: Callable[..., object], *args: object) -> object:
        # Not the threads of asyncio or trio: asyncio queues the work before it finds that it has no thread for it, so
        # that it may be done after the error.
        slot = ThreadSlot("GET", self._url)
        try:
            wanted = slot.call(partial(do, *args))
            FILES.take(slot, DownloadError)  # They are never stopped.
            return await taken(wanted)
        except (
            TransportError
        ) as error:  # There is no thread; the errors of files are none of these.
            error.method, error.url = "GET", str(self._url)
            error.phase = "send" if self._response is None else "body"
            raise
        finally:
            slot.leave()

    def _next_piece(self, pieces: AsyncIterator[bytes]) -> Awaitable[bytes]:
        return anext(pieces, b"")


def _is_decoded(response: ResponseHead) -> bool:
    """Whether a middleware undoes the coding: then these are not the bytes that length, validator and ranges speak of.

    The head names no length then. A function that counts or copies leaves it there.
    """
    body = response.body
    lease = None if body is None else body.lease
    return lease is not None and lease.is_wrapped and "content-length" not in response.headers


def _plan(response: ResponseHead, known: Remainder | None, key: str, decode: bool) -> _Plan | None:
    """The plan for this response; None: send again, for the whole file. Raises `StatusError` for an error status."""
    headers, status = response.headers, response.status_code
    coding = headers.get("content-encoding", _IDENTITY).strip().lower() or _IDENTITY
    if status == 200:
        if _is_decoded(response) or (decode and coding != _IDENTITY):
            # Length, validator and ranges are those of the coded bytes.
            return _Plan(0, None, None)
        length, validator = headers.get("content-length", ""), _validator(headers)
        total = int(length) if _LENGTH(length) else None
        if validator is None:
            return _Plan(0, total, None)
        return _Plan(
            0, total, {"url": key, "validator": validator, "total": total, "coding": coding}
        )
    if known is not None and status == 206:
        found = _RANGE(headers.get("content-range", ""))
        if found is None or int(found[1]) != known.size or _is_decoded(response):
            return None
        total = None if found[3] == "*" else int(found[3])
        return _Plan(known.size, total or known.total, {}) if _same(headers, known, total) else None
    if known is not None and status == 416:
        # There is no rest if the part file is as long as the representation.
        found = _UNSATISFIED(headers.get("content-range", ""))
        size = known.size
        complete = found is not None and int(found[1]) == size and known.total in (None, size)
        return _Plan(size, size, {}, True) if complete else None
    response.raise_for_status()
    raise StatusError(
        f"{status} {show(response.reason)} for GET {show_url(response.url)}, where a download is 200",
        response=response,
    )


def _same(headers: Headers, known: Remainder, total: int | None) -> bool:
    """Whether a 206 is a part of the representation whose first bytes are known (RFC 9110, section 15.3.7).

    A server that does not know If-Range may send the rest of another one.
    """
    if known.validator[0] == '"':
        # A 206 has the ETag that a 200 would have had; other fields it may leave out.
        same = headers.get("etag") == known.validator
    else:
        same = headers.get("last-modified", known.validator) == known.validator
    coding = headers.get("content-encoding", known.coding).strip().lower()
    return same and coding == known.coding and total in (None, known.total or total)


def _validator(headers: Headers) -> str | None:
    """The validator for If-Range: a strong ETag, or a Last-Modified well before Date (RFC 9110, section 8.8.2.2)."""
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


def _last_segment(url: URL) -> str:
    from urllib.parse import unquote

    return safe_name(unquote(url.path.rstrip("/").rpartition("/")[2])) or "download"


def _exists(target: str) -> DownloadError:
    return DownloadError(
        f"{target!r} exists already: a name that the server chooses replaces nothing. "
        "Give the path of the file to replace it"
    )
