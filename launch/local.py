# SPDX-License-Identifier: Apache-2.0
"""Runs the jobs of a config on this machine; what is done is skipped.

  python -m launch.local configs/NAME.py [--NAME=VALUE …] [--workers=N]
  python -m launch.local configs/NAME.py --dry_run …

Every --NAME=VALUE is an argument of the config's `jobs()`.
"""

import sys
from collections.abc import Sequence

from data_efficient.cli import jobs
from launch import configs


def main(argv: Sequence[str] | None = None) -> int:
  """The exit code: 2 for a mistake of the user's, or a job that failed."""
  parser = configs.parser("local", __doc__)
  parser.add_argument("--workers", type=int, default=1)
  options, rest = parser.parse_known_args(argv)
  try:
    found = configs.load(options.config, rest)
    if options.dry_run:
      print("\n".join(job.command() for job in found))
    else:
      jobs.run(found, directory=configs.output(found), workers=options.workers)
  except ValueError as error:
    print(f"{options.config}: {error}", file=sys.stderr)
    return 2
  return 0


if __name__ == "__main__":
  sys.exit(main())
