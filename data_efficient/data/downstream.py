# SPDX-License-Identifier: Apache-2.0
"""Suites of few-shot tasks, on files or from TFDS: MMLU, BBH, GSM8K, …

A file has JSON lines (plain, .gz, .zst) or is Parquet, a question a record:

  {"instruction": "2 + 3?", "input": "A. 5\nB. 6", "output": "A",
   "id": "sums-7", "subject": "arithmetic", "split": "test"}

"input" may be missing or empty, "id" too; "subject" is the suite's task_field,
where it has one. "split" is one of `few_shot.Split`; without it a hash of the
question (of the passage, of MMLU's own ids) decides.
"""

import dataclasses
import enum
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from data_efficient.data import (
  few_shot,
  file_corpus,
  file_formats,
  records,
  tfds_questions,
)
from data_efficient.data.few_shot import Question, Split

# "A. an option" on a line of its own, as MMLU and ARC have them.
_OPTION = re.compile(r"^([A-Z1-9])\. ", re.MULTILINE)
# What a calculator computed within an answer of GSM8K.
_CALCULATOR = re.compile(r"<<[^<>]*>>")


class Layout(enum.StrEnum):
  """How a record's fields make a question."""

  OPTIONS = "options"  # options A., B., … in the input; the answer is a letter
  OPEN = "open"  # the instruction asks, the output answers
  STEPS = "steps"  # the output's steps end in "#### NUMBER"
  BARE = "bare"  # the instruction is the whole prompt
  PASSAGE = "passage"  # the input is a passage, the instruction asks of it


class How(enum.StrEnum):
  """How an answer is found."""

  LIKELIHOOD = "likelihood"  # the choice of the highest log-likelihood
  GENERATION = "generation"  # decoded greedily


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suite:
  """Few-shot tasks on files, or on datasets in TFDS.

  Attributes:
    name: of tables.
    category: what its macro average counts as ("MMLU", "BBH", "Reasoning",
      "QA" make the paper's Average, Appendix C); any other stands alone.
    pattern: glob of the files; () where `dataset` has the questions.
    dataset: the questions, where they are in TFDS.
    layout: of its records, a value of `Layout`.
    how: a value of `How`.
    metrics: names in `suite_metrics.METRICS`; the first is averaged. Accuracy
      needs none: what was chosen is right or wrong.
    shots: exemplars before a question.
    task_field: field that names a record's task; "" for one task.
    names: the tasks that the suite has, such as MMLU's 57; several in a list
      count as one in its average. Those without questions are reported as
      missing, others are an error. (): whatever the files have.
    limit: questions a task and split at most; None: all.
  """

  name: str
  category: str
  layout: str
  how: str
  metrics: Sequence[str]
  shots: int
  pattern: str | Sequence[str] = ()
  dataset: tfds_questions.TfdsQuestions | None = None
  task_field: str = ""
  names: Sequence[str | Sequence[str]] = ()
  limit: int | None = None

  def __post_init__(self):
    for field, kind in (("layout", Layout), ("how", How)):
      if getattr(self, field) not in list(kind):
        raise few_shot.FewShotError(
          f"suite {self.name!r}: {field} is {getattr(self, field)!r}, expected"
          f" one of {', '.join(kind)}"
        )
    if self.shots < 0 or (self.limit is not None and self.limit < 1):
      raise few_shot.FewShotError(
        f"suite {self.name!r}: shots = {self.shots}, limit = {self.limit};"
        " expected shots of at least 0, and a limit of at least 1 or None"
      )
    if bool(self.pattern) == (self.dataset is not None):
      raise few_shot.FewShotError(
        f"suite {self.name!r}: pattern is {self.pattern!r} and dataset"
        f" {self.dataset!r}; give one of them"
      )

  def tasks(self) -> dict[few_shot.Task, dict[Split, list[Question]]]:
    """Its questions by task and split.

    Raises:
      CorpusError: no file, or a damaged one.
      FewShotError: a record without a field or an option that it needs, or a
        question in two splits.
    """
    found = few_shot.tasks([self._question(row) for row in self._rows()])
    wanted = {name for row in _listed(self.names) for name in row}
    if wanted and (unknown := sorted(set(found) - wanted)):
      raise few_shot.FewShotError(
        f"suite {self.name!r} has no task {unknown[:5]}: correct the field"
        f" {self.task_field!r} of these records, or the suite's names"
      )
    return found

  def rows(
    self, found: Mapping[few_shot.Task, object]
  ) -> list[list[few_shot.Task]]:
    """The tasks that are there, those that count as one together."""
    listed = _listed(self.names) if self.names else [[name] for name in found]
    there = [[name for name in row if name in found] for row in listed]
    return [row for row in there if row]

  def missing(self, found: Mapping[few_shot.Task, object]) -> list[str]:
    """Tasks of `names` that have no questions."""
    names = [name for row in _listed(self.names) for name in row]
    return [name for name in names if name not in found]

  def _rows(self) -> Iterator[file_formats.Row]:
    if self.dataset is not None:
      yield from self.dataset.rows()
      return
    files = file_corpus.Files(
      pattern=self.pattern, text_field="instruction", name=self.name
    )
    columns = ["instruction", "input", "output", "id", "split"]
    columns += [self.task_field] if self.task_field else []
    for shard in files.shards():
      yield from files.rows(shard, columns)

  def _question(self, row: file_formats.Row) -> Question:
    needed = ["instruction", "output"]
    needed += [self.task_field] if self.task_field else []
    for field in needed:
      if not isinstance(row.fields.get(field), str):
        raise few_shot.FewShotError(
          f"{row.where}: field {field!r} is {row.fields.get(field)!r}, expected"
          f" a string: repair the file of suite {self.name!r}"
        )
    task = row.fields[self.task_field] if self.task_field else self.name
    made = _LAYOUTS[Layout(self.layout)](row)
    if self.how == How.LIKELIHOOD and made.answer not in made.choices:
      raise few_shot.FewShotError(
        f"{row.where}: the answer {made.answer!r} is none of the options"
        f" {list(made.choices)}: repair or remove the record, or set how ="
        " 'generation'"
      )
    return made._replace(task=task, split=self._split(row) or made.split)

  def _split(self, row: file_formats.Row) -> Split | None:
    named = row.fields.get("split")
    if named is not None and named not in list(Split):
      raise few_shot.FewShotError(
        f"{row.where}: split is {named!r}, expected one of {', '.join(Split)},"
        " or no such field"
      )
    return Split(named) if named is not None else None


