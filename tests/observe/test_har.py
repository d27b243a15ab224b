"""HAR files: valid by the published schema (har-schema, from npm), with every timing and size, without secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from referencing import Registry, Resource

import adieu

if TYPE_CHECKING:
    from adieu.testing import FaultServer
    from support.stage import Stage

_SCHEMAS = Path(__file__).parents[1] / "support" / "har_schema"


def validator() -> Any:
    schemas = {path.name: json.loads(path.read_text()) for path in _SCHEMAS.glob("*.json")}
    resources = [(name, Resource.from_contents(schema)) for name, schema in schemas.items()]
    return jsonschema.Draft6Validator(
        schemas["har.json"],
        registry=Registry().with_resources(resources),
        format_checker=jsonschema.FormatChecker(),
    )


def entries_of(har: adieu.HAR) -> list[dict[str, Any]]:
    """The entries of a file that is valid."""
    file: Any = har.log()
    assert [error.message for error in validator().iter_errors(file)] == []
    entries: list[dict[str, Any]] = file["log"]["entries"]
    return entries


def test_the_schema_finds_what_is_wrong() -> None:
    assert validator().is_valid({"log": {"version": "1.2", "creator": {}, "entries": []}}) is False


def test_every_exchange_is_an_entry_with_its_timings_and_sizes(stage: Stage) -> None:
    client = stage.client()
    with stage.block(client), adieu.har(client) as har:
        stage.get(client, "/redirect?n=1")
        stage.get(client, "/echo", "POST", json={"a": 1})
        answer = stage.get(client, "/gzip?n=5000")
        assert len(stage.read(answer)) == 5000
        with pytest.raises(adieu.ReadTimeout):
            stage.get(client, "/stall-head", timeout=adieu.Timeout(read=0.05))
    moved, found, echo, coded, failed = entries_of(har)
    assert (moved["response"]["status"], moved["response"]["redirectURL"]) == (302, "/ok")
    assert found["request"]["url"] == f"{stage.server.url}/ok"
    assert echo["request"]["method"] == "POST"
    assert echo["request"]["bodySize"] == 7
    assert echo["request"]["postData"] == {"mimeType": "application/json", "text": ""}
    assert coded["response"]["content"]["size"] == 5000
    compression = coded["response"]["content"]["compression"]
    assert coded["response"]["bodySize"] == 5000 - compression
    assert (failed["response"]["status"], failed["response"]["_error"]) == (0, "ReadTimeout")
    for entry in (moved, found, echo, coded, failed):
        assert entry["serverIPAddress"] == "127.0.0.1"
        timings = entry["timings"]
        spent = sum(time for name, time in timings.items() if name != "ssl" and time > 0)
        assert entry["time"] == pytest.approx(spent, abs=0.01)
    assert moved["timings"]["connect"] > 0
    if stage.adapter != "close":
        assert found["timings"]["connect"] == -1
        assert found["connection"] == moved["connection"]
    assert failed["timings"]["wait"] >= 40


def test_no_secret_is_in_a_file(fault_server: FaultServer, tmp_path: Path) -> None:
    options: Any = {"auth": ("me", "31d4"), "cookies": {"sid": "31d4"}}
    with adieu.Client(fault_server.url, **options) as client, adieu.har(client) as har:
        client.get(
            "/ok?header=Set-Cookie:id%3D31d4",
            params={"token": "31d4"},
            headers={"X-Api-Key": "31d4"},
        )
    har.save(tmp_path / "run.har")
    text = (tmp_path / "run.har").read_text(encoding="utf-8")
    # The URL has a parameter of a harmless name, whose value is a whole header field.
    assert (
        text.replace("Set-Cookie:id%3D31d4", "").replace("Set-Cookie:id=31d4", "").count("31d4")
        == 0
    )
    assert json.loads(text)["log"]["version"] == "1.2"


def test_what_has_no_connection_and_what_is_open_still_are_entries() -> None:
    def answer(request: adieu.Request) -> adieu.Response:
        return adieu.Response(200, {"Content-Type": "text/plain"}, iter([b"a"]))

    with adieu.Client(adapter=answer, cleanup=adieu.ReleaseOnRead()) as client:
        with adieu.har(client) as har, client.stream("GET", "http://a/") as response:
            (entry,) = entries_of(har)
            assert entry["comment"] == "still open"
            response.read()
        (entry,) = entries_of(har)
    assert "connection" not in entry
    assert "serverIPAddress" not in entry
    assert entry["response"]["content"] == {"size": 1, "mimeType": "text/plain"}
