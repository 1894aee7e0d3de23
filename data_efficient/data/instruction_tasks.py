# SPDX-License-Identifier: Apache-2.0
"""Instruction tuning on a mixture of datasets with prompt templates.

FLAN's recipe (Wei et al. 2021, arXiv 2109.01652, Section 2.1; Longpre et al.
2023, arXiv 2301.13688): every dataset has several templates, each example is
prompted by one of them, drawn anew in every epoch, and datasets are mixed in
proportion to their examples, up to a maximum.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import seqio
import tensorflow as tf

from data_efficient.data import prompt_templates, tasks
from data_efficient.models import tokenizers

_SPLIT = "train"  # what both engines read
# An answer is held apart from what templates may name.
_ANSWER = "answer"


class InstructionError(ValueError):
  """A mixture or a template that cannot be served."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PromptedDataset:
  """A dataset in TFDS and the templates that prompt with its examples.

  Attributes:
    name: of the task, and of messages.
    dataset: name with configuration and version, "anli/r1:0.1.0".
    inputs: templates (see `prompt_templates`), one of which each example gets;
      they may name {answer}.
    target: template of the answer.
    words: templates of what each value of `label` is called, for {answer}.
    label: feature with whole numbers, of which unlabelled examples have -1.
  """

  name: str
  dataset: str
  inputs: Sequence[str]
  target: str
  words: Sequence[str] = ()
  label: str = ""

  def __post_init__(self):
    if not self.inputs or isinstance(self.inputs, str):
      raise InstructionError(
        f"{self.name!r}: inputs are {self.inputs!r}, expected a list of"
        " templates"
      )
    if bool(self.words) != bool(self.label):
      raise InstructionError(
        f"{self.name!r}: words are {list(self.words)} of the label"
        f" {self.label!r}; give both or none"
      )
    for template in (*self.inputs, self.target, *self.words):
      list(prompt_templates.parts(template))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instructions:
  """A mixture of prompted datasets.

  Attributes:
    datasets: what is mixed.
    maximum: examples that a dataset counts as at most, in its share.
    trained_on: split or slice of TFDS.
    watched: names of datasets whose loss is followed along the way.
    watched_on: split or slice of TFDS, none of `trained_on`.
    data_dir: where the datasets are prepared; "" is TFDS's default folder.
  """

  datasets: Sequence[PromptedDataset]
  maximum: int
  trained_on: str
  watched: Sequence[str]
  watched_on: str
  data_dir: str = ""

  def __post_init__(self):
    names = [each.name for each in self.datasets]
    if not names or len(set(names)) < len(names):
      raise InstructionError(f"datasets are {names}, expected each once")
    if unknown := sorted(set(self.watched) - set(names)):
      raise InstructionError(
        f"{unknown} are watched, but no datasets of the mixture; there are"
        f" {names}"
      )
    if self.trained_on == self.watched_on:
      raise InstructionError(
        f"{self.trained_on!r} would be trained on and watched: watch a slice"
        " that nothing is trained on"
      )

  def training(self, vocabulary: tokenizers.SentencePiece) -> tasks.TaskName:
    """Registers the mixture."""
    rate = functools.partial(
      seqio.mixing_rate_num_examples, maximum=self.maximum
    )
    name = f"instructions_{len(seqio.MixtureRegistry.names())}"
    made = [
      self._task(each.name, self.trained_on, vocabulary)
      for each in self.datasets
    ]
    seqio.MixtureRegistry.add(name, [(each, rate) for each in made])
    return name

  def evaluations(
    self, vocabulary: tokenizers.SentencePiece
  ) -> dict[str, tasks.TaskName]:
    """Registers what is watched: label -> task."""
    return {
      name: self._task(name, self.watched_on, vocabulary)
      for name in self.watched
    }

  def describe(self) -> dict[str, Any]:
    """What the losses of two runs must share to be compared."""
    return {"watched": list(self.watched), "watched_on": self.watched_on}

  def _task(
    self, name: str, split: str, vocabulary: tokenizers.SentencePiece
  ) -> tasks.TaskName:
    found = {each.name: each for each in self.datasets}
    return task(
      found[name], split=split, vocabulary=vocabulary, data_dir=self.data_dir
    )


