"""The command line of the fuzzers; see the package."""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from pathlib import Path

import tests.fuzz
from tests.fuzz import calls, data_files, run_files

FUZZERS = {"runs": run_files.fuzz, "data": data_files.fuzz, "calls": calls.fuzz}


def main() -> None:
    parser = argparse.ArgumentParser(description=tests.fuzz.__doc__)
    parser.add_argument("what", choices=FUZZERS)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        failures = FUZZERS[options.what](Path(folder), options.count, options.seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{options.count:,} of {options.what}: {len(failures)} failures, {peak:.1f} GB at most")
    print("\n".join(failures))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
