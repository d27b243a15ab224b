"""The sync client.

A client keeps no response, and no response refers to a client. `close()` finds open bodies by weak references.
"""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING

from adieu._loading import Loading
from adieu.client.base import ClientBase
from adieu.client.option_help import lists_options
from adieu.errors import ClientClosed
from adieu.lifecycle.steps import drive
from adieu.messages.response import MAX_EVENT, MAX_MESSAGE
from adieu.transport.exchange import Exchange, PinnedExchange

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from concurrent.futures import Executor
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from adieu.client.closing import CloseReport
    from adieu.client.download import Downloaded, Progress
    from adieu.client.event_stream import EventStream
    from adieu.client.map.outcome import Wanted
    from adieu.client.map.sync_map import Map
    from adieu.client.option_types import CallOptions, SendOptions, WebSocketOptions
    from adieu.client.options import Hook
    from adieu.messages.request import Request
    from adieu.messages.response import Response
    from adieu.messages.url import URL
    from adieu.websocket.sync import WebSocket

__all__ = ["Client"]


class Client(ClientBase):
    """Sends requests over the adapter that is mounted for their URL.

    All settings may be left out. Each is an attribute, too: assigned, it holds from the next call on (`adapter` and
    `limits` cannot be assigned). A wrong value is an `InvalidRequest`, whenever it is given.

    - `base_url`: what relative URLs are put below. `params`, `headers`: what goes with every request.
    - `adapter`: a name ("native", "urllib3", "h11", "close", or any installed one), an object, or a function of a
      request that returns a response. `limits`: bounds the pool of an adapter chosen by name.
    - `cleanup`: the policy for how connections end.
    - `timeout`: a `Timeout`, seconds for each wait, or None for no limit at all.
    - `verify`: True (certifi's authorities), False, a CA file or directory, or an `ssl.SSLContext`. `cert`: a client
      certificate. `tls`: a `TLSConfig`, instead of these two. `connect`: a `Connect`, how connections are made.
    - `proxy`: a proxy's URL, an `adieu.Proxy`, a mapping from patterns to these, or None. Left out, the environment
      decides (`http_proxy`, `no_proxy` and so on), once, at the first request.
    - `auth`: (user name, password) for Basic, `BearerAuth`, `DigestAuth`, `NetrcAuth`, an `Auth` or a function. It goes
      to the origin of `base_url` alone, or without one to the origin of the URL that is called.
    - `cookies`: a jar, or what it begins with (see `Cookies`); False keeps none.
    - `follow_redirects`: True or False. `max_redirects`: how many hops.
    - `retry`: how often what failed is sent again, a number or a `Retry`.
    - `max_body`: bounds bodies that are read whole (bytes, decoded; 1 GiB): a longer one, or a decompression bomb, is
      `BodyTooLarge`. None: no bound.
    - `events`: a listener, or a list of them, which is told what happens to calls, exchanges and connections.
      `event_hooks`: lists of functions that get every "request" before it is sent and every "response" before it is
      returned.

    A client may be shared between threads. Pickled, and copied, it is its settings: what arrives is a new client,
    without connections. The secrets (auth, cookies, passwords of proxies and keys) are among them: treat the pickle as
    one, too.

    Use it in a `with` block or call `close()`: then nothing of it stays open.
    """

    exchange = Exchange
    pinned_exchange = PinnedExchange
    awaits = False
    default_adapter = "native"
    adapter_group = "adieu.adapters"

    # -- calls -------------------------------------------------------------------------------------------------------

    @lists_options
    def get(self, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """GET: ask for a representation."""
        return self.request("GET", url, **options)

    @lists_options
    def head(self, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """HEAD: as GET, without the content."""
        return self.request("HEAD", url, **options)

    @lists_options
    def options(self, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """OPTIONS: ask what can be asked."""
        return self.request("OPTIONS", url, **options)

    @lists_options
    def post(self, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """POST: let the resource process the content."""
        return self.request("POST", url, **options)

    @lists_options
    def put(self, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """PUT: create or replace."""
        return self.request("PUT", url, **options)

    @lists_options
    def patch(self, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """PATCH: change partly."""
        return self.request("PATCH", url, **options)

    @lists_options
    def delete(self, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """DELETE: remove."""
        return self.request("DELETE", url, **options)

    @lists_options
    def query(self, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """QUERY: a safe, idempotent question whose details are in the content."""
        return self.request("QUERY", url, **options)

    @lists_options
    def request(self, method: str, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """Send a request of any method and return the response, read as the cleanup policy says.

        Raises `InvalidRequest` (and `InvalidURL`, `InvalidHeader`) before anything is sent, `TransportError` and what
        is below it when the exchange fails, `TooManyRedirects`, `ClientClosed`. A 4xx or 5xx is no error.
        """
        response: Response = drive(self._beginning(method, url, options, False))
        return response

    @lists_options
    def stream(self, method: str, url: URL | str, **options: Unpack[CallOptions]) -> Response:
        """As `request`, but the body is handed out as a stream, whatever the policy prefetches.

        Use it in a `with` block: at its end the connection is released, or drained or closed if the body was left.
        """
        response: Response = drive(self._beginning(method, url, options, True))
        return response

    def send(
        self,
        request: Request,
        *,
        stream: bool = False,
        **options: Unpack[SendOptions],
    ) -> Response:
        """Send a request that was built before, any number of times if its content can be read again."""
        steps = self._sending_with(request, stream, options)
        response: Response = drive(steps)
        return response

    def download(
        self,
        url: URL | str,
        path: str | os.PathLike[str],
        *,
        resume: bool = True,
        checksum: str | None = None,
        progress: Progress | None = None,
        fsync: bool = False,
        decode: bool = False,
        **options: Unpack[CallOptions],
    ) -> Downloaded:
        """GET into a file, which is there whole or not at all.

        `path` is the file, which is replaced, or a folder: then the server chooses a name in it, made harmless, that
        replaces nothing. Until all is there the bytes are in `path.part`. A transfer that breaks leaves that behind,
        and the next call (`resume`) asks for the rest, if the server can tell that nothing has changed.

        `checksum`: "sha256:…" in hexadecimal, or any algorithm of hashlib; `progress(received, total)`: called for
        every piece, in bytes, with None for an unknown total; `fsync`: write the file to the disk before it is renamed.

        The file has the bytes as the server stores them, and all of these speak of its bytes. A content coding, which
        is not asked for, is not undone, unless `decode` is True: then a body that is coded cannot be resumed.

        Raises `StatusError` for any status but a success, whose body is never written to the file; `DownloadError` for
        a wrong checksum and for a name that exists; the errors of a call; and the `OSError` of the file.
        """
        from adieu.client.download import Download

        self._check_options(options, self.download)
        download = Download(
            self,
            url,
            path,
            options,
            resume=resume,
            checksum=checksum,
            progress=progress,
            fsync=fsync,
            decode=decode,
        )
        return drive(download.steps())

    def event_stream(
        self,
        url: URL | str,
        method: str = "GET",
        *,
        last_event_id: str = "",
        wait: float = 3.0,
        attempts: int = 5,
        max_event: int = MAX_EVENT,
        **options: Unpack[CallOptions],
    ) -> EventStream:
        """Iterate over server-sent events, connecting again where the stream ends (the WHATWG's EventSource).

        ```python
        with client.event_stream("/feed") as events:
            for event in events:
                handle(event.event, event.json())
        ```

        `wait`: seconds between two connections, until the server says otherwise; longer after each that brought no
        event. After `attempts` of those in a row the error is raised; the very first connection has one attempt. A 204
        ends the iteration. Raises `StatusError` for any other status than 200, `DecodeError` for another type than
        `text/event-stream`, `BodyTooLarge` for an event of more than `max_event` bytes. Content must be one that can be
        sent again.
        """
        from adieu.client.event_stream import EventStream

        self._check_options(options, self.event_stream)
        return EventStream(
            self,
            method,
            url,
            options,
            last_event_id=last_event_id,
            wait=wait,
            attempts=attempts,
            max_event=max_event,
        )

    def websocket(
        self,
        url: URL | str,
        *,
        subprotocols: Iterable[str] = (),
        compression: bool = True,
        max_message: int | None = MAX_MESSAGE,
        ping_interval: float | None = 20.0,
        ping_timeout: float | None = 20.0,
        **options: Unpack[WebSocketOptions],
    ) -> WebSocket:
        """Open a WebSocket (RFC 6455). Needs the extra `ws`.

        ```python
        with client.websocket("wss://api.example.org/chat") as ws:
            ws.send("hello")
            for message in ws:
                handle(message)
        ```

        `url` begins with `ws://` or `wss://` (`http://` and `https://` mean the same), or is put below the base URL.
        `subprotocols`: names, in order of preference. `compression`: offer permessage-deflate (RFC 7692).
        `max_message`: the most bytes of a message, decompressed (16 MiB); None: no bound. While a call receives, a ping
        is sent after `ping_interval` seconds of silence, and silence for `ping_timeout` seconds after it is the end.

        The options are those of a call without content. Its timeouts bound the handshake; from then on `write` bounds
        each wait of a send. Raises what a call raises; `StatusError` with the response for any answer but 101, a
        redirect too; `ProtocolError` for a 101 that is no answer to this handshake.
        """
        from adieu.client.websocket import opening

        steps = opening(
            self,
            url,
            options,
            subprotocols=subprotocols,
            compression=compression,
            max_message=max_message,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
        )
        websocket: WebSocket = drive(steps)
        return websocket

    def map(
        self,
        requests: Iterable[Wanted],
        *,
        limit: int = 10,
        executor: Executor | None = None,
        **options: Unpack[SendOptions],
    ) -> Map:
        """Send many requests, `limit` of them at a time, and give each `Outcome` as soon as it is there.

        `requests` is an iterable, endless if you like, of URLs (for GET) and of requests that `build_request` made; it
        is read in your thread. An outcome has the `request`, its `nth`, and its `response` or its `error`; an error
        ends no other request, and `result()` raises it. An iterable that raises, and a closed client, end the map.

        No more than `limit` outcomes wait to be taken. Leaving the block cancels the requests under way, and ends their
        threads:

        ```python
        with client.map(urls, limit=20) as outcomes:
            for outcome in outcomes:
                if outcome.error is None:
                    store(outcome.request, outcome.response.json())
        ```

        Without the `with`, leaving the loop early cancels the rest when the iterator is garbage, which is at once
        where references are counted. A `limit` above the pool's only makes requests wait.

        `executor`, any `concurrent.futures.Executor`, runs the requests instead of threads of the map's own, and may do
        so in other processes, or on other machines. Then the responses come back read, whatever the policy. Requests
        and responses are pickled on the way, and the client as its settings: each process makes one client of them, and
        closes it some seconds after its last request. Requests that have begun elsewhere when the map is left go on
        there to their end.
        """
        with Loading("client.map()"):
            from adieu.client.map.on_executor import ExecutorWorkers
            from adieu.client.map.on_threads import ThreadWorkers
            from adieu.client.map.sender import Sender
            from adieu.client.map.sync_map import Map

        sender = Sender(self, options, self._merged(options, self.map))
        if executor is not None:
            return Map(requests, limit, ExecutorWorkers(sender, executor))

        return Map(requests, limit, ThreadWorkers(sender))

    def hooked(self, hook: Hook, subject: object) -> None:
        """Call one hook."""
        hook(subject)

    def pause(self, seconds: float) -> None:
        """Wait, holding nothing."""
        sleep(seconds)

    def unmount(self, pattern: str) -> CloseReport:
        """Remove the mount of this pattern. Other mounts, or the client's own adapter, serve its URLs from then on.

        Every connection of the mount's adapter is closed, also those in use: a call that waits for its response fails
        as if the connection had broken, and so does reading. An adapter that another mount or the client itself has,
        too, stays open. Raises `MountError` if the pattern is not mounted.
        """
        try:
            return drive(self._unmounting(pattern))
        except Exception:
            raise
        except BaseException:
            drive(self._closing_removed())  # What an interrupt has left open.
            raise

    def close(self) -> CloseReport:
        """Close every connection, also those in use: reading from one raises `ClientClosed`. Idempotent.

        Bodies whose policy says so (`on_client_close`) may be read to their end; their connections close then. Adapters
        given to the client are closed with it.
        """
        try:
            return drive(self._closing())
        except Exception:
            raise
        except BaseException:
            drive(self._closing())  # What an interrupt has left open.
            raise

    def __enter__(self) -> Self:
        if self._closed:
            raise ClientClosed("this client is closed")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        finally:
            if not self._closed:  # An interrupt, just as `close` was called.
                self.close()
