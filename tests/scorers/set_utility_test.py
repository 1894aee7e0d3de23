# SPDX-License-Identifier: Apache-2.0
"""Examples beside chosen ones against one pass over each whole row."""

import dataclasses

import numpy as np
import pytest

from data_efficient.scorers import set_utility
from tests.scorers import asked, pairs
from tests.scorers.decoder_judges_test import Begun

EACH, ROOM = 10, 32
TARGETS = pairs.instructions(4)
EXAMPLES = pairs.instructions(5, seed=1)
FIRST, LAST = set_utility.Order
# Of the networks that keep nothing, too.
CASES = [(asked.LLAMA, FIRST), (asked.LLAMA, LAST), (asked.CONFIG, FIRST)]


def _sets(**change) -> set_utility.Sets:
  settings = {
    **{"count": 2, "example_tokens": EACH, "separator": "/"},
    **{"order": "chosen_first", "clip": True},
    **{"shortlist": None, "kernel": None},
  } | change
  return set_utility.Sets(**settings)


def _context(network=asked.LLAMA, sets=None, **change):
  tokenizer = Begun() if network == asked.LLAMA else asked.Letters()
  settings = {"max_example_tokens": ROOM, "tokenizer": tokenizer} | change
  scorer = pairs.scorer(pairs.judge(network), **settings)
  return scorer, set_utility.InContext(scorer, sets or _sets())


def _distance(scorer, target, examples) -> float:
  """By one pass over the row of everything."""
  encode, template = scorer.tokenizer.encode, scorer.template
  begin = [*scorer.tokenizer.begin_ids] if scorer.judge.decoder_only else []
  row = list(begin)
  for number, example in enumerate(examples):
    text = template.example.format(**example._asdict())
    row += encode("/") * (number > 0) + encode(text)[: EACH - len(begin)]
  row += encode(template.query.format(prompt=target.prompt))
  answer = [*encode(target.response), 1]
  found = pairs.log_probabilities(scorer.judge, row, answer)
  return np.sqrt(np.mean((1 - np.exp(found)) ** 2))


@pytest.mark.parametrize(("network", "order"), CASES)
def test_gains_are_those_of_whole_rows(network, order):
  scorer, context = _context(network, _sets(order=order))
  chosen, candidates = EXAMPLES[:2], EXAMPLES[2:]
  rows = [scorer.target(one) for one in TARGETS]
  before = [_distance(scorer, target, chosen) for target in TARGETS]
  found = context.gains(
    rows,
    [context.example(one) for one in candidates],
    chosen=[context.example(one) for one in chosen],
    distances=np.array(before, np.float32),
  )
  first = order == FIRST
  slow = [
    [
      before[row]
      - _distance(scorer, target, [*chosen, one] if first else [one, *chosen])
      for one in candidates
    ]
    for row, target in enumerate(TARGETS)
  ]
  assert np.ptp(slow) > 1e-3
  np.testing.assert_allclose(found.values, slow, atol=1e-5, rtol=0)
  assert found.statuses == ["scored"] * 3


def test_the_first_example_s_gain_is_its_utility_for_a_pair():
  scorer, context = _context()
  pairwise = pairs.scorer(
    scorer.judge, max_example_tokens=EACH, tokenizer=Begun()
  )
  rows = [scorer.target(one) for one in TARGETS]
  found = context.gains(
    rows,
    [context.example(one) for one in EXAMPLES],
    chosen=[],
    distances=context.alone(rows),
  )
  expected = pairs.utilities(pairwise, TARGETS, EXAMPLES)
  np.testing.assert_allclose(found.values, expected, atol=1e-5, rtol=0)
  mean = set_utility.worth(
    found.values,
    shown=np.zeros((4, 5), bool),
    scorable=np.ones(4, bool),
    clip=True,
  )
  np.testing.assert_allclose(
    mean, np.maximum(expected, 0).mean(axis=0), atol=1e-5
  )


def test_a_candidate_without_room_says_so():
  scorer, context = _context(max_example_tokens=2 * EACH)
  rows = [scorer.target(one) for one in TARGETS]
  long = [one for one in EXAMPLES if len(context.example(one).tokens) == EACH]
  found = context.gains(
    rows,
    [context.example(long[0])],
    chosen=[context.example(one) for one in long[:2]],
    distances=np.ones(4, np.float32),
  )
  assert found.statuses == ["unscorable(no room in the context)"]
  assert np.isnan(found.values).all()


def test_what_does_not_count():
  gains = np.array([[1, -2], [3, np.nan], [np.nan, np.nan]], np.float32)
  shown = np.array([[False, False], [True, False], [False, False]])
  scorable = np.array([True, True, False])

  def worth(clip):
    return set_utility.worth(
      gains, shown=shown, scorable=scorable, clip=clip
    ).tolist()

  assert worth(True) == [0.5, 0.0]
  assert worth(False) == [0.5, -1.0]


@pytest.mark.parametrize(
  ("change", "said"),
  [
    ({"count": 0}, "at least 1"),
    ({"order": "last"}, "'last': expected one of"),
    ({"shortlist": 3}, "bind SHORTLIST and KERNEL"),
    ({"example_tokens": ROOM + 1}, "which all examples share"),
  ],
)
def test_settings_that_cannot_be(change, said):
  with pytest.raises(ValueError, match=said):
    _context(sets=dataclasses.replace(_sets(), **change))
