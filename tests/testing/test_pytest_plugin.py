"""The pytest plugin, in real runs of pytest: its fixtures, and the check of a whole suite."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.lifecycle

ROOT = Path(__file__).parents[2]

SUITE = """
import gc
import socket

import pytest

import adieu
from adieu.testing import FaultServer, MockAdapter

BIG = "/bytes?n=300000"
kept = []


@pytest.fixture(scope="module")
def server():
    with FaultServer() as server:
        yield server


@pytest.fixture(scope="module")
def shared(server):
    with adieu.Client(server.url) as client:
        kept.append(client.stream("GET", BIG))  # Belongs to the fixture, not to a test.
        yield client


@pytest.fixture(scope="module")
def foreign(server):
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        yield sock


@pytest.fixture
def leaking(server):
    with adieu.Client(server.url) as client:
        kept.append((client, client.stream("GET", BIG)))
    client = adieu.Client(server.url)
    kept.append((client, client.stream("GET", BIG)))


def test_clean_with_shared_things(shared, foreign):
    assert shared.get("/ok").ok


def test_clean_with_the_idle_connection_of_a_shared_client(shared, foreign):
    assert shared.get("/ok").ok


def test_clean_stream(server):
    with adieu.stream("GET", server.url + BIG) as response:
        next(response.iter_bytes())


def test_leaves_a_stream_of_a_shared_client(shared):
    kept.append(shared.stream("GET", BIG))


def test_clean_after_it(shared):
    assert shared.get("/ok").ok


def test_drops_a_stream(server):
    with adieu.Client(server.url) as client, pytest.warns(ResourceWarning):
        client.stream("GET", BIG)
        gc.collect()


def test_leaves_a_stream_by_its_fixture(leaking):
    pass


def test_drops_a_stream_of_a_mock():
    mock = MockAdapter()
    mock.on("GET", "mock://x", body=[b"a"])
    with adieu.Client(adapter=mock) as client, pytest.warns(ResourceWarning):
        client.stream("GET", "mock://x")
        gc.collect()


def test_leaves_a_socket(server):
    kept.append(socket.create_connection(("127.0.0.1", server.port)))


@pytest.mark.adieu_leaks("it has to")
def test_may_leave_a_socket(server):
    kept.append(socket.create_connection(("127.0.0.1", server.port)))


def test_fails_and_leaves_a_stream(shared):
    kept.append(shared.stream("GET", BIG))
    assert False


def test_clean_at_the_end(server):
    assert adieu.get(server.url + "/ok").ok
"""

FIXTURES = """
import sys

import pytest


@pytest.fixture
def clean_client_options():
    return {"base_url": "http://shop.example", "headers": {"X-Own": "1"}}


def test_nothing_is_imported_for_the_plugin():
    assert [name for name in sys.modules if name == "adieu" or name.startswith("adieu.")] == []


def test_the_fixtures(clean_client, fault_server):
    assert clean_client.headers["X-Own"] == "1"
    sent = clean_client.get(fault_server.url + "/echo").json()["headers"]
    assert ["X-Own", "1"] in sent


def test_the_client_leaves_a_stream(clean_client, fault_server):
    global kept
    kept = clean_client.stream("GET", fault_server.url + "/bytes?n=300000")


def test_another_client_leaves_a_socket(clean_client, fault_server):
    import socket

    global sock
    sock = socket.create_connection(("127.0.0.1", fault_server.port))
    fault_server.wait_until(lambda: fault_server.open == 1)


def test_a_one_shot_is_mocked(default_mock):
    import adieu

    default_mock.on("GET", "mock://x/a", body="mocked")
    assert adieu.get("mock://x/a").text == "mocked"


def test_a_caught_error_of_the_mock(default_mock):
    import adieu

    try:
        adieu.get("mock://x/b")
    except adieu.AdieuError:
        pass
