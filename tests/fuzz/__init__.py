"""Coverage-guided fuzzing of every parser, and of the two codecs against each other. Needs atheris, and CPython.

    PYTHONPATH=tests python -m fuzz                         # every target for 30 s, one after the other
    PYTHONPATH=tests python -m fuzz codecs --seconds 1200   # one of them, longer
    PYTHONPATH=tests python -m fuzz --list

An input that fails is written to the folder `--keep`, with the traceback on the terminal; `--input FILE` runs a target
on one input. The targets are the rows of `support.parsers`, and two more: "codecs" reads a reply with both codecs and
any splits, "reply" gives it to a client.
"""
