# SPDX-License-Identifier: Apache-2.0
"""The verb `respond`: a model answers test instructions, and is measured.

With nothing before them, or with the nearest of some examples, such as a
selection's, in context. Answers are kept part by part; the references stand
beside them in RUN/responses.jsonl, the figures in RUN/responses.json.
"""

import collections
import contextlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from data_efficient import processes, progress
from data_efficient.cli import (
  cost,
  hardware,
  response_parts,
  response_rows,
  train,
)
from data_efficient.cli.response_parts import Asking
from data_efficient.cli.response_rows import InContext, Measures
from data_efficient.data import (
  artifacts,
  in_context,
  instructions,
  locks,
)
from data_efficient.evaluation import response_metrics
from data_efficient.scorers import interface, retrieval, templates
from data_efficient.training import responding

FILE, ROWS = "responses.json", "responses.jsonl"
PARTS = "parts"
_CONFIG = "config.gin"
_SCORED = interface.SCORED


class RespondError(ValueError):
  """Nothing that can be asked; says why, and what to do."""


def respond(
  *,
  directory: str,
  test: instructions.Instructions,
  responder: responding.Responder,
  template: templates.Template,
  separator: str,
  measures: Measures,
  part_records: int,
  context: InContext | None = None,
) -> None:
  """Answers and measures; does nothing when it is done.

  Leaves config.gin, parts/, responses.jsonl, responses.json and cost.json.

  Args:
    directory: where they go.
    test: what is asked, and the references.
    responder: what answers.
    template: how records become text: the one that was trained with.
    separator: text between two examples.
    measures: what is measured.
    part_records: records a part, the unit of resume.
    context: examples before each query; None: none.

  Raises:
    ArtifactError: the directory holds responses of another configuration,
      model or test.
    ValueError: see `RespondError`, `RetrievalError`, `CorpusError`.
  """
  processes.join()
  root = pathlib.Path(directory)
  asking = Asking(
    responder=responder,
    template=template,
    separator=separator,
    losses=response_metrics.LOSS in measures.metrics,
  )
  if not test.records:
    raise RespondError("the test has no record: name other files as TEST")
  parts = -(-len(test.records) // part_records)
  identity = {
    **asking.identity(),
    "test": test.identity(),
    "context": _identity(context),
    "part_records": part_records,
    "numerics": hardware.numerics(),
  }
  with processes.first_alone("responses opened"):
    if processes.is_first():
      root.mkdir(parents=True, exist_ok=True)
      train.keep_config(root / _CONFIG)
    writer = artifacts.Writer(
      root / PARTS,
      kind=response_parts.KIND,
      identity=identity,
      member=processes.index(),
    )
    names = map(response_parts.name, range(parts))
    missing = [n for n, name in enumerate(names) if not writer.has(name)]
  # Nobody writes before all have seen what is missing.
  processes.wait("parts listed")
  with writer, cost.measured(root) if missing else contextlib.nullcontext():
    if missing:
      _answer(asking, test, context, writer, missing, part_records)
    processes.wait("parts written")
    if processes.is_first() and not writer.complete:
      writer.gather()
      writer.finish(records=len(test.records))
  if processes.is_first():
    with locks.exclusive(root):
      _report(root, asking, test, context, measures, parts)


def _answer(
  asking: Asking,
  test: instructions.Instructions,
  context: InContext | None,
  writer: artifacts.Writer,
  missing: Sequence[int],
  size: int,
) -> None:
  """Answers this process's share of the missing parts."""
  near = _near(test, context)
  shown = context.examples.records if context else []
  own = processes.share(missing)
  total = sum(len(test.records[n * size : (n + 1) * size]) for n in own)
  with progress.bar("respond", total=total) as advance:
    for number in own:
      some = slice(number * size, (number + 1) * size)
      examples = [[shown[e.number] for e in row] for row in near[some]]
      answers = asking.answers(test.records[some], examples, advance)
      response_parts.write(writer, number, answers, near[some])


def _near(
  test: instructions.Instructions, context: InContext | None
) -> list[list[retrieval.Near]]:
  """The examples of each record, nearest first."""
  if context is None:
    return [[] for _ in test.records]
  queries, examples = (
    retrieval.Records(
      [record.prompt for record in found.records],
      list(map(in_context.keys, found.records)),
    )
    for found in (test, context.examples)
  )
  return context.retrieval.nearest(queries, examples)


def _identity(context: InContext | None) -> dict[str, Any] | None:
  if context is None:
    return None
  return {
    "examples": context.examples.identity(),
    "retrieval": context.retrieval.identity(),
  }


def _report(
  root: pathlib.Path,
  asking: Asking,
  test: instructions.Instructions,
  context: InContext | None,
  measures: Measures,
  parts: int,
) -> None:
  """Writes what was found, if it is not there."""
  if (root / FILE).exists():
    print(f"{root}: done before")
    return
  with cost.measured(root):
    answers, near = response_parts.read(root / PARTS, parts)
    decode = asking.responder.tokenizer.decode
    responses = [decode(answer.ids) for answer in answers]
    found = response_rows.Found(answers, near, responses)
    scored = [n for n, a in enumerate(answers) if a.status == _SCORED]
    reasons = collections.Counter(
      answer.status for answer in answers if answer.status != _SCORED
    )
    if not scored:
      raise RespondError(
        f"no record of the test can be answered ({dict(reasons)}): name other "
        "files or fields, or raise MAX_TOKENS where they are too long"
      )
    values, losses = response_rows.values(measures, test, found, scored)
    table = {
      "model": asking.responder.model.name,
      "records": len(answers),
      "unscorable": dict(reasons),
      **response_rows.counts(found, scored, asking.responder, context),
      "metrics": list(measures.metrics),
      **response_metrics.figures(
        values,
        losses,
        [test.tasks[n] for n in scored],
        resamples=measures.resamples,
        seed=measures.seed,
      ),
      "commit": cost.commit(),
    }
    lines = response_rows.lines(test, context, found, scored, values)
    artifacts.atomic_write(root / ROWS, "".join(lines).encode())
    data = json.dumps(table, indent=1, ensure_ascii=False).encode()
    artifacts.atomic_write(root / FILE, data)
  _print(root, table)


def _print(root: pathlib.Path, table: Mapping[str, Any]) -> None:
  overall = table["overall"]
  for status, count in table["unscorable"].items():
    print(f"{count:,} of {table['records']:,} records are {status}")
  for name in table["metrics"]:
    value, interval = overall[name]["value"], overall[name]["interval"]
    if value is not None:
      low, high = interval or (float("nan"), float("nan"))
      print(f"{name}: {value:.4f} ({low:.4f} to {high:.4f})")
  print(f"{root / FILE}: {overall['records']:,} responses")
