# SPDX-License-Identifier: Apache-2.0
"""Every gin file parses, and every resolved run is a reviewed file.

`UPDATE_GOLDEN=1 python -m pytest tests/gin_files_test.py` rewrites
tests/golden; the diff is what a change does to the experiments.
"""

import os
import pathlib
import re

import pytest

from data_efficient import gin_config
from data_efficient.cli import quickstart

GOLDEN = pathlib.Path(__file__).parent / "golden"
RUNS = {
  "quickstart": ["gin/runs/quickstart.gin"],
  "quickstart_files": [
    "gin/runs/quickstart.gin",
    "gin/data/quickstart_files.gin",
  ],
  "quickstart_files_with_hq": [
    "gin/runs/quickstart.gin",
    "gin/data/quickstart_files_with_hq.gin",
  ],
  "quickstart_files_with_sets": [
    "gin/runs/quickstart.gin",
    "gin/data/quickstart_files_with_sets.gin",
  ],
  "quickstart_judge": [
    "gin/runs/quickstart.gin",
    "gin/runs/quickstart_judge.gin",
  ],
  "quickstart_encoder": [
    "gin/runs/quickstart.gin",
    "gin/runs/quickstart_encoder.gin",
  ],
  "convergence": ["gin/runs/convergence.gin"],
}
FILES = {
  "FILES": "corpus/*.jsonl.gz",
  "HQ_FILES": "edited/*.txt",
  "IN_DISTRIBUTION_FILES": "same/*.jsonl",
  "JUDGE": "flan-t5-small",
  "JUDGE_VOCABULARY": "flan-t5-small/spiece.model",
  "ENCODER": "sentence-t5-base",
}


def _jobs(monkeypatch, gin_files, names=()):
  """The jobs that a quickstart would run, and its resolved gin."""
  captured = []
  monkeypatch.setattr(
    quickstart.jobs, "run", lambda jobs, **_: captured.extend(jobs)
  )
  monkeypatch.setattr(quickstart, "_print_end", lambda root: None)
  gin_config.parse(gin_files, [f"{name}={FILES[name]}" for name in names])
  gin_config.configured(quickstart.quickstart)()
  return captured


def _macros(gin_files):
  text = "".join((gin_config.ROOT / path).read_text() for path in gin_files)
  return [name for name in FILES if f"\n{name} = %gin.REQUIRED" in text]


def _compare(name: str, text: str) -> None:
  path = GOLDEN / f"{name}.gin"
  if os.environ.get("UPDATE_GOLDEN"):
    path.write_text(text)
  assert path.exists(), f"{path} is missing: run with UPDATE_GOLDEN=1"
  assert text == path.read_text(), f"{path}: review, then UPDATE_GOLDEN=1"


def test_gin_is_no_package(root):
  # With an __init__.py the folder would replace the gin library.
  assert list((root / "gin").rglob("__init__.py")) == []


@pytest.mark.parametrize("name", RUNS)
def test_resolved_quickstarts_are_the_reviewed_ones(monkeypatch, name):
  _jobs(monkeypatch, RUNS[name], _macros(RUNS[name]))
  text = gin_config.resolved()
  _compare(name, text if name == "quickstart" else _beside_the_first(text))


def _beside_the_first(text: str) -> str:
  """What is other than in the first quickstart, which names all samplers."""
  first, found = (
    dict(re.findall(r"^(\S+) = (.*(?:\n +.*)*)", resolved, re.MULTILINE))
    for resolved in ((GOLDEN / "quickstart.gin").read_text(), text)
  )
  assert set(first) <= set(found)
  return "".join(
    f"{name} = {value}\n"
    for name, value in found.items()
    if first.get(name) != value
  )


def _first_of_each_kind(jobs):
  """Leaves out runs that differ in seed and budget alone."""
  kinds = {}
  for job in jobs:
    kind = job.name.split("-")[0]
    kinds.setdefault("train" if kind.startswith("train_") else kind, job)
  return kinds


def test_resolved_steps_are_the_reviewed_ones(monkeypatch):
  jobs = _jobs(monkeypatch, RUNS["quickstart"])
  kinds = _first_of_each_kind(jobs)
  for name in ("train", "score_ask_llm", "score_density", "select_density"):
    assert name in kinds
  for name, job in kinds.items():
    gin_config.parse(
      job.gin_files, [f"{k}={v!r}" for k, v in job.bindings.items()]
    )
    _compare(f"quickstart_{name}", gin_config.resolved())


