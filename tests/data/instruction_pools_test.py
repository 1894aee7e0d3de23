# SPDX-License-Identifier: Apache-2.0
"""A corpus whose pool is all of it, or what a selection keeps."""

import numpy as np
import pytest

from data_efficient.data import artifacts, instruction_pools, selections
from data_efficient.training import selected_tuning
from tests.data import fakes

TEXTS = {"a": ["one", "two", "three"], "b": ["four"]}


def _pool(directory, **more):
  corpus = fakes.Memory(TEXTS)
  return instruction_pools.InstructionPool(corpus, str(directory), **more)


def _selected(directory, described):
  selections.write(
    directory,
    identity={"corpus": described},
    kept=[("a", np.array([0, 2]), np.ones(2))],
    shards=described["shards"],
    summary=dict,
  )
  return str(directory)


def test_everything_is_the_pool_and_nothing_is_held_out(tmp_path):
  found = _pool(tmp_path)
  assert found.splits.pool.selection.records == 4
  assert list(found.splits.pool.texts()) == ["one", "two", "three", "four"]
  for name in ("hq", "in_distribution", "reference"):
    assert found.split(name).selection.records == 0
  assert found.pool_mask("a").all()


def test_a_selection_may_be_the_pool(tmp_path):
  described = _pool(tmp_path / "whole").index.describe()
  kept = _selected(tmp_path / "kept", described)
  found = _pool(tmp_path / "part", pool=kept)
  assert list(found.splits.pool.texts()) == ["one", "three"]
  assert found.pool_mask("b").tolist() == [False]
  # Another pool in the same place is refused.
  with pytest.raises(artifacts.ArtifactError):
    _pool(tmp_path / "whole").splits  # noqa: B018
    _pool(tmp_path / "whole", pool=kept).splits  # noqa: B018


def test_a_selection_of_another_corpus_is_no_pool(tmp_path):
  described = _pool(tmp_path / "whole").index.describe()
  other = {**described, "fingerprint": "0"}
  kept = _selected(tmp_path / "kept", other)
  with pytest.raises(artifacts.ArtifactError, match="fingerprint"):
    _pool(tmp_path / "part", pool=kept).splits  # noqa: B018


def test_equal_passes_are_fewer_steps_for_less_data(tmp_path):
  described = _pool(tmp_path / "whole").index.describe()
  kept = _selected(tmp_path / "kept", described)
  # Two records, three passes: six records, four a step.
  steps = selected_tuning.steps(selection=kept, batch_size=4, epochs=3)
  assert steps == 2
  assert selected_tuning.steps(selection=kept, batch_size=9, epochs=1) == 1
  with pytest.raises(ValueError, match="EPOCHS = 0"):
    selected_tuning.steps(selection=kept, batch_size=9, epochs=0)
