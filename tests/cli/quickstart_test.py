# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json

import numpy as np
import pytest

from data_efficient.data import score_sets, selections
from tests import quickstarts
from tests.quickstarts import run_job, write_corpus

SAMPLERS = {"full", "random", "ask_llm", "density", "quality_classifier"}


def _bytes(directory):
  return {
    path.relative_to(directory): path.read_bytes()
    for path in sorted(directory.rglob("*"))
    if path.is_file()
  }


def test_results_hold_every_figure_of_the_contract(experiment):
  results = experiment.results()
  assert {run["sampler"] for run in results["runs"]} == SAMPLERS
  for run in results["runs"]:
    assert run["steps"] == [0, 2, 4]
    assert len(run["hq_loss"]) == len(run["in_distribution_loss"]) == 3
    assert run["final_hq_loss"] == pytest.approx(np.mean(run["hq_loss"]))
    assert run["epochs"] > 0
    if run["sampler"] == "full":
      assert run["kept_fraction"] == 1.0
    else:
      assert 0.4 <= run["kept_fraction"] < 0.6
  judge = results["judge"]
  assert judge["name"] == "stand_in" and 0 <= judge["held_out_accuracy"] <= 1
  assert results["scoring_seconds"]["ask_llm"]["total"] > 0
  assert results["corpus"]["splits"]["pool"] > 0


def test_the_report_is_one_page_that_names_every_sampler(experiment):
  page = (experiment.root / "index.html").read_text()
  assert "stand_in" in page and "<svg" in page
  assert "http://" not in page.replace("http://www.w3.org", "")
  assert "src=" not in page


def test_selections_stay_in_the_pool_and_evaluation_sets_out_of_it(experiment):
  splits = {
    name: selections.Selection.open(experiment.root / "corpus/splits" / name)
    for name in ("pool", "reference", "hq", "in_distribution")
  }
  for path in (experiment.root / "selections").iterdir():
    kept = selections.Selection.open(path)
    for shard in kept.shards:
      assert not (kept.mask(shard) & ~splits["pool"].mask(shard)).any()
  for shard in splits["pool"].shards:
    together = sum(split.mask(shard).astype(int) for split in splits.values())
    assert together.max() <= 1


def test_every_record_has_a_status(experiment):
  for path in (experiment.root / "scores").iterdir():
    scores = score_sets.ScoreSet.open(path)
    statuses = np.concatenate(list(scores.statuses().values()))
    assert len(statuses) == 180
    assert set(statuses) <= {"scored", "not_requested"}


def test_density_reports_its_weights_and_what_it_included(experiment):
  rows = experiment.results()["selections"].values()
  (row,) = [row for row in rows if row["sampler"] == "density"]
  assert row["weight_max"] > row["weight_min"] == 1
  assert 0 < row["effective_share"] < 1
  assert set(row["inclusion"]) == {"duplicated", "unique", "rare"}


@pytest.mark.parametrize(
  "name",
  ["token_counts", "score_ask_llm", "select_random-0.4-0", "train_full-1-0"],
)
def test_a_finished_verb_does_nothing(experiment, name):
  job = experiment.jobs[name]
  before = _bytes(experiment.root / job.bindings["OUTPUT"])
  assert run_job(job) == 0
  after = _bytes(experiment.root / job.bindings["OUTPUT"])
  for timed in ("cost.json",):
    before = {k: v for k, v in before.items() if k.name != timed}
    after = {k: v for k, v in after.items() if k.name != timed}
  assert after == before


def test_scoring_again_gives_the_same_bytes(experiment, tmp_path):
  job = experiment.jobs["score_ask_llm"]
  assert run_job(job, OUTPUT=str(tmp_path / "again")) == 0
  first = _bytes(experiment.root / "scores" / "ask_llm")
  again = _bytes(tmp_path / "again")
  for path, data in first.items():
    if path.suffix == ".parquet" or path.name == "manifest.json":
      assert again[path] == data, path


def test_a_score_set_resumes_at_the_missing_part(experiment, tmp_path):
  job = experiment.jobs["score_quality_classifier"]
  target = tmp_path / "resumed"
  first = _bytes(experiment.root / "scores" / "quality_classifier")
  assert run_job(job, OUTPUT=str(target)) == 0
  manifest = json.loads((target / "manifest.json").read_text())
  lost = sorted(manifest["parts"])[-1]
  del manifest["parts"][lost]
  manifest |= {"complete": False, "summary": {}}
  (target / "manifest.json").write_text(json.dumps(manifest))
  (target / lost).unlink()
  assert run_job(job, OUTPUT=str(target)) == 0
  assert (target / lost).read_bytes() == first[
    next(path for path in first if path.name == lost)
  ]


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.5])
def test_a_kept_fraction_outside_its_range_is_refused(
  experiment, tmp_path, capsys, fraction
):
  job = experiment.jobs["select_random-0.4-0"]
  output = tmp_path / "selection"
  assert run_job(job, OUTPUT=str(output), KEEP_FRACTION=fraction) == 2
  assert f"at most 1, got {fraction}" in capsys.readouterr().err
  assert not output.exists()


