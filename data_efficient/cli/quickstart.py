# SPDX-License-Identifier: Apache-2.0
"""The verb `quickstart`: from a corpus to a report, by the public verbs alone.

Each step is a command that a person could type (`chain.Chain` makes the list;
the commands are in OUTPUT/logs). Nothing is computed here.
"""

import json
import pathlib
import shlex
from collections.abc import Mapping, Sequence

from data_efficient.cli import jobs
from data_efficient.cli.chain import Chain
from data_efficient.cli.stages import Sampler


def quickstart(
  *,
  chain: Chain,
  samplers: Sequence[Sampler],
  budgets: Sequence[float],
  train: str,
  train_bindings: Mapping[str, object],
  workers: int,
  command: str,
) -> None:
  """Scores, selects, trains, evaluates and reports; resumes when run again.

  Args:
    chain: where everything is, and what makes the scores.
    samplers: what is compared; "full" ignores the budgets.
    budgets: kept fractions of the pool's tokens.
    train: gin file of the pre-training run.
    train_bindings: macros for `train` (STEPS, …).
    workers: processes at once.
    command: what reproduces all this, for the report.

  Raises:
    ChainError: a sampler reads scores that no stage makes.
    JobError: a step failed.
  """
  steps = [
    *chain.scoring(samplers),
    *chain.runs(samplers, budgets, train=train, bindings=train_bindings),
  ]
  needs = [step.name for step in steps]
  steps += chain.reporting(samplers, needs=needs, command=command)
  try:
    jobs.run(steps, directory=chain.output, workers=workers)
  except KeyboardInterrupt:
    raise SystemExit(
      "\ninterrupted; nothing is lost, the same command goes on from here"
    ) from None
  _print_end(pathlib.Path(chain.output))


def _print_end(root: pathlib.Path) -> None:
  results = json.loads((root / "results.json").read_text())
  for row in results["samplers"]:
    loss = row["hq_loss"]
    spread = f" ± {loss['std']:.3f}" if loss["std"] is not None else ""
    print(
      f"{row['sampler']:>20} {row['budget']:.0%}: final HQ loss "
      f"{loss['mean']:.3f}{spread} ({loss['n']} seeds)"
    )
  shown = shlex.quote(str((root / "index.html").resolve()))
  print(f"results: {root / 'results.json'}\nreport:  {shown}")
