# SPDX-License-Identifier: Apache-2.0
import time

import pytest

from data_efficient.evaluation import admission, page, results
from data_efficient.evaluation.runs import EvaluationError
from tests.evaluation import fakes, sizes
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


@pytest.mark.parametrize("swapped", [False, True])
def test_of_groups_of_one_size_the_first_stays(tmp_path, swapped):
  """Whatever the directories are called."""
  found = {
    name: [
      write_run(
        tmp_path / f"{name}-{seed}",
        facts={"seed": seed, "compared_by": compared_by},
      )
      for seed in range(2)
    ]
    for name, compared_by in (("a", COMPARED_BY), ("b", _OTHER_SETS))
  }
  first, second = ("b", "a") if swapped else ("a", "b")
  kept, left = found[first], found[second]
  # Their order within does not decide, only whose first one is first.
  admitted = admission.admit([kept[0], *left, kept[1]])
  assert [run.directory for run in admitted.runs] == [str(p) for p in kept]
  assert _names(admitted.left_out) == [f"{second}-0", f"{second}-1"]


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


def _of_corpus(root, name, seed, corpus, width=None, **changes):
  compared_by = sizes.compared_by(width) if width else dict(COMPARED_BY)
  if corpus:
    compared_by["corpus"] = corpus
  facts = {"seed": seed, "compared_by": compared_by | changes}
  return write_run(root / name, facts=facts)


def test_runs_of_another_corpus_are_left_out_by_name(tmp_path):
  directories = [
    _of_corpus(tmp_path, "ours", 0, "c1"),
    _of_corpus(tmp_path, "theirs-0", 1, "c2"),
    _of_corpus(tmp_path, "theirs-1", 2, "c2"),
  ]
  # The one that is asked for, though most are of the other.
  found = admission.admit(directories, corpus="c1")
  assert [run.seed for run in found.runs] == [0]
  assert _names(found.left_out) == ["theirs-0", "theirs-1"]
  assert "corpus c2, evaluated is c1" in found.left_out[0].reason
  found = admission.admit(directories)
  assert _names(found.left_out) == ["ours"]
  assert 'corpus: found "c1", expected "c2"' in found.left_out[0].reason
  with pytest.raises(
    EvaluationError, match="(?s)no run is left.*another corpus"
  ):
    admission.admit(directories[1:], corpus="c1")


@pytest.mark.parametrize("asked", [None, "c1"])
def test_a_run_that_does_not_state_its_corpus_joins_those_it_agrees_with(
  tmp_path, asked
):
  directories = [
    _of_corpus(tmp_path, "old-0", 0, None),
    _of_corpus(tmp_path, "old-1", 1, None),
    _of_corpus(tmp_path, "new", 2, "c1"),
  ]
  found = admission.admit(directories, corpus=asked)
  assert sorted(run.seed for run in found.runs) == [0, 1, 2]
  assert [path.rsplit("/", 1)[1] for path in found.corpus_unknown] == [
    "old-0", "old-1"
  ]  # fmt: skip
  # It agrees in nothing else with these: it is of the larger group's corpus or
  # of none that can be told.
  other = _of_corpus(
    tmp_path, "other", 3, None, evaluation_sets=_OTHER_SETS["evaluation_sets"]
  )
  found = admission.admit([other, *directories], corpus=asked)
  assert _names(found.left_out) == ["other"]
  assert 'corpus: found <absent>, expected "c1"' in found.left_out[0].reason


def test_of_two_corpora_one_that_is_not_stated_is_neither(tmp_path):
  directories = [
    _of_corpus(tmp_path, "old", 0, None),
    _of_corpus(tmp_path, "a-0", 1, "c1"),
    _of_corpus(tmp_path, "a-1", 2, "c1"),
    _of_corpus(tmp_path, "b", 3, "c2"),
  ]
  found = admission.admit(directories)
  assert [run.seed for run in found.runs] == [1, 2]
  assert _names(found.left_out) == ["b", "old"]
  assert not found.corpus_unknown


def test_networks_are_admitted_side_by_side(tmp_path):
  directories = [
    _of_corpus(tmp_path, f"{width}-{seed}", seed, "c1", width)
    for width in (16, 32)
    for seed in (0, 1)
  ]
  facts = {"seed": 5, "steps": 60, "compared_by": sizes.compared_by(16)}
  facts["compared_by"]["corpus"] = "c1"
  curve = [(0, 9.0), (30, 6.0), (60, 5.0)]
  longer = write_run(
    tmp_path / "longer",
    facts=facts,
    evaluations={"hq": curve, "in_distribution": curve},
  )
  twin = _of_corpus(tmp_path, "twin", 0, "c1", 32)
  words = _of_corpus(tmp_path, "words", 7, "c1", 64, vocabulary="ff")
  found = admission.admit([*directories, longer, twin, words])
  # The same seed of two networks does not clash; that of one does.
  assert [run.seed for run in found.runs] == [0, 1, 1]
  assert _names(found.left_out) == ["32-0", "longer", "twin", "words"]
  reasons = {e.directory.rsplit("/", 1)[1]: e.reason for e in found.left_out}
  assert "steps is 60" in reasons["longer"]
  assert 'vocabulary: found "ff"' in reasons["words"]
  # Networks may differ, so that is not what is wrong.
  assert "network." not in reasons["words"]


def test_networks_may_be_trained_for_other_steps(tmp_path):
  short = _of_corpus(tmp_path, "short", 0, "c1", 16)
  curve = [(0, 9.0), (30, 6.0), (60, 5.0)]
  facts = {"steps": 60, "compared_by": sizes.compared_by(32, corpus="c1")}
  long = write_run(
    tmp_path / "long",
    facts=facts,
    evaluations={"hq": curve, "in_distribution": curve},
  )
  assert len(admission.admit([short, long]).runs) == 2


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


def test_runs_of_two_networks_are_reported_within_a_minute(tmp_path):
  curve = [(step, 9.0 - step / 100) for step in range(0, 301, 20)]
  evaluations = {"hq": curve, "in_distribution": curve}
  directories = []
  for index in range(500):
    width, place = (16, 32)[index % 2], index // 2
    budget, seed = divmod(place // 5, 10)
    facts = {
      "sampler": tuple(fakes.SAMPLERS)[place % 5],
      "budget": (budget + 1) / 11,
      "seed": seed,
      "steps": 300,
      "compared_by": sizes.compared_by(width),
    }
    directory = tmp_path / str(index)
    write_run(directory, facts=facts, evaluations=evaluations)
    (directory / "config.gin").write_text(f"SEED = {seed}\n" * 100)
    directories.append(directory)
  # Not the time of day: other work may go on beside.
  began = time.process_time()
  found = results.assemble(directories, **_FACTS)
  page.render(found, {})
  assert time.process_time() - began < 60.0
  assert len(found["runs"]) == 500 and not found["left_out"]
  assert [each["runs"] for each in found["networks"]] == [250, 250]
