# SPDX-License-Identifier: Apache-2.0
"""The verb `quickstart`: from a corpus to a report, by the public verbs alone.

Each step is a command that a person could type (`jobs()` is the list; the
commands are in OUTPUT/logs). Nothing is computed here.
"""

import dataclasses
import json
import pathlib
import shlex
from collections.abc import Mapping, Sequence

from data_efficient.cli import jobs as jobs_module
from data_efficient.cli.jobs import Job


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampler:
  """One way to select, as a row of the comparison.

  Attributes:
    name: in tables.
    selector: gin file of the selector.
    seeds: seeds of the selection and of its training runs, paired with the
      same seeds of the other samplers.
    scorer: gin file of the scorer whose scores the selector reads, if any.
  """

  name: str
  selector: str
  seeds: Sequence[int]
  scorer: str | None = None


def quickstart(
  *,
  output: str,
  corpus: Sequence[str],
  corpus_bindings: Mapping[str, object],
  vocabulary: Sequence[str],
  vocabulary_bindings: Mapping[str, object],
  judge: str,
  judge_tokens: int,
  model: str,
  engine: str,
  train: str,
  samplers: Sequence[Sampler],
  budgets: Sequence[float],
  train_bindings: Mapping[str, object],
  workers: int,
  command: str,
) -> None:
  """Scores, selects, trains, evaluates and reports; resumes when run again.

  Args:
    output: directory of everything.
    corpus: gin files that bind CORPUS.
    corpus_bindings: macros for them.
    vocabulary: gin files that bind VOCABULARY.
    vocabulary_bindings: macros for them.
    judge: gin file of the run that teaches the judge.
    judge_tokens: tokens of the judge's input, the question included.
    model: gin file of the judge's network.
    engine: gin file that binds ENGINE.
    train: gin file of the pre-training run.
    samplers: what is compared; "full" ignores the budgets.
    budgets: kept fractions of the pool's tokens.
    train_bindings: macros for `train` (STEPS, …).
    workers: processes at once.
    command: what reproduces all this, for the report.
  """
  root = pathlib.Path(output)
  chain = _Chain(
    root=root,
    data=(*corpus, *vocabulary),
    data_bindings={
      "PREPARED": str(root / "corpus"),
      **corpus_bindings,
      **vocabulary_bindings,
    },
    corpus=tuple(corpus),
    corpus_bindings={"PREPARED": str(root / "corpus"), **corpus_bindings},
    judge_tokens=judge_tokens,
  )
  steps = [
    *chain.scoring(samplers, judge=judge, model=model, engine=engine),
    *chain.runs(
      samplers, budgets, train=train, engine=engine, bindings=train_bindings
    ),
  ]
  steps += chain.reporting([step.name for step in steps], command=command)
  try:
    jobs_module.run(steps, directory=output, workers=workers)
  except KeyboardInterrupt:
    raise SystemExit(
      "\ninterrupted; nothing is lost, the same command goes on from here"
    ) from None
  _print_end(root)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Chain:
  """Where the steps read and write."""

  root: pathlib.Path
  data: Sequence[str]
  data_bindings: Mapping[str, object]
  corpus: Sequence[str]
  corpus_bindings: Mapping[str, object]
  judge_tokens: int

  def path(self, *names: str) -> str:
    return str(self.root.joinpath(*names))

  def scoring(self, samplers, *, judge: str, model: str, engine: str):
    """Token counts (and with them splits and vocabulary), judge, scores."""
    counts = self._score("token_counts", "gin/scorers/token_counts.gin")
    yield counts
    used = {sampler.scorer for sampler in samplers if sampler.scorer}
    judged = {"gin/scorers/ask_llm.gin", "gin/scorers/density.gin"} & used
    if judged:
      yield Job(
        name="teach_judge",
        verb="train",
        gin_files=(judge, engine, *self.data),
        leaves=[self.path("judge", "run.json")],
        bindings={
          "OUTPUT": self.path("judge"),
          "JUDGE_TOKENS": self.judge_tokens,
          **self.data_bindings,
        },
        needs=["token_counts"],
      )
    if "gin/scorers/density.gin" in used:
      yield self._score("embedding", "gin/scorers/embedding.gin", model=model)
    for sampler in samplers:
      if sampler.scorer in judged - {"gin/scorers/density.gin"}:
        yield self._score(sampler.name, sampler.scorer, model=model)
      elif sampler.scorer == "gin/scorers/density.gin":
        yield self._score_vectors(sampler)
      elif sampler.scorer:
        yield self._score(sampler.name, sampler.scorer)

  def _score(self, name: str, scorer: str, *, model: str | None = None) -> Job:
    files, bindings, needs = (), {}, ["token_counts"]
    if name == "token_counts":
      needs = []
    if model:
      files, needs = (model,), ["teach_judge"]
      bindings = {"JUDGE_CHECKPOINT": self.path("judge")}
    if name == "ask_llm":
      bindings |= {"JUDGE_TOKENS": self.judge_tokens}
    data = self.data, self.data_bindings
    if name not in ("token_counts", "ask_llm", "embedding"):
      data = self.corpus, self.corpus_bindings
    return Job(
      name=f"score_{name}" if name != "token_counts" else name,
      verb="score",
      gin_files=("gin/runs/score.gin", *data[0], scorer, *files),
      bindings={"OUTPUT": self.path("scores", name), **data[1], **bindings},
      leaves=[self.path("scores", name, "manifest.json")],
      needs=needs,
    )

  def _score_vectors(self, sampler: Sampler) -> Job:
    job = self._score(sampler.name, sampler.scorer)
    return dataclasses.replace(
      job,
      bindings={
        **job.bindings,
        "EMBEDDINGS": self.path("scores", "embedding"),
      },
      needs=["score_embedding"],
    )

  def runs(self, samplers, budgets, *, train: str, engine: str, bindings):
    """A selection and a training run for each sampler, budget and seed."""
    # Seeds outside: the first seed of every sampler is there early.
    seeds = sorted({seed for sampler in samplers for seed in sampler.seeds})
    for seed in seeds:
      for sampler in samplers:
        for budget in (1.0,) if sampler.name == "full" else budgets:
          if seed in sampler.seeds:
            select = self._select(sampler, budget, seed)
            yield select
            yield self._train(select, seed, train, engine, bindings)

  def _select(self, sampler: Sampler, budget: float, seed: int) -> Job:
    name = f"{sampler.name}-{budget:g}-{seed}"
    scores, needs = {}, ["token_counts"]
    if sampler.scorer:
      scores = {"SCORES": self.path("scores", sampler.name)}
      needs.append(f"score_{sampler.name}")
    return Job(
      name=f"select_{name}",
      verb="select",
      gin_files=("gin/runs/select.gin", *self.corpus, sampler.selector),
      bindings={
        "OUTPUT": self.path("selections", name),
        "SAMPLER": sampler.name,
        "KEEP_FRACTION": budget,
        "SEED": seed,
        "TOKEN_COUNTS": self.path("scores", "token_counts"),
        **scores,
        **self.corpus_bindings,
      },
      leaves=[self.path("selections", name, "manifest.json")],
      needs=needs,
    )

  def _train(self, select: Job, seed: int, train: str, engine: str, bindings):
    name = select.name.removeprefix("select_")
    return Job(
      name=f"train_{name}",
      verb="train",
      gin_files=(train, engine, *self.data),
      bindings={
        "OUTPUT": self.path("runs", name),
        "SELECTION": select.bindings["OUTPUT"],
        "SEED": seed,
        **bindings,
        **self.data_bindings,
      },
      leaves=[self.path("runs", name, "run.json")],
      needs=[select.name],
    )

  def reporting(self, needs: Sequence[str], *, command: str):
    """results.json, then index.html."""
    bindings = {"EXPERIMENT": str(self.root), **self.corpus_bindings}
    yield Job(
      name="evaluate",
      verb="evaluate",
      gin_files=("gin/runs/evaluate.gin", *self.corpus),
      bindings={"COMMAND": command, **bindings},
      leaves=[self.path("results.json")],
      needs=list(needs),
    )
    yield Job(
      name="report",
      verb="report",
      gin_files=("gin/runs/report.gin", *self.corpus),
      bindings=bindings,
      leaves=[self.path("index.html"), self.path("hq_loss.svg")],
      needs=["evaluate"],
    )


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
