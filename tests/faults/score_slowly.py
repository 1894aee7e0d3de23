# SPDX-License-Identifier: Apache-2.0
"""`python -m data_efficient` whose scorer takes its time for each step.

python -m tests.faults.score_slowly SECONDS VERB --gin_file=… --gin.NAME=…
"""

import sys
import time

from data_efficient import main
from data_efficient.scorers import ask_llm


def slowly(seconds: float) -> None:
  step = ask_llm.AskLlm.step

  def slow(self, arrays):
    time.sleep(seconds)
    return step(self, arrays)

  ask_llm.AskLlm.step = slow


if __name__ == "__main__":
  slowly(float(sys.argv[1]))
  sys.exit(main.main(sys.argv[2:]))
