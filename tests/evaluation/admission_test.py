# SPDX-License-Identifier: Apache-2.0
import time

import pytest

from data_efficient.evaluation import admission, page, results
from data_efficient.evaluation.runs import EvaluationError
from tests.evaluation import fakes
from tests.evaluation.fakes import COMPARED_BY, write_run

_OTHER_SETS = COMPARED_BY | {
  "evaluation_sets": {"hq": "9c", "in_distribution": "2b"}
}
_FACTS = {
  **{"judge": {}, "scoring_seconds": {}, "corpus": {}, "selections": {}},
  **{"command": "", "commit": ""},
}


def _good(root, count=3):
  return [
    write_run(root / f"good-{seed}", facts={"seed": seed})
    for seed in range(count)
  ]


def _names(left_out):
  return [entry.directory.rsplit("/", 1)[1] for entry in left_out]


@pytest.mark.parametrize(
  ("facts", "reason"),
  [
    ({"complete": False}, "run.json: the run is not complete.*resumes"),
    ({"epochs": None}, '"epochs" is None'),
    ({"batch_size": 8}, "batch_size is 8, but .*good-0 has 16"),
    ({"compared_by": _OTHER_SETS}, 'evaluation_sets.hq: found "9c", expected'),
    (
      {"compared_by": COMPARED_BY | {"vocabulary": "ff"}},
      'vocabulary: found "ff", expected "0f"',
    ),
  ],
)
def test_one_bad_run_is_named_and_left_out(tmp_path, facts, reason):
  # First, so that it is not by its place that it is told from the others.
  bad = write_run(tmp_path / "bad", facts={"seed": 9, **facts})
  found = admission.admit([bad, *_good(tmp_path)])
  assert [run.seed for run in found.runs] == [0, 1, 2]
  assert _names(found.left_out) == ["bad"]
  with pytest.raises(EvaluationError, match=f"(?s){reason}"):
    raise EvaluationError(found.left_out[0].reason)


def test_all_clashing_seeds_are_left_out(tmp_path):
  twin = write_run(tmp_path / "twin", facts={"seed": 1})
  found = admission.admit([*_good(tmp_path), twin])
  assert [run.seed for run in found.runs] == [0, 2]
  assert _names(found.left_out) == ["good-1", "twin"]
  for entry in found.left_out:
    assert "good-1" in entry.reason and "twin" in entry.reason


def test_a_run_of_another_corpus_does_not_clash(tmp_path):
  facts = {"seed": 1, "compared_by": _OTHER_SETS}
  found = admission.admit(
    [*_good(tmp_path), write_run(tmp_path / "other", facts=facts)]
  )
  assert [run.seed for run in found.runs] == [0, 1, 2]
  assert _names(found.left_out) == ["other"]


def test_nothing_left_is_an_error(tmp_path):
  with pytest.raises(EvaluationError, match="no run to evaluate"):
    admission.admit([])
  bad = write_run(tmp_path / "bad", facts={"complete": False})
  with pytest.raises(EvaluationError, match="(?s)1 left out.*not complete"):
    admission.admit([bad])


def test_unfinished_directories_are_found(tmp_path):
  _good(tmp_path, 1)
  (tmp_path / "begun").mkdir()
  (tmp_path / "note.txt").write_text("")
  (path,) = admission.unfinished(tmp_path)
  assert path.name == "begun"
  found = admission.admit([*tmp_path.glob("good*"), path])
  assert _names(found.left_out) == ["begun"]


def test_the_page_says_what_was_left_out(tmp_path):
  bad = write_run(tmp_path / "<bad>", facts={"complete": False})
  found = results.assemble([*_good(tmp_path), bad], **_FACTS)
  (entry,) = found["left_out"]
  assert entry["directory"] == str(bad)
  text = page.render(found, {})
  assert "Runs left out" in text and "&lt;bad&gt;/run.json: the run is" in text
  found["left_out"] = []
  assert "Runs left out" not in page.render(found, {})


def test_five_hundred_runs_are_reported_within_a_minute(tmp_path):
  curve = [(step, 9.0 - step / 100) for step in range(0, 301, 10)]
  evaluations = {"hq": curve, "in_distribution": curve}
  directories = []
  for index in range(500):
    budget, seed = divmod(index // 5, 10)
    sampler = tuple(fakes.SAMPLERS)[index % 5]
    facts = {"sampler": sampler, "budget": (budget + 1) / 11, "seed": seed}
    directory = tmp_path / str(index)
    facts["steps"] = 300
    write_run(directory, facts=facts, evaluations=evaluations)
    directories.append(directory)
  began = time.perf_counter()
  found = results.assemble(directories, **_FACTS)
  page.render(found, {})
  assert time.perf_counter() - began < 60.0
  assert len(found["runs"]) == 500 and not found["left_out"]