def test_a_job_comes_after_the_jobs_that_it_needs(monkeypatch):
  for gin_files in RUNS.values():
    seen = set()
    for job in _jobs(monkeypatch, gin_files, _macros(gin_files)):
      assert job.name not in seen
      assert set(job.needs) <= seen
      seen.add(job.name)


def _closure(job, jobs):
  found = set(job.needs)
  for name in job.needs:
    found |= _closure(jobs[name], jobs)
  return found


def test_a_job_needs_whatever_makes_what_it_reads(monkeypatch):
  jobs = {job.name: job for job in _jobs(monkeypatch, RUNS["quickstart"])}
  makers = {job.bindings.get("OUTPUT"): name for name, job in jobs.items()}
  for name, job in jobs.items():
    reads = {
      makers[value]
      for macro, value in job.bindings.items()
      if macro != "OUTPUT" and isinstance(value, str) and value in makers
    }
    assert reads <= _closure(job, jobs), name
    # All share the corpus's directory, which the first job prepares.
    assert name == "token_counts" or "token_counts" in _closure(job, jobs)


def test_the_quickstart_is_what_its_issue_asks_for(monkeypatch):
  names = [job.name for job in _jobs(monkeypatch, RUNS["quickstart"])]
  runs = [name for name in names if name.startswith("train_")]
  for sampler, seeds in (
    *(("full-1", 2), ("random-0.2", 3), ("ask_llm-0.2", 3)),
    *(("density-0.2", 2), ("quality_classifier-0.2", 2)),
  ):
    assert sum(f"_{sampler}-" in name for name in runs) >= seeds, sampler
  convergence = _jobs(monkeypatch, RUNS["convergence"])
  runs = [job.name for job in convergence if job.name.startswith("train_")]
  assert len(runs) == 5 + 4 * 3 * 5


def test_the_paper_s_setting_is_what_ships(monkeypatch):
  gin_config.parse(
    [
      "gin/runs/train.gin",
      "gin/data/files.gin",
      "gin/data/vocabulary_file.gin",
      "gin/models/t5_1_1_quickstart.gin",
      "gin/engines/local.gin",
    ],
    [
      *("FILES=x", "PREPARED=x", "VOCABULARY_FILE=x"),
      *("SELECTION=x", "OUTPUT=x"),
    ],
  )
  text = gin_config.resolved()
  for line in (
    *("STEPS = 1000000", "BATCH_SIZE = 1024", "pretraining.inputs = 512"),
    *("noise_density = 0.15", "mean_span_length = 3.0"),
    *("rsqrt.base = 1.0", "rsqrt.warmup_steps = 10000"),
  ):
    assert line in text


def test_a_run_may_select_for_itself():
  gin_config.parse(
    [
      "gin/runs/train.gin",
      "gin/data/files.gin",
      "gin/data/vocabulary_file.gin",
      "gin/models/t5_1_1_quickstart.gin",
      "gin/engines/local.gin",
      "gin/data/selected.gin",
      "gin/selectors/inverse_propensity.gin",
    ],
    [
      *("FILES=x", "PREPARED=x", "VOCABULARY_FILE=x", "OUTPUT=x"),
      *("SELECTIONS=x", "SAMPLER=density", "TOKEN_COUNTS=x", "SCORES=x"),
      *("WEIGHTS=importance", "LOSS_WEIGHTS=True"),
    ],
  )
  text = gin_config.resolved()
  assert "SELECTION = @selection/config.singleton()" in text
  assert "KEEP_FRACTION = 0.1" in text


def test_the_verb_cache_parses():
  gin_config.parse(
    [
      "gin/runs/cache.gin",
      "gin/data/files.gin",
      "gin/data/vocabulary_file.gin",
    ],
    ["FILES=x", "PREPARED=x", "VOCABULARY_FILE=x", "OUTPUT=x"],
  )


def test_the_readme_s_command_for_a_real_judge_parses(root):
  import shlex

  text = (root / "README.md").read_text().replace("\\\n", " ")
  (line,) = re.findall(r"python -m data_efficient (score .*)", text)
  words = shlex.split(line)[1:]
  files = [w.split("=", 1)[1] for w in words if w.startswith("--gin_file=")]
  bindings = [w[len("--gin.") :] for w in words if w.startswith("--gin.")]
  gin_config.parse(files, bindings)
  assert "JUDGE_KIND = 'flan_t5_small'" in gin_config.resolved()
