"""`adieu --completion SHELL`: a real bash completes commands, options, values and files."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_COMPLETE = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
function=$(complete -p adieu | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
"$function" "$1" "${@: -1}" "${@: -2:1}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_the_whole_command_line(adieu_: Any, tmp_path: Path) -> None:
    script = tmp_path / "adieu.bash"
    script.write_text(adieu_("--completion", "bash").out)
    (tmp_path / "authority.pem").touch()

    def offered(*words: str) -> list[str]:
        done = subprocess.run(
            ["bash", "-c", _COMPLETE, "bash", script, "adieu", *words],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.split()

    assert offered("de") == ["demo"]
    assert offered("--max-") == ["--max-redirects", "--max-time"]
    assert offered("example.org", "--cleanup", "Pre") == ["Prefetch", "PrefetchUpTo"]
    assert offered("example.org", "--cacert", f"{tmp_path}/auth") == [f"{tmp_path}/authority.pem"]
    assert offered("check-adapter", "--on") == ["--only"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh", "powershell"])
def test_every_shell_gets_commands_and_options(adieu_: Any, shell: str) -> None:
    ran = adieu_("--completion", shell)
    assert (ran.status, ran.error) == (0, "")
    for word in ("demo", "check-adapter", "max-time", "fingerprint"):
        assert word in ran.out
