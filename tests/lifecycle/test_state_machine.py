"""Requests, reads, closes and drops in any order, under any policy: the invariants hold after every step."""

from __future__ import annotations

import contextlib
import gc
import json
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import adieu
from adieu.testing import FaultServer, payload
from adieu.transport.adapter import Wrapper
from servers import KNOWN_PORTS
from support.runner import SyncRunner
from support.stage import POLICIES, Stage
from support.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIMIT = 3
_SLOTS = st.integers(0, 4)

# The paths, and the content or error that has to follow.
_PATHS: dict[str, bytes | type[Exception] | None] = {
    "/ok": None,
    "/bytes?n=100": payload(100),
    "/bytes?n=300000": payload(300_000),
    "/chunked?n=100": payload(100),
    "/chunked?n=70000&size=900": payload(70_000),
    "/until-close?n=5000": payload(5000),
    "/empty": b"",
    "/no-content": b"",
    "/not-modified": b"",
    "/connection-close": b"the last one",
    "/surplus": b"complete",
    "/http10?n=500": payload(500),
    "/gzip?n=50000": payload(50_000),
    "/redirect?n=2&body=500&to=/bytes?n=100": payload(100),
    "/redirect?n=1&body=500000&to=/chunked?n=70000": payload(70_000),
    "/status/404?body=2000": payload(2000),
    "/close-after": None,
    "/truncated?n=900000&sent=5000": adieu.BodyTruncated,
    "/truncated-chunked": adieu.BodyTruncated,
    "/reset": adieu.ReadError,
    "/close": adieu.PeerClosed,
    "/garbage?kind=length-negative": adieu.ProtocolError,
}


class _Held:
    """A response that the user keeps, and how much of it was read."""

    def __init__(self, path: str, response: Any) -> None:
        self.path = path
        self.response = response
        self.pieces: Iterator[bytes] | None = None
        self.seen = b""

    def check(self, content: bytes) -> None:
        """The content is that of this request, and of no other."""
        expected = _PATHS[self.path]
        if expected is None:
            number = int(self.response.headers["x-request-number"])
            assert json.loads(content)["request"] == number
        else:
            assert content == expected, self.path


def _is_expected(path: str, error: Exception) -> None:
    expected = _PATHS[path]
    assert isinstance(expected, type), f"{path}: {error!r}"
    assert isinstance(error, expected), f"{path}: {error!r}"


