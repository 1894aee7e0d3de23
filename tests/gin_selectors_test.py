# SPDX-License-Identifier: Apache-2.0
"""Every sampler of the paper is a gin file that any corpus can use."""

import pytest

from data_efficient import gin_config
from data_efficient.cli import select

PERPLEXITY = ("small", "base", "large", "xl", "xxl")
STEPS = ("20k", "100k", "300k", "500k", "700k")
# arXiv 2402.09668, Appendix B: 19; and the three of its later version.
PAPER = (
  *("random", "density", "semdedup", "prototypes"),
  *(f"perplexity_{size}" for size in PERPLEXITY),
  *(f"perplexity_large_{steps}" for steps in STEPS),
  *(f"ask_llm_{size}" for size in PERPLEXITY),
)
LATER = ("dsir", "quality_classifier", "ask_llm_gemma_7b")
RULES = {
  "density": "@inverse_propensity.InversePropensity()",
  "dsir": "@resampling.Resampling()",
  "random": "@random.Random()",
  "quality_coverage": "@quality_coverage.QualityCoverage()",
}
BINDINGS = ("FILES=x", "PREPARED=x", "OUTPUT=x", "TOKEN_COUNTS=x")


def _resolved(*files, bindings=()):
  gin_config.parse(
    ["gin/runs/select.gin", "gin/data/files.gin", *files],
    [*BINDINGS, *bindings],
  )
  gin_config.configured(select.select)
  return gin_config.resolved()


@pytest.mark.parametrize("name", [*PAPER, *LATER])
def test_a_sampler_of_the_paper_is_a_file(name):
  text = _resolved(f"gin/selectors/{name}.gin", bindings=["SCORES=x"])
  assert f"SELECTOR = {RULES.get(name, '@top.Top()')}" in text
  assert f"SAMPLER = '{name}'" in text
  if name not in RULES:
    assert "top.Top.highest = True" in text


def test_there_are_nineteen_and_three():
  assert len(PAPER) == 19 and len(set(PAPER + LATER)) == 22


@pytest.mark.parametrize("name", [f"perplexity_{size}" for size in PERPLEXITY])
def test_a_perplexity_sampler_has_a_scorer_of_its_name(root, name):
  assert (root / f"gin/scorers/{name}.gin").is_file()


def test_quality_and_coverage_read_two_score_sets():
  text = _resolved(
    "gin/selectors/quality_coverage.gin",
    bindings=["SCORES=x", "DENSITY_SCORES=y", "TEMPERATURE=0.5"],
  )
  assert f"SELECTOR = {RULES['quality_coverage']}" in text
  assert "selecting.Recipe.other_scores = %DENSITY_SCORES" in text
  with pytest.raises(gin_config.GinError, match="DENSITY_SCORES"):
    _resolved("gin/selectors/quality_coverage.gin", bindings=["SCORES=x"])


def test_quotas_stand_beside_any_selector():
  text = _resolved(
    "gin/selectors/random.gin",
    "gin/selectors/quotas.gin",
    bindings=["AT_LEAST={'*': 0.01}", "AT_MOST={'web/*': 0.3}"],
  )
  assert "QUOTAS = @quotas.Quotas()" in text
  assert "quotas.Quotas.at_least = %AT_LEAST" in text
