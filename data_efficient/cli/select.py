# SPDX-License-Identifier: Apache-2.0
"""The verb `select`: scores and a budget to a selection of the pool."""

from data_efficient.data import selecting, selections


def select(*, recipe: selecting.Recipe, output: str) -> None:
  """Keeps the records of the pool that the selector ranks first.

  Args:
    recipe: what is selected from what.
    output: directory of the selection.

  Raises:
    ValueError: see `selecting.Recipe.select`.
  """
  print(_line(recipe.select(output)))


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
