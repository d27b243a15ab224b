"""Fetches the tests of another package, in the version that is installed, and runs them with a plugin."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

__all__ = ["run_suite"]

TESTS = Path(__file__).parents[1]


def run_suite(package: str, plugin: str, arguments: list[str]) -> int:
    """The exit status of pytest. The source comes from the package index, into a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        fetch += ["--no-binary=:all:", "--dest", folder, f"{package}=={version(package)}"]
        subprocess.run(fetch, check=True)
        (archive,) = Path(folder).glob(f"{package}-*.tar.gz")
        with tarfile.open(archive) as source:
            source.extractall(folder, filter="data")
        root = archive.with_suffix("").with_suffix("")
        paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
        run = [sys.executable, "-m", "pytest", "-p", plugin, "-p", "no:cacheprovider"]
        run += ["-W", "default", "tests", *arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        return subprocess.run(run, check=False, cwd=root, env=environment).returncode
