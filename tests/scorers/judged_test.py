# SPDX-License-Identifier: Apache-2.0
"""What scorers by a judge have in common."""

import numpy as np
import pytest

from data_efficient.scorers import judged


def test_a_status_says_why_there_is_no_score():
  nan = float("nan")
  values = np.array([[1.0, 2.0], [nan, nan], [1.0, -np.inf], [3.0, nan]])
  reasons = [None, "empty", None, None]
  found = ["scored", "unscorable(empty)"] + ["unscorable(non-finite)"] * 2
  assert judged.statuses(reasons, values) == found
  # A reason stands, whatever the judge said.
  assert judged.statuses(["too short", None], np.array([1.0, 2.0])) == [
    "unscorable(too short)",
    "scored",
  ]


@pytest.mark.parametrize("shape", [(0,), (0, 5)])
def test_no_texts_have_no_statuses(shape):
  assert judged.statuses([], np.zeros(shape)) == []
