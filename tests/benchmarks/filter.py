# SPDX-License-Identifier: Apache-2.0
"""The filter at all records kept, and the index source at few.

The filter's peer is the same task without it, from the files to T5's inputs
and targets; both are also measured up to the texts alone. The index source's
peer is the filter, in kept records a second. In the files' order, one epoch
after the other, by batches; what comes before the first batch is not counted.
"""

import argparse
import dataclasses
import functools
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import seqio  # noqa: E402
import tensorflow as tf  # noqa: E402

from data_efficient.data import (  # noqa: E402
  corpora,
  corpus_index,
  preprocessors,
  selections,
  tasks,
  vocabularies,
)
from data_efficient.models import tokenizers  # noqa: E402
from tests.benchmarks import passages, report  # noqa: E402
from tests.data import served  # noqa: E402

KINDS = {"jsonl": passages.write_jsonl, "tfrecord": passages.write_tfrecord}
CORRUPTION = {"inputs": 512, "noise_density": 0.15, "mean_span_length": 3.0}
SHARES = (0.1, 0.01)
_BATCH = 64
_SECONDS = 1.0  # of a measurement; epochs are repeated until then


@dataclasses.dataclass(frozen=True)
class Served:
  """A corpus, and how to make tasks of it."""

  corpus: corpora.Corpus
  index: corpus_index.CorpusIndex
  directory: pathlib.Path
  vocabulary: tokenizers.SentencePiece

  def select(self, share: float) -> selections.Selection:
    """A random share of the records."""
    return served.select(self.index, self.directory / f"kept_{share}", share)

  def task(self, kept: selections.Selection, serving: str) -> seqio.Task:
    """The pre-training task on a selection."""
    name = tasks.span_corruption(
      corpus=self.corpus,
      index=self.index,
      selection=kept,
      serving=serving,
      vocabulary=self.vocabulary,
      weighted=False,
      **CORRUPTION,
    )
    return seqio.TaskRegistry.get(name)


def unfiltered(task: seqio.Task) -> seqio.Task:
  """The same task without its first step."""
  return seqio.Task(
    name=f"{task.name}_unfiltered",
    source=task.source,
    preprocessors=task.preprocessors[1:],
    output_features=task.output_features,
  )


def whole(task: seqio.Task, epochs: int | None) -> tf.data.Dataset:
  """A task, as an engine reads it; without end for None."""
  lengths = preprocessors.corruption_lengths(
    CORRUPTION["inputs"],
    noise_density=CORRUPTION["noise_density"],
    mean_span_length=CORRUPTION["mean_span_length"],
  )
  features = {"inputs": lengths.inputs, "targets": lengths.targets}
  return task.get_dataset(
    sequence_length=features, shuffle=False, seed=0, num_epochs=epochs
  )


def texts(
  task: seqio.Task, epochs: int | None, *, steps: int
) -> tf.data.Dataset:
  """A task's source and its first steps."""
  dataset = task.source.get_dataset(split="train", shuffle=False)
  for step in task.preprocessors[:steps]:
    dataset = step(dataset)
  return dataset.repeat(epochs)


class Side:
  """One row of the table.

  Args:
    dataset: makes so many epochs, or None for no end; one is read at once,
      which also brings the files into the page cache.
    records: kept ones in an epoch.
  """

  def __init__(
    self, dataset: Callable[[int | None], tf.data.Dataset], records: int
  ):
    self._batches = dataset(None).padded_batch(_BATCH)
    self.records = records
    self.examples = sum(map(_rows, dataset(1).padded_batch(_BATCH)))
    self.cpu: list[float] = []

  def rate(self) -> float:
    """Kept records a second; `cpu` has its microseconds of CPU a record."""
    # A new iterator: an old one would work ahead while others are measured.
    batches = iter(self._batches)
    next(batches)
    began, cpu = time.perf_counter(), time.process_time()
    seconds, examples = 0.0, 0
    while seconds < _SECONDS:
      examples += _rows(next(batches))
      seconds = time.perf_counter() - began
    records = examples / self.examples * self.records
    self.cpu.append(1e6 * (time.process_time() - cpu) / records)
    return records / seconds


def _rows(batch: dict[str, tf.Tensor]) -> int:
  return len(next(iter(batch.values())))


