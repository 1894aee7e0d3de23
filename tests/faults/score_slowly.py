# SPDX-License-Identifier: Apache-2.0
"""`python -m data_efficient` whose scorer takes its time for each step.

A sketch is kept after every part of the pool; a piece takes its time, too.

python -m tests.faults.score_slowly SECONDS VERB --gin_file=… --gin.NAME=…
"""

import sys
import time

from data_efficient import main
from data_efficient.data import sketch_stores, working_directories
from data_efficient.scorers import ask_llm, density


def slowly(seconds: float) -> None:
  step = ask_llm.AskLlm.step

  def slow(self, arrays):
    time.sleep(seconds)
    return step(self, arrays)

  ask_llm.AskLlm.step = slow
  score = density.Density.score

  def slow_score(self, batch):
    time.sleep(seconds)
    return score(self, batch)

  density.Density.score = slow_score

  def due(self):
    time.sleep(seconds)
    return seconds > 0

  sketch_stores.FileStore.due = due
  make = working_directories.WorkingDirectory._make

  def slow_make(self, *arguments):
    time.sleep(seconds)
    return make(self, *arguments)

  working_directories.WorkingDirectory._make = slow_make


if __name__ == "__main__":
  slowly(float(sys.argv[1]))
  sys.exit(main.main(sys.argv[2:]))
