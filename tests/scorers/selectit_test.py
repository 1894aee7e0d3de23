# SPDX-License-Identifier: Apache-2.0
"""SelectIT by small judges, beside slow answers and formulas by loops."""

import numpy as np
import pytest

from data_efficient.models import networks
from data_efficient.scorers import interface, rating_prompts, runner, selectit
from data_efficient.scorers.templates import Instruction
from tests import networks as sizes
from tests.scorers import asked, pairs

LLAMA = sizes.llama(vocab_size=64, layers=(sizes.FULL,))
PIECES = {"1": [50], "2": [51], "3": [52], "4": [53, 54], "5": [53, 55]}
PROMPTS = rating_prompts.RatingPrompts(
  orders=("rate it", "how good is this one", "grade"),
  scale=tuple(PIECES),
  before_prompt=" I:",
  before_response=" R:",
  end=" G:",
)
ROWS = [
  Instruction("add two and two", "four"),
  Instruction("say nothing", " "),
  Instruction("", "an answer that nobody asked for, and rather long as it is"),
  Instruction("a long question " * 9, "yes"),
  Instruction("both are long " * 7, "as long as " * 9),
]


class Digits(asked.Letters):
  """Two ratings have two pieces, and begin alike."""

  def answer_ids(self, word):
    return PIECES[word]


def _rater(network=LLAMA):
  return selectit.Rater(judge=pairs.judge(network), tokenizer=Digits())


def _scorer(*raters, **settings):
  settings = {
    **{"prompts": PROMPTS, "alpha": 0.2, "normalisation": "share"},
    **{"least_scale_probability": 0.0, "max_tokens": 60, "length_step": 20},
    **{"batch_tokens": 120, "part_records": 8},
  } | settings
  return selectit.SelectIt(raters=raters or (_rater(),), **settings)


