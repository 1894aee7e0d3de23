# SPDX-License-Identifier: Apache-2.0
"""The report's tables, each a pure function of `results.json`."""

from collections.abc import Mapping

from data_efficient.evaluation import costs, document, headline, markup, names
from data_efficient.evaluation.document import Cell, Table
from data_efficient.evaluation.markup import number, percent, signed


def samplers(results: Mapping) -> Table:
  """What each sampler kept, where its runs ended, and how soon."""
  header = [
    "Sampler", "Final HQ loss", "HQ against Random", "Speed-up",
    "Steps to Full", "In-distribution", "Kept", "Tokens", "Epochs", "Seeds",
  ]  # fmt: skip
  rows = [_sampler_row(results, sampler) for sampler in results["samplers"]]
  caption = (
    "Samplers: final losses as mean ± standard deviation over seeds; the "
    "difference to Random (below 0 is better) and the speed-up with their "
    "95% intervals and seeds."
  )
  return document.table(caption, header, rows, key="samplers")


def _sampler_row(results: Mapping, sampler: Mapping) -> list[str | Cell]:
  return [
    headline.label(results, sampler),
    _spread(sampler["hq_loss"]),
    _difference(sampler["against_random"], "hq_loss"),
    _speedup(sampler["speedup"]),
    _steps(results, sampler["steps_to_full"]),
    _spread(sampler["in_distribution_loss"]),
    percent(sampler["kept_fraction"], 1),
    number(sampler["kept_tokens"], 0),
    number(sampler["epochs"], 2),
    ", ".join(str(seed) for seed in sampler["seeds"]),
  ]


def differences(results: Mapping) -> Table:
  """Each sampler against Random, Full and the Classifier, on both losses."""
  rivals = ("random", "full", "quality_classifier")
  losses = {"hq_loss": "HQ", "in_distribution_loss": "in-distribution"}
  header = ["Sampler"] + [
    f"{words} against {names.title(rival)}"
    for words in losses.values()
    for rival in rivals
  ]
  rows = [
    [headline.label(results, sampler)]
    + [
      _difference(sampler[f"against_{rival}"], loss)
      for loss in losses
      for rival in rivals
    ]
    for sampler in results["samplers"]
  ]
  caption = (
    "Differences in final loss, seed by seed: mean, 95% interval (Student's "
    "t, not corrected for the number of comparisons), paired seeds. Below 0 "
    "is better."
  )
  return document.table(caption, header, rows, key="differences")


def _difference(against: Mapping | None, loss: str) -> str | Cell:
  """Mean, interval and seeds of a paired difference, one under the other."""
  if against is None:
    return "–"
  difference = against[loss]
  if not difference["n"]:
    return "no seed shared"
  if difference["mean"] is None:
    return "diverged"
  seeds = headline.seeds_text(difference["n"], paired=True)
  if difference["interval"] is None:
    return _stack(signed(difference["mean"]), f"no interval, {seeds}")
  low, high = difference["interval"]
  bounds = f"{signed(low)} to {signed(high)}"
  return _stack(signed(difference["mean"]), bounds, seeds)


def _speedup(speedup: Mapping) -> str | Cell:
  reached, total = speedup["reached"], speedup["total"]
  if reached < total:
    return _stack("none", f"{reached} of {total} reached Full")
  if speedup["interval"] is None:
    return _stack("not shown", f"no interval, {headline.seeds_text(total)}")
  low, high = speedup["interval"]
  bounds = f"{percent(low)} to {percent(high)}"
  return _stack(percent(speedup["mean"]), bounds, headline.seeds_text(total))


def _stack(first: str, *others: str) -> Cell:
  """A figure with what it rests on in small print under it."""
  return Cell(first, others)


def _spread(summary: Mapping) -> str:
  if summary["mean"] is None:
    return "diverged"
  if summary["std"] is None:
    return f"{number(summary['mean'])} (1 seed)"
  return f"{number(summary['mean'])} ± {number(summary['std'])}"


def _steps(results: Mapping, steps: Mapping) -> str:
  reached, total = steps["reached"], steps["total"]
  if steps["mean"] is None:
    return f"reached by {reached} of {total}"
  return f"{number(steps['mean'], 0)} of {number(results['steps'], 0)}"


