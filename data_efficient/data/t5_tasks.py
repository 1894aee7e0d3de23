# SPDX-License-Identifier: Apache-2.0
"""T5's own tasks (GLUE, SuperGLUE, CNN/DM, SQuAD) with another vocabulary.

Preprocessors, postprocessors, metrics and rates are those of the package t5
(arXiv 1910.10683, Appendix D), which is imported when the first task is
registered. Both engines read the split "train" of a task: a task here is one
of T5's on one split or slice of TFDS, whatever that is called there.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import seqio
import tensorflow as tf

from data_efficient.data import tasks
from data_efficient.models import tokenizers

# What both engines read.
_SPLIT = "train"


class T5TasksError(ValueError):
  """A task or mixture that T5 does not have, or t5 itself is missing."""


class Answers(NamedTuple):
  """Predictions as T5's metrics take them.

  Attributes:
    targets: of each example, from T5's postprocessor.
    predictions: of each example, from the same.
    truncated: examples whose inputs are longer than the window.
    metrics: T5's, of the task.
  """

  targets: list[Any]
  predictions: list[Any]
  truncated: int
  metrics: Sequence[Callable[[list, list], Mapping[str, float]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class T5Mixture:
  """What a network is fine-tuned on: one of T5's mixtures, or its tasks.

  Attributes:
    mixture: name of T5's mixture or task; "glue_v002_proportional" is the
      concatenation of GLUE's training sets.
    trained_on: split or slice of TFDS, "train[:95%]".
    watched: label -> T5's task, whose loss is followed along the way.
    watched_on: split or slice of TFDS, none of `trained_on`.
    data_dir: where the datasets are prepared; "" is TFDS's default folder.
  """

  mixture: str
  trained_on: str
  watched: Mapping[str, str]
  watched_on: str
  data_dir: str = ""

  def __post_init__(self):
    if self.trained_on == self.watched_on:
      raise T5TasksError(
        f"{self.trained_on!r} would be trained on and watched: watch a slice"
        " that nothing is trained on"
      )

  def training(self, vocabulary: tokenizers.SentencePiece) -> tasks.TaskName:
    """Registers the mixture; see `mixture`."""
    return mixture(
      self.mixture,
      split=self.trained_on,
      vocabulary=vocabulary,
      data_dir=self.data_dir,
    )

  def evaluations(
    self, vocabulary: tokenizers.SentencePiece
  ) -> dict[str, tasks.TaskName]:
    """Registers what is watched: label -> task."""
    return {
      label: task(
        name,
        split=self.watched_on,
        vocabulary=vocabulary,
        data_dir=self.data_dir,
      )
      for label, name in self.watched.items()
    }

  def describe(self) -> dict[str, Any]:
    """What the losses of two runs must share to be compared."""
    return {"watched": dict(self.watched), "watched_on": self.watched_on}


class Task(seqio.Task):
  """A task whose preprocessors have conditions that AutoGraph must rewrite."""

  needs_autograph = True


def task(
  name: str, *, split: str, vocabulary: tokenizers.SentencePiece, data_dir: str
) -> tasks.TaskName:
  """Registers T5's task on a split of TFDS, read as "train".

  Args:
    name: T5's, "glue_stsb_v002".
    split: split or slice of TFDS.
    vocabulary: with which texts are tokenized, in place of T5's.
    data_dir: where the dataset is prepared; "" is TFDS's default folder.

  Raises:
    T5TasksError: T5 has no such task, or t5 is not installed.
  """
  theirs = _registered(seqio.TaskRegistry, name)
  source = seqio.TfdsDataSource(
    tfds_name=theirs.source.tfds_dataset.name,
    tfds_data_dir=data_dir or None,
    splits={_SPLIT: split},
  )
  feature = seqio.Feature(tasks.seqio_vocabulary(vocabulary), add_eos=True)
  ours = Task(
    f"{name}_{len(seqio.TaskRegistry.names())}",
    source=source,
    preprocessors=theirs.preprocessors,
    output_features={"inputs": feature, "targets": feature},
    # Bound to their task, which only passes it on.
    postprocess_fn=theirs.postprocess_fn,
    metric_fns=theirs.metric_fns,
  )
  seqio.TaskRegistry.add_provider(ours.name, ours)
  return ours.name


def mixture(
  name: str, *, split: str, vocabulary: tokenizers.SentencePiece, data_dir: str
) -> tasks.TaskName:
  """Registers T5's mixture, at its rates; tasks of the rate 0 are left out.

  Args:
    name: T5's, "glue_v002_proportional", or one of its tasks.
    split: split or slice of TFDS.
    vocabulary: see `task`.
    data_dir: see `task`.

  Raises:
    T5TasksError: T5 has neither, or t5 is not installed.
  """
  ours = {"split": split, "vocabulary": vocabulary, "data_dir": data_dir}
  _t5()
  if name in seqio.TaskRegistry.names():
    return task(name, **ours)
  theirs = _registered(seqio.MixtureRegistry, name)
  rates = {each.name: theirs.get_rate(each) for each in theirs.tasks}
  made = f"{name}_{len(seqio.MixtureRegistry.names())}"
  seqio.MixtureRegistry.add(
    made, [(task(each, **ours), rate) for each, rate in rates.items() if rate]
  )
  return made


def answers(
  name: tasks.TaskName, decoded: Sequence[str], *, window: int
) -> Answers:
  """Decoded texts and the examples of a task through T5's postprocessor.

  Args:
    name: of the registered task.
    decoded: of each of its examples, in their order.
    window: tokens of the inputs that the network read.

  Raises:
    T5TasksError: as many examples are not there.
  """
  read = seqio.TaskRegistry.get(name)
  examples = read.get_dataset(
    sequence_length=None, split=_SPLIT, shuffle=False
  ).as_numpy_iterator()
  found = Answers([], [], 0, read.metric_fns)
  for number, example in enumerate(examples):
    if number >= len(decoded):
      raise _other_count(name, decoded)
    wanted = tf.compat.as_text(example["targets_pretokenized"])
    of = {"example": example}
    found.targets.append(read.postprocess_fn(wanted, is_target=True, **of))
    found.predictions.append(
      read.postprocess_fn(decoded[number], is_target=False, **of)
    )
    long = len(example["inputs"]) > window
    found = found._replace(truncated=found.truncated + long)
  if len(found.targets) != len(decoded):
    raise _other_count(name, decoded)
  return found


def _other_count(name: str, decoded: Sequence[str]) -> T5TasksError:
  return T5TasksError(
    f"task {name}: {len(decoded)} predictions, and not as many examples: the"
    " dataset has changed since it was asked; remove the predictions"
  )


def _registered(registry: Any, name: str) -> Any:
  _t5()
  if name not in registry.names():
    kind = name.split("_")[0]
    near = sorted(each for each in registry.names() if each.startswith(kind))
    raise T5TasksError(f"T5 has no {name!r}; of that kind: {near[:20]}")
  return registry.get(name)


def _t5() -> None:
  """Registers T5's tasks and mixtures, which importing them does."""
  try:
    import t5.data.mixtures  # noqa: F401
  except ImportError as error:
    raise T5TasksError(
      f"T5's tasks need the package t5 ({error}): run `make suites`"
    ) from error
