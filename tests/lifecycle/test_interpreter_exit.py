"""The interpreter ends, in whatever state a program leaves adieu.

At its end the interpreter stops every daemon thread for good, wherever it is: in `recv`, or with a lock held. After
that it runs finalizers, which must not wait for such a thread. Each state is a program of its own, in a process with a
watchdog: one that hangs shows where.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from adieu.testing import FaultServer

pytestmark = pytest.mark.lifecycle

_WATCHDOG = 30

_BEGIN = f"""
import faulthandler, sys
faulthandler.dump_traceback_later({_WATCHDOG}, exit=True)
import threading, time, warnings
warnings.simplefilter("ignore", ResourceWarning)
import adieu
url, adapter, folder = sys.argv[1:]
client = adieu.Client(adapter=adapter, proxy=None)

def stopped_in(function, work):
    '''Start a daemon thread that does the work, and wait until it is in the function of this name.'''
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while True:
        frame = sys._current_frames().get(thread.ident)
        if frame is not None and frame.f_code.co_name == function:
            return
        time.sleep(0.001)

def stopped_with(lock):
    '''Start a daemon thread that holds the lock.'''
    def hold():
        with lock:
            time.sleep(1000)
    stopped_in("hold", hold)

def pool_of(client):
    from adieu.lifecycle.fork import _first
    from adieu.lifecycle.pool import Pool
    return next(pool for known in list(_first) if isinstance(pool := known(), Pool))

class AtExit:
    '''Does this when the interpreter clears the modules.'''
    def __init__(self, work):
        self.work = work
    def __del__(self):
        self.work()

def said(work):
    try:
        work()
    except adieu.AdieuError as error:
        print(type(error).__name__)

"""

# What a program does, for the adapters that connect.
_PROGRAMS = {
    "a map at module level": """
outcomes = client.map([url + "/ok"] + [url + "/stall-head?seconds=50"] * 3, limit=3)
next(outcomes)
""",
    "a map that a function returned, with its client": """
def first():
    own = adieu.Client(adapter=adapter, proxy=None)
    return own.map([url + "/ok"] + [url + "/stall-body?seconds=50"] * 3, limit=3)
outcomes = first()
next(outcomes)
""",
    "a map over an executor": """
from concurrent.futures import ThreadPoolExecutor
executor = ThreadPoolExecutor(2)
outcomes = client.map([url + "/ok"] * 6, limit=4, executor=executor)
next(outcomes)
""",
    "a client is closed, and a thread waits for a head": """
stopped_in("recv", lambda: client.get(url + "/stall-head?seconds=50"))
at_exit = AtExit(client.close)
""",
    "a client is closed, and a thread reads a stream": """
response = client.stream("GET", url + "/stall-body?seconds=50")
stopped_in("recv", lambda: list(response.iter_bytes()))
at_exit = AtExit(client.close)
""",
    "a response is closed, and a thread reads it": """
response = client.stream("GET", url + "/stall-body?seconds=50")
stopped_in("recv", lambda: list(response.iter_bytes()))
at_exit = AtExit(response.close)
""",
    "a response is dropped that nobody read": """
response = client.stream("GET", url + "/stall-body?seconds=50")
""",
    "an upgraded connection is closed, and a thread reads it": """
upgraded = client.get(url + "/upgrade", headers={"upgrade": "shout", "connection": "upgrade"}).upgraded
stopped_in("recv", lambda: upgraded.recv(timeout=50))
at_exit = AtExit(upgraded.close)
""",
    "a client is closed, and a thread holds its pool's lock": """
client.get(url + "/ok")
stopped_with(pool_of(client)._lock)
at_exit = AtExit(client.close)
""",
    "a response is closed, and a thread holds the pool's lock": """
response = client.stream("GET", url + "/bytes?n=500000")
stopped_with(pool_of(client)._lock)
at_exit = AtExit(response.close)
""",
    "a download runs in a thread, and the client is closed": """
stopped_in("recv", lambda: client.download(url + "/stall-body?seconds=50", folder + "/file"))
at_exit = AtExit(client.close)
""",
    "an event stream runs in a thread, and is closed": """
events = client.event_stream(url + "/stall-head?seconds=50")
stopped_in("recv", lambda: list(events))
at_exit = AtExit(events.close)
""",
    "a request is sent, and a thread holds the pool's lock": """
client.get(url + "/ok")
stopped_with(pool_of(client)._lock)
at_exit = AtExit(lambda: said(lambda: client.get(url + "/ok")))
""",
    "a request is sent, and a thread holds the jar's lock": """
client.get(url + "/ok")
client.cookies.set("a", "b", domain="127.0.0.1", secure=False)
stopped_with(client.cookies._lock)
at_exit = AtExit(lambda: said(lambda: client.get(url + "/ok")))
""",
    "a part file is ended, and a thread holds its lock": """
from adieu.client.part_file import PartFile
part = PartFile(folder + "/file", None)
part.start(0, None)
stopped_with(part._lock)
at_exit = AtExit(lambda: part.end(True))
""",
    "a thread's event loop reads, and its client is dropped": """
import asyncio
async def read():
    async with adieu.AsyncClient(proxy=None) as own:
        await own.get(url + "/stall-head?seconds=50")
stopped_in("select", lambda: asyncio.run(read()))
""",
    "a thread's event loop uses a sync adapter": """
import asyncio
from adieu.transport.registry import find_adapter
wrapped = adieu.to_async(find_adapter(adapter, "adieu.adapters")())
async def read():
    async with adieu.AsyncClient(adapter=wrapped, proxy=None) as own:
        await own.get(url + "/stall-head?seconds=50")
stopped_in("select", lambda: asyncio.run(read()))
""",
}

# "close" has no pool of its own, and urllib3 makes no upgraded connections.
_LACKS = {"close": "pool_of", "urllib3": "upgraded"}


@pytest.mark.parametrize("adapter", ["native", "urllib3", "close"])
@pytest.mark.parametrize("program", _PROGRAMS.values(), ids=_PROGRAMS)
def test_the_interpreter_ends(
    fault_server: FaultServer, tmp_path: Path, adapter: str, program: str
) -> None:
    if adapter in _LACKS and _LACKS[adapter] in program:
        pytest.skip(f"{adapter} has no such state")
    _run(program, fault_server.url, adapter, str(tmp_path))


def test_the_interpreter_ends_while_a_thread_runs_a_wsgi_app() -> None:
    _run(
        """
from adieu_wsgi import WSGIAdapter

def app(environ, start_response):
    start_response("200 OK", [])
    yield b"first"
    stay()

def stay():
    time.sleep(1000)

own = adieu.Client("http://app.test", adapter=WSGIAdapter(app))
response = own.stream("GET", "/")
stopped_in("stay", lambda: list(response.iter_bytes()))
at_exit = AtExit(response.close)
also = AtExit(own.close)
""",
        "",
        "native",
        "",
    )


def _run(program: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN + program, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=_WATCHDOG + 20,
    )
    assert (done.returncode, done.stderr) == (0, "")
