"""A headless Chromium, driven by its ChromeDriver over the WebDriver protocol (W3C), which a client of adieu speaks."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

import adieu

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Browser", "browser"]

# For root, without a window. Chromium looks hosts of its maker's up at every start, unless it is told not to.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-prefers-reduced-motion",
)
# It takes a port that is free over IPv6, and gives up if that is not free over IPv4: then it is started once more.
_TRIES = 20
KEYS = {"Tab": "\ue004", "Escape": "\ue00c", "Left": "\ue012", "Up": "\ue013", "Right": "\ue014"}
KEYS |= {"Down": "\ue015", "Home": "\ue011", "End": "\ue010"}
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """A page in the browser."""

    def __init__(self, client: adieu.Client, session: str) -> None:
        self._client = client
        self._session = session

    def open(self, file: Path, *, width: int = 1280, height: int = 800, dark: bool = False) -> None:
        """Show a file in a window of this size."""
        self._devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._devtools("Emulation.setEmulatedMedia", features=[scheme])
        self._post("url", url=file.as_uri())

    def run(self, script: str, *arguments: object) -> Any:
        """What a piece of JavaScript returns."""
        return self._post("execute/sync", script=script, args=arguments)

    def press(self, key: str) -> None:
        """Press a key where the focus is."""
        press = [{"type": kind, "value": KEYS.get(key, key)} for kind in ("keyDown", "keyUp")]
        self._post("actions", actions=[{"type": "key", "id": "keyboard", "actions": press}])

    def point_at(self, selector: str) -> None:
        """Move the mouse over the first element of a CSS selector."""
        element = self._post("element", using="css selector", value=selector)
        move = {"type": "pointerMove", "duration": 0, "x": 0, "y": 0, "origin": element}
        self._post("actions", actions=[{"type": "pointer", "id": "mouse", "actions": [move]}])

    def click(self, selector: str) -> None:
        """Click the first element of a CSS selector."""
        element = self._post("element", using="css selector", value=selector)
        self._post(f"element/{element[_ELEMENT]}/click")

    def messages(self) -> list[str]:
        """What the page has written to the console since the last time: errors, and violations of its policy."""
        return [entry["message"] for entry in self._post("se/log", type="browser")]

    def screenshot(self, file: Path) -> None:
        """Write a picture of the window."""
        answer = self._client.get(f"session/{self._session}/screenshot").json()
        file.write_bytes(base64.b64decode(answer["value"]))

    def _devtools(self, command: str, **parameters: object) -> None:
        self._post("goog/cdp/execute", cmd=command, params=parameters)

    def _post(self, command: str, **parameters: object) -> Any:
        response = self._client.post(f"session/{self._session}/{command}", json=parameters)
        value = response.json()["value"]
        assert response.status_code == 200, value
        return value


@contextmanager
def browser() -> Iterator[Browser]:
    """Start the browser. Without one, the test is skipped; in CI that is a failure."""
    driver, chromium = shutil.which("chromedriver"), shutil.which("chromium")
    if driver is None or chromium is None:
        if os.environ.get("CI"):
            pytest.fail("chromium and chromedriver are not installed: see .ci/install")
        pytest.skip("needs chromium and chromedriver")
    with ExitStack() as stack:
        profile = stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True))
        address = stack.enter_context(_driver(driver))
        # A busy machine may take long to start a browser.
        patience = adieu.Timeout(connect=150, read=150)
        client = stack.enter_context(adieu.Client(address, timeout=patience, proxy=None))
        options = {"args": [*_FLAGS, f"--user-data-dir={profile}"], "binary": chromium}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options}
        wanted["goog:loggingPrefs"] = {"browser": "ALL"}
        answer = client.post("session", json={"capabilities": {"alwaysMatch": wanted}})
        session = answer.raise_for_status().json()["value"]["sessionId"]
        stack.callback(client.delete, f"session/{session}")
        yield Browser(client, session)


@contextmanager
def _driver(command: str) -> Iterator[str]:
    """Start the driver; gives its address."""
    said: list[str] = []
    for _ in range(_TRIES):
        with subprocess.Popen(
            [command, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as started:
            try:
                assert started.stdout is not None
                for line in started.stdout:
                    said.append(line)
                    if "successfully on port" in line:
                        port = line.strip().rstrip(".").rpartition(" ")[2]
                        yield f"http://127.0.0.1:{port}/"
                        return
            finally:
                started.terminate()
    raise AssertionError(f"chromedriver did not start: {''.join(said)}")
