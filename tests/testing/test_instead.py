"""`default_adapter`: one-shots and clients of the code under test go to a mock, and nowhere else after the block."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing import FaultServer, MockAdapter, Recorder, default_adapter
from adieu_native import AsyncNativeAdapter

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://api.example.org/items"


def test_one_shots_and_new_clients_use_it_in_the_block(fault_server: FaultServer) -> None:
    async def awaited() -> int:
        async with adieu.AsyncClient(limits=adieu.Limits(2)) as client:
            return (await client.get(URL)).status_code

    with default_adapter(MockAdapter({f"GET {URL}": adieu.Response(299, body=b"mocked")})) as mock:
        assert adieu.get(URL).text == "mocked"
        with adieu.stream("GET", URL) as response:
            assert response.read() == b"mocked"
        with adieu.Client(limits=adieu.Limits(2), adapter=None) as client:
            assert client.get(URL).status_code == 299
        assert asyncio.run(awaited()) == 299
        assert len(mock.calls) == 4
        with adieu.Client(fault_server.url, adapter="h11") as client:
            assert client.get("/ok").status_code == 200
    assert adieu.get(f"{fault_server.url}/ok").status_code == 200
    assert len(mock.calls) == 4


def test_blocks_are_nested_and_end_with_an_error() -> None:
    outer, inner = MockAdapter(), MockAdapter()
    with default_adapter(outer):
        with pytest.raises(LookupError), default_adapter(inner):
            raise LookupError
        with pytest.raises(AssertionError, match="nothing is mocked"):
            adieu.get(URL)
    assert len(outer.calls) == 1
    assert not inner.calls


def test_a_function_and_an_async_adapter_will_do_and_nothing_else(
    fault_server: FaultServer,
) -> None:
    with default_adapter(lambda request: adieu.Response(200, body=request.method)):
        assert adieu.delete(URL).text == "DELETE"

    async def main() -> None:
        native = AsyncNativeAdapter()
        with default_adapter(native):
            for _ in range(2):
                async with adieu.AsyncClient(fault_server.url) as client:
                    await client.get("/ok")
        assert fault_server.accepted == 1  # No client has closed it.
        await native.close()

    asyncio.run(main())
    wrong: Any = 5
    with pytest.raises(adieu.InvalidRequest, match="neither"), default_adapter(wrong):
        pass


def test_a_recorder_is_closed_after_the_block(fault_server: FaultServer, tmp_path: Path) -> None:
    path = tmp_path / "tape.jsonl"
    for _ in range(2):
        recorder = Recorder(None, path)
        with default_adapter(recorder):
            adieu.get(f"{fault_server.url}/ok")
            adieu.get(f"{fault_server.url}/empty")
        recorder.close()
    assert fault_server.served == 2
