"""Runs the tests of requests itself with adieu's adapter in each session: `python -m bridges.requests_suite`.

Needs the group `bridges`, and takes about two minutes. Arguments are those of pytest; `ADIEU_ADAPTER=h11` in the
environment chooses the adapter.
"""

import sys

from bridges.suites import run_suite

if __name__ == "__main__":
    sys.exit(run_suite("requests", "bridges.requests_plugin", sys.argv[1:]))
