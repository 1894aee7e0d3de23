# SPDX-License-Identifier: Apache-2.0
"""What `utility_fidelity` found, as a section of Markdown."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from data_efficient.evaluation import markup

_VERDICTS = {
  "above": "better",
  "below": "worse",
  "undecided": "undecided",
}


def markdown(found: Mapping[str, Any]) -> str:
  """Two tables and what is to be known of them."""
  exact, rows = found["exact"], found["approximations"]
  size = "{:,} × {:,}".format(*exact["shape"])
  parts = [
    "## Cheaper utilities beside the exact ones",
    f"Exact: {size} targets × examples, {exact['pairs']:,} pairs"
    f"{_time(exact)}. In brackets 95% intervals over targets (bootstrap); the "
    "examples and the sets are taken as given.",
    "Held-back pairs, which the approximation did not compute:",
    _table(
      [
        *("", "computed", "held back", "Pearson", "within targets"),
        *(
          "Spearman",
          "RMSE / deviation",
          "best kept",
          "seconds",
          "time a pair",
        ),
      ],
      [_pairs(row, exact) for row in rows],
    ),
    "Within targets: of differences from each target's mean. Best kept: what "
    "each target's best example by the approximation is worth, of what the "
    "best one is. Time a pair: of the exact kernel's, all pairs counted.",
    f"Sets chosen by each kernel (transform {found['transform']}), valued by "
    "the exact one:",
    _table(
      [
        *("", "budget", "in common", "random in common", "of exact's value"),
        *("random's value", "against random"),
      ],
      [line for row in rows for line in _selections(row)],
    ),
    "In common: Jaccard's index with the exact kernel's set. Against random: "
    "decided only where the interval of the difference leaves out 0, targets "
    "and random sets drawn anew.",
    *_notes(rows),
  ]
  return "\n\n".join(parts) + "\n"


def _pairs(row: Mapping[str, Any], exact: Mapping[str, Any]) -> list[str]:
  held = row["held_back"]
  cells = ["–"] * 4
  if held:
    error, deviation = (
      held["root_mean_square_error"],
      held["standard_deviation"],
    )
    cells = [
      _value(held["pearson"]),
      _value(held["pearson_within_targets"]),
      _value(held["spearman"]),
      f"{markup.number(error, 4)} / {markup.number(deviation, 4)}",
    ]
  return [
    row["name"],
    f"{row['pairs']['computed']:,}",
    f"{row['pairs']['held_back']:,}",
    *cells,
    _value(row["best_kept"], share=True),
    markup.number(row["seconds"], 1),
    _relative(row, exact),
  ]


def _relative(row: Mapping[str, Any], exact: Mapping[str, Any]) -> str:
  if not row["seconds"] or not exact["seconds"]:
    return "–"
  ours = row["seconds"] / math.prod(row["shape"])
  theirs = exact["seconds"] / math.prod(exact["shape"])
  return markup.percent(ours / theirs, 1)


def _selections(row: Mapping[str, Any]) -> list[list[str]]:
  found = row["selections"]
  if isinstance(found, str):
    return [[row["name"], found, *["–"] * 5]]
  lines = []
  for one in found:
    random, of = one["objective_of_random"], one["objective_of_exact"]
    mean, low, high = (
      markup.percent(random[name] / of, 1)
      for name in ("mean", "lowest", "highest")
    )
    against = one["against_random"]
    verdict = _VERDICTS[against["verdict"]]
    if against["interval"]:
      ends = (markup.signed(end / of, 3) for end in against["interval"])
      verdict += f" ({' to '.join(ends)})"
    lines.append(
      [
        row["name"],
        f"{markup.percent(one['budget'], 1)}, {one['examples']:,}",
        markup.percent(one["jaccard"], 1),
        markup.percent(one["jaccard_of_random"], 1),
        _value(one["share_of_exact"], share=True),
        f"{mean} ({low} to {high}, {random['seeds']} seeds)",
        verdict,
      ]
    )
  return lines


def _value(found: Mapping[str, Any], *, share: bool = False) -> str:
  if found["value"] is None:
    return "–"

  def text(value: float) -> str:
    return markup.percent(value, 1) if share else markup.signed(value, 3)

  if not found["interval"]:
    return text(found["value"])
  low, high = map(text, found["interval"])
  return f"{text(found['value'])} ({low} to {high})"


def _notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
  found = []
  for row in rows:
    said = "; ".join(row["scorer_differs"][:8])
    if said:
      found.append(f"{row['name']} is by another scorer: {said}.")
  return found


def _time(exact: Mapping[str, Any]) -> str:
  seconds = exact["seconds"]
  return f" in {markup.number(seconds, 1)} s" if seconds else ""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  def line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"

  rule = "|" + "---|" * len(header)
  return "\n".join([line(header), rule, *map(line, rows)])