def test_scores_of_another_corpus_are_refused(experiment, tmp_path, capsys):
  job = experiment.jobs["select_ask_llm-0.4-0"]
  other = write_corpus(tmp_path / "other", seed=1)
  output = tmp_path / "selection"
  code = run_job(
    job, OUTPUT=str(output), FILES=other, PREPARED=str(tmp_path / "prepared")
  )
  assert code == 2
  error = capsys.readouterr().err
  assert "token_counts" in error and "fingerprint" in error
  assert not output.exists()


def _with_a_real_judge(experiment, tmp_path, monkeypatch):
  """The jobs of a quickstart whose judge is a checkpoint that is there."""
  small = experiment.root.parent / "gin"
  (vocabulary,) = (experiment.root / "corpus/vocabulary").rglob("*.model")
  return quickstarts.jobs(
    monkeypatch,
    tmp_path / "out",
    experiment.files,
    small,
    gin_files=["gin/runs/quickstart_judge.gin"],
    bindings={
      "JUDGE": str(experiment.root / "models/teach_judge"),
      "JUDGE_VOCABULARY": str(vocabulary),
      "JUDGE_KIND": "t5_tiny",
      "JUDGE_MODEL": str(small / "model.gin"),
      "JUDGE_TOKENS": 300,
    },
  )


def test_a_real_judge_is_asked_and_none_is_taught(
  experiment, tmp_path, monkeypatch
):
  jobs = _with_a_real_judge(experiment, tmp_path, monkeypatch)
  names = {job.name: job for job in jobs}
  assert "teach_judge" not in names
  for name in ("token_counts", "score_ask_llm"):
    assert run_job(names[name]) == 0
  judged = names["score_ask_llm"].bindings["OUTPUT"]
  scorer = score_sets.ScoreSet.open(judged).identity["scorer"]
  assert scorer["judge"]["kind"] == "t5_tiny"
  assert scorer["question"]["max_input_tokens"] == 300
  assert names["evaluate"].bindings["STAGES"]["ask_llm"] == {
    "ask_llm": "scores/ask_llm"
  }


def test_a_missing_checkpoint_is_named(experiment, tmp_path, capsys):
  job = experiment.jobs["score_ask_llm"]
  missing = str(tmp_path / "no_judge")
  output = tmp_path / "scores"
  assert run_job(job, OUTPUT=str(output), JUDGE_CHECKPOINT=missing) == 2
  assert missing in capsys.readouterr().err
  assert not output.exists()


def test_a_changed_prompt_is_refused_by_name(experiment, capsys):
  job = experiment.jobs["score_ask_llm"]
  assert run_job(job, JUDGE_TOKENS=399) == 2
  error = capsys.readouterr().err
  assert "max_input_tokens" in error and "400" in error and "399" in error


def test_a_run_of_another_configuration_is_refused(experiment, capsys):
  job = experiment.jobs["train_random-0.4-0"]
  assert run_job(job, STEPS=6) == 2
  assert "STEPS = 4" in capsys.readouterr().err


def test_a_changed_corpus_is_refused(experiment, tmp_path, capsys):
  files = write_corpus(tmp_path / "files")
  bindings = {"FILES": files, "PREPARED": str(tmp_path / "prepared")}
  job = experiment.jobs["token_counts"]
  assert run_job(job, OUTPUT=str(tmp_path / "a"), **bindings) == 0
  path = tmp_path / "files" / "raw.jsonl"
  path.write_text(path.read_text() + '{"text": "one more"}\n')
  assert run_job(job, OUTPUT=str(tmp_path / "b"), **bindings) == 2
  assert "raw.jsonl" in capsys.readouterr().err
  assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
  "name, content, words",
  [
    ("x.jsonl", b'{"text": "a"}\n{"text": \n', "row 1"),
    ("x.jsonl", b'{"text": "a"}\n{"body": "b"}\n', "row 1"),
    ("x.jsonl", b'{"text": "a\xff"}\n', "row 0"),
    ("x.jsonl", b"", "empty"),
    ("y.jsonl", b'{"text": "a"}\n', "*"),
  ],
  ids=["json", "no text", "utf-8", "empty", "empty glob"],
)
def test_bad_input_names_file_and_row_and_leaves_nothing(
  experiment, tmp_path, capsys, name, content, words
):
  (tmp_path / name).write_bytes(content)
  job = experiment.jobs["token_counts"]
  output = tmp_path / "scores"
  code = run_job(
    job,
    OUTPUT=str(output),
    FILES=str(tmp_path / "x*"),
    PREPARED=str(tmp_path / "prepared"),
  )
  assert code == 2
  error = capsys.readouterr().err
  assert words in error
  if words not in ("empty", "*"):
    assert name in error
  assert not output.exists()
  assert not list(tmp_path.rglob("*.tmp"))
  # Nothing of it stands in the way of the mended corpus.
  assert not list((tmp_path / "prepared").rglob("manifest.json"))


def test_a_vocabulary_larger_than_the_network_s_is_refused(
  experiment, tmp_path, capsys
):
  job = experiment.jobs["train_random-0.4-0"]
  small = tmp_path / "small.gin"
  small.write_text(
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.models import encoder_decoder\n"
    "encoder_decoder.T5Config.vocab_size = 128\n"
  )
  job = dataclasses.replace(job, gin_files=[*job.gin_files, str(small)])
  assert run_job(job, OUTPUT=str(tmp_path / "run")) == 2
  assert "vocab_size is 128" in capsys.readouterr().err
