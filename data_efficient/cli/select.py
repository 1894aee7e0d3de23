# SPDX-License-Identifier: Apache-2.0
"""The verb `select`: scores and a budget to a selection of the pool."""

from collections.abc import Sequence

from data_efficient.cli import cost
from data_efficient.data import (
  covering,
  explaining,
  pipelines,
  selecting,
  selections,
)

_SHOWN = 8  # labels whose shares quotas change most


def select(
  *,
  recipe: selecting.Recipe | covering.Recipe,
  output: str,
  explain: str | None = None,
  neighbours: str | None = None,
  beam_options: Sequence[str] | None = None,
) -> None:
  """Keeps the records of the pool that the selector ranks first.

  Args:
    recipe: what is selected from what.
    output: directory of the selection.
    explain: directory of tables that say for each record why it was kept or
      dropped (`explaining`); None for none.
    neighbours: directory of an embedding set: then the tables name the nearest
      kept record of each.
    beam_options: of Apache Beam pipelines that make the passes over the shards,
      such as '--runner=DirectRunner'; None: this process makes them.

  Raises:
    ValueError: see `selecting.Recipe.select`; or tables or pipelines are asked
      for of a set that is chosen at once (`covering.Recipe`).
    PipelineError: Apache Beam is not installed.
  """
  if isinstance(recipe, covering.Recipe):
    _cover(recipe, output, explain or beam_options)
    return
  each = pipelines.each(beam_options, output) if beam_options else None
  with cost.measured(output):
    made = recipe.select(output, each)
  print(_line(made))
  for line in (*_mix(made.summary), *_quotas(made.summary)):
    print(line)
  if explain:
    found = explaining.write(recipe, explain, neighbours)
    print(f"{found}: why each record was kept or dropped")


def _cover(recipe: covering.Recipe, output: str, more: object) -> None:
  if more:
    raise ValueError(
      "EXPLAIN and BEAM_OPTIONS are of selectors that rank records one by one; "
      "a submodular selection leaves its gains in its manifest"
    )
  with cost.measured(output):
    made = recipe.select(output)
  for line in (_line(made), *covering.lines(made.summary["cover"])):
    print(line)


def _line(made: selections.Selection) -> str:
  summary = made.summary
  line = (
    f"{made.directory}: kept {summary['kept_records']:,} of "
    f"{summary['records']:,} records"
  )
  if "kept_token_fraction" in summary:
    line += f", {summary['kept_token_fraction']:.1%} of the tokens"
  if "weight_ratio" in summary:
    ratio = summary["weight_ratio"]
    line += (
      f"; weights max/min {ratio:,.4g}, " if ratio else "; weights max/min ∞, "
    ) + (
      f"effective sample size {summary['effective_sample_size']:,.0f} "
      f"({summary['effective_sample_share']:.1%})"
    )
  return line


def _mix(summary: dict) -> list[str]:
  if "mix" not in summary:
    return []
  mix = summary["mix"]
  return [
    f"  temperature {mix['temperature']:g}: {mix['quality_share']:.0%} of the "
    f"log weights' variance is quality (spread {mix['quality_spread']:.3g}), "
    f"the rest coverage (spread {mix['coverage_spread']:.3g})"
  ]


def _quotas(summary: dict) -> list[str]:
  if "quotas" not in summary:
    return []
  found = summary["quotas"]
  lines = []
  if found["mean_score"] is not None:
    lines.append(
      f"  quotas: mean score of what is kept {found['mean_score']:.4g}; "
      f"{found['mean_score_without']:.4g} without them"
    )
  without = found["shares_without"]
  moved = sorted(
    (
      (share - without[name], f"{name} {without[name]:.1%} → {share:.1%}")
      for name, share in found["shares"].items()
      if abs(share - without[name]) >= 0.0005
    ),
    key=lambda change: -abs(change[0]),
  )
  shown = [text for _, text in moved[:_SHOWN]]
  if len(moved) > len(shown):
    shown.append(f"{len(moved) - len(shown)} more in the manifest")
  return [*lines, f"  shares: {', '.join(shown) or 'as without quotas'}"]
