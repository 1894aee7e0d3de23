# SPDX-License-Identifier: Apache-2.0
"""What the figures allow to be said, in sentences.

Nothing here is typed in: each sentence is chosen and filled by the aggregates
of `results.json`, and says no more than the intervals carry.
"""

from collections.abc import Mapping, Sequence

from data_efficient.evaluation import names
from data_efficient.evaluation.comparison import LEVEL, Verdict
from data_efficient.evaluation.markup import number, percent, signed

# More comparisons than this, and the headline leaves their figures to the list
# below it.
_IN_ONE_SENTENCE = 4
# More samplers than this of one verdict, and it only counts them.
_NAMED = 8

# What gin/samplers/perplexity.gin calls the network of the stand-in.
_TRAINED_HERE = "t5_quickstart"

_SAYINGS = {
  Verdict.BEATS: "Beats Random on HQ loss at the same budget: {}.",
  Verdict.DOES_NOT_BEAT: (
    "Does not beat Random on HQ loss at the same budget, it does worse: {}."
  ),
  Verdict.UNDECIDED: (
    "Undecided against Random on HQ loss at the same budget: {}."
  ),
}


def seeds_text(count: int, *, paired: bool = False) -> str:
  """How many seeds a figure rests on."""
  return f"{count} {'paired ' * paired}seed{'' if count == 1 else 's'}"


def bounds_text(interval: Sequence[float | int] | None, digits: int = 3) -> str:
  """A 95% interval in words, or that there is none."""
  if interval is None:
    return "no interval"
  low, high = interval
  return f"95% interval {signed(low, digits)} to {signed(high, digits)}"


def difference_text(difference: Mapping | None) -> str:
  """A paired difference with its interval and seeds."""
  if difference is None or not difference["n"]:
    return "no run with the same seed to compare with"
  if difference["mean"] is None:
    return "a run diverged"
  words = f"{signed(difference['mean'])} ({bounds_text(difference['interval'])}"
  return f"{words}, {seeds_text(difference['n'], paired=True)})"


def speedup_text(speedup: Mapping) -> str:
  """A speed-up with interval and seeds, or why none is shown."""
  reached, total = speedup["reached"], speedup["total"]
  if reached < total:
    return f"none: {reached} of {seeds_text(total)} reached the full data"
  if speedup["interval"] is None:
    return f"not shown: no interval from {seeds_text(total)}"
  low, high = speedup["interval"]
  bounds = f"95% interval {percent(low)} to {percent(high)}"
  return f"{percent(speedup['mean'])} ({bounds}, {seeds_text(total)})"


def judged(results: Mapping) -> list[dict]:
  """The aggregates that a verdict against Random exists for."""
  return [s for s in results["samplers"] if s["verdict"] is not None]


def label(results: Mapping, sampler: Mapping) -> str:
  """A sampler's name: with its budget where there are several, and its judge.

  `sampler` states "sampler" and, if it has them, "budget" and "network", which
  is named where there are several.
  """
  name = sampler["sampler"]
  words = names.title(name)
  if "budget" in sampler:
    budgets = names.count_budgets(results["samplers"])
    words = names.label(name, sampler["budget"], budgets=budgets)
  # A stand-in must not pass for the method in any table or sentence.
  model = model_of(results, name)
  words = f"{words} by {model}" if model else words
  network = sampler.get("network")
  if network and names.count_networks(results["samplers"]) > 1:
    return f"{words} ({network})"
  return words


def model_of(results: Mapping, sampler: str) -> str | None:
  """What is asked for a sampler's scores, where its name does not say it."""
  judge = results["judge"]
  kinds = judge.get("kinds") or {"ask_llm": judge.get("name")}
  return None if names.says_its_model(sampler) else kinds.get(sampler)


def models_text(results: Mapping) -> str:
  """Whose scores the samplers read whose names do not say it."""
  found = {}
  for sampler in results["samplers"]:
    name = sampler["sampler"]
    if model := model_of(results, name):
      found[names.title(name)] = model
  words = [f"{title} asks {model}." for title, model in found.items()]
  if _TRAINED_HERE in found.values():
    words.append(
      f"{_TRAINED_HERE} is a small T5 that learned here from the whole pool, "
      "for as many steps as each run: it shows how the sampler works, not what "
      "a T5 of the paper would keep."
    )
  return " ".join(words)


