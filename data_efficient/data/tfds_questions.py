# SPDX-License-Identifier: Apache-2.0
"""Questions of datasets in TFDS, as the rows that suites read from files.

Each row has the fields "instruction", "input", "output", "id" and "split", and
"dataset" where several datasets make a suite. TFDS prepares what is not there
yet, which takes a network.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from data_efficient.data import few_shot, prompt_templates
from data_efficient.data.file_formats import Row

# The field that says which of several datasets a row is of.
DATASET = "dataset"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TfdsQuestions:
  """Records of datasets in TFDS, by templates (see `prompt_templates`).

  Attributes:
    datasets: task -> name with configuration and version, "gsm8k:1.0.0"; all
      of the same features.
    splits: "exemplars", "validation", "test" -> split or slice of TFDS; those
      that are not named have no questions. A question that stands in several
      is an exemplar first, then of the test.
    instruction: template of the question.
    input: template of what it is asked of; "" for nothing.
    output: template of the answer; "" where it is one of the options.
    options: template of each option, or the feature that lists them; () for
      none. They stand as "A. …" lines in the input, and the letter answers.
    answer: feature with the index of the right option; unlabelled records
      (-1) are left out.
    data_dir: where the datasets are prepared; "" is TFDS's default folder.
  """

  datasets: Mapping[str, str]
  splits: Mapping[str, str]
  instruction: str
  input: str = ""
  output: str = ""
  options: str | Sequence[str] = ()
  answer: str = ""
  data_dir: str = ""

  def __post_init__(self):
    unknown = set(self.splits) - set(few_shot.Split)
    if unknown or not self.splits or not self.datasets:
      raise few_shot.FewShotError(
        f"datasets {list(self.datasets)}: splits are {dict(self.splits)},"
        f" expected at least one dataset, and some of"
        f" {', '.join(few_shot.Split)}"
      )
    if bool(self.output) == bool(self.options):
      raise few_shot.FewShotError(
        f"datasets {list(self.datasets)}: give either the template of an"
        " output or options"
      )

  def rows(self) -> Iterator[Row]:
    """Rows of all datasets, in their order.

    Raises:
      FewShotError: a dataset that TFDS does not have, or a feature that the
        dataset has not; names both.
    """
    for task, name in self.datasets.items():
      seen: set[tuple[str, str]] = set()
      for split in few_shot.PRECEDENCE:
        if split in self.splits:
          yield from self._of_split(task, name, split, seen)

  def _of_split(self, task, name, split, seen) -> Iterator[Row]:
    for number, record in enumerate(self._records(name, self.splits[split])):
      where = f"{name}, {self.splits[split]}, record {number}"
      fields = self._prompted(record, where)
      if fields is None:
        continue
      key = fields["instruction"], fields["input"]
      if key in seen:
        continue
      seen.add(key)
      fields |= {"id": f"{name}-{split}-{number}", DATASET: task}
      yield Row(where, {**fields, "split": str(split)})

  def _records(self, name: str, split: str) -> Iterator[Mapping[str, Any]]:
    import tensorflow_datasets as tfds

    try:
      found = tfds.load(name, split=split, data_dir=self.data_dir or None)
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
      raise few_shot.FewShotError(
        f"TFDS has no {name!r} with the split {split!r} ({error}): look it up"
        " in the catalogue, and name a version that is installed"
      ) from error
    yield from tfds.as_numpy(found)

  def _prompted(
    self, record: Mapping[str, Any], where: str
  ) -> dict[str, str] | None:
    fields = {
      "instruction": filled(self.instruction, record, where),
      "input": filled(self.input, record, where),
      "output": filled(self.output, record, where),
    }
    if not self.options:
      return fields
    options = self._options(record, where)
    right = int(value(self.answer, record, where))
    if right < 0:
      return None
    if right >= min(len(options), len(_LETTERS)):
      raise few_shot.FewShotError(
        f"{where}: {self.answer} is {right}, but there are"
        f" {len(options)} options: leave the record out, or name other features"
      )
    lines = [
      f"{letter}. {option}"
      for letter, option in zip(_LETTERS, options, strict=False)
    ]
    above = [fields["input"]] if fields["input"] else []
    return fields | {
      "input": "\n".join([*above, *lines]),
      "output": _LETTERS[right],
    }

  def _options(self, record: Mapping[str, Any], where: str) -> list[str]:
    if isinstance(self.options, str):
      return [_text(each) for each in value(self.options, record, where)]
    return [filled(each, record, where) for each in self.options]


def filled(template: str, record: Mapping[str, Any], where: str) -> str:
  """A template with the features of a record.

  Raises:
    FewShotError: a feature that the record has not.
    TemplateError: see `prompt_templates.parts`.
  """
  return "".join(
    _text(value(part.text, record, where)) if part.is_feature else part.text
    for part in prompt_templates.parts(template)
  )


def value(path: str, record: Mapping[str, Any], where: str) -> Any:
  """A feature by its path, "question/stem".

  Raises:
    FewShotError: the record has none.
  """
  found: Any = record
  for name in path.split("/"):
    if not isinstance(found, Mapping) or name not in found:
      raise few_shot.FewShotError(
        f"{where}: no feature {path!r}; there are {sorted(record)}"
      )
    found = found[name]
  return found


def _text(found: Any) -> str:
  scalar = np.asarray(found).item()
  return (
    scalar.decode("utf-8", "replace")
    if isinstance(scalar, bytes)
    else (str(scalar))
  )
