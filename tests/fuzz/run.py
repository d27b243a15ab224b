"""One target under libFuzzer, in a process of its own, because libFuzzer ends the process: `python -m fuzz.run`."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import atheris


def main(name: str, work: str, *options: str) -> None:
    """Fuzz the target, with its dictionary and its first inputs in the folder `work`."""
    with atheris.instrument_imports(include=["adieu", "adieu_h11", "h11"]):
        from fuzz.targets import TARGETS

    warnings.simplefilter("error")
    target = TARGETS[name]
    corpus, words = Path(work, "corpus"), Path(work, "words")
    corpus.mkdir(exist_ok=True)
    for number, seed in enumerate(target.seeds):
        Path(corpus, f"seed{number}").write_bytes(seed)
    lines = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
    words.write_text("".join(f'"{line}"\n' for line in lines))
    arguments = [sys.argv[0], f"-dict={words}", "-print_final_stats=1", *options]
    if not any(os.path.isfile(option) for option in options):
        arguments.append(str(corpus))
    atheris.Setup(arguments, target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
