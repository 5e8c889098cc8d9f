"""`inv load` answered from its cache: at most 1.2 times `inv --list`.

The load cache is kept good for an hour, and every process has its byte code, as an installed package has.
"""

from __future__ import annotations

import sys

import _measure as measure
from _measure import Limit


def main() -> int:
    """Measure and print."""
    parser = measure.arguments(__doc__, rounds=25)
    parser.add_argument("--nodes", type=int, default=4)
    options = parser.parse_args()
    with measure.place(options.nodes) as where:
        where.env["INVOKE_DGUMMY_CACHE_LOAD_TTL_S"] = "1h"
        cases = {"inv --list": measure.inv(where, "--list"), "inv load": measure.inv(where, "load")}
        taken = measure.interleaved(cases, options.rounds)
    return 0 if measure.show("inv load from its cache", taken, {"inv load": Limit("inv --list", 1.2)}) else 1


if __name__ == "__main__":
    sys.exit(main())
