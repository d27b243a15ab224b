"""`import adieu` and an unused client load no module that only a request needs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# Modules that only requests, TLS, async clients or rare features need; each takes 5 to 60 ms to load.
EXPENSIVE = {
    "asyncio",
    "dataclasses",
    "email",
    "h11",
    "http.client",
    "inspect",
    "json",
    "logging",
    "socket",
    "ssl",
    "urllib3",
}


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter loads for this code and had not loaded before."""
    program = (
        "import sys; before = set(sys.modules)\n"
        f"{code}\n"
        "loaded = sorted(set(sys.modules) - before)\n"
        "import json; print(json.dumps(loaded))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=30
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "code", ["import adieu", "import adieu; adieu.Client().close()"], ids=["import", "client"]
)
def test_modules_for_requests_are_not_loaded_before_a_request(code: str) -> None:
    loaded = loaded_by(code)
    assert "adieu.client.client" in loaded
    assert loaded & EXPENSIVE == set()
    assert {name for name in loaded if name.startswith("adieu.testing")} == set()


def test_the_core_loads_no_adapter() -> None:
    loaded = loaded_by("import adieu; adieu.Client(adapter='native').close()")
    assert {name for name in loaded if name.startswith("adieu_")} == set()


def test_a_request_over_an_own_adapter_loads_no_other() -> None:
    loaded = loaded_by(
        "import adieu\n"
        "answer = adieu.adapter(lambda request: adieu.Response(200, body=b'here'))\n"
        "with adieu.Client(adapter=answer) as client:\n"
        "    assert client.get('memory://host/').content == b'here'"
    )
    assert loaded & {"urllib3", "h11", "ssl", "asyncio"} == set()