def task(
  dataset: PromptedDataset,
  *,
  split: str,
  vocabulary: tokenizers.SentencePiece,
  data_dir: str,
) -> tasks.TaskName:
  """Registers a prompted dataset on a split of TFDS, read as "train".

  Args:
    dataset: what is read, and its templates.
    split: split or slice of TFDS.
    vocabulary: of the task.
    data_dir: where it is prepared; "" is TFDS's default folder.
  """
  feature = seqio.Feature(tasks.seqio_vocabulary(vocabulary), add_eos=True)
  name = f"prompted_{dataset.name}_{len(seqio.TaskRegistry.names())}"
  seqio.TaskRegistry.add(
    name,
    source=seqio.TfdsDataSource(
      tfds_name=dataset.dataset,
      tfds_data_dir=data_dir or None,
      splits={_SPLIT: split},
    ),
    preprocessors=[
      functools.partial(apply_templates, dataset=dataset),
      seqio.preprocessors.tokenize,
      seqio.preprocessors.append_eos_after_trim,
    ],
    output_features={"inputs": feature, "targets": feature},
  )
  return name


def apply_templates(
  examples: tf.data.Dataset, *, dataset: PromptedDataset
) -> tf.data.Dataset:
  """Examples of a dataset -> {"inputs": text, "targets": text}.

  Unlabelled ones are dropped.

  Raises:
    InstructionError: a template names a feature that there is not.
  """
  for path in _paths(dataset):
    _check(path, examples.element_spec, dataset)
  if dataset.label:
    examples = examples.filter(
      lambda example: _value(dataset.label, example, dataset) >= 0
    )

  # AutoGraph would rewrite Python that has nothing to be rewritten.
  @seqio.map_over_dataset(num_seeds=1)
  @tf.autograph.experimental.do_not_convert
  def each(example, seed):
    if dataset.words:
      words = tf.stack([_filled(w, example, dataset) for w in dataset.words])
      number = _value(dataset.label, example, dataset)
      example = {**example, _ANSWER: tf.gather(words, number)}
    inputs = [_filled(each, example, dataset) for each in dataset.inputs]
    drawn = tf.random.stateless_uniform(
      (), seed, maxval=len(inputs), dtype=tf.int32
    )
    return {
      "inputs": tf.gather(tf.stack(inputs), drawn),
      "targets": _filled(dataset.target, example, dataset),
    }

  return each(examples)


def _filled(
  template: str, example: Mapping[str, Any], dataset: PromptedDataset
) -> tf.Tensor:
  texts = []
  for part in prompt_templates.parts(template):
    found = tf.constant(part.text)
    if part.is_feature:
      found = _value(part.text, example, dataset)
      if found.dtype != tf.string:
        found = tf.strings.as_string(found)
    texts.append(found)
  return tf.strings.join(texts)


def _value(
  path: str, example: Mapping[str, Any], dataset: PromptedDataset
) -> tf.Tensor:
  """A feature by its path; "endings/0" is the first of a list."""
  found: Any = example
  for name in path.split("/"):
    found = found[name] if isinstance(found, Mapping) else found[int(name)]
  return found


def _paths(dataset: PromptedDataset) -> Iterator[str]:
  """Features that the dataset must have."""
  if dataset.label:
    yield dataset.label
  for template in (*dataset.inputs, dataset.target, *dataset.words):
    for part in prompt_templates.parts(template):
      if part.is_feature and not (dataset.words and part.text == _ANSWER):
        yield part.text


def _check(
  path: str, spec: Mapping[str, Any], dataset: PromptedDataset
) -> None:
  found: Any = spec
  for name in path.split("/"):
    nested = isinstance(found, Mapping)
    if not (name in found if nested else name.isdecimal()):
      raise InstructionError(
        f"{dataset.name!r} ({dataset.dataset}): no feature {path!r}; there are"
        f" {sorted(spec)}"
      )
    found = found[name] if nested else found
