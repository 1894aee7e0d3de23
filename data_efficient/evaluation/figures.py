# SPDX-License-Identifier: Apache-2.0
"""The report's curves: loss against steps, a line a sampler, its seed spread.

Pure functions of `results.json` to inline SVG. Colours are Okabe and Ito's,
told apart by the colour-blind; dashes and labels tell the same. Samplers of one
idea share a colour, and each has a stroke of its own.
"""

import collections
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
# More bands than this would cover each other.
_BANDS = 8
# Patterns of dashes in the style sheet; then the same ones again, thinner.
_DASHES, _WIDTHS = 5, 3
_GAP = 14.0
_TOP = 26.0
_PLOT = 236.0


class Band(NamedTuple):
  """One sampler's curve: mean over seeds with the lowest and highest seed.

  `stroke` counts the curves of its colour: 0 is a solid line.
  """

  label: str
  colour: str
  stroke: int
  steps: Int[np.ndarray, " k"]
  mean: Float[np.ndarray, " k"]
  low: Float[np.ndarray, " k"]
  high: Float[np.ndarray, " k"]


def bands(results: Mapping, loss: str) -> list[Band]:
  """A band for each sampler and budget, at the steps all its seeds share."""
  budgets = names.count_budgets(results["samplers"])
  strokes = collections.Counter()
  found = []
  for sampler in results["samplers"]:
    key = sampler["sampler"], sampler["budget"]
    rows = [r for r in results["runs"] if (r["sampler"], r["budget"]) == key]
    steps, losses = _common(rows, loss)
    if not steps.size:
      continue
    colour = names.colour_class(key[0])
    found.append(
      Band(
        label=svg.clipped(names.label(*key, budgets=budgets)),
        colour=colour,
        stroke=strokes[colour],
        steps=steps,
        mean=losses.mean(axis=0),
        low=losses.min(axis=0),
        high=losses.max(axis=0),
      )
    )
    strokes[colour] += 1
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


def loss_curves(results: Mapping, loss: str, *, suffix: str = "") -> Html:
  """Loss against steps: a line a sampler, its seeds as a band, Full dashed.

  `suffix` makes names of elements unique where a page has several such figures.
  """
  found = bands(results, loss)
  caption = _caption(loss, results["target"][loss], len(found))
  return svg.figure(
    *_curves(results, loss, found, suffix),
    **_frame_facts(loss, found, suffix),
    caption=caption,
  )


def picture(results: Mapping, loss: str) -> str:
  """The same curves as an SVG file that stands alone."""
  found = bands(results, loss)
  drawing = svg.drawing(
    *_curves(results, loss, found, ""),
    **_frame_facts(loss, found, ""),
    css=style.CSS,
  )
  return f"{drawing}\n"


def _bottom(found: Sequence[Band]) -> float:
  """Where the frame ends: the labels of many curves need more room."""
  return _TOP + max(_PLOT, _GAP * (len(found) - 1))


def _frame_facts(loss: str, found: Sequence[Band], suffix: str) -> dict:
  return {
    "height": _bottom(found) + 42,
    "title": f"The {TITLES[loss]} along training",
    "key": f"{loss.replace('_', '-')}{suffix}",
  }


def _curves(
  results: Mapping, loss: str, found: Sequence[Band], suffix: str
) -> list[Html]:
  target = results["target"][loss]
  low, high = _frame(found, target)
  longest = max((len(band.label) for band in found), default=0)
  right = 14 + _sample(found) + 7.2 * longest
  x = svg.Scale(0.0, float(results["steps"]), 40.0, svg.WIDTH - right)
  y = svg.Scale(low, high, _bottom(found), _TOP)
  key = f"{loss.replace('_', '-')}{suffix}"
  marks = svg.axes(x, y, x_title="training steps", y_title="loss, nats a token")
  marks.append(_clip(x, y, key))
  shaded = found if len(found) <= _BANDS else ()
  marks.append(
    element(
      "g",
      *(
        svg.area(_outline(band, x, y), f"band {band.colour}") for band in shaded
      ),
      *(_curve(band, x, y) for band in found),
      clip_path=f"url(#clip-{key})",
    )
  )
  if target is not None:
    marks.append(svg.line(x.start, y(target), x.end, y(target), "target"))
  marks += _labels(found, x, y)
  return marks


def _caption(loss: str, target: float | int | None, curves: int) -> str:
  words = f"The {TITLES[loss]}: a line is the mean over seeds"
  if curves <= _BANDS:
    words += ", its band goes from the lowest to the highest seed"
  words += ". The first steps lie above the frame."
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
  return svg.path(points, f"curve {band.colour}{_stroke(band)}")


def _stroke(band: Band) -> str:
  """The style classes of its dashes and its width."""
  dash, width = band.stroke % _DASHES, band.stroke // _DASHES % _WIDTHS
  return f" dash-{dash}" * (dash > 0) + f" width-{width}" * (width > 0)


def _sample(found: Sequence[Band]) -> float:
  """Length of the piece of each curve that stands before its name."""
  return 24.0 if any(band.stroke for band in found) else 0.0


def _labels(found: Sequence[Band], x: svg.Scale, y: svg.Scale) -> list[Html]:
  """Each curve's name beside its end, apart from its neighbours."""
  ends = [min(max(y(float(band.mean[-1])), y.end), y.start) for band in found]
  places = svg.spread(ends, gap=_GAP, low=y.end, high=y.start)
  start, length = x.end + 9, _sample(found)
  marks = []
  for band, end, place in zip(found, ends, places, strict=True):
    marks.append(
      svg.path([(x.end + 1, end), (start, place)], f"lead-line {band.colour}")
    )
    if length:
      sample = [(start, place), (start + length - 2, place)]
      marks.append(svg.path(sample, f"curve {band.colour}{_stroke(band)}"))
    words = svg.text(
      start + length + 2, place + 4, band.label, class_=f"label {band.colour}"
    )
    marks.append(words)
  return marks
