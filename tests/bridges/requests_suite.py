"""Runs the tests of requests itself with adieu's adapter in each session: `python -m bridges.requests_suite`.

Their source is fetched from the package index, in the version that is installed, into a temporary folder. Needs the
extra `bridges`, and takes about two minutes. Arguments are those of pytest; `ADIEU_ADAPTER=h11` chooses the adapter.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent


def main(arguments: list[str]) -> int:
    """The exit status of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        fetch += ["--no-binary=:all:", "--dest", folder, f"requests=={version('requests')}"]
        subprocess.run(fetch, check=True)
        (archive,) = Path(folder).glob("requests-*.tar.gz")
        with tarfile.open(archive) as source:
            source.extractall(folder, filter="data")
        root = archive.with_suffix("").with_suffix("")
        paths = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
        run = [sys.executable, "-m", "pytest", "-p", "bridges.mounted_everywhere"]
        run += ["-p", "no:cacheprovider", "-W", "default", "tests", *arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        return subprocess.run(run, check=False, cwd=root, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
