from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from adieu.testing import socket_table
from adieu.testing.faults import FaultServer
from adieu.testing.faults_net import BlackHole
from adieu.testing.socket_table import established, established_rows, open_sockets
from servers import KNOWN_PORTS
from support import raw
from support.watch import Watch

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.lifecycle

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's own states")
posix = pytest.mark.skipif(os.name != "posix", reason="needs a list of the descriptors")


@pytest.fixture(params=["native", "no TCP_INFO", "no /dev/fd", "no descriptors"])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each implementation of the table, also those that this platform would not use."""
    if request.param != "native":
        monkeypatch.setattr(socket_table, "_TCP_INFO", None)
    if request.param == "no /dev/fd":
        monkeypatch.setattr(sys, "platform", "freebsd14")
    if request.param == "no descriptors":
        monkeypatch.setattr(socket_table, "_POSIX", False)
    return str(request.param)


def test_each_connection_of_a_client_is_counted_once_and_until_its_end(
    implementation: str, fault_server: FaultServer
) -> None:
    port = fault_server.port
    with ExitStack() as stack:
        for expected in range(1, 4):
            stack.enter_context(raw.connect(fault_server))
            assert established(to_ports={port}) == expected
    assert established(to_ports={port}) == 0


def test_a_row_has_the_descriptor_and_both_addresses(
    implementation: str, fault_server: FaultServer
) -> None:
    with raw.connect(fault_server) as sock:
        (row,) = established_rows(to_ports={fault_server.port})
        assert row.fd == sock.fileno()
        assert row.family == "tcp4"
        assert row.local == sock.getsockname()
        assert row.remote == ("127.0.0.1", fault_server.port)
        assert row.state == "ESTABLISHED"


def test_the_servers_end_in_the_same_process_is_not_counted(
    implementation: str, fault_server: FaultServer
) -> None:
    with raw.connect(fault_server):
        fault_server.wait_until(lambda: fault_server.open == 1)
        ends = [
            row for row in open_sockets({fault_server.port}) if row.state in socket_table.CONNECTED
        ]
        assert len(ends) == 2
        assert established(to_ports={fault_server.port}) == 1
        assert len([row for row in established_rows() if row in ends]) == 1


def test_a_listening_socket_is_a_row_and_no_connection(
    implementation: str, fault_server: FaultServer
) -> None:
    (row,) = open_sockets({fault_server.port})
    assert (row.state, row.remote) == ("LISTEN", None)


def test_other_ports_do_not_count(implementation: str, fault_server: FaultServer) -> None:
    with raw.connect(fault_server):
        assert established(to_ports={1}) == 0
        assert established(to_ports=()) == 0


def test_event_loops_files_and_datagram_sockets_are_not_counted(implementation: str) -> None:
    before = open_sockets()
    loop = asyncio.new_event_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket(type=socket.SOCK_DGRAM) as datagrams, open(os.devnull):
        datagrams.connect(("127.0.0.1", 9))
        assert open_sockets() == before
    loop.close()


@linux
def test_a_connection_that_the_peer_has_closed_still_counts(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/close-after"))
        raw.read_to_end(sock)
        (row,) = established_rows(to_ports={fault_server.port})
        assert row.state == "CLOSE_WAIT"


@linux
def test_a_connection_that_was_shut_down_but_not_closed_still_counts() -> None:
    with BlackHole() as hole, socket.create_connection(("127.0.0.1", hole.port), 5) as sock:
        sock.shutdown(socket.SHUT_WR)
        (row,) = established_rows(to_ports={hole.port})
        assert row.state in {"FIN_WAIT1", "FIN_WAIT2"}


@linux
def test_a_connection_in_progress_counts_with_its_peer() -> None:
    with BlackHole(full=True) as hole, socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", hole.port))
        (row,) = (row for row in established_rows(to_ports={hole.port}) if row.fd == sock.fileno())
        assert row.state == "SYN_SENT"
        assert row.remote == ("127.0.0.1", hole.port)


@linux
def test_a_descriptor_whose_connection_was_reset_is_still_a_row(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/reset"))
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        assert established(to_ports={fault_server.port}) == 0
        (row,) = (row for row in open_sockets() if row.fd == sock.fileno())
        assert row.state == "CLOSE"
    assert sock.fileno() not in {row.fd for row in open_sockets()}


@posix
def test_ipv6_addresses_are_read(implementation: str) -> None:
    with FaultServer(host="::1") as server, socket.create_connection(("::1", server.port), 5):
        (row,) = established_rows(to_ports={server.port})
        assert (row.family, row.remote) == ("tcp6", ("::1", server.port))


@posix
def test_unix_sockets_are_counted_by_the_path_of_their_server(
    implementation: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "s")
    with FaultServer(unix=path) as server:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            server.wait_until(lambda: server.open == 1)
            assert established(to_paths={path}) == 1
            assert established(to_ports={server.port}) == 0
        assert established(to_paths={path}) == 0


@posix
def test_reading_the_table_changes_no_descriptor(fault_server: FaultServer) -> None:
    with raw.connect(fault_server) as sock:
        fault_server.wait_until(lambda: fault_server.open == 1)
        before = sorted(os.listdir("/dev/fd"))
        for timeout in (None, 5.0, 0.0):
            sock.settimeout(timeout)
            blocking = os.get_blocking(sock.fileno())
            socket.setdefaulttimeout(3.0)
            try:
                assert established(to_ports={fault_server.port}) == 1
            finally:
                socket.setdefaulttimeout(None)
            assert os.get_blocking(sock.fileno()) == blocking
        assert sorted(os.listdir("/dev/fd")) == before
        sock.settimeout(30)
        sock.sendall(raw.request("/ok", "Connection: close"))
        assert raw.read_to_end(sock).startswith(b"HTTP/1.1 200")


@linux
def test_a_duplicated_descriptor_is_a_row_of_its_own_with_the_same_inode(
    fault_server: FaultServer,
) -> None:
    with raw.connect(fault_server) as sock, sock.dup() as twin:
        first, second = established_rows(to_ports={fault_server.port})
        assert {first.fd, second.fd} == {sock.fileno(), twin.fileno()}
        assert first.inode == second.inode != 0


@linux
def test_the_kernels_table_agrees(fault_server: FaultServer) -> None:
    with raw.connect(fault_server), raw.connect(fault_server):
        table = socket_table._peers_by_inode()
        rows = established_rows(to_ports={fault_server.port})
        assert len(rows) == 2
        assert [table[row.inode] for row in rows] == [row.remote for row in rows]


def test_an_address_of_the_kernels_table_is_read_in_the_machines_byte_order() -> None:
    words = struct.pack("=I", int.from_bytes(bytes([127, 0, 0, 1]), sys.byteorder))
    loopback = f"{int.from_bytes(words, sys.byteorder):08X}"
    assert socket_table._address(f"{loopback}:1F90") == ("127.0.0.1", 8080)
    last = int.from_bytes(bytes([0, 0, 0, 1]), sys.byteorder)
    assert socket_table._address(f"{'0' * 24}{last:08X}:0050") == ("::1", 80)


def test_the_kernels_long_table_is_read_only_for_what_is_connecting(
    fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_table, "_peers_by_inode", lambda: pytest.fail("it was read"))
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(raw.connect(fault_server))
        assert established(to_ports={fault_server.port}) == 20


def test_the_fixture_names_what_was_left_open(census: Watch, fault_server: FaultServer) -> None:
    with raw.connect(fault_server):
        assert census.count() == 1
        with pytest.raises(AssertionError, match=f"left open:\n.*{fault_server.port}"):
            census.check()


@linux
def test_the_fixture_sees_a_socket_that_was_reset_and_not_closed(
    census: Watch, fault_server: FaultServer
) -> None:
    with raw.connect(fault_server) as sock:
        sock.sendall(raw.request("/reset"))
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        with pytest.raises(AssertionError, match="state='CLOSE'"):
            census.check()


def test_the_fixture_watches_a_port_that_is_added(census: Watch) -> None:
    with FaultServer() as server, raw.connect(server):
        KNOWN_PORTS.discard(server.port)  # An earlier server may have had this port.
        assert census.count() == 0
        census.also(server.port)
        assert census.count() == 1


def test_a_new_watch_forgets_the_servers_that_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    outside = 1
    monkeypatch.setattr("servers.OUTSIDE_PORTS", {outside})
    with FaultServer() as gone, FaultServer() as here:
        ports = {gone.port, here.port, outside}
        KNOWN_PORTS.update(ports)
        Watch()
        assert ports <= KNOWN_PORTS
        gone.close()
        Watch()
        assert ports & KNOWN_PORTS == {here.port, outside}
    KNOWN_PORTS.discard(outside)