def filter_sides(data: Served) -> dict[str, Side]:
  """All records, with the filter and without; by a row's name."""
  records = data.index.records
  task = data.task(data.select(1.0), "filter")
  datasets = {
    "texts, all": functools.partial(texts, task, steps=0),
    "texts, filter 100%": functools.partial(texts, task, steps=1),
    "task, all": functools.partial(whole, unfiltered(task)),
    "task, filter 100%": functools.partial(whole, task),
  }
  return {row: Side(dataset, records) for row, dataset in datasets.items()}


def index_sides(data: Served) -> dict[str, Side]:
  """Some of the records, by the filter and by the index source."""
  found = {}
  for share in SHARES:
    kept = data.select(share)
    for serving, steps in (("filter", 1), ("index", 0)):
      task, row = data.task(kept, serving), f"{serving} {share:.0%}"
      some = functools.partial(texts, task, steps=steps)
      found[f"texts, {row}"] = Side(some, kept.records)
      found[f"task, {row}"] = Side(functools.partial(whole, task), kept.records)
  return found


def _check(found: dict[str, Side]) -> None:
  """Raises SystemExit unless all serve what is kept."""
  for row, side in found.items():
    if row.startswith("texts") and side.examples != side.records:
      raise SystemExit(f"{row}: {side.examples} of {side.records} records")
  if found["task, all"].examples != found["task, filter 100%"].examples:
    raise SystemExit("the task without the filter serves other examples")


def compare(kind: str, title: str, data: Served, repeats: int) -> dict:
  """Measures a corpus, prints its table, and returns its figures."""
  sides = filter_sides(data)
  found = _measured(sides, repeats)
  others = index_sides(data)
  # Larger ratios: fewer will do.
  found |= _measured(others, -(-repeats // 3))
  sides |= others
  _check(sides)
  middle = {row: statistics.median(rates) for row, rates in found.items()}
  cpu = {row: statistics.median(side.cpu) for row, side in sides.items()}
  peers = {
    f"{what}, filter 100%": f"{what}, all" for what in ("texts", "task")
  } | {
    f"{what}, index {share:.0%}": f"{what}, filter {share:.0%}"
    for what in ("texts", "task")
    for share in SHARES
  }
  ratios = {
    row: report.paired(found[row], found[peer]) for row, peer in peers.items()
  }
  report.table(
    title,
    ["", "kept records/s: median (range)", "CPU µs each", "times its peer"],
    [
      (row, report.spread(rates), cpu[row], _spread(ratios.get(row)))
      for row, rates in found.items()
    ],
  )
  ratio = {row: statistics.median(values) for row, values in ratios.items()}
  return {
    "ours": middle["task, filter 100%"],
    "peer": middle["task, all"],
    "ratio": ratio["task, filter 100%"],
    "limit_fraction": middle["task, filter 100%"] / middle["texts, all"],
    "files": kind,
    "cpu_ratio": cpu["task, all"] / cpu["task, filter 100%"],
    "texts_ratio": ratio["texts, filter 100%"],
    "index_at_10%": ratio["texts, index 10%"],
    "index_at_1%": ratio["texts, index 1%"],
    "task_index_at_10%": ratio["task, index 10%"],
    "task_index_at_1%": ratio["task, index 1%"],
  }


def _measured(sides: dict[str, Side], repeats: int) -> dict[str, list[float]]:
  rates = {row: side.rate for row, side in sides.items()}
  return report.alternating(rates, repeats)


def _spread(values: list[float] | None) -> str:
  return report.spread(values) if values else ""


def main() -> None:
  """Measures corpora of both kinds."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--records", type=int, default=20_000)
  parser.add_argument("--repeats", type=int, default=9)
  arguments = parser.parse_args()
  figures = {}
  with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    written, origin = passages.passages(arguments.records)
    path = root / "sentencepiece.model"
    vocabularies.train(written, path, max_characters=2_000_000)
    for kind, write in KINDS.items():
      corpus = write(root / kind, written)
      index = corpus_index.build(corpus, root / f"{kind}_index")
      data = Served(
        corpus, index, root / kind, tokenizers.SentencePiece(str(path))
      )
      title = f"filter: {len(written):,} passages of {origin}, {kind}"
      figures[kind] = compare(kind, title, data, arguments.repeats)
  # The kind that is served worst, and the other beside it.
  worst, other = sorted(figures.values(), key=lambda found: found["ratio"])
  beside = {f"{other['files']}_{key}": value for key, value in other.items()}
  report.last_line("filter", **worst, **beside)


if __name__ == "__main__":
  main()
