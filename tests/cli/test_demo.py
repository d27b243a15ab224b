from __future__ import annotations

import contextlib
import gc
import io
import os
import re
import socket
import subprocess
import sys
import threading
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest

from adieu.cli import candidates, main, run_scenarios, scenarios
from adieu.cli.candidates import POLICIES, Candidate
from adieu.cli.small_server import SmallServer
from adieu.cli.table import Column, Table
from adieu.testing.socket_table import established

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Installs = Callable[[str, str], str]

lifecycle = pytest.mark.lifecycle

OURS = ("native", "urllib3", "h11", "close", "cache")


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    """`python -m adieu` in another process; a warning in it is an error."""
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-m", "adieu", *argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def row(output: str, name: str, mode: str) -> list[str]:
    """The cells of this client's row."""
    (line,) = re.findall(rf"^{re.escape(name)} +{re.escape(mode)}  .*$", output, re.MULTILINE)
    return re.split(" {2,}", line)


@pytest.fixture
def installs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installs:
    """Installs an adapter of a third party from its source, as pip would, and returns its name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name: str, source: str) -> str:
        module = f"their_{name}"  # A name of this test alone: adapters are found once, and cached.
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(
            f"[adieu.adapters]\n{module} = {module}:TheirAdapter\n"
        )
        return module

    return install


WRAPPER = """
from adieu import Middleware
from adieu_native import NativeAdapter

class TheirAdapter(Middleware):
    def __init__(self):
        super().__init__(NativeAdapter())
"""


@lifecycle
@pytest.mark.timeout(120)
def test_the_demo_shows_every_adapter_with_every_policy_clean() -> None:
    done = run("demo")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    for adapter in OURS:
        for policy in POLICIES:
            *_, after, _accepted, _seconds, wait, verdict = row(done.stdout, adapter, policy)
            assert (after, verdict) == ("0", "clean")
            assert wait.endswith(" ms")
    assert done.stdout.endswith(
        "\nadieu is clean, 30 of 30: nothing stayed open, no client was kept waiting.\n"
    )
    assert done.stdout.isascii()
    assert "\033" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 100


def test_the_columns_differ_between_policies(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--adapters=native", "--policies=Prefetch,ReleaseOnRead,CloseOnExit"]) == 0
    output = capsys.readouterr().out
    accepted = {}
    for policy, before in {"Prefetch": "1", "ReleaseOnRead": "41", "CloseOnExit": "40"}.items():
        cells = row(output, "native", policy)
        assert cells[2:4] == [before, "0"]
        accepted[policy] = int(cells[4])
    # 20 + 20 + 20 + 20 requests, 6 of the redirect, and one each for the timeout, the exception, and the end.
    assert accepted["Prefetch"] < accepted["ReleaseOnRead"] < accepted["CloseOnExit"] == 89


def test_policies_are_named_in_any_case_and_run_once_in_the_given_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran = []

    def run_nothing(candidate: Candidate) -> run_scenarios.Result:
        ran.append((candidate.name, candidate.mode))
        return run_scenarios.Result(candidate, None, None, [], [])

    monkeypatch.setattr("adieu.cli.demo.run_scenarios", run_nothing)
    assert (
        main(["demo", "--adapters", "close,native,close", "--policies", " strict ,PREFETCH,"]) == 0
    )
    assert ran == [
        (adapter, policy) for adapter in ("close", "native") for policy in ("Strict", "Prefetch")
    ]


def test_the_command_is_installed_as_adieu() -> None:
    (point,) = entry_points(group="console_scripts", name="adieu")
    assert point.load() is main


def test_version_and_help_need_no_server() -> None:
    import adieu

    version = run("--version")
    assert (version.returncode, version.stdout) == (0, f"adieu {adieu.__version__}\n")
    assert "demo" in run("--help").stdout


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        ([], "the following arguments are required: [METHOD] URL [ITEM ...]"),
        (
            ["demo", "--adapters", "native,h12"],
            "no adapter is called 'h12'. Installed are: cache, close, h11, native",
        ),
        (
            ["demo", "--policies", "Prefech"],
            "no policy is called 'Prefech'. Known are: Prefetch, Re",
        ),
        (
            ["demo", "--against", "curl"],
            "no library to compare with is called 'curl'. Known are: r",
        ),
        (["demo", "--policies", " , "], "name at least one, or leave the option out"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_would_be_right(
    argv: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


@lifecycle
def test_a_socket_left_open_is_counted_and_the_status_is_1(
    installs: Installs, capsys: pytest.CaptureFixture[str]
) -> None:
    name = installs("leaky", WRAPPER + "    def close(self): pass\n")
    assert main(["demo", "--adapters", f"native,{name}", "--policies", "Prefetch"]) == 1
    output = capsys.readouterr().out
    assert row(output, name, "Prefetch")[2:4] == ["1", "1"]
    assert row(output, name, "Prefetch")[-1] == "1 left open"
    assert row(output, "native", "Prefetch")[-1] == "clean"
    assert f"\n{name}, Prefetch: 1 socket was left open after the `with` block.\n" in output
    assert output.endswith("\nadieu is NOT CLEAN, 1 of 2: see above what happened.\n")


@lifecycle
def test_a_client_that_occupies_every_thread_of_the_small_server_blocks_it(
    installs: Installs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenarios, "PATIENCE", 0.3)
    source = """
