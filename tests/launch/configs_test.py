# SPDX-License-Identifier: Apache-2.0
"""The commands of every config; run as a module it writes the golden files."""

import collections
import contextlib
import io
import pathlib

import pytest

from configs import paper_grid
from data_efficient.cli import stages
from launch import configs, local

GOLDEN = pathlib.Path(__file__).parent.parent / "golden/launch"
_PAPER = ["--corpus=c4/*.jsonl", "--vocabulary=V"]
_GRID = [
  "--samplers=ask_llm_xl density",
  "--gin.ASK_LLM_XL_CHECKPOINT=J",
  "--gin.ENCODER=E",
]
ARGUMENTS = {
  "paper_grid": [*_PAPER, *_GRID],
  "convergence": [*_PAPER, "--judge=J"],
  "judge_size": [*_PAPER, "--judges=J"],
  "installed_text": [],
  "density_bandwidth": ["--encoder=E"],
  "smoke": ["--corpus=c4/*.jsonl"],
}


def _load(name: str, words):
  return configs.load(pathlib.Path(f"configs/{name}.py"), words)


def _printed(name: str) -> str:
  with contextlib.redirect_stdout(io.StringIO()) as stream:
    words = [f"configs/{name}.py", *ARGUMENTS[name], "--dry_run"]
    assert local.main(words) == 0
  return stream.getvalue()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_commands_are_those_of_the_golden_file(name):
  assert _printed(name) == (GOLDEN / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_job_comes_after_what_it_needs_and_writes_to_its_own_place(name):
  seen, places = set(), collections.Counter()
  for job in _load(name, ARGUMENTS[name]):
    assert set(job.needs) <= seen, job.name
    assert job.name not in seen
    seen.add(job.name)
    places.update(job.leaves)
  assert max(places.values()) == 1


@pytest.mark.parametrize("name", ARGUMENTS)
def test_full_and_random_are_always_in(name):
  found = {job.name for job in _load(name, ARGUMENTS[name])}
  assert "select_full-1-0" in found
  assert any(other.startswith("select_random-") for other in found)


def test_runs_of_both_sizes_are_evaluated():
  found = {
    job.name: job for job in _load("paper_grid", ARGUMENTS["paper_grid"])
  }
  names = [f"train_{size}-density-0.2-0" for size in ("small", "large")]
  for name in names:
    job = found[name]
    place = "out/paper_grid/runs/" + name.removeprefix("train_")
    assert job.bindings["OUTPUT"] == place
    assert job.leaves == (f"{place}/run.json",)
    assert job.needs == ["select_density-0.2-0"]
  assert found[names[0]].gin_files[0] == "gin/runs/train_small.gin"
  assert found[names[1]].gin_files[0] == "gin/runs/train_large.gin"
  assert set(names) <= set(found["evaluate"].needs)
  # Full, once, and three samplers at five shares; each in two sizes.
  assert sum(job.verb == "train" for job in found.values()) == (1 + 3 * 5) * 2


def test_the_paper_s_grid_names_all_checkpoints_that_it_lacks():
  with pytest.raises(stages.ChainError) as raised:
    _load("paper_grid", _PAPER)
  message = str(raised.value)
  for macro in ("ASK_LLM_XXL_CHECKPOINT", "ASK_LLM_GEMMA_7B_CHECKPOINT"):
    assert f"--gin.{macro}=DIRECTORY" in message
  for macro in ("PERPLEXITY_XL_CHECKPOINT", "T5_LARGE_CHECKPOINTS", "ENCODER"):
    assert message.count(f"--gin.{macro}=DIRECTORY") == 1
  words = dict.fromkeys(
    word.removeprefix("--gin.").partition("=")[0]
    for word in message.split()
    if word.startswith("--gin.")
  )
  given = [*_PAPER, *(f"--gin.{name}=D" for name in words)]
  trained = [j for j in _load("paper_grid", given) if j.verb == "train"]
  count = len(paper_grid.SAMPLERS.split())
  assert count == 21 and len(trained) == (1 + (count + 1) * 5) * 2


def test_an_unknown_sampler_lists_those_that_are_there(capsys):
  words = ["configs/paper_grid.py", *_PAPER, "--samplers=ask_lm_xl"]
  assert local.main(words) == 2
  assert "'ask_lm_xl' (did you mean ask_llm_xl?)" in capsys.readouterr().err


@pytest.mark.parametrize(
  "words, message",
  [
    (["configs/smok.py"], "did you mean configs/smoke.py?"),
    (["configs/nothing.py"], "there are configs/convergence.py"),
    (["configs/chain.py"], "no such config; there are"),
    (["configs/smoke.py"], "--corpus is missing; it takes --output, --corpus"),
    (["configs/smoke.py", "--corps=x"], "did you mean --corpus?"),
    (
      ["configs/smoke.py", "--corpus=x", "--steps=many"],
      "--steps=many: expected a number (int)",
    ),
    (
      ["configs/smoke.py", "--corpus=x", "--size=huge"],
      "--size=huge: expected one of tiny, quickstart",
    ),
    (
      ["configs/smoke.py", "--corpus=x", "--gin.CLUSTERS=3"],
      "--gin.CLUSTERS: it takes no gin macros",
    ),
    (
      ["configs/density_bandwidth.py", "--gin.CLUSTRES=3"],
      "macro CLUSTRES",
    ),
  ],
)
def test_mistakes_are_named(words, message, capsys):
  assert local.main(words) == 2
  assert message in capsys.readouterr().err


def test_results_say_what_reproduces_them():
  jobs = {job.name: job for job in _load("smoke", ARGUMENTS["smoke"])}
  command = "python -m launch.local configs/smoke.py '--corpus=c4/*.jsonl'"
  assert jobs["evaluate"].bindings["COMMAND"] == command


if __name__ == "__main__":
  for config in ARGUMENTS:
    (GOLDEN / f"{config}.txt").write_text(_printed(config))