"""


def run(folder: Path, suite: str, *options: str, ini: str = "") -> tuple[dict[str, str], str]:
    """Run the suite, with this plugin alone; the outcome of each test, and the output."""
    (folder / "test_suite.py").write_text(suite, encoding="utf-8")
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}\n", encoding="utf-8")
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "-p", "pytest_adieu", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-rA", *options],
        check=False,
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    output = done.stdout + done.stderr
    # A test that passed and left something open is an ERROR, after its PASSED.
    outcomes = {
        name: outcome
        for outcome, name in re.findall(
            r"(?m)^(PASSED|FAILED|ERROR) test_suite\.py::test_(\w+)", output
        )
    }
    return outcomes, output


LEAKING = {
    "leaves_a_stream_of_a_shared_client",
    "drops_a_stream",
    "leaves_a_stream_by_its_fixture",
    "drops_a_stream_of_a_mock",
}


def test_a_suite_fails_the_test_that_leaked_with_the_ledger(tmp_path: Path) -> None:
    outcomes, output = run(tmp_path, SUITE, "--adieu-clean")
    bad = {name for name, outcome in outcomes.items() if outcome != "PASSED"}
    assert bad == LEAKING | {"leaves_a_socket", "fails_and_leaves_a_stream"}, output
    assert outcomes["fails_and_leaves_a_stream"] == "FAILED"
    assert len(outcomes) == 12
    line = SUITE.splitlines().index('    kept.append(shared.stream("GET", BIG))') + 1
    where = rf"opened at \S*test_suite\.py:{line} in test_leaves_a_stream_of_a_shared_client"
    assert re.search(
        rf"not clean:\n  GET \S+ \(connection \d+(, reused)?\), {where}: STILL OPEN",
        output,
    )
    assert "GET mock://x/, opened at" in output
    assert "the ledger, " in output
    assert "1 sockets of this process are open:" in output


def test_the_setting_of_the_file_may_leave_the_sockets_out(tmp_path: Path) -> None:
    outcomes, output = run(tmp_path, SUITE, ini="adieu_clean = responses")
    bad = {name for name, outcome in outcomes.items() if outcome != "PASSED"}
    assert bad == LEAKING | {"fails_and_leaves_a_stream"}, output
    outcomes, output = run(tmp_path, SUITE, "--adieu-clean=off", ini="adieu_clean = responses")
    assert {name for name, outcome in outcomes.items() if outcome != "PASSED"} == {
        "fails_and_leaves_a_stream"
    }, output


def test_the_fixtures_are_there_and_cost_nothing_before(tmp_path: Path) -> None:
    outcomes, output = run(tmp_path, FIXTURES)
    assert outcomes == {
        "nothing_is_imported_for_the_plugin": "PASSED",
        "the_fixtures": "PASSED",
        "the_client_leaves_a_stream": "ERROR",
        "another_client_leaves_a_socket": "ERROR",
        "a_one_shot_is_mocked": "PASSED",
        "a_caught_error_of_the_mock": "ERROR",
    }, output
    assert "nothing was mocked for: <GET mock://x/b: UnexpectedRequest>" in output
    assert re.search(r"GET \S+/bytes\?n=300000 .*opened at \S*test_suite\.py:\d+", output)


def test_a_setting_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    _, output = run(tmp_path, FIXTURES, ini="adieu_clean = yes")
    assert "adieu_clean is one of off, responses, sockets, not 'yes'" in output


def test_the_plugin_is_an_entry_point_under_its_own_name() -> None:
    # Under another name, `-p pytest_adieu` would register the module twice.
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points.pytest11]\npytest_adieu = "pytest_adieu"\n' in text


LEFT = """
import adieu

client = stream = None


def test_client(fault_server):
    global client
    client = adieu.Client(fault_server.url)
    client.get("/ok")


def test_stream(fault_server):
    global stream
    stream = adieu.Client(fault_server.url).stream("GET", "/bytes?n=1000000")
"""


def test_what_a_test_module_still_refers_to_at_the_end_ends_quietly(tmp_path: Path) -> None:
    """It is finalized after pytest, when the names in adieu's own modules are None already."""
    (tmp_path / "test_left.py").write_text(LEFT)
    options = ["-p", "pytest_adieu", "-p", "no:cacheprovider", "-q", "test_left.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "2 passed" in done.stdout
    assert "Exception ignored" not in done.stdout + done.stderr