from adieu_native import NativeAdapter

class TheirAdapter:
    def __init__(self):
        self.pools = []

    def send(self, request, exchange):
        self.pools.append(NativeAdapter())
        return self.pools[-1].send(request, exchange)

    def close(self):
        for pool in self.pools:
            pool.close()
"""
    name = installs("greedy", source)
    assert main(["demo", "--adapters", name, "--policies", "Prefetch"]) == 1
    output = capsys.readouterr().out
    *_, after, _accepted, _seconds, wait, verdict = row(output, name, "Prefetch")
    assert (after, wait, verdict) == ("0", "never", "blocked")
    text = " ".join(output.split())
    assert "requests, ReadTimeout: " in text
    assert "; a client that came later had no answer for " in text


@lifecycle
def test_a_client_that_hangs_is_left_in_its_thread(
    installs: Installs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_scenarios, "LIMIT", 0.3)
    source = """
import threading

class TheirAdapter:
    hold = threading.Event()

    def send(self, request, exchange):
        self.hold.wait()
        raise OSError("too late")

    def close(self): pass
"""
    name = installs("stuck", source)
    assert main(["demo", "--adapters", name, "--policies", "Prefetch"]) == 1
    output = capsys.readouterr().out
    assert row(output, name, "Prefetch")[2:] == ["-", "-", "-", "-", "-", "hung"]
    assert f"\n{name}, Prefetch: did not end within 0.3 s.\n" in output
    sys.modules[name].TheirAdapter.hold.set()
    for thread in threading.enumerate():
        if thread.name == "adieu demo":
            thread.join(30)


def test_an_adapter_that_cannot_be_made_has_a_row_with_the_reason_and_the_others_run(
    installs: Installs, capsys: pytest.CaptureFixture[str]
) -> None:
    name = installs("broken", "import a_module_that_does_not_exist\n")
    assert main(["demo", "--adapters", f"{name},native", "--policies", "Prefetch"]) == 1
    output = capsys.readouterr().out
    assert row(output, name, "Prefetch")[-1] == "failed"
    assert row(output, "native", "Prefetch")[-1] == "clean"
    assert "No module named 'a_module_that_does_not_exist'" in output
    assert output.count(f"{name}, Prefetch: ") == 1


def test_an_answer_that_the_server_did_not_send_is_a_failure(
    installs: Installs, capsys: pytest.CaptureFixture[str]
) -> None:
    source = """
from adieu import Response

class TheirAdapter:
    def send(self, request, exchange):
        return Response(500)

    def close(self): pass
"""
    name = installs("untrue", source)
    assert main(["demo", "--adapters", name, "--policies", "Prefetch"]) == 1
    assert "Prefetch: UnexpectedAnswer: the answer was 500, not 200.\n" in capsys.readouterr().out


def test_an_installed_adapter_of_a_third_party_runs_after_those_of_adieu(
    installs: Installs,
) -> None:
    from adieu.cli import demo

    name = installs("another", WRAPPER)
    assert demo._installed() == [*OURS, name]


def test_an_adapter_without_its_extra_is_left_out_and_named(
    installs: Installs, capsys: pytest.CaptureFixture[str]
) -> None:
    source = """
from adieu import MissingExtra

