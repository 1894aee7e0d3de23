# SPDX-License-Identifier: Apache-2.0
"""The report's curves: loss against steps, a line a sampler, its seed spread.

Pure functions of `results.json` to inline SVG. Colours are Okabe and Ito's,
told apart by the colour-blind; dashes and labels tell the same.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from data_efficient.evaluation import markup, names, style, svg
from data_efficient.evaluation.markup import Html, element

TITLES = {
  "hq_loss": "HQ loss",
  "in_distribution_loss": "in-distribution loss",
}
# The frame begins where the curves come out of the first third of training:
# the fall from the first evaluation would flatten everything worth seeing.
_SKIPPED = 0.3


class Band(NamedTuple):
  """One sampler's curve: mean over seeds with the lowest and highest seed."""

  label: str
  colour: str
  dashed: bool
  steps: Int[np.ndarray, " k"]
  mean: Float[np.ndarray, " k"]
  low: Float[np.ndarray, " k"]
  high: Float[np.ndarray, " k"]


def bands(results: Mapping, loss: str) -> list[Band]:
  """A band for each sampler and budget, at the steps all its seeds share."""
  budgets = names.count_budgets(results["samplers"])
  smallest = min(
    (
      s["budget"]
      for s in results["samplers"]
      if s["sampler"] != names.FULL and s["budget"] is not None
    ),
    default=None,
  )
  found = []
  for sampler in results["samplers"]:
    key = sampler["sampler"], sampler["budget"]
    rows = [r for r in results["runs"] if (r["sampler"], r["budget"]) == key]
    steps, losses = _common(rows, loss)
    if not steps.size:
      continue
    found.append(
      Band(
        label=names.label(*key, budgets=budgets),
        colour=names.colour_class(key[0]),
        dashed=key[0] != names.FULL and key[1] != smallest,
        steps=steps,
        mean=losses.mean(axis=0),
        low=losses.min(axis=0),
        high=losses.max(axis=0),
      )
    )
  return found


def _common(
  rows: Sequence[Mapping], loss: str
) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, "seeds k"]]:
  """Steps at which every row has a loss, and the losses there."""
  curves = [
    {s: v for s, v in zip(r["steps"], r[loss], strict=True) if v is not None}
    for r in rows
  ]
  steps = sorted(set.intersection(*map(set, curves))) if curves else []
  losses = [[curve[step] for step in steps] for curve in curves]
  return np.asarray(steps, np.int64), np.asarray(losses, np.float64)


def loss_curves(results: Mapping, loss: str) -> Html:
  """Loss against steps: a line a sampler, its seeds as a band, Full dashed."""
  caption = _caption(loss, results["target"][loss])
  return svg.figure(
    *_curves(results, loss), **_frame_facts(loss), caption=caption
  )


def picture(results: Mapping, loss: str) -> str:
  """The same curves as an SVG file that stands alone."""
  drawing = svg.drawing(
    *_curves(results, loss), **_frame_facts(loss), css=style.CSS
  )
  return f"{drawing}\n"


def _frame_facts(loss: str) -> dict:
  return {
    "height": 304,
    "title": f"The {TITLES[loss]} along training",
    "key": loss.replace("_", "-"),
  }


def _curves(results: Mapping, loss: str) -> list[Html]:
  found = bands(results, loss)
  target = results["target"][loss]
  low, high = _frame(found, target)
  right = 14 + 7.2 * max((len(band.label) for band in found), default=0)
  x = svg.Scale(0.0, float(results["steps"]), 40.0, svg.WIDTH - right)
  y = svg.Scale(low, high, 262.0, 26.0)
  key = loss.replace("_", "-")
  marks = svg.axes(x, y, x_title="training steps", y_title="loss, nats a token")
  marks.append(_clip(x, y, key))
  marks.append(
    element(
      "g",
      *(
        svg.area(_outline(band, x, y), f"band {band.colour}") for band in found
      ),
      *(_curve(band, x, y) for band in found),
      clip_path=f"url(#clip-{key})",
    )
  )
  if target is not None:
    marks.append(svg.line(x.start, y(target), x.end, y(target), "target"))
  marks += _labels(found, x, y)
  return marks


def _caption(loss: str, target: float | int | None) -> str:
  words = (
    f"The {TITLES[loss]}: a line is the mean over seeds, its band goes from "
    "the lowest to the highest seed. The first steps lie above the frame."
  )
  if target is None:
    return words
  return f"{words} Dashed: where the full data ends ({markup.number(target)})."


def _frame(
  found: Sequence[Band], target: float | int | None
) -> tuple[float, float]:
  """Lowest and highest loss that the figure shows."""
  lows = [float(band.low.min()) for band in found]
  highs = []
  for band in found:
    late = band.steps >= _SKIPPED * band.steps[-1]
    highs.append(float(band.high[late].max()))
  if target is not None:
    lows.append(target)
    highs.append(target)
  low, high = min(lows, default=0.0), max(highs, default=1.0)
  margin = 0.04 * (high - low) or 0.1
  return low - margin, high + margin


def _clip(x: svg.Scale, y: svg.Scale, key: str) -> Html:
  box = element(
    "rect", x=x.start, y=y.end, width=x.end - x.start, height=y.start - y.end
  )
  return element("clipPath", box, id=f"clip-{key}")


def _points(
  steps: Int[np.ndarray, " k"],
  losses: Float[np.ndarray, " k"],
  x: svg.Scale,
  y: svg.Scale,
) -> list[tuple[float, float]]:
  pairs = zip(steps.tolist(), losses.tolist(), strict=True)
  return [(x(step), y(loss)) for step, loss in pairs]


def _outline(band: Band, x: svg.Scale, y: svg.Scale):
  there = _points(band.steps, band.high, x, y)
  return there + _points(band.steps, band.low, x, y)[::-1]


def _curve(band: Band, x: svg.Scale, y: svg.Scale) -> Html:
  points = _points(band.steps, band.mean, x, y)
  return svg.path(points, f"curve {band.colour}{' dashed' * band.dashed}")


def _labels(found: Sequence[Band], x: svg.Scale, y: svg.Scale) -> list[Html]:
  """Each curve's name beside its end, apart from its neighbours."""
  ends = [min(max(y(float(band.mean[-1])), y.end), y.start) for band in found]
  places = svg.spread(ends, gap=14.0, low=y.end, high=y.start)
  marks = []
  for band, end, place in zip(found, ends, places, strict=True):
    marks.append(
      svg.path(
        [(x.end + 1, end), (x.end + 9, place)], f"lead-line {band.colour}"
      )
    )
    marks.append(
      svg.text(x.end + 11, place + 4, band.label, class_=f"label {band.colour}")
    )
  return marks
