"""What adieu costs beside bare h11, urllib3, requests, httpx and aiohttp: one run on this machine, printed as ratios.

    PYTHONPATH=tests python -m benchmarks            # 150 s at most, and writes docs/benchmarks.md
    PYTHONPATH=tests python -m benchmarks --quick    # 25 s at most, less sharp, writes nothing
    PYTHONPATH=tests python -m benchmarks --case get unread --json result.json

Rules of the room. Client and server share one core, so that what is measured is work and not the scheduler. The peers
of a case take turns in short slices, and each slice is compared with the reference's slice of the same round: what
disturbs the machine disturbs both. A ratio is the median over the rounds. Every peer has the settings its users have,
the garbage collector included, and its answers are checked before they are timed.
"""