def _listed(names: Sequence[str | Sequence[str]]) -> list[list[str]]:
  return [[row] if isinstance(row, str) else list(row) for row in names]


def _options(row: file_formats.Row) -> Question:
  added = str(row.fields.get("input") or "")
  text = f"Question: {row.fields['instruction']}\n{added}\nAnswer:"
  name = str(row.fields.get("id", row.where))
  # MMLU's own split for exemplars.
  split = Split.EXEMPLARS if "-dev-" in name else None
  choices = tuple(dict.fromkeys(_OPTION.findall(added)))
  made = _open(row)
  group = text
  # Records of a file with a split of its own are never exemplars.
  if split is None and "-validation-" in name:
    split = _asked(group)
  return made._replace(text=text, choices=choices, group=group, split=split)


def _asked(group: str) -> Split:
  """A third chooses, the others are reported."""
  third = records.fingerprint(group) / 2**64 < 1 / 3
  return Split.VALIDATION if third else Split.TEST


def _open(row: file_formats.Row) -> Question:
  fields = row.fields
  asked = "\n".join(
    part for part in (fields["instruction"], fields.get("input")) if part
  )
  text = f"Q: {asked}\nA:"
  answer = fields["output"].strip()
  name = str(fields.get("id", row.where))
  return Question(name, "", text, answer, answer, (), text)


def _bare(row: file_formats.Row) -> Question:
  text = row.fields["instruction"]
  return _open(row)._replace(text=text, group=text)


def _steps(row: file_formats.Row) -> Question:
  made = _open(row)
  return made._replace(shown=_CALCULATOR.sub("", made.shown))


def _passage(row: file_formats.Row) -> Question:
  passage = str(row.fields.get("input") or "")
  text = f"{passage}\nQuestion: {row.fields['instruction']}\nAnswer:"
  return _open(row)._replace(text=text, group=passage or text)


_LAYOUTS: dict[Layout, Callable[[file_formats.Row], Question]] = {
  Layout.OPTIONS: _options,
  Layout.OPEN: _open,
  Layout.BARE: _bare,
  Layout.STEPS: _steps,
  Layout.PASSAGE: _passage,
}
