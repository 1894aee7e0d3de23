# SPDX-License-Identifier: Apache-2.0
"""configs/smoke.py, whole, by a launcher in a process of its own."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

from data_efficient.training import metrics
from tests import conftest, quickstarts

CONFIG = str(conftest.ROOT / "configs/smoke.py")
NAMES = (
  "token_counts",
  "score_quality_classifier",
  *("select_full-1-0", "train_full-1-0"),
  *("select_random-0.4-0", "train_random-0.4-0"),
  *("select_quality_classifier-0.4-0", "train_quality_classifier-0.4-0"),
  *("evaluate", "report"),
)


class Smoke:
  """One smoke experiment and its directory."""

  def __init__(self, launcher: str, place: pathlib.Path, *words: str):
    self.place = place
    self.root = place / "out/smoke"
    files = quickstarts.write_corpus(place / "files")
    self._argv = [sys.executable, "-m", f"launch.{launcher}", CONFIG]
    self._argv += [f"--corpus={files}", "--workers=2", *words]

  def start(self) -> subprocess.Popen:
    paths = [str(conftest.ROOT), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
      self._argv,
      cwd=self.place,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      env=os.environ
      | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
      | {"JAX_PLATFORMS": "cpu", "HOME": str(self.place)},
    )

  def run(self) -> str:
    """What it prints; it must end well."""
    process = self.start()
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    return output

  def kill_in_the_middle(self, name: str, process: subprocess.Popen) -> list:
    """Kills the process of a run that has checkpoints; its rows till then."""
    run = self.root / "runs" / name
    while not (rows := self._saved(run)):
      assert process.poll() is None, process.communicate()[0]
      time.sleep(0.01)
    (number,) = _processes(f"--gin.OUTPUT='out/smoke/runs/{name}'")
    os.kill(number, signal.SIGKILL)
    return rows

  def _saved(self, run: pathlib.Path) -> list:
    """Rows of steps that a checkpoint has, from the second one on."""
    steps = [int(p.name) for p in run.glob("checkpoints/*") if p.name.isdigit()]
    if len(steps) < 2:
      return []
    # The last one may be unfinished.
    known = sorted(steps)[-2]
    return [row for row in metrics.read(run) if row["step"] <= known]

  def rows(self, name: str) -> list:
    return metrics.read(self.root / "runs" / name)

  def check(self) -> None:
    """Everything is there, and the page shows what was compared."""
    done = {path.name for path in (self.root / "done").iterdir()}
    assert done == set(NAMES)
    results = json.loads((self.root / "results.json").read_text())
    found = {row["sampler"] for row in results["samplers"]}
    assert found == {"full", "random", "quality_classifier"}
    assert all(row["hq_loss"]["n"] == 1 for row in results["samplers"])
    assert not results["left_out"]
    page = (self.root / "index.html").read_text()
    assert "quality_classifier" in page and "launch.local" in page


def _processes(word: str) -> list[int]:
  """The Python processes that have a word on their command lines."""
  found = []
  for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    with contextlib.suppress(OSError):
      words = path.read_bytes().decode(errors="replace").split("\0")
      # Not the worker that started it, which has another module first.
      if word in words and words[1:3] == ["-m", "data_efficient"]:
        found.append(int(path.parent.name))
  return found


def seconds(output: str) -> dict[str, float]:
  """What each job took, of what the scheduler printed."""
  lines = re.findall(r"^(\S+): (\d+) s$", output, re.MULTILINE)
  return {name: float(value) for name, value in lines}
