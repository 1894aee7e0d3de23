# SPDX-License-Identifier: Apache-2.0
"""The verb `quickstart`: from a corpus to a report, by the public verbs alone.

Each step is a command that a person could type (`chain.Chain` makes the list,
of instructions `tuning_chain.TuningChain`; the commands are in OUTPUT/logs).
Nothing is computed here.
"""

import difflib
import json
import pathlib
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence

from data_efficient.cli import jobs
from data_efficient.cli.stages import ChainError, Experiment, Sampler
from data_efficient.evaluation.tuning import results as tuning
from data_efficient.evaluation.tuning import sentences

# No selection is shown without them: all of the data, and as much of it drawn
# at random.
_ALWAYS = ("full", "random")


def quickstart(
  *,
  chain: Experiment,
  samplers: Sequence[Sampler],
  compared: str | Sequence[str],
  budgets: Sequence[float],
  train: str,
  train_bindings: Mapping[str, object],
  workers: int,
  command: str,
  schedule: Callable[[list[jobs.Job]], None] | None = None,
) -> None:
  """Scores, selects, trains, evaluates and reports; resumes when run again.

  Args:
    chain: where everything is, and what makes the scores.
    samplers: all that can be compared; "full" ignores the budgets.
    compared: names of those that are, in a sequence or with blanks between;
      "full" and "random" always are.
    budgets: kept fractions of the pool's tokens.
    train: gin file of the pre-training run.
    train_bindings: macros for `train` (STEPS, …).
    workers: processes at once.
    command: what reproduces all this, for the report.
    schedule: takes the jobs in place of this machine's scheduler; then nothing
      is run or printed here.

  Raises:
    ChainError: a name that no sampler has, a sampler that reads scores that
      no stage makes, or a checkpoint that nobody named.
    JobError: a step failed.
  """
  found = _named(samplers, compared)
  steps = [
    *chain.scoring(found),
    *chain.runs(found, budgets, train=train, bindings=train_bindings),
  ]
  needs = [step.name for step in steps]
  steps += chain.reporting(found, needs=needs, command=command)
  if schedule:
    schedule(steps)
    return
  try:
    jobs.run(steps, directory=chain.output, workers=workers)
  except KeyboardInterrupt:
    raise SystemExit(
      "\ninterrupted; nothing is lost, the same command goes on from here"
    ) from None
  _print_end(pathlib.Path(chain.output))


def _named(
  samplers: Sequence[Sampler], compared: str | Sequence[str]
) -> list[Sampler]:
  """Those that are compared, each once."""
  known = {sampler.name: sampler for sampler in samplers}
  asked = compared.split() if isinstance(compared, str) else compared
  names = dict.fromkeys((*_ALWAYS, *asked))
  for name in names:
    if name not in known:
      near = difflib.get_close_matches(name, known, n=1)
      raise ChainError(
        f"SAMPLERS: there is no sampler {name!r}"
        f"{f' (did you mean {near[0]}?)' if near else ''}; there are "
        f"{', '.join(known)}"
      )
  return [known[name] for name in names]


def _print_end(root: pathlib.Path) -> None:
  results = json.loads((root / "results.json").read_text())
  is_tuning = results.get("kind") == tuning.KIND
  for line in (sentences.lines if is_tuning else _lines)(results):
    print(line)
  shown = shlex.quote(str((root / "index.html").resolve()))
  print(f"results: {root / 'results.json'}\nreport:  {shown}")


def _lines(results: Mapping) -> Iterator[str]:
  for row in results["samplers"]:
    loss = row["hq_loss"]
    spread = f" ± {loss['std']:.3f}" if loss["std"] is not None else ""
    yield (
      f"{row['sampler']:>21} {row['budget']:.0%}: final HQ loss "
      f"{loss['mean']:.3f}{spread} ({loss['n']} seeds)"
    )
