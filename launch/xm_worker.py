# SPDX-License-Identifier: Apache-2.0
"""What XManager runs here for one attempt: a verb, its log, its exit code.

  python -m launch.xm_worker LOG STATUS CORES COMMAND …

XManager tells its caller that a process failed, not how. STATUS gets this
process's number, then the exit code beside it.
"""

import os
import pathlib
import signal
import sys

from data_efficient.cli import attempts


def main(argv: list[str]) -> int:
  """The command's exit code, as a shell has it."""
  log, status, cores, *command = argv
  own = str(os.getpid())
  path = pathlib.Path(status)
  process = attempts.Process(
    command,
    pathlib.Path(log),
    tuple(int(core) for core in cores.split(",") if core),
    {},
  )
  signal.signal(signal.SIGTERM, lambda *_: process.terminate())
  path.write_text(own)
  code = process.wait()
  path.write_text(f"{own} {code}")
  return code if code >= 0 else 128 - code


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
