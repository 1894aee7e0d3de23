# SPDX-License-Identifier: Apache-2.0
"""Ask-LLM through `t5x.infer` against our own scorer, by their score sets."""

from data_efficient.data import score_sets
from tests import asking


def test_t5x_gives_the_scores_of_our_own_scorer(tmp_path, capsys):
  asking.write(tmp_path)
  assert asking.infer(tmp_path, "t5x") == 0
  theirs = score_sets.ScoreSet.open(tmp_path / "t5x/scores")
  asking.compare(asking.score(tmp_path), theirs)
  assert theirs.identity["scorer"]["engine"] == "t5x"
  capsys.readouterr()
  assert asking.infer(tmp_path, "t5x") == 0
  assert "done before" in capsys.readouterr().out
