"""Downloads: complete or absent, resumed after a break, checked, and with harmless names."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

import adieu
from adieu.testing.faults import payload

if TYPE_CHECKING:
    from pathlib import Path

    from adieu.testing.faults import Ending, Peer, Request
    from support.stage import Stage

DATA = payload(700_000)
HALF = 300_000
SHA = "sha256:" + hashlib.sha256(DATA).hexdigest()


class FileRoute:
    """Serves one file, with ranges. The attributes make it break off, ignore a condition, or send a wrong range."""

    def __init__(self, data: bytes = DATA, **fields: str) -> None:
        self.data = data
        self.fields = {"etag": '"v1"', **fields}
        self.requests: list[Request] = []
        self.breaks_after: int | None = None
        self.ranges = True
        self.wrong_range = False
        self.ignores_if_range = False

    def __call__(self, peer: Peer, request: Request) -> Ending:
        self.requests.append(request)
        fields = [(name, value) for name, value in self.fields.items() if value]
        wanted = request.header("range")
        condition = request.header("if-range")
        current = self.fields["etag"] or self.fields.get("last-modified")
        start, size = 0, len(self.data)
        if wanted and self.ranges and (self.ignores_if_range or condition == current):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= size:
                peer.reply(416, b"", [("content-range", f"bytes */{size}")])
                return "keep"
            first = start + 1 if self.wrong_range else start
            fields.append(("content-range", f"bytes {first}-{size - 1}/{size}"))
        body = self.data[start:]
        peer.start(
            "206 Partial" if start else "200 OK", [*fields, ("content-length", str(len(body)))]
        )
        if self.breaks_after is not None:
            peer.body(body[: self.breaks_after])
            return "drop"
        peer.body(body)
        return "keep"

    def ranges_asked(self) -> list[tuple[str | None, str | None]]:
        return [(r.header("range"), r.header("if-range")) for r in self.requests]


@pytest.fixture
def route(stage: Stage) -> FileRoute:
    served = FileRoute()
    stage.server.on("/file.bin", served)
    return served


def fetch(stage: Stage, client: Any, path: Path, url: str = "/file.bin", **options: Any) -> Any:
    return stage.run(client.download(url, path, **options))


def break_off(stage: Stage, client: Any, route: FileRoute, path: Path, **options: Any) -> None:
    route.breaks_after = HALF
    with pytest.raises(adieu.BodyTruncated):
        fetch(stage, client, path, **options)
    route.breaks_after = None


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_download_writes_the_file_with_its_progress(
    stage: Stage, route: FileRoute, tmp_path: Path
) -> None:
    target = tmp_path / "mine.bin"
    target.write_bytes(b"old")
    reports: list[tuple[int, int | None]] = []
    with stage.block(stage.one()) as client:
        done = fetch(
            stage, client, target, checksum=SHA, fsync=True, progress=lambda *at: reports.append(at)
        )
        assert (done.path, done.size, done.resumed) == (target, len(DATA), 0)
        assert done.headers["etag"] == '"v1"'
        assert target.read_bytes() == DATA
        assert names(tmp_path) == ["mine.bin"]
        stage.next_works(client)
    assert reports[0] == (0, len(DATA))
    assert reports[-1] == (len(DATA), len(DATA))
    assert [a for a, _ in reports] == sorted({a for a, _ in reports})
    assert route.requests[0].header("accept-encoding") == "identity"


def test_a_broken_download_is_resumed_where_it_broke(
    stage: Stage, route: FileRoute, tmp_path: Path
) -> None:
    target = tmp_path / "file"
    reports: list[int] = []
    with stage.block(stage.one()) as client:
        break_off(stage, client, route, target)
        assert names(tmp_path) == ["file.part", "file.part.json"]
        assert (tmp_path / "file.part").read_bytes() == DATA[:HALF]
        done = fetch(stage, client, target, checksum=SHA, progress=lambda at, _: reports.append(at))
        assert (done.size, done.resumed) == (len(DATA), HALF)
        assert target.read_bytes() == DATA
        assert names(tmp_path) == ["file"]
        stage.next_works(client)
    assert reports[0] == HALF
    assert route.ranges_asked() == [(None, None), (f"bytes={HALF}-", '"v1"')]


def test_a_download_may_break_several_times(stage: Stage, route: FileRoute, tmp_path: Path) -> None:
    with stage.block(stage.one()) as client:
        break_off(stage, client, route, tmp_path / "file")
        break_off(stage, client, route, tmp_path / "file")
        assert fetch(stage, client, tmp_path / "file").resumed == 2 * HALF
        assert (tmp_path / "file").read_bytes() == DATA


def test_a_changed_file_is_downloaded_from_the_beginning(
    stage: Stage, route: FileRoute, tmp_path: Path
) -> None:
    with stage.block(stage.one()) as client:
        break_off(stage, client, route, tmp_path / "file")
        route.data, route.fields["etag"] = b"new" * 1000, '"v2"'
        assert fetch(stage, client, tmp_path / "file").resumed == 0
        assert (tmp_path / "file").read_bytes() == b"new" * 1000


@pytest.mark.parametrize("fault", ["ignored If-Range", "wrong range", "shorter"])
def test_the_rest_of_another_representation_is_refused_and_the_whole_file_asked_for(
    stage: Stage, route: FileRoute, tmp_path: Path, fault: str
) -> None:
    with stage.block(stage.one()) as client:
        break_off(stage, client, route, tmp_path / "file")
        if fault == "wrong range":
            route.wrong_range = True
        else:
            route.ignores_if_range = True  # And the file has changed.
            route.data = b"new" * (1000 if fault == "shorter" else 200_000)
            route.fields["etag"] = '"v2"'
        assert fetch(stage, client, tmp_path / "file").resumed == 0
        assert (tmp_path / "file").read_bytes() == route.data
        stage.next_works(client)
    assert [bool(wanted) for wanted, _ in route.ranges_asked()] == [False, True, False]


def test_a_part_file_that_is_complete_is_only_renamed(
    stage: Stage, route: FileRoute, tmp_path: Path
) -> None:
    with stage.block(stage.one()) as client:
        for checksum in (None, SHA):
            break_off(stage, client, route, tmp_path / "file")
            (tmp_path / "file.part").write_bytes(DATA)
            done = fetch(stage, client, tmp_path / "file", checksum=checksum)
            assert (done.size, done.resumed) == (len(DATA), len(DATA))
            assert (tmp_path / "file").read_bytes() == DATA
            assert names(tmp_path) == ["file"]
        stage.next_works(client)


@pytest.mark.parametrize(
    ("fields", "validator"),
    [
        ({"etag": 'W/"v1"'}, None),
        ({"etag": ""}, None),
        (
            {
                "etag": "",
                "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT",
                "date": "Mon, 01 Jan 2024 01:00:00 GMT",
            },
            "Mon, 01 Jan 2024 00:00:00 GMT",
        ),
        (
            {
                "etag": "",
                "last-modified": "Mon, 01 Jan 2024 00:59:30 GMT",
                "date": "Mon, 01 Jan 2024 01:00:00 GMT",
            },
            None,
        ),
        ({"etag": "", "last-modified": "yesterday", "date": "today"}, None),
        ({"etag": "v1"}, None),
    ],
)
def test_only_a_download_with_a_strong_validator_is_resumed(
    stage: Stage, route: FileRoute, tmp_path: Path, fields: dict[str, str], validator: str | None
) -> None:
    route.fields = fields
    with stage.block(stage.one()) as client:
        break_off(stage, client, route, tmp_path / "file")
        assert names(tmp_path) == ([] if validator is None else ["file.part", "file.part.json"])
        assert fetch(stage, client, tmp_path / "file").resumed == (HALF if validator else 0)
        assert (tmp_path / "file").read_bytes() == DATA
    assert route.ranges_asked()[1] == ((f"bytes={HALF}-", validator) if validator else (None, None))


def test_a_part_of_another_url_or_with_damaged_facts_is_not_resumed(
    stage: Stage, route: FileRoute, tmp_path: Path
) -> None:
    with stage.block(stage.one()) as client:
        break_off(stage, client, route, tmp_path / "file")
        assert fetch(stage, client, tmp_path / "file", params={"v": 2}).resumed == 0
        for facts in (
            b"",
            b"[]",
            b"\xff",
            b'{"url": 1}',
            b"[" * 30_000,
            json.dumps({"validator": "x"}).encode(),
        ):
            break_off(stage, client, route, tmp_path / "file")
            assert "file.bin" not in (tmp_path / "file.part.json").read_text()
            (tmp_path / "file.part.json").write_bytes(facts)
            assert fetch(stage, client, tmp_path / "file").resumed == 0
        break_off(stage, client, route, tmp_path / "file")
        assert fetch(stage, client, tmp_path / "file", resume=False).resumed == 0
        assert (tmp_path / "file").read_bytes() == DATA


@pytest.mark.parametrize("resumed", [False, True])
def test_a_wrong_checksum_leaves_nothing_behind(
    stage: Stage, route: FileRoute, tmp_path: Path, resumed: bool
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with stage.block(stage.one()) as client:
        if resumed:
            break_off(stage, client, route, tmp_path / "file")
            with (tmp_path / "file.part").open("r+b") as part:
                part.write(b"\0\0\0")
        else:
            route.data = DATA[::-1]
        with pytest.raises(
            adieu.DownloadError, match=r"its sha256 is [0-9a-f]{64}, not 0*"
        ) as caught:
            fetch(stage, client, tmp_path / "file", checksum=SHA)
        assert "/file.bin is not what it should be" in str(caught.value)
        assert names(tmp_path) == ["file"]
        assert (tmp_path / "file").read_bytes() == b"old"
        stage.next_works(client)


@pytest.mark.parametrize("path", ["/status/404?body=100", "/status/500?body=100", "/no-content"])
def test_an_error_response_is_never_written(stage: Stage, tmp_path: Path, path: str) -> None:
    with stage.block(stage.one()) as client:
        with pytest.raises(adieu.StatusError):
            fetch(stage, client, tmp_path / "file", path)
        assert names(tmp_path) == []
        assert stage.in_use(client) == []
        stage.next_works(client)


def test_an_error_response_while_resuming_keeps_the_part_file(
    stage: Stage, route: FileRoute, tmp_path: Path
) -> None:
    with stage.block(stage.one()) as client:
        break_off(stage, client, route, tmp_path / "file")
        stage.server.reply("/file.bin", b"HTTP/1.1 503 Later\r\nContent-Length: 5\r\n\r\nlater")
        with pytest.raises(adieu.StatusError):
            fetch(stage, client, tmp_path / "file")
        stage.server.on("/file.bin", route)
        assert fetch(stage, client, tmp_path / "file").resumed == HALF


def test_a_redirect_that_is_not_followed_is_an_error(stage: Stage, tmp_path: Path) -> None:
    with stage.block(stage.one()) as client:
        with pytest.raises(adieu.StatusError, match=r"302 .* where a download is 200"):
            fetch(stage, client, tmp_path / "file", "/redirect", follow_redirects=False)
        assert fetch(stage, client, tmp_path / "file", "/redirect?to=/bytes").size == 1000
        stage.next_works(client)


@pytest.mark.parametrize("path", ["/chunked?n=100000&size=1000", "/until-close?n=100000", "/empty"])
def test_a_length_need_not_be_known(stage: Stage, tmp_path: Path, path: str) -> None:
    reports: list[Any] = []
    with stage.block(stage.one()) as client:
        done = fetch(
            stage, client, tmp_path / "file", path, progress=lambda *at: reports.append(at)
        )
        size = 0 if path == "/empty" else 100_000
        assert done.size == (tmp_path / "file").stat().st_size == size
        assert reports[-1] == (size, 0 if path == "/empty" else None)
        stage.next_works(client)


@pytest.mark.parametrize(
    "label", [{"content-encoding": "gzip"}, {"content-encoding": "x-gzip"}], ids=["gzip", "x-gzip"]
)
def test_the_file_has_the_bytes_as_stored_whatever_coding_the_server_names(
    stage: Stage, tmp_path: Path, label: dict[str, str]
) -> None:
    # Apache's AddEncoding labels each .gz file, and no Accept-Encoding stops it.
    packed = gzip.compress(DATA, 0)
    route = FileRoute(packed, **label)
    stage.server.on("/file.tar.gz", route)
    target = tmp_path / "file.tar.gz"
    checksum = "sha256:" + hashlib.sha256(packed).hexdigest()
    reports: list[tuple[int, int | None]] = []
    with stage.block(stage.one()) as client:
        route.breaks_after = HALF
        with pytest.raises(adieu.BodyTruncated):
            fetch(stage, client, target, "/file.tar.gz")
        route.breaks_after = None
        done = fetch(
            stage,
            client,
            target,
            "/file.tar.gz",
            checksum=checksum,
            progress=lambda *at: reports.append(at),
        )
        assert (done.size, done.resumed) == (len(packed), HALF)
        assert target.read_bytes() == packed
        assert {total for _, total in reports} == {len(packed)}
        assert (reports[0][0], reports[-1][0]) == (HALF, len(packed))
        stage.next_works(client)


def test_decode_undoes_the_coding_and_size_checksum_and_progress_are_those_of_the_file(
    stage: Stage, tmp_path: Path
) -> None:
    packed = gzip.compress(DATA)
    head = b'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nETag: "1"\r\nContent-Length: %d\r\n\r\n'
    stage.server.reply("/coded", head % len(packed) + packed)
    stage.server.reply("/cut", head % (len(packed) - 9) + packed[:-9])
    reports: list[tuple[int, int | None]] = []
    with stage.block(stage.one()) as client:
        done = fetch(
            stage,
            client,
            tmp_path / "file",
            "/coded",
            checksum=SHA,
            decode=True,
            headers={"accept-encoding": "gzip"},
            progress=lambda *at: reports.append(at),
        )
        assert done.size == len(DATA)
        assert reports[-1] == (len(DATA), None)
        with pytest.raises(adieu.DecodeError, match="ended before its gzip data was complete"):
            fetch(stage, client, tmp_path / "cut", "/cut", decode=True)
        # A part of the decoded bytes has no place in the coded ones, so it is not kept.
        assert names(tmp_path) == ["file"]
        stage.next_works(client)


def test_coded_and_decoded_bytes_never_meet_in_one_file(stage: Stage, tmp_path: Path) -> None:
    packed = gzip.compress(DATA, 0)
    route = FileRoute(packed, **{"content-encoding": "gzip"})
    stage.server.on("/file.bin", route)
    with stage.block(stage.one()) as client:
        break_off(stage, client, route, tmp_path / "file")
        done = fetch(stage, client, tmp_path / "file", decode=True, checksum=SHA)
        assert done.resumed == 0
        # Nor do those of two codings.
        break_off(stage, client, route, tmp_path / "file")
        route.fields["content-encoding"], route.data = "deflate", DATA + DATA
        done = fetch(stage, client, tmp_path / "file")
        assert (done.resumed, done.size) == (0, 2 * len(DATA))


def test_a_file_that_shrank_to_the_size_of_the_part_is_downloaded_from_the_beginning(
    stage: Stage, route: FileRoute, tmp_path: Path
) -> None:
    with stage.block(stage.one()) as client:
        break_off(stage, client, route, tmp_path / "file")
        route.ignores_if_range = True
        route.data = DATA[::-1][:HALF]  # So there is no rest: 416.
        assert fetch(stage, client, tmp_path / "file").resumed == 0
        assert (tmp_path / "file").read_bytes() == route.data


@pytest.mark.parametrize("fault", ["no etag", "another size"])
def test_a_rest_that_may_be_of_another_representation_is_not_appended(
    stage: Stage, route: FileRoute, tmp_path: Path, fault: str
) -> None:
    with stage.block(stage.one()) as client:
        break_off(stage, client, route, tmp_path / "file")
        route.ignores_if_range = True
        if fault == "no etag":
            route.fields["etag"] = ""  # RFC 9110, section 15.3.7: a 206 has it if a 200 has it.
        else:
            route.data = DATA + b"more"
        assert fetch(stage, client, tmp_path / "file").resumed == 0
        assert (tmp_path / "file").read_bytes() == route.data


def test_headers_and_params_of_a_download_are_those_of_any_call(
    stage: Stage, route: FileRoute, tmp_path: Path
) -> None:
    defaults = {"x-client": "1", "x-both": "client"}
    with stage.block(stage.one(headers=defaults, params={"v": "1", "k": "a"})) as client:
        fetch(
            stage,
            client,
            tmp_path / "file",
            headers={"X-Client": None, "x-both": "call"},
            params={"k": None, "v": 2},
        )
    (request,) = route.requests
    assert request.header("x-client") is None
    assert request.header("x-both") == "call"
    assert request.target == "/file.bin?v=2"


def test_an_error_in_the_progress_function_ends_the_download_and_keeps_the_part_file(
    stage: Stage, route: FileRoute, tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    def stop(received: int, total: int | None) -> None:
        if received > HALF:
            raise Stop

    with stage.block(stage.one()) as client:
        with pytest.raises(Stop):
            fetch(stage, client, tmp_path / "file", progress=stop)
        assert stage.in_use(client) == []
        assert names(tmp_path) == ["file.part", "file.part.json"]
        assert fetch(stage, client, tmp_path / "file", checksum=SHA).resumed > 0
        stage.next_works(client)


def test_a_cancelled_download_keeps_its_part_file_and_no_connection(
    fault_server: Any, tmp_path: Path, census: Any
) -> None:
    route = FileRoute()

    def stalls(peer: Peer, request: Request) -> Ending:
        if request.header("range"):
            return route(peer, request)
        peer.start(200, [("etag", '"v1"'), ("content-length", str(len(DATA)))])
        peer.send(DATA[:HALF])
        peer.pause(30)
        return "drop"

    fault_server.on("/file.bin", stalls)

    async def main() -> None:
        async with adieu.AsyncClient(
            fault_server.url, limits=adieu.Limits(connections=1)
        ) as client:
            half_received = asyncio.Event()

            def report(received: int, total: int | None) -> None:
                if received == HALF:
                    half_received.set()

            task = asyncio.create_task(
                client.download("/file.bin", tmp_path / "file", progress=report)
            )
            await asyncio.wait_for(half_received.wait(), 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            census.check()
            assert names(tmp_path) == ["file.part", "file.part.json"]
            done = await client.download("/file.bin", tmp_path / "file", checksum=SHA)
            assert (done.resumed, done.size) == (HALF, len(DATA))

    asyncio.run(main())


# Names that the server chooses


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (None, "file.bin"),
        ("attachment", "file.bin"),
        ('attachment; filename="report.pdf"', "report.pdf"),
        ('attachment; filename="../../../etc/passwd"', "passwd"),
        ("attachment; filename=\"x.txt\"; filename*=UTF-8''na%C3%AFve%2Fa.txt", "a.txt"),
        ('attachment; filename=".."', "file.bin"),
    ],
)
def test_in_a_folder_the_server_chooses_a_harmless_name(
    stage: Stage, route: FileRoute, tmp_path: Path, disposition: str | None, name: str
) -> None:
    route.fields["content-disposition"] = disposition or ""
    with stage.block(stage.one()) as client:
        break_off(stage, client, route, tmp_path)
        assert all(part.startswith(".") for part in names(tmp_path))
        done = fetch(stage, client, tmp_path)
        assert (done.path, done.resumed) == (tmp_path / name, HALF)
        assert names(tmp_path) == [name]
        assert done.path.read_bytes() == DATA
        with pytest.raises(adieu.DownloadError, match="exists already: a name that the server"):
            fetch(stage, client, tmp_path)
        assert names(tmp_path) == [name]
        stage.next_works(client)


def test_a_file_that_appears_meanwhile_is_not_replaced(
    stage: Stage, route: FileRoute, tmp_path: Path
) -> None:
    def late(received: int, total: int | None) -> None:
        (tmp_path / "file.bin").write_bytes(b"mine")

    with stage.block(stage.one()) as client:
        with pytest.raises(adieu.DownloadError, match="exists already"):
            fetch(stage, client, tmp_path, progress=late)
        assert (tmp_path / "file.bin").read_bytes() == b"mine"
        stage.next_works(client)


def test_a_server_cannot_plant_the_part_file_of_another_download(
    stage: Stage, route: FileRoute, tmp_path: Path
) -> None:
    with stage.block(stage.one()) as client:
        break_off(stage, client, route, tmp_path / "b.bin")
        facts = (tmp_path / "b.bin.part.json").read_bytes()
        for name in names(tmp_path):
            (tmp_path / name).unlink()
        for number, (name, body) in enumerate(
            (("b.bin.part", b"#!/bin/sh evil"), ("b.bin.PART.json", facts))
        ):
            head = f'HTTP/1.1 200 OK\r\nContent-Disposition: x; filename="{name}"\r\n'
            length = f"Content-Length: {len(body)}\r\n\r\n"
            stage.server.reply(f"/plant{number}", (head + length).encode() + body)
            assert fetch(stage, client, tmp_path, f"/plant{number}").path.name == f"{name}_"
        done = fetch(stage, client, tmp_path / "b.bin")
        assert (done.resumed, done.path.read_bytes()) == (0, DATA)


def _planted(kind: str, path: Path, other: Path) -> None:
    """Put something in the place of a file."""
    content = path.read_bytes()
    path.unlink()
    other.write_bytes(content)
    if kind == "symbolic link":
        path.symlink_to(other)
    elif kind == "hard link":
        os.link(other, path)
    else:
        os.mkfifo(path)


@pytest.mark.skipif(os.name != "posix", reason="links and FIFOs need rights elsewhere")
@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "fifo"])
@pytest.mark.parametrize("which", ["file.part", "file.part.json"])
def test_a_part_file_that_is_not_a_file_of_its_own_is_neither_resumed_nor_written_to(
    stage: Stage, route: FileRoute, tmp_path: Path, kind: str, which: str
) -> None:
    other = tmp_path / "precious"
    with stage.block(stage.one()) as client:
        break_off(stage, client, route, tmp_path / "file")
        _planted(kind, tmp_path / which, other)
        before = other.read_bytes()
        done = fetch(stage, client, tmp_path / "file", checksum=SHA)
        assert done.resumed == 0
        assert done.path.is_file()
        assert not done.path.is_symlink()
        assert done.path.stat().st_nlink == 1
        assert other.read_bytes() == before
        assert names(tmp_path) == ["file", "precious"]
        stage.next_works(client)


@pytest.mark.skipif(os.name != "posix", reason="files have no such owner elsewhere")
def test_the_part_file_of_another_user_is_not_resumed(
    stage: Stage, route: FileRoute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stage.block(stage.one()) as client:
        break_off(stage, client, route, tmp_path / "file")
        owner = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        assert fetch(stage, client, tmp_path / "file").resumed == 0
        assert (tmp_path / "file").read_bytes() == DATA


def test_a_part_file_that_another_download_has_taken_is_left_to_it(
    stage: Stage, route: FileRoute, tmp_path: Path
) -> None:
    part = tmp_path / "file.part"

    def taken(received: int, total: int | None) -> None:
        if received == len(DATA):
            part.unlink()
            part.write_bytes(b"of the other")

    with stage.block(stage.one()) as client:
        with pytest.raises(FileNotFoundError, match=r"removed or replaced meanwhile.*file\.part"):
            fetch(stage, client, tmp_path / "file", progress=taken)
        assert part.read_bytes() == b"of the other"
        assert not (tmp_path / "file").exists()
        stage.next_works(client)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"checksum": "abc"}, "checksum is 'algorithm:hexdigits'"),
        ({"checksum": "sha256:12"}, "checksum is 'algorithm:hexdigits'"),
        ({"checksum": "nothing:12"}, "checksum is 'algorithm:hexdigits'"),
        ({"checksum": "sha256:" + "x" * 64}, "checksum is 'algorithm:hexdigits'"),
        ({"headers": {"range": "bytes=0-1"}}, "a download sets Range by itself"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_sent(
    stage: Stage, tmp_path: Path, options: dict[str, Any], text: str
) -> None:
    with stage.block(stage.one()) as client:
        with pytest.raises(adieu.InvalidRequest, match=text):
            fetch(stage, client, tmp_path / "file", **options)
        with pytest.raises(adieu.InvalidRequest, match="there is no folder for"):
            fetch(stage, client, tmp_path / "no" / "file")
    assert stage.server.served == 0
