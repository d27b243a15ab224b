"""Compares adieu with other clients in one run on this machine, by the CPU time of the client alone.

    PYTHONPATH=tests python -m benchmarks            # 8 minutes, and writes docs/benchmarks.md and its chart
    PYTHONPATH=tests python -m benchmarks --quick    # a minute or two, less exact, writes nothing
    PYTHONPATH=tests python -m benchmarks --case get tls --json result.json
    PYTHONPATH=tests python -m benchmarks.layers     # where the work of a GET goes, in counts

Every other client is optional (they are the group `bench`). niquests replaces the urllib3 that adieu uses, so it needs
an environment of its own, whose interpreter `--niquests` names. On PyPy, `--case get --json FILE` writes what
`--pypy FILE` puts on the page.

Method. Client and server are two processes on one core, and the CPU time of the client's is measured. The peers of a
case take turns in short slices, and each slice is compared with the reference's slice of the same round, so a
disturbance affects both. A ratio is the median over the rounds. Every peer has the settings that its users have, the
garbage collector included, and its answers are checked before they are timed.
"""