def _slowly(rater, instruction, max_tokens=60):
  """S_t of each prompt, and the mean probability of the scale, by loops."""
  encode, judge = rater.tokenizer.encode, rater.judge
  tokens, on_scale = [], []
  orders = [encode(order + PROMPTS.before_prompt) for order in PROMPTS.orders]
  end = encode(PROMPTS.end)
  ends = 0 if judge.decoder_only else 1
  between = encode(PROMPTS.before_response)
  room = max_tokens - max(map(len, orders)) - len(end) - ends - len(between)
  prompt, response = encode(instruction.prompt), encode(instruction.response)
  if len(prompt) + len(response) > room:
    response = response[: max(room - len(prompt), room // 2)]
    prompt = prompt[: room - len(response)]
  for order in orders:
    inputs = [*order, *prompt, *between, *response, *end]
    p = np.exp(
      [
        pairs.log_probabilities(judge, inputs, PIECES[word]).sum()
        for word in PROMPTS.scale
      ]
    )
    on_scale.append(p.sum())
    p = p / p.sum()
    best = max(range(5), key=lambda k: (p[k], -k))
    tokens.append(
      (best + 1) * sum(p[best] - p[k] for k in range(5) if k != best) / 4
    )
  return np.array(tokens), np.mean(on_scale)


def _sentence(tokens, alpha=0.2):
  mean = sum(tokens) / len(tokens)
  variance = sum((t - mean) ** 2 for t in tokens) / len(tokens)
  return mean / (1 + alpha * variance**0.5)


@pytest.mark.parametrize("network", [LLAMA, asked.CONFIG])
def test_scores_are_the_formulas(network):
  rater = _rater(network)
  found = _scorer(rater).score(ROWS)
  assert found.statuses == [
    "scored" if n != 1 else "unscorable(empty response)" for n in range(5)
  ]
  for row in (0, 2, 3, 4):
    tokens, on_scale = _slowly(rater, ROWS[row])
    assert found.columns["score"][row] == pytest.approx(
      _sentence(tokens), abs=1e-5
    )
    assert found.columns["scale_probability"][row] == pytest.approx(
      on_scale, abs=1e-5
    )
    assert 1 <= found.columns["rating"][row] <= 5
  assert np.isnan(found.columns["score"][1])


def test_models_weigh_as_much_as_they_have_parameters():
  large = sizes.llama(vocab_size=64, layers=(sizes.FULL,), mlp_dim=48)
  raters = (_rater(), _rater(large))
  found = _scorer(*raters).score(ROWS[:1]).columns
  weights = [networks.parameter_count(r.judge.network) for r in raters]
  own = [_sentence(_slowly(rater, ROWS[0])[0]) for rater in raters]
  for number, score in enumerate(own, 1):
    assert found[f"score_{number}"][0] == pytest.approx(score, abs=1e-5)
  assert found["score"][0] == pytest.approx(
    np.average(own, weights=weights), abs=1e-5
  )
  assert abs(own[0] - own[1]) > 1e-3


def test_neighbours_do_not_matter():
  scorer = _scorer()
  whole = scorer.score(ROWS).columns["score"]
  alone = [scorer.score([row]).columns["score"][0] for row in ROWS]
  np.testing.assert_allclose(whole, np.array(alone), atol=1e-5)
  request = runner.Request(None, ROWS, np.arange(5) != 3)
  (result,) = runner.run(scorer, [request])
  assert result.scores.statuses[3] == interface.NOT_REQUESTED
  np.testing.assert_allclose(
    result.scores.columns["score"][[0, 2]], whole[[0, 2]], atol=1e-5
  )
  again = scorer.score(ROWS).columns["score"]
  np.testing.assert_array_equal(again, whole)


def test_a_judge_that_does_not_rate_is_outside_the_scale():
  tokens, on_scale = _slowly(_rater(), ROWS[0])
  scorer = _scorer(least_scale_probability=0.99)
  assert scorer.score(ROWS[:2]).statuses == [
    *("unscorable(outside the scale)", "unscorable(empty response)")
  ]
  scorer = _scorer(least_scale_probability=float(on_scale) / 2)
  assert scorer.score(ROWS[:1]).statuses == ["scored"]


def test_weights_that_are_no_numbers_are_no_scores():
  import jax

  rater = _rater()
  spoilt = jax.tree.map(lambda leaf: leaf * np.nan, rater.judge.parameters)
  judge = type(rater.judge)(rater.judge.network, spoilt, {"kind": "spoilt"})
  scorer = _scorer(selectit.Rater(judge=judge, tokenizer=Digits()))
  assert scorer.score(ROWS[:1]).statuses == ["unscorable(non-finite)"]


def test_all_that_a_score_depends_on_is_in_its_identity():
  first = _scorer().identity()
  for other in (
    _scorer(alpha=0.3),
    _scorer(normalisation="softmax_of_shares"),
    _scorer(max_tokens=61),
    _scorer(least_scale_probability=0.1),
    _scorer(_rater(asked.CONFIG)),
    _scorer(prompts=rating_prompts.one_to_five(), max_tokens=400),
  ):
    assert other.identity() != first
  assert _scorer().identity() == first


@pytest.mark.parametrize(
  ("settings", "message"),
  [
    ({"max_tokens": 20}, "rating prompts alone take"),
    ({"alpha": -1.0}, "alpha = -1.0"),
    ({"least_scale_probability": 2.0}, "expected a probability"),
    ({"normalisation": "sum"}, "sum"),
  ],
)
def test_settings_that_cannot_be(settings, message):
  with pytest.raises(ValueError, match=message):
    _scorer(**settings)


def test_prompts_that_cannot_be():
  fields = {"before_prompt": "", "before_response": "", "end": ""}
  for orders, scale in ((("a",), ("1",)), (("a",), ("1", "1")), ((" ",), "12")):
    with pytest.raises(ValueError, match="rating prompts"):
      rating_prompts.RatingPrompts(orders=orders, scale=tuple(scale), **fields)
  with pytest.raises(ValueError, match="at least one model"):
    selectit.SelectIt(
      raters=(),
      **{n: getattr(_scorer(), n) for n in ("prompts", "alpha")},
      **{"normalisation": "share", "least_scale_probability": 0.0},
      **{"max_tokens": 60, "length_step": 8, "batch_tokens": 8},
      part_records=1,
    )


def test_the_shipped_prompts_are_five_and_say_their_scale():
  found = rating_prompts.one_to_five()
  assert len(set(found.orders)) == 5 and found.scale == tuple("12345")
  assert all("1" in order and "5" in order for order in found.orders)
