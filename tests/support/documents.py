"""The Python blocks of the README and the documents, for the test that runs them and for mypy.

`python -m support.documents FOLDER` writes one module for each page, with the line numbers of the page, so that one
call of mypy checks them all. The build does that with --strict but for annotations: few examples have any, and what
counts is that the code of somebody who reads them passes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

__all__ = ["DOCUMENTS", "ROOT", "RUNNABLE", "write_modules"]

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUNNABLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHOWN = re.compile(r"^```(?:python|py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def write_modules(folder: Path) -> list[Path]:
    """A module of the blocks of each page, those that are only shown included."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for page in [*DOCUMENTS, *sorted((ROOT / "docs/reference").glob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        code = ""
        for block in _SHOWN.finditer(text):
            code += "\n" * (text.count("\n", 0, block.start(1)) - code.count("\n")) + block[1]
        if code:
            name = "_".join(page.relative_to(ROOT).with_suffix("").parts).replace("-", "_")
            written.append(folder / f"{name.lower()}.py")
            written[-1].write_text(code, encoding="utf-8")
    return written


if __name__ == "__main__":
    write_modules(Path(sys.argv[1]))
