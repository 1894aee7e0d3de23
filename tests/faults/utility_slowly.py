# SPDX-License-Identifier: Apache-2.0
"""`python -m data_efficient` whose utilities take their time for each example.

python -m tests.faults.utility_slowly SECONDS VERB --gin.NAME=…
"""

import sys
import time

from data_efficient import main
from data_efficient.scorers import pair_steps


def slowly(seconds: float) -> None:
  read = pair_steps.SharedPrefixes.read

  def slow(self, *arguments):
    time.sleep(seconds)
    return read(self, *arguments)

  pair_steps.SharedPrefixes.read = slow


if __name__ == "__main__":
  slowly(float(sys.argv[1]))
  sys.exit(main.main(sys.argv[2:]))
