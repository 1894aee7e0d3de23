# SPDX-License-Identifier: Apache-2.0
"""What samplers are called in tables and figures, and their order there."""

FULL = "full"
RANDOM = "random"
QUALITY_CLASSIFIER = "quality_classifier"

_TITLES = {
  FULL: "Full data",
  RANDOM: "Random",
  "ask_llm": "Ask-LLM",
  "density": "Density",
  QUALITY_CLASSIFIER: "Classifier",
}


def title(sampler: str) -> str:
  """Name of a sampler as people write it; unknown ones with blanks for _."""
  return _TITLES.get(sampler, sampler.replace("_", " "))


def order(sampler: str, budget: float | int | None) -> tuple:
  """Sort key: the known samplers in a fixed order, others after them."""
  known = list(_TITLES)
  rank = known.index(sampler) if sampler in known else len(known)
  return rank, sampler, -1.0 if budget is None else budget


def budget_text(budget: float | int | None) -> str:
  """A budget as text: a fraction as a percentage, else a count."""
  if budget is None:
    return "everything"
  if 0.0 < budget <= 1.0:
    return f"{100 * budget:.4g}%"
  return f"{budget:,.0f}"


def label(sampler: str, budget: float | int | None, *, budgets: int) -> str:
  """Title of a sampler; with its budget where several budgets are compared."""
  if budgets < 2 or sampler == FULL:
    return title(sampler)
  return f"{title(sampler)} {budget_text(budget)}"


def colour_class(sampler: str) -> str:
  """The style class that gives a sampler its colour on the page."""
  return f"c-{sampler}" if sampler in _TITLES else "c-other"


def count_budgets(samplers: list[dict]) -> int:
  """How many budgets the aggregates of `results.json` hold, Full aside."""
  return len({s["budget"] for s in samplers if s["sampler"] != FULL})