raise MissingExtra("theirs needs another: pip install 'theirs[another]'")
"""
    name = installs("lacking", source)
    assert main(["demo", "--policies", "CloseOnExit"]) == 0
    output = capsys.readouterr().out
    assert f"\n{name}" not in output
    assert "\nLeft out: theirs needs another: pip install 'theirs[another]'\n" in output
    assert f"adieu is clean, {len(OURS)} of {len(OURS)}" in output


def test_a_library_that_is_not_installed_is_named_and_no_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(candidates.OTHERS, "no_such_library", list)
    argv = ["demo", "--adapters=native", "--policies=Prefetch", "--against=no_such_library"]
    assert main(argv) == 0
    output = capsys.readouterr().out
    assert (
        "\nno_such_library is not installed, so it is not compared (pip install no_such" in output
    )
    assert "adieu is clean, 1 of 1" in output


def test_the_faults_of_another_library_are_shown_and_do_not_count(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def failing() -> Iterator[scenarios.LibraryClient[Any]]:
        raise OSError("cannot be opened")
        yield

    monkeypatch.setitem(candidates.OTHERS, "json", lambda: [Candidate("json", "dumps()", failing)])
    assert main(["demo", "--adapters=native", "--policies=Prefetch", "--against=json"]) == 0
    output = capsys.readouterr().out
    assert row(output, "json", "dumps()")[-1] == "failed"
    assert "\njson, dumps(): OSError: cannot be opened.\n" in output


@pytest.mark.parametrize(
    ("library", "modes"),
    [("requests", ["get()", "get(stream=True)"]), ("httpx", ["get()", "send(stream=True)"])],
)
def test_other_libraries_run_both_scenarios(
    library: str,
    modes: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip(library)
    monkeypatch.setattr(scenarios, "PATIENCE", 0.5)
    # The demo ignores a proxy that is set in the environment.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert main(["demo", "--adapters=native", "--policies=Prefetch", "--against", library]) == 0
    output = capsys.readouterr().out
    for mode in modes:
        verdict = row(output, library, mode)[-1]
        assert re.fullmatch(r"clean|(\d+ left open)?(, )?(blocked)?", verdict), output
    assert max(map(len, output.splitlines())) < 100
    gc.collect()


@pytest.mark.parametrize("collecting", [True, False])
def test_the_garbage_collector_is_off_during_the_scenarios_and_restored_afterwards(
    collecting: bool,
) -> None:
    seen = []

    @contextlib.contextmanager
    def watching() -> Iterator[scenarios.LibraryClient[Any]]:
        seen.append(gc.isenabled())
        raise OSError("not opened")
        yield

    before = gc.isenabled()
    try:
        (gc.enable if collecting else gc.disable)()
        run_scenarios.run_scenarios(Candidate("none", "none", watching))
        assert gc.isenabled() is collecting
    finally:
        (gc.enable if before else gc.disable)()
    assert seen == [False, False]


def send_request(server: SmallServer, timeout: float = 5.0) -> socket.socket:
    """A connection on which a request has been sent."""
    sock = socket.create_connection(("127.0.0.1", server.port), timeout)
    sock.sendall(b"GET /5 HTTP/1.1\r\nhost: localhost\r\n\r\n")
    return sock


def read_answer(sock: socket.socket) -> bytes:
    got = b""
    while not got.endswith(b"\r\n\r\nxxxxx"):
        piece = sock.recv(1000)
        assert piece, got
        got += piece
    return got


@lifecycle
def test_ten_connections_block_the_small_server_until_one_of_them_ends() -> None:
    with contextlib.ExitStack() as stack, SmallServer() as server:
        held = [stack.enter_context(send_request(server)) for _ in range(10)]
        for sock in held:
            assert read_answer(sock).startswith(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n")
        assert server.busy == 10
        late = stack.enter_context(send_request(server))
        late.settimeout(0.2)
        with pytest.raises(TimeoutError):
            late.recv(1)
        held[0].close()
        late.settimeout(30)
        assert read_answer(late)


@lifecycle
def test_closing_the_small_server_ends_every_thread_and_every_connection() -> None:
    server = SmallServer()
    with (
        contextlib.closing(send_request(server)) as held,
        contextlib.closing(send_request(server)) as other,
    ):
        read_answer(held)
        read_answer(other)
        server.close()
        server.close()
        assert held.recv(1) == b""
        assert other.recv(1) == b""
    assert not any(thread.name.startswith("small server") for thread in threading.enumerate())
    assert established(to_ports={server.port}) == 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed_table(out: io.StringIO) -> str:
    table = Table([Column(("open", "after"), 6), Column(("verdict",), 8, "<")], out)
    table.headings()
    table.row(["3", "blocked"], "bad")
    table.row(["0", "clean"], "good")
    return out.getvalue()


@pytest.fixture
def colour_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("WT_SESSION", "1")


PLAIN = """\
  open
 after  verdict
----------------
     3  blocked
     0  clean
"""


def test_a_table_is_aligned_plain_text(colour_allowed: None) -> None:
    assert printed_table(io.StringIO()) == PLAIN


def test_on_a_terminal_the_verdict_is_coloured(colour_allowed: None) -> None:
    painted = printed_table(Terminal())
    assert "\033[1;31mblocked\033[0m\n" in painted
    assert "\033[32mclean\033[0m\n" in painted
    assert re.sub("\033\\[[0-9;]*m", "", painted) == PLAIN


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_can_be_switched_off(
    colour_allowed: None, variable: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variable.items():
        monkeypatch.setenv(name, value)
    assert printed_table(Terminal()) == PLAIN


def test_characters_that_the_output_cannot_encode_are_escaped() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\n")
    Table([Column(("x",), 1)], out).say("na\u00efve")
    out.seek(0)
    assert out.read() == "na\\xefve\n"


@pytest.mark.skipif(os.name != "posix", reason="needs a pipe that breaks")
def test_closing_the_output_early_causes_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as out:
        done = subprocess.run(
            [sys.executable, "-m", "adieu", "demo", "--adapters=native", "--policies=Prefetch"],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=30,
        )
    assert (done.returncode, done.stderr) == (1, "")


def test_an_interrupt_ends_the_demo_with_a_short_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_candidate: Candidate) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("adieu.cli.demo.run_scenarios", interrupted)
    assert main(["demo", "--adapters=native"]) == 130
    assert capsys.readouterr().err == "\ninterrupted\n"