def runs(results: Mapping) -> Table:
  """Every run by itself: what the means are made of."""
  several = names.count_networks(results["samplers"]) > 1
  header = [
    "Sampler", *["Network"] * several, "Budget", "Seed", "Kept", "Epochs",
    "Final HQ loss", "In-distribution loss", "Steps to Full", "Training",
  ]  # fmt: skip
  rows = [
    [
      headline.label(results, {"sampler": run["sampler"]}),
      *[run.get("network") or "–"] * several,
      names.budget_text(run["budget"]),
      str(run["seed"]),
      percent(run["kept_fraction"], 1),
      number(run["epochs"], 2),
      number(run["final_hq_loss"]),
      number(run["final_in_distribution_loss"]),
      number(run["steps_to_full"], 0)
      if run["steps_to_full"] is not None
      else "never",
      markup.duration(run["training_seconds"]),
    ]
    for run in results["runs"]
  ]
  return document.table("All runs.", header, rows, key="runs")


def cost(results: Mapping) -> Table:
  """Scoring seconds by stage beside the seconds of one training run."""
  rows = [
    [
      headline.label(results, {"sampler": row["sampler"]}),
      markup.duration(row["scoring"]),
      costs.stages_text(row["stages"]),
      markup.duration(row["training"]),
      percent(row["share"]),
    ]
    for row in costs.rows(results)
  ]
  header = [
    "Scorer", "Scoring", "of which", "One training run", "Scoring / training",
  ]  # fmt: skip
  return document.table("Cost of scoring.", header, rows, key="cost")


def selections(results: Mapping) -> Table:
  """Size, threshold, weights and inclusion rates of each selection."""
  header = [
    "Selection", "Records", "Tokens", "Threshold", "Weight max / min",
    "Effective sample size", "Duplicated text kept", "Unique text kept",
    "Rare text kept",
  ]  # fmt: skip
  rows = [
    _selection_row(name, selection, results)
    for name, selection in results["selections"].items()
  ]
  caption = (
    "Selections: inclusion is the share of the pool's records of that kind "
    "that was kept. The effective sample size is (Σw)²/Σw²."
  )
  return document.table(caption, header, rows, key="selections")


def selection_name(name: str, selection: Mapping, results: Mapping) -> str:
  """A selection's name: its sampler and budget where it states them."""
  return headline.label(results, {"sampler": name, **selection})


def _selection_row(
  name: str, selection: Mapping, results: Mapping
) -> list[str]:
  inclusion = selection.get("inclusion") or {}
  return [
    selection_name(name, selection, results),
    number(selection.get("kept_records"), 0),
    number(selection.get("kept_tokens"), 0),
    number(selection.get("threshold"), 4),
    _weights(selection),
    _effective(selection),
    *(percent(inclusion.get(k), 1) for k in ("duplicated", "unique", "rare")),
  ]


def _weights(selection: Mapping) -> str:
  high, low = selection.get("weight_max"), selection.get("weight_min")
  if not high or not low:
    return "–"
  return f"{high:.3g} / {low:.3g} = {number(high / low, 1)}"


def _effective(selection: Mapping) -> str:
  size = selection.get("effective_sample_size")
  if size is None:
    return "–"
  share = selection.get("effective_share")
  return number(size, 0) + ("" if share is None else f" ({percent(share)})")


def sources(results: Mapping) -> Table:
  """Which share of each source every selection kept."""
  pool = results["corpus"].get("sources") or {}
  found = {
    selection_name(name, selection, results): selection.get("sources") or {}
    for name, selection in results["selections"].items()
  }
  ranked = sorted(pool, key=lambda source: (-pool[source], source))
  rows = [
    [
      source or "(no source)",
      number(pool[source], 0),
      *(_kept(kept.get(source, 0), pool[source]) for kept in found.values()),
    ]
    for source in ranked
  ]
  caption = "Sources: records of the pool, and how many each selection kept."
  return document.table(
    caption, ["Source", "Pool", *found], rows, key="sources"
  )


def _kept(kept: int, pool: int) -> str:
  return (
    f"{number(kept, 0)} ({percent(kept / pool)})" if pool else number(kept, 0)
  )
