# SPDX-License-Identifier: Apache-2.0
"""What scoring cost beside what it was for: figure and table."""

from collections.abc import Mapping

from data_efficient.evaluation import markup, names, svg
from data_efficient.evaluation.markup import Html, element

_BAR = 12.0
_ROW = 60.0


def rows(results: Mapping) -> list[dict]:
  """For each scorer: seconds of scoring and of one training run (the mean).

  Training runs are those of the main network, the first of several. `share` is
  scoring / training of one run; a sampler that was scored but not trained is
  set beside the mean of all runs.
  """
  main = results["samplers"][0].get("network") if results["samplers"] else None
  seconds = {
    s["sampler"]: s["training_seconds"]
    for s in results["samplers"]
    if s.get("network") == main
  }
  found = []
  for sampler, scoring in results["scoring_seconds"].items():
    training = seconds.get(sampler) or results["training_seconds"]["mean"]
    found.append(
      {
        "sampler": sampler,
        "stages": scoring["stages"],
        "scoring": scoring["total"],
        "training": training,
        "share": scoring["total"] / training if training else None,
      }
    )
  return sorted(found, key=lambda row: names.order(row["sampler"], None))


def stages_text(stages: Mapping[str, float | int]) -> str:
  """Stages with their seconds, in words."""
  return ", ".join(
    f"{stage.replace('_', ' ')} {markup.duration(value)}"
    for stage, value in stages.items()
  )


def figure(results: Mapping) -> Html:
  """Two bars a scorer: seconds of scoring, seconds of one training run."""
  found = rows(results)
  longest = max((max(r["scoring"], r["training"]) for r in found), default=0)
  x = svg.Scale(0.0, longest or 1.0, 8.0, svg.WIDTH - 128)
  marks = []
  for index, row in enumerate(found):
    marks += _row(row, x, top=6 + index * _ROW)
  caption = (
    "Seconds spent on scoring (coloured) beside the seconds of one training "
    "run on its selection (grey), on this machine."
  )
  return svg.figure(
    *marks,
    height=10 + _ROW * max(len(found), 1),
    title="Scoring cost beside training cost",
    caption=caption,
    key="cost",
  )


def _row(row: Mapping, x: svg.Scale, *, top: float) -> list[Html]:
  colour = names.colour_class(row["sampler"])
  marks = [
    svg.text(
      x.start, top + 12, names.title(row["sampler"]), class_=f"label {colour}"
    )
  ]
  bars = (
    ("scoring", row["scoring"], f"bar {colour}"),
    ("one training run", row["training"], "bar plain"),
  )
  for index, (words, seconds, class_) in enumerate(bars):
    y = top + 18 + index * (_BAR + 4)
    width = max(x(seconds) - x.start, 1.0)
    marks.append(
      element("rect", x=x.start, y=y, width=width, height=_BAR, class_=class_)
    )
    marks.append(
      svg.text(
        x.start + width + 5,
        y + 10,
        f"{markup.duration(seconds)} {words}",
        class_="tick",
      )
    )
  return marks
