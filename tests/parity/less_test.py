# SPDX-License-Identifier: Apache-2.0
"""LESS at greater length: a T5 beside the twin, and what projecting costs."""

import numpy as np
import pytest

from tests.scorers import asked, less_test


def test_influence_by_a_t5_is_the_twin_s():
  less_test.compare_with_the_twin(less_test._prepared(network=asked.CONFIG))


def test_projected_cosines_are_near_the_whole_ones():
  """4,096 dimensions keep them within 0.07, three of their deviations."""
  scorer = less_test._scorer(dimensions=4096)
  (batch,) = scorer.pack(less_test.POOL[:1]).batches
  gradients, checkpoint = scorer._gradients, scorer.warmup.checkpoints[0]
  placed = gradients.placed(batch)
  adam, plain = (
    np.asarray(gradients.of(checkpoint, placed, adam=adam))[0]
    for adam in (True, False)
  )
  whole = less_test._gradient_of(scorer, checkpoint.adapter, less_test.POOL[0])
  moved = less_test._adam(whole, checkpoint.moments)

  def cosine(one, other):
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)

  assert cosine(adam, plain) == pytest.approx(cosine(moved, whole), abs=0.07)
  assert np.linalg.norm(plain) == pytest.approx(np.linalg.norm(whole), rel=0.07)