def headline(results: Mapping) -> str:
  """One sentence: what selection bought against Random at the same budget."""
  found = judged(results)
  if not found:
    return (
      "There is no selection with a Random run at the same budget beside it: "
      "these runs cannot say what selection bought."
    )
  clauses = []
  for verdict, verb in (
    (Verdict.BEATS, ("beats Random", "beat Random")),
    (Verdict.DOES_NOT_BEAT, ("does not beat Random", "do not beat Random")),
    (Verdict.UNDECIDED, ("is undecided", "are undecided")),
  ):
    group = [s for s in found if s["verdict"] == verdict.value]
    if group:
      full = len(found) <= _IN_ONE_SENTENCE
      entries = _entries(results, group, full=full)
      clauses.append(f"{_listed(entries)} {verb[len(group) > 1]}")
  budgets = sorted({s["budget"] for s in found if s["budget"] is not None})
  kept = _listed([names.budget_text(budget) for budget in budgets])
  start = f"At an equal budget of {kept}" if kept else "At an equal budget"
  return f"{start}, judged by HQ loss against Random: {'; '.join(clauses)}."


def _entries(
  results: Mapping, group: Sequence[Mapping], *, full: bool
) -> list[str]:
  """Names with their differences: A (…); less where that is too much."""
  if len(group) > _NAMED:
    return [f"{len(group)} selections"]
  entries = []
  for sampler in group:
    difference = _short(sampler["against_random"]["hq_loss"]) if full else ""
    entries.append(f"{label(results, sampler)} {difference}".rstrip())
  return entries


def _listed(entries: Sequence[str]) -> str:
  """A, B and C."""
  if len(entries) < 2:
    return "".join(entries)
  return f"{', '.join(entries[:-1])} and {entries[-1]}"


def _short(difference: Mapping) -> str:
  if difference["mean"] is None:
    return "(not comparable)"
  if difference["interval"] is None:
    return f"({signed(difference['mean'])}, no interval)"
  low, high = difference["interval"]
  mean = signed(difference["mean"])
  return f"({mean}, 95% interval {signed(low)} to {signed(high)})"


def verdict_text(sampler: Mapping) -> str:
  """The verdict of one sampler with everything that it rests on."""
  words = difference_text(sampler["against_random"]["hq_loss"])
  return _SAYINGS[Verdict(sampler["verdict"])].format(words)


def chance_text(comparisons: int) -> str:
  """How many of so many verdicts chance alone would decide."""
  expected = number((1.0 - LEVEL) * comparisons, 1)
  return (
    f"A verdict stands on a {percent(LEVEL)} interval of its own: were all "
    f"{comparisons} samplers of this list no better and no worse than Random, "
    f"about {expected} would be decided all the same."
  )


def in_distribution_text(results: Mapping, sampler: Mapping) -> str:
  """Whether the loss on the pool's own kind of text got worse."""
  name = label(results, sampler)
  difference = sampler["against_random"]["in_distribution_loss"]
  if difference["mean"] is None:
    return f"{name}: {difference_text(difference)}."
  words = f"{difference_text(difference)} against Random."
  low, high = difference["interval"] or (None, None)
  if low is not None and low > 0:
    return f"{name}: in-distribution loss got worse, {words}"
  if high is not None and high < 0:
    return f"{name}: in-distribution loss got better, {words}"
  direction = "higher (worse)" if difference["mean"] > 0 else "not higher"
  start = f"{name}: in-distribution loss is {direction} on average, undecided"
  return f"{start}: {words}"


def noise_text(results: Mapping) -> str:
  """How large a speed-up the definition gives to the full data itself."""
  full = [s for s in results["samplers"] if s["sampler"] == names.FULL]
  if not full:
    return "There is no run on the full data, so no speed-up can be given."
  words = (
    "A speed-up is the share of the steps left when a run first reaches the "
    f"full data's mean final HQ loss ({number(results['target']['hq_loss'])}, "
    "taken as given). A first crossing favours noisy curves: by the same "
    "measure the full data's own runs score "
  )
  return f"{words}{speedup_text(full[0]['speedup'])}."
