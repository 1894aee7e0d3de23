# SPDX-License-Identifier: Apache-2.0
"""What trained networks are worth downstream: fine-tuning, then the suites.

    run ─► RUN/SUITE/tuned ─► RUN/SUITE/suites.json ─► results.json

Asked along the way, each of the two is in RUN/SUITE/STEP: a network that is
fine-tuned from the run's checkpoint of that step, and what it answers.
"""

import dataclasses
import difflib
from collections.abc import Iterator, Sequence

from data_efficient.cli.jobs import Job

# Suite -> gin files of what is tuned on, and of what is asked.
_SUITES = {
  **{
    name: (f"gin/data/{name}.gin", f"gin/runs/suite_{name}.gin")
    for name in ("glue", "super_glue", "cnn_dailymail", "squad")
  },
  "few_shot": ("gin/data/flan.gin", "gin/runs/suite_few_shot.gin"),
}
# Those of few_shot that TFDS does not have.
_QUESTIONS = ("mmlu", "bbh", "svamp", "asdiv", "strategy_qa")
_CHECKPOINTS = {"local": "checkpoints/", "t5x": "checkpoints/checkpoint_"}
# Checkpoints that an interrupted tuning goes on from, of one that stays.
_RESUMED = 16


class DownstreamError(ValueError):
  """Suites, or points at which they are asked, that there are not."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tuning:
  """How a network is fine-tuned for a suite, and where its questions are.

  Attributes:
    tuning_steps: of each fine-tuning; T5's (arXiv 1910.10683, Section 3.1.2).
    tuned_checkpoints: of each, evenly along it; the validation split chooses
      one of them, the test split reports it.
    tfds: where TFDS's datasets are prepared; "" is its default folder.
    questions: directory with mmlu*.jsonl, bbh*.jsonl, svamp*.jsonl,
      asdiv*.jsonl and strategy_qa*.jsonl (or .jsonl.gz), for few_shot.
  """

  tuning_steps: int = 262_144
  tuned_checkpoints: int = 4
  tfds: str = ""
  questions: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
  """A pre-training run, as what is tuned from it must know it.

  Attributes:
    run: its job.
    steps: of the run.
    model: gin file of its sizes.
    engine: of the run, "t5x" or "local", and of all that follows.
    vocabulary: T5's SentencePiece file.
  """

  run: Job
  steps: int
  model: str
  engine: str
  vocabulary: str


def names(suites: str) -> list[str]:
  """The suites of a text with blanks between, each once.

  Raises:
    DownstreamError: one that there is not.
  """
  found = list(dict.fromkeys(suites.split()))
  for name in found:
    if name not in _SUITES:
      near = difflib.get_close_matches(name, _SUITES, n=1)
      raise DownstreamError(
        f"--suites: there is no suite {name!r}"
        f"{f' (did you mean {near[0]}?)' if near else ''}; there are "
        f"{', '.join(_SUITES)}, with blanks between, or none: --suites="
      )
  return found


def period(steps: int, points: int) -> int:
  """Steps between the checkpoints of a run that are asked.

  Raises:
    DownstreamError: the points do not divide the steps.
  """
  if points < 1 or steps % points:
    raise DownstreamError(
      f"--points={points}: expected a divisor of the {steps} steps of a run, "
      "such as 1, for its last checkpoint alone, or 10"
    )
  return steps // points


def jobs(
  networks: Sequence[Network], suites: str, *, points: int, tuning: Tuning
) -> list[Job]:
  """Two jobs a network, suite and point: tuning, and asking.

  Args:
    networks: what was pre-trained.
    suites: names, with blanks between.
    points: checkpoints of each run that are asked, evenly along it.
    tuning: how, and where the questions are.

  Raises:
    DownstreamError: see `names` and `period`; few_shot without its questions,
      or a tuning without checkpoints.
  """
  asked = names(suites)
  if "few_shot" in asked and not tuning.questions:
    raise DownstreamError(
      "few_shot asks questions that TFDS does not have: give --questions="
      f"DIRECTORY, with {', '.join(f'{name}*.jsonl' for name in _QUESTIONS)}; "
      "or leave it out of --suites"
    )
  found: list[Job] = []
  for network in networks:
    between = period(network.steps, points)
    for suite in asked:
      for step in range(between, network.steps + 1, between):
        along = f"/{step}" if points > 1 else ""
        found += _asked(network, suite, step, along, tuning)
  return found


def _asked(
  network: Network, suite: str, step: int, along: str, tuning: Tuning
) -> Iterator[Job]:
  tuned_on, asking = _SUITES[suite]
  run = network.run.bindings["OUTPUT"]
  place = f"{run}/{suite}{along}"
  name = "-".join(
    [network.run.name.removeprefix("train_"), suite, *along.split("/")[1:]]
  )
  files = (network.model, f"gin/engines/{network.engine}.gin")
  files += ("gin/data/vocabulary_file.gin",)
  shared: dict[str, object] = {"VOCABULARY_FILE": network.vocabulary}
  if tuning.tfds:
    shared["TFDS_DIRECTORY"] = tuning.tfds
  kept = _kept(tuning)
  yield Job(
    name=f"tune_{name}",
    verb="train",
    gin_files=(
      *("gin/runs/tune.gin", tuned_on, "gin/runs/finetune.gin"),
      *("gin/runs/keep_tuned.gin", *files),
    ),
    bindings={
      "OUTPUT": f"{place}/tuned",
      "INITIAL_CHECKPOINT": f"{run}/{_CHECKPOINTS[network.engine]}{step}",
      "SEED": network.run.bindings["SEED"],
      "STEPS": tuning.tuning_steps,
      "KEEP_PERIOD": kept,
      "CHECKPOINT_PERIOD": kept if kept % _RESUMED else kept // _RESUMED,
      **shared,
    },
    leaves=(f"{place}/tuned/run.json",),
    needs=(network.run.name,),
  )
  places = f"{place}/tuned/{_CHECKPOINTS[network.engine]}"
  yield Job(
    name=f"suite_{name}",
    verb="suite",
    gin_files=(asking, *files),
    bindings={
      "OUTPUT": place,
      "CHECKPOINTS": [
        f"{places}{end}" for end in range(kept, tuning.tuning_steps + 1, kept)
      ],
      **shared,
      **(_questions(tuning.questions) if suite == "few_shot" else {}),
    },
    leaves=(f"{place}/suites.json",),
    needs=(f"tune_{name}",),
  )


def _kept(tuning: Tuning) -> int:
  """Steps between the checkpoints among which the validation split chooses."""
  steps, count = tuning.tuning_steps, tuning.tuned_checkpoints
  if count < 1 or steps % count:
    raise DownstreamError(
      f"--tuned_checkpoints={count}: expected a divisor of the {steps} steps of"
      " a tuning, 1 or more"
    )
  return steps // count


def _questions(directory: str) -> dict[str, str]:
  return {
    f"{name.upper()}_FILES": f"{directory}/{name}*.jsonl*"
    for name in _QUESTIONS
  }
