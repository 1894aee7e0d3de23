# SPDX-License-Identifier: Apache-2.0
"""A quickstart of test size: its corpus, its gin files, its jobs."""

import contextlib
import json
import pathlib
from collections.abc import Iterator

import jax
import pytest

from data_efficient import gin_config, main
from data_efficient.cli import quickstart

WORDS = (
  "the of and to in is that it was for on are as with they be at one have this"
  " from by hot word but what some we can out other were all there when up use"
  " your how said an each she which do their time if will way about many then"
  " them write would like so these her long make thing see him two has look"
).split()
BINDINGS = {
  "JUDGE_TOKENS": 400,
  "STEPS": 4,
  "SEEDS": (0,),
  "COMPARED_SEEDS": (0, 1),
  "BUDGETS": (0.4,),
}


def _sentence(generator, length: int) -> str:
  return " ".join(generator.choice(WORDS) for _ in range(length)) + "."


def write_corpus(directory: pathlib.Path, *, seed: int = 0) -> str:
  """Edited prose, raw lists and repeated notices in three files."""
  import random

  generator = random.Random(seed)
  directory.mkdir(parents=True)
  rows = {"edited": [], "raw": [], "mixed": []}
  for number in range(60):
    prose = " ".join(_sentence(generator, 12) for _ in range(8))
    rows["edited"].append(("wikipedia", f"{prose} Number {number}."))
    table = "\n".join(f"{generator.random():.5f};{number}" for _ in range(30))
    rows["raw"].append(("table", table))
    notice = "All rights are reserved, whatever they are. " * 6
    rows["mixed"].append(
      ("notice", notice if number % 3 else f"{table}{prose}")
    )
  for name, records in rows.items():
    lines = [json.dumps({"source": s, "text": t}) for s, t in records]
    (directory / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
  return str(directory / "*.jsonl")


def jobs(
  monkeypatch,
  output: pathlib.Path,
  files: str,
  small: pathlib.Path,
  *,
  gin_files=(),
  bindings=None,
):
  """The quickstart's jobs, with networks and vocabulary of test size."""
  captured = []
  monkeypatch.setattr(
    quickstart.jobs, "run", lambda jobs, **_: captured.extend(jobs)
  )
  monkeypatch.setattr(quickstart, "_print_end", lambda root: None)
  values = {**BINDINGS, "OUTPUT": str(output), "FILES": files}
  values |= bindings or {}
  gin_config.parse(
    [
      "gin/runs/quickstart.gin",
      "gin/data/quickstart_files.gin",
      str(small / "quickstart.gin"),
      *gin_files,
    ],
    [f"{name}={value!r}" for name, value in values.items()],
  )
  gin_config.configured(quickstart.quickstart)()
  return captured


def write_small(directory: pathlib.Path) -> pathlib.Path:
  """Gin files that shrink every step of the quickstart."""
  directory.mkdir(parents=True, exist_ok=True)
  (directory / "model.gin").write_text(
    "include 'gin/models/t5_1_1_quickstart.gin'\n"
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.models import encoder_decoder\n"
    "encoder_decoder.T5Config:\n"
    "  vocab_size = 640\n  emb_dim = 16\n  num_heads = 2\n  head_dim = 8\n"
    "  mlp_dim = 32\n  num_encoder_layers = 1\n  num_decoder_layers = 1\n"
  )
  (directory / "train.gin").write_text(
    "include 'gin/runs/train_quickstart.gin'\n"
    f"include '{directory}/model.gin'\n"
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.training import pretraining\n"
    "BATCH_SIZE = 4\nEVALUATION_PERIOD = 2\n"
    "pretraining.pretraining:\n  inputs = 48\n  evaluation_batches = 2\n"
  )
  (directory / "teach.gin").write_text(
    "include 'gin/runs/teach_judge.gin'\n"
    f"include '{directory}/model.gin'\n"
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.training import teaching\n"
    "TEACHING_STEPS = 4\n"
    "teaching.teaching:\n  batch_size = 4\n  evaluation_batches = 1\n"
  )
  (directory / "vocabulary.gin").write_text(
    "include 'gin/data/trained_vocabulary.gin'\n"
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.data import prepared\n"
    "prepared.trained_vocabulary.pieces = 400\n"
  )
  (directory / "embedding.gin").write_text(
    "include 'gin/scorers/latent_semantic.gin'\n"
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.scorers import latent_semantic\n"
    "latent_semantic.LatentSemantic.dimensions = 8\n"
  )
  (directory / "quickstart.gin").write_text(
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.cli import chain\n"
    "from data_efficient.cli import quickstart\n"
    "from data_efficient.cli import stages\n"
    f"quickstart.quickstart.train = '{directory}/train.gin'\n"
    f"chain.Chain.vocabulary = ('{directory}/vocabulary.gin',)\n"
    f"judge/stages.Stage.gin_files = ('{directory}/teach.gin',)\n"
    "ask_llm/stages.Stage.gin_files = "
    f"('gin/scorers/ask_llm.gin', '{directory}/model.gin')\n"
    f"embedding/stages.Stage.gin_files = ('{directory}/embedding.gin',)\n"
    f"pretrain/stages.Stage.gin_files = ('{directory}/train.gin',)\n"
    "perplexity/stages.Stage.gin_files = "
    f"('gin/scorers/perplexity.gin', '{directory}/model.gin')\n"
    "CLUSTERS = 16\n"
    "AT_MOST = {'*': 0.5}\n"
  )
  return directory


def run_job(job, **bindings) -> int:
  """A job in this process, with some bindings changed; the exit code."""
  words = job.words()
  words += [f"--gin.{name}={value!r}" for name, value in bindings.items()]
  return main.main(words)


@contextlib.contextmanager
def shared_training() -> Iterator[None]:
  """Runs of a network and seed are traced once; evaluation sets are read once.

  That is two thirds of the time of a run of four steps.
  """
  from data_efficient.training import batches, local

  functions, evaluation = local._functions, batches.evaluation
  known = {}

  def kept(make, *key):
    if key not in known:
      known[key] = make()
    return known[key]

  def shared_functions(run, mesh, microbatches):
    rates = tuple(float(run.schedule(step)) for step in (0, 1000))
    return kept(
      lambda: functions(run, mesh, microbatches),
      *(run.network, run.seed, run.z_loss, rates, mesh, microbatches),
    )

  def shared_evaluation(run):
    lengths, sets = run.task_feature_lengths, run.measured_on
    return kept(
      lambda: evaluation(run),
      *(tuple(run.evaluation_tasks), str(lengths), str(sets)),
      *(run.network, run.batch_size, run.evaluation_batches),
    )

  with pytest.MonkeyPatch.context() as monkeypatch:
    monkeypatch.setattr(local, "_functions", shared_functions)
    monkeypatch.setattr(batches, "evaluation", shared_evaluation)
    yield


class Experiment:
  """A finished quickstart."""

  def __init__(self, root: pathlib.Path, jobs, files: str):
    self.root = root
    self.jobs = {job.name: job for job in jobs}
    self.files = files

  def results(self) -> dict:
    return json.loads((self.root / "results.json").read_text())


def run_all(root: pathlib.Path) -> Experiment:
  """A whole quickstart on a small corpus, in this process."""
  # The runs compile the same steps again and again: once is enough.
  jax.config.update("jax_compilation_cache_dir", str(root / "cache"))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
  write_corpus(root / "files")
  write_small(root / "gin")
  made = planned(root)
  with shared_training():
    for job in made.jobs.values():
      assert run_job(job) == 0, job.command()
  return made


def planned(root: pathlib.Path) -> Experiment:
  """The same quickstart by its files alone, whoever runs it."""
  files = str(root / "files" / "*.jsonl")
  with pytest.MonkeyPatch.context() as monkeypatch:
    found = jobs(monkeypatch, root / "out", files, root / "gin")
  return Experiment(root / "out", found, files)
