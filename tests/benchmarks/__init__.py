"""Compares adieu with other clients in one run on this machine, printed as ratios.

    PYTHONPATH=tests python -m benchmarks            # 150 s at most, and writes docs/benchmarks.md
    PYTHONPATH=tests python -m benchmarks --quick    # 25 s at most, less exact, writes nothing
    PYTHONPATH=tests python -m benchmarks --case get unread --json result.json

Method. Client and server share one core, so the figures show work and not the scheduler. The peers of a case take turns
in short slices, and each slice is compared with the reference's slice of the same round, so a disturbance affects both.
A ratio is the median over the rounds. Every peer has the settings that its users have, the garbage collector included,
and its answers are checked before they are timed.
"""