class Machine(RuleBasedStateMachine):
    """One client with a limit of three connections."""

    adapter: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.server = FaultServer()
        KNOWN_PORTS.add(self.server.port)
        self.stage = Stage(SyncRunner(), self.adapter, None, self.server, Watch())
        self.client = self.stage.client(limits=adieu.Limits(connections=_LIMIT))
        # In slots, so that a step means the same whatever the steps before it did: a small body that came with its head
        # needs no connection, and one that came a little later does.
        self.held: dict[int, _Held] = {}
        self.quiet = warnings.catch_warnings()
        self.quiet.__enter__()
        warnings.simplefilter("ignore", ResourceWarning)

    def teardown(self) -> None:
        self.client.close()
        assert self.stage.nothing_open()
        self.held.clear()
        self.server.close()
        self.quiet.__exit__(None, None, None)

    def _open(self) -> list[_Held]:
        return [held for held in self.held.values() if not held.response.is_closed]

    # The steps of a user

    @rule(
        slot=_SLOTS,
        path=st.sampled_from(sorted(_PATHS)),
        policy=st.sampled_from(sorted(set(POLICIES) - {"Strict"})),
        streaming=st.booleans(),
    )
    def request(self, slot: int, path: str, policy: str, streaming: bool) -> None:
        self.held.pop(slot, None)
        if len(self._open()) == _LIMIT:
            return
        call = self.client.stream if streaming else self.client.request
        try:
            response = call("GET", path, cleanup=POLICIES[policy]())
        except adieu.AdieuError as error:
            _is_expected(path, error)
        else:
            self.held[slot] = _Held(path, response)

    @rule(slot=_SLOTS)
    def read(self, slot: int) -> None:
        held = self.held.get(slot)
        if held is None or held.pieces is not None:
            return
        try:
            content = held.response.read()
        except adieu.BodyClosed:
            assert held.response.is_closed
        except adieu.AdieuError as error:
            _is_expected(held.path, error)
        else:
            held.check(content)

    @rule(slot=_SLOTS, pieces=st.integers(1, 5))
    def read_some(self, slot: int, pieces: int) -> None:
        held = self.held.get(slot)
        if held is None:
            return
        if held.pieces is None:
            held.pieces = held.response.iter_bytes()
        for _ in range(pieces):
            try:
                piece = next(held.pieces, None)
            except adieu.BodyClosed:
                assert held.response.is_closed
                return
            except adieu.AdieuError as error:
                _is_expected(held.path, error)
                return
            if piece is None:
                return
            held.seen += piece
            expected = _PATHS[held.path]
            if isinstance(expected, bytes):
                assert expected.startswith(held.seen)

    @rule(slot=_SLOTS)
    def drop_iterator(self, slot: int) -> None:
        if (held := self.held.get(slot)) is not None:
            held.pieces = iter(())

    @rule(slot=_SLOTS)
    def close(self, slot: int) -> None:
        if (held := self.held.get(slot)) is not None:
            held.response.close()

    @rule(slot=_SLOTS)
    def leave_a_block(self, slot: int) -> None:
        held = self.held.get(slot)
        with (
            contextlib.suppress(ValueError),
            held.response if held is not None else contextlib.nullcontext(),
        ):
            raise ValueError

    @rule(slot=_SLOTS)
    def drop(self, slot: int) -> None:
        self.held.pop(slot, None)

    @rule(slot=_SLOTS)
    def drop_in_a_cycle(self, slot: int) -> None:
        held: Any = self.held.pop(slot, None)
        if held is not None:
            held.seen = held
            del held
            gc.collect()

    @rule()
    def hang_up(self) -> None:
        self.server.hang_up()
        # The open bodies end early.
        for held in self._open():
            held.response.close()
            held.pieces = iter(())

    # The invariants

    @invariant()
    def each_open_socket_is_in_the_table(self) -> None:
        lines = self.client.connections()
        assert self.stage.sockets() == len(lines) <= _LIMIT

    @invariant()
    def each_leased_connection_belongs_to_an_open_response(self) -> None:
        leased = {line.id for line in self.client.connections() if line.state != "idle"}
        assert leased == {held.response.body.exchange.lease.connection_id for held in self._open()}

    @invariant()
    def each_idle_connection_is_reusable(self) -> None:
        for adapter in self.client._mounts.adapters():
            engine: Any = adapter
            while isinstance(engine, Wrapper):
                engine = engine.inner
            for connection, lease in self.pool(engine)._owners.items():
                if lease is None:
                    assert self.is_reusable(connection)

    def pool(self, adapter: Any) -> Any:
        """The pool of an adapter."""
        return adapter._engine.pool

    def is_reusable(self, connection: Any) -> bool:
        """Both messages on the connection have ended, and nothing came after them."""
        reusable: bool = connection.codec.is_reusable()
        return reusable


_SETTINGS = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


class Urllib3Machine(Machine):
    adapter = "urllib3"

    def pool(self, adapter: Any) -> Any:
        return adapter._pool

    def is_reusable(self, connection: Any) -> bool:
        return not connection.sock.buffered and connection.conn.sock is connection.sock


class H11Machine(Machine):
    adapter = "native"


class CloseMachine(Machine):
    adapter = "close"


TestUrllib3 = Urllib3Machine.TestCase
TestUrllib3.settings = _SETTINGS
TestH11 = H11Machine.TestCase
TestH11.settings = _SETTINGS
TestClose = CloseMachine.TestCase
TestClose.settings = _SETTINGS
