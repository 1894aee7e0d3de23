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
  "paper_grid": [
    *(*_PAPER, *_GRID, "--suites=squad few_shot", "--questions=Q"),
  ],
  "convergence": [*_PAPER, "--judge=J", "--suites=glue", "--points=2"],
  "judge_size": [*_PAPER, "--judges=J"],
  "installed_text": [],
  "density_bandwidth": ["--encoder=E"],
  "smoke": ["--corpus=c4/*.jsonl"],
  "delift_instruction": ["--base=B", "--files=i/*.jsonl", "--task_field=task"],
  "delift_task": [
    *("--base=B", "--pool=p/*.jsonl", "--targets=t.jsonl", "--test=e.jsonl"),
    "--gin.SELECTIT_MODEL=S",
  ],
  "delift_small": ["--files=i/*.jsonl", "--target=t.jsonl", "--text=x/*.jsonl"],
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
  found = [job.name for job in _load(name, ARGUMENTS[name])]
  # Of several uses each has a name before these.
  full = [other for other in found if other.endswith("select_full-1-0")]
  assert full
  for each in full:
    random = each.replace("full-1-0", "random-")
    assert any(other.startswith(random) for other in found)


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
  assert sum(name.startswith("train_") for name in found) == (1 + 3 * 5) * 2


def test_networks_are_asked_what_the_paper_s_table_has():
  words = [*_PAPER, *_GRID, "--suites=squad few_shot", "--questions=Q"]
  found = {job.name: job for job in _load("paper_grid", words)}
  trained = [name for name in found if name.startswith("train_")]
  for name in trained:
    run = found[name].bindings["OUTPUT"]
    for suite in ("squad", "few_shot"):
      whose = f"{name.removeprefix('train_')}-{suite}"
      tune, asked = found[f"tune_{whose}"], found[f"suite_{whose}"]
      assert tune.needs == (name,) and asked.needs == (tune.name,)
      start = f"{run}/checkpoints/checkpoint_1000000"
      assert tune.bindings["INITIAL_CHECKPOINT"] == start
      size = whose.split("-")[0]
      assert f"gin/models/t5_1_1_{size}.gin" in (
        {*tune.gin_files} & {*asked.gin_files}
      )
      # Where `evaluate` reads it.
      assert asked.leaves == (f"{run}/{suite}/suites.json",)
      assert asked.bindings["OUTPUT"] == f"{run}/{suite}"
      assert asked.bindings["CHECKPOINTS"] == [
        f"{run}/{suite}/tuned/checkpoints/checkpoint_{step}"
        for step in (65536, 131072, 196608, 262144)
      ]
      assert asked.name in found["evaluate"].needs
  questions = found[f"suite_{trained[0].removeprefix('train_')}-few_shot"]
  assert questions.bindings["MMLU_FILES"] == "Q/mmlu*.jsonl*"


def test_by_default_all_of_it_that_tfds_has_is_asked():
  found = _load("paper_grid", [*_PAPER, *_GRID])
  asked = {job.name.split("-")[-1] for job in found if job.verb == "suite"}
  assert asked == {"glue", "super_glue", "cnn_dailymail", "squad"}
  none = _load("paper_grid", [*_PAPER, *_GRID, "--suites="])
  assert {job.verb for job in found} - {job.verb for job in none} == {"suite"}


def test_every_tenth_of_a_run_is_asked_by_the_config_of_convergence():
  words = [*_PAPER, "--judge=J", "--engine=local"]
  found = {job.name: job for job in _load("convergence", words)}
  run = found["train_large-full-1-0"]
  assert run.bindings["KEEP_PERIOD"] == 100_000
  assert "gin/runs/keep.gin" in run.gin_files
  place = run.bindings["OUTPUT"]
  for suite in ("glue", "super_glue"):
    for step in range(100_000, 1_000_001, 100_000):
      tune = found[f"tune_large-full-1-0-{suite}-{step}"]
      asked = found[f"suite_large-full-1-0-{suite}-{step}"]
      start = tune.bindings["INITIAL_CHECKPOINT"]
      assert start == f"{place}/checkpoints/{step}"
      assert asked.leaves == (f"{place}/{suite}/{step}/suites.json",)
  assert sum(job.verb == "suite" for job in found.values()) == 9 * 2 * 10


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
  trained = [
    job for job in _load("paper_grid", given) if job.name.startswith("train_")
  ]
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
      ["configs/convergence.py", *_PAPER, "--judge=J", "--suites=super_glu"],
      "no suite 'super_glu' (did you mean super_glue?)",
    ),
    (
      ["configs/convergence.py", *_PAPER, "--judge=J", "--points=7"],
      "--points=7: expected a divisor of the 1000000 steps",
    ),
    (
      ["configs/paper_grid.py", *_PAPER, *_GRID, "--suites=few_shot"],
      "give --questions=DIRECTORY, with mmlu*.jsonl",
    ),
    (
      ["configs/paper_grid.py", *_PAPER, *_GRID, "--tuned_checkpoints=3"],
      "--tuned_checkpoints=3: expected a divisor of the 262144 steps",
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
