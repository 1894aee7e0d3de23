# SPDX-License-Identifier: Apache-2.0
import pytest

from data_efficient.cli import chain, stages


def _stage(name, **values):
  return stages.Stage(
    name=name, **{"verb": "score", "gin_files": [f"{name}.gin"], **values}
  )


def _sampler(name, **values):
  return stages.Sampler(
    name=name, **{"selector": "select.gin", "seeds": (0,), **values}
  )


def _chain(*parts):
  return chain.Chain(
    output="out",
    corpus=["corpus.gin"],
    corpus_bindings={"FILES": "*.txt"},
    vocabulary=["vocabulary.gin"],
    vocabulary_bindings={"SIZE": 8},
    engine="engine.gin",
    counts="counts.gin",
    stages=parts,
  )


MODEL = _stage("model", verb="train")
VECTORS = _stage("vectors", reads={"CHECKPOINT": "model"})
SCORES = _stage("scores", reads={"EMBEDDINGS": "vectors"}, vocabulary=False)


def test_a_sampler_needs_all_that_its_scores_are_made_of_in_order():
  found = stages.needed(
    [SCORES, VECTORS, MODEL], _sampler("s", scores="scores")
  )
  assert [stage.name for stage in found] == ["model", "vectors", "scores"]
  assert stages.needed([SCORES], _sampler("random")) == []


def test_a_selector_may_read_two_score_sets_and_stand_beside_others():
  made = _chain(MODEL, VECTORS, SCORES, _stage("others"))
  sampler = _sampler(
    "s",
    scores="scores",
    reads={"OTHERS": "others"},
    gin_files=["quotas.gin"],
    bindings={"TEMPERATURE": 2.0, "KEEP_FRACTION": 0.3},
  )
  found = [stage.name for stage in stages.needed(made.stages, sampler)]
  assert found == ["model", "vectors", "scores", "others"]
  select, train = made.runs([sampler], [0.2], train="train.gin", bindings={})
  assert select.gin_files[-2:] == ("select.gin", "quotas.gin")
  assert select.needs == ["token_counts", "score_scores", "score_others"]
  expected = {
    **{"SCORES": "out/scores/scores", "OTHERS": "out/scores/others"},
    **{"TEMPERATURE": 2.0, "SAMPLER": "s", "SEED": 0, "KEEP_FRACTION": 0.3},
  }
  assert expected.items() <= select.bindings.items()
  assert train.needs == [select.name]
  evaluate, report = made.reporting([sampler], needs=[], command="")
  assert report.bindings["SCORES"] == {"s": "scores/scores"}
  assert list(evaluate.bindings["STAGES"]["s"]) == found
  assert evaluate.bindings["SAMPLERS"] == report.bindings["SAMPLERS"] == ["s"]


def test_a_stage_may_select_what_another_one_reads():
  everything = _stage("all", verb="select", bindings={"KEEP_FRACTION": 1.0})
  model = _stage("model", verb="train", reads={"SELECTION": "all"})
  scores = _stage("scores", reads={"CHECKPOINT": "model"})
  jobs = _chain(everything, model, scores).scoring(
    [_sampler("s", scores="scores")]
  )
  jobs = {job.name: job for job in jobs}
  select = jobs["select_all"]
  assert select.gin_files[0] == "gin/runs/select.gin"
  expected = {
    **{"OUTPUT": "out/shortlists/all", "SAMPLER": "all"},
    **{"TOKEN_COUNTS": "out/scores/token_counts", "KEEP_FRACTION": 1.0},
  }
  assert expected.items() <= select.bindings.items()
  assert jobs["model"].bindings["SELECTION"] == "out/shortlists/all"
  assert jobs["model"].needs == ["token_counts", "select_all"]


def test_a_checkpoint_that_nobody_named_is_asked_for_before_anything_runs():
  asking = {"bindings": {"CHECKPOINT": None, "SIZE": 2}, "asks": "JUDGE"}
  made = _chain(_stage("judged", **asking))
  words = r"judged asks a model of yours \(no CHECKPOINT\): give --gin.JUDGE="
  with pytest.raises(stages.ChainError, match=words):
    list(made.scoring([_sampler("s", scores="judged")]))
  assert len(list(made.scoring([_sampler("random")]))) == 1


def test_stages_that_nobody_reads_are_not_run():
  jobs = list(_chain(MODEL, VECTORS, _stage("idle")).scoring([_sampler("r")]))
  assert [job.name for job in jobs] == ["token_counts"]


def test_a_stage_gets_the_directories_of_what_it_reads():
  found = _chain(MODEL, VECTORS, SCORES)
  jobs = {j.name: j for j in found.scoring([_sampler("s", scores="scores")])}
  assert jobs["score_vectors"].bindings["CHECKPOINT"] == "out/models/model"
  assert jobs["score_vectors"].needs == ["token_counts", "model"]
  assert jobs["score_scores"].bindings["EMBEDDINGS"] == "out/scores/vectors"
  assert jobs["model"].leaves == ["out/models/model/run.json"]
  assert "vocabulary.gin" in jobs["score_vectors"].gin_files
  assert "vocabulary.gin" not in jobs["score_scores"].gin_files
  assert "SIZE" not in jobs["score_scores"].bindings
  assert jobs["model"].gin_files[0] != "gin/runs/score.gin"


def test_the_report_is_told_where_scores_and_costs_are():
  samplers = [
    _sampler("density", scores="scores"),
    _sampler("ask_llm", scores="vectors", judged="the judge"),
    _sampler("random"),
  ]
  evaluate, report = _chain(MODEL, VECTORS, SCORES).reporting(
    samplers, needs=["x"], command="make"
  )
  places = {"density": "scores/scores", "ask_llm": "scores/vectors"}
  assert evaluate.bindings["SCORES"] == report.bindings["SCORES"] == places
  # A stage that two samplers need stands with both.
  assert evaluate.bindings["STAGES"] == {
    "density": {
      "model": "models/model",
      "vectors": "scores/vectors",
      "scores": "scores/scores",
    },
    "ask_llm": {"model": "models/model", "vectors": "scores/vectors"},
  }
  assert evaluate.bindings["JUDGED"] == {"the judge": "scores/vectors"}


@pytest.mark.parametrize(
  "parts, words",
  [
    ([], "sampler 's' reads 'scores', but there is no such stage"),
    ([SCORES], "stage 'scores' reads 'vectors', but there is no such stage"),
    (
      [
        _stage("scores", reads={"A": "b"}),
        _stage("b", reads={"B": "scores"}),
      ],
      "stages read each other: scores <- b <- scores",
    ),
  ],
  ids=["no scores", "no vectors", "circle"],
)
def test_stages_that_cannot_be_run_are_named(parts, words):
  with pytest.raises(stages.ChainError, match=words):
    list(_chain(*parts).scoring([_sampler("s", scores="scores")]))


def test_a_stage_is_a_score_a_selection_or_a_model():
  with pytest.raises(stages.ChainError, match="'report'.*score, select, train"):
    _stage("x", verb="report")
