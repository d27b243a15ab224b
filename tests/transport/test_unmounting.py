"""Unmounting: another adapter serves the URLs, and every connection of the mount's own is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import adieu
from support.everywhere import stage
from support.mounted import answering, client_with, served_by
from support.stage import caught

if TYPE_CHECKING:
    from support.stage import Stage

__all__ = ["stage"]

pytestmark = [pytest.mark.lifecycle, pytest.mark.usefixtures("census")]


def test_after_unmounting_the_next_mount_or_the_client_serves() -> None:
    with client_with("https://", "https://a.example/", "https://a.example/v1") as client:
        url = "https://a.example/v1/items"
        assert served_by(client, url) == "https://a.example/v1"
        report = client.unmount("HTTPS://A.example:443/v1/")  # An equal pattern.
        assert report == adieu.CloseReport(0, 0, ())
        assert served_by(client, url) == "https://a.example/"
        client.unmount("https://a.example")
        client.unmount("https://")
        assert served_by(client, url) == "default"
        assert len(list(client.mounts)) == 1
        client.mount("https://a.example/v1", answering("again"))
        assert served_by(client, url) == "again"


@pytest.mark.parametrize("pattern", ["https://b.example/", "https://a.example/v1", "https:"])
def test_a_pattern_that_is_not_mounted_cannot_be_unmounted(pattern: str) -> None:
    with client_with("https://a.example/") as client:
        with pytest.raises(
            adieu.MountError, match=r"mounted is https://a\.example/|no mount pattern"
        ):
            client.unmount(pattern)
        assert served_by(client, "https://a.example/") == "https://a.example/"
    with pytest.raises(adieu.ClientClosed):
        client.unmount("https://a.example/")


def test_unmounting_closes_the_connections_of_the_mount_and_no_others(stage: Stage) -> None:
    url = stage.server.url
    client = stage.client(base_url=None, cleanup=adieu.ReleaseOnRead())
    with stage.block(client):
        client.mount(f"{url}/bytes", stage.adapter)
        stage.read(stage.get(client, f"{url}/ok"))
        mine = [line.id for line in client.connections()]
        stream = stage.run(client.stream("GET", f"{url}/bytes?n=900000"))
        (mounted,) = (mount for mount in client.mounts if mount.pattern)
        assert stage.sockets() == len(mine) + 1
        stage.run(client.unmount(f"{url}/bytes"))
        assert [line.id for line in client.connections()] == mine
        assert stage.sockets() == len(mine)
        caught(adieu.ReadError, stage.read, stream)
        stage.run(stream.close())
        # The client's own adapter serves the URL from now on.
        assert len(stage.read(stage.get(client, f"{url}/bytes?n=5"))) == 5
        assert mounted not in list(client.mounts)


def test_an_adapter_that_has_another_mount_stays_open() -> None:
    closed: list[str] = []

    class Closing(adieu.Middleware):
        def close(self) -> adieu.CloseReport | None:
            closed.append("closed")
            return super().close()

    shared = Closing(answering("shared"))
    with adieu.Client(adapter=answering("default")) as client:
        client.mount("mock://a", shared)
        client.mount("mock://b", shared)
        client.unmount("mock://a")
        assert closed == []
        assert served_by(client, "mock://b/") == "shared"
        client.unmount("mock://b")
        assert closed == ["closed"]
    assert closed == ["closed"]


def test_a_mount_makes_no_adapter_after_it_was_unmounted() -> None:
    with adieu.Client() as client:
        client.mount("http://a.example", "h11")
        mount = client.mounts.select(
            adieu.URL("http://a.example/")
        )  # As a call does, in another thread.
        client.unmount("http://a.example")
        with pytest.raises(adieu.ClientClosed, match="unmounted"):
            assert mount.adapter is None
        assert mount.made is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_end_that_fails_is_tried_again(error: type[BaseException]) -> None:
    """An interrupt at once, an error by the client's own end."""
    ends: list[str] = []

    class Failing(adieu.Middleware):
        def close(self) -> adieu.CloseReport | None:
            ends.append("close")
            if len(ends) == 1:
                raise error
            return super().close()

    with adieu.Client() as client:
        client.mount("mock://a", Failing(answering("a")))
        with pytest.raises(error):
            client.unmount("mock://a")
        assert len(ends) == (2 if error is KeyboardInterrupt else 1)
    assert len(ends) == 2
