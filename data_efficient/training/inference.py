# SPDX-License-Identifier: Apache-2.0
"""What a trained model says of a task's examples; either engine finds it.

One JSON line an example, in the task's order:

  {"inputs": TEXT, "targets": TEXT, "score": NATS}
  {"inputs": TEXT, "targets": TEXT, "prediction": TEXT, "prediction_tokens": …}

A score is the log-likelihood of the targets, end-of-sequence included where the
task has one. A prediction is decoded greedily, up to the length of the targets.
An `Inference` may name other features of its examples to be written instead.
"""

import dataclasses
import enum
import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import seqio

from data_efficient.data import artifacts
from data_efficient.models import decoder, networks
from data_efficient.training.run import Run

FILE = "inferences.jsonl"
# Of the tasks' data, and of the masks of a task that draws them.
SPLIT = "train"
SEED = 0


class Mode(enum.StrEnum):
  """What is inferred."""

  SCORE = "score"
  PREDICT = "predict"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inference:
  """A model, a task, and what is asked.

  Attributes:
    directory: where the inferences go.
    network: of the checkpoint.
    checkpoint: in any format of `checkpoints.load_parameters`.
    task: name of the registered seqio task.
    task_feature_lengths: {"inputs": tokens, "targets": tokens}; what is longer
      is cut.
    batch_size: examples at a time, over all devices.
    mode: scores or predictions.
    columns: features of an example that are written beside what was found:
      token ids as text, a single number or string as it is.
  """

  directory: str
  network: networks.Network
  checkpoint: str
  task: str
  task_feature_lengths: Mapping[str, int]
  batch_size: int
  mode: Mode
  columns: Sequence[str] = ("inputs", "targets")


@runtime_checkable
class Engine(Protocol):
  """Something that can do an `Inference`."""

  def infer(self, asked: Inference) -> None:
    """Leaves DIRECTORY/inferences.jsonl."""


def inference(
  *, run: Run, checkpoint: str, evaluation: str, mode: str
) -> Inference:
  """Inference on an evaluation set of a run, in the run's directory.

  Args:
    run: whose network, lengths and batch size are taken, and whose evaluation
      set; what it trains on is of no account.
    checkpoint: of that run, or of any other of the same network.
    evaluation: label of the evaluation set.
    mode: a value of `Mode`.

  Raises:
    ValueError: no such evaluation set or mode.
  """
  if evaluation not in run.evaluation_tasks:
    raise ValueError(
      f"there is no evaluation set {evaluation!r}; sets of this run:"
      f" {', '.join(run.evaluation_tasks)}"
    )
  if mode not in list(Mode):
    raise ValueError(f"mode is {mode!r}, expected one of {', '.join(Mode)}")
  return Inference(
    directory=run.directory,
    network=run.network,
    checkpoint=checkpoint,
    task=run.evaluation_tasks[evaluation],
    task_feature_lengths=run.task_feature_lengths,
    batch_size=run.batch_size,
    mode=Mode(mode),
  )


def rows(
  asked: Inference, examples: Iterable[Mapping[str, Any]], outputs: Iterable
) -> Iterator[str]:
  """Lines for examples and what was found of them.

  Args:
    asked: whose mode and vocabulary are used.
    examples: {"inputs": ids, "targets": ids}, and other columns.
    outputs: an example's score, or the ids of its prediction. Ids are padded
      with 0, or with −1 for networks to which 0 is a token.
  """
  features = seqio.get_mixture_or_task(asked.task).output_features
  first = 0 if isinstance(asked.network, decoder.DecoderConfig) else 1
  for example, output in zip(examples, outputs, strict=True):
    row = {
      name: features[name].vocabulary.decode(_ids(example[name], first))
      if name in features
      else _plain(example[name])
      for name in asked.columns
      if name in example
    }
    if asked.mode is Mode.SCORE:
      row["score"] = float(output)
    else:
      ids = _ids(output, first)
      row["prediction"] = features["targets"].vocabulary.decode(ids)
      row["prediction_tokens"] = ids
    yield json.dumps(row, ensure_ascii=False) + "\n"


def keep(asked: Inference, data: bytes) -> None:
  """Writes all lines, at once."""
  directory = pathlib.Path(asked.directory)
  directory.mkdir(parents=True, exist_ok=True)
  artifacts.atomic_write(directory / FILE, data)


def read(directory: str) -> list[dict[str, Any]]:
  """The rows in a directory of inferences."""
  text = pathlib.Path(directory, FILE).read_text(encoding="utf-8")
  # No text has a bare newline: JSON escapes it.
  return [json.loads(line) for line in text.split("\n") if line]


def _plain(value: Any) -> str | int | float:
  """A scalar of a dataset as JSON has it."""
  scalar = np.asarray(value).item()
  return scalar.decode("utf-8") if isinstance(scalar, bytes) else scalar


def _ids(padded: Any, first: int) -> list[int]:
  """Ids without padding, which is below the first one."""
  ids = np.asarray(padded)
  return [int(number) for number in ids[ids >= first]]
