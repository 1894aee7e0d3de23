# SPDX-License-Identifier: Apache-2.0
"""What samplers are called in tables and figures, and their order there."""

FULL = "full"
RANDOM = "random"
QUALITY_CLASSIFIER = "quality_classifier"

_SIZES = {
  **{"small": "Small", "base": "Base", "large": "Large"},
  **{"xl": "XL", "xxl": "XXL"},
}
_STEPS = ("20k", "100k", "300k", "500k", "700k")
# Samplers whose names say which model is asked.
_ASK_LLM = {
  **{f"ask_llm_{size}": f"Ask-LLM {name}" for size, name in _SIZES.items()},
  "ask_llm_gemma_7b": "Ask-LLM Gemma-7B",
}
_PERPLEXITY = {
  **{f"perplexity_{size}": f"Perplexity {n}" for size, n in _SIZES.items()},
  **{f"perplexity_large_{n}": f"Perplexity Large {n}" for n in _STEPS},
}
# Methods for instructions.
_DELIFT = {
  "delift": "DELIFT",
  "delift_flmi": "DELIFT (FLMI)",
  "delift_fl1mi": "DELIFT (FL1MI)",
  "delift_fl2mi": "DELIFT (FL2MI)",
  "delift_flcg": "DELIFT (FLCG)",
}
_EMBEDDINGS = {
  "delift_se": "DELIFT (embeddings)",
  "delift_se_fl2mi": "DELIFT (embeddings, FL2MI)",
  "delift_se_flcg": "DELIFT (embeddings, FLCG)",
}
_TITLES = {
  FULL: "Full data",
  RANDOM: "Random",
  "ask_llm": "Ask-LLM",
  "density": "Density",
  QUALITY_CLASSIFIER: "Classifier",
  "quotas": "Classifier with quotas",
  "dsir": "DSIR",
  "semdedup": "SemDeDup",
  "prototypes": "Prototypes",
  "quality_coverage": "Ask-LLM × Density",
  "perplexity": "Perplexity",
  **_ASK_LLM,
  **_PERPLEXITY,
  **_DELIFT,
  **_EMBEDDINGS,
  "selectit": "SelectIT",
  "less": "LESS",
  "deft_ucs": "DEFT-UCS",
  "length": "Longest",
}
# Samplers of one idea share a colour; strokes tell them apart.
_COLOURS = {
  **{name: name for name in (FULL, RANDOM, "ask_llm", "density", "perplexity")},
  **dict.fromkeys(("semdedup", "prototypes"), "density"),
  **dict.fromkeys((QUALITY_CLASSIFIER, "dsir", "quotas"), QUALITY_CLASSIFIER),
  **dict.fromkeys(_ASK_LLM, "ask_llm"),
  **dict.fromkeys(_PERPLEXITY, "perplexity"),
  **dict.fromkeys(_DELIFT, "ask_llm"),
  **dict.fromkeys((*_EMBEDDINGS, "deft_ucs"), "density"),
  **{"selectit": QUALITY_CLASSIFIER, "less": "perplexity"},
}

# Metrics of results.json, HQ first.
METRICS = {
  "hq_loss": "HQ loss",
  "hq_perplexity": "HQ perplexity",
  "in_distribution_loss": "in-distribution loss",
  "in_distribution_perplexity": "in-distribution perplexity",
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


def says_its_model(sampler: str) -> bool:
  """Whether a sampler's title says which model is asked."""
  return sampler in _ASK_LLM or sampler in _PERPLEXITY


def colour_class(sampler: str) -> str:
  """The style class that gives a sampler its colour on the page."""
  return f"c-{_COLOURS.get(sampler, 'other')}"


def count_budgets(samplers: list[dict]) -> int:
  """How many budgets the aggregates of `results.json` hold, Full aside."""
  return len({s["budget"] for s in samplers if s["sampler"] != FULL})


def count_networks(samplers: list[dict]) -> int:
  """How many networks the aggregates of `results.json` hold."""
  return len({s.get("network") for s in samplers})


def metric(name: str) -> str:
  """Name of a metric as people write it."""
  return METRICS.get(name, name.replace("_", " "))


def parameters_text(count: float | int) -> str:
  """A number of parameters, short: 17K, 2.1M, 1.5B."""
  for unit, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
    value = count / unit
    if value >= 0.9995:  # what would round to a thousand of the smaller unit
      return f"{value:.0f}{letter}" if value >= 9.95 else f"{value:.2g}{letter}"
  return f"{count:.0f}"
