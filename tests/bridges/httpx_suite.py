"""Runs the tests of httpx itself with adieu's transports in each client: `python -m bridges.httpx_suite`.

Needs the group `bridges`, and takes about a minute. Arguments are those of pytest.
"""

import sys

from bridges.suites import run_suite

if __name__ == "__main__":
    sys.exit(run_suite("httpx", "bridges.httpx_plugin", sys.argv[1:]))
