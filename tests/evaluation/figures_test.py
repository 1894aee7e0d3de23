# SPDX-License-Identifier: Apache-2.0
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from data_efficient.evaluation import costs, figures, finals, svg

_SVG = "{http://www.w3.org/2000/svg}"


def _drawing(figure):
  return ElementTree.fromstring(figure).find(f"{_SVG}svg")


def _words(figure):
  return " ".join(t.text for t in _drawing(figure).iter(f"{_SVG}text"))


def _inside(figure):
  """Whether every straight line lies inside the view box."""
  drawing = _drawing(figure)
  _, _, width, height = map(float, drawing.get("viewBox").split())
  return all(
    0 <= float(mark.get(key)) <= (width if key[0] == "x" else height)
    for mark in drawing.iter(f"{_SVG}line")
    for key in ("x1", "x2", "y1", "y2")
  )


def test_scale():
  scale = svg.Scale(0, 10, 100.0, 300.0)
  assert (scale(0), scale(5), scale(10)) == (100, 200, 300)
  assert svg.Scale(1, 1, 7.0, 9.0)(1) == 7.0


@pytest.mark.parametrize(
  ("low", "high", "expected"),
  [
    (0, 300, [0, 100, 200, 300]),
    (4.86, 5.21, [4.9, 5.0, 5.1, 5.2]),
    (-0.02, 0.03, [-0.02, -0.01, 0.0, 0.01, 0.02, 0.03]),
    (3, 3, [3]),
  ],
)
def test_ticks_are_round(low, high, expected):
  assert svg.ticks(low, high, count=5) == expected


def test_spread_labels():
  assert svg.spread([10, 50], gap=14, low=0, high=100) == [10, 50]
  moved = svg.spread([50, 51, 49, 100], gap=14, low=0, high=100)
  assert min(np.diff(sorted(moved))) >= 14 - 1e-6
  assert max(moved) <= 100
  assert np.argsort(moved).tolist() == [2, 0, 1, 3]
  crowded = svg.spread([5.0] * 11, gap=14, low=0, high=100)
  assert sorted(crowded) == pytest.approx(list(range(0, 101, 10)))
  assert svg.spread([], gap=14, low=0, high=1) == []


def test_bands_by_hand(results):
  (band,) = [
    b for b in figures.bands(results, "hq_loss") if b.label == "Random"
  ]
  losses = np.array(
    [r["hq_loss"] for r in results["runs"] if r["sampler"] == "random"]
  )
  assert losses.shape == (3, 16)
  np.testing.assert_allclose(band.mean, losses.mean(axis=0))
  np.testing.assert_allclose(band.low, losses.min(axis=0))
  np.testing.assert_allclose(band.high, losses.max(axis=0))


def test_bands_leave_out_steps_where_a_seed_diverged(results):
  rows = [r for r in results["runs"] if r["sampler"] == "random"]
  rows[1]["hq_loss"][-1] = None
  (band,) = [
    b for b in figures.bands(results, "hq_loss") if b.label == "Random"
  ]
  assert band.steps[-1] == rows[1]["steps"][-2]


@pytest.mark.parametrize("loss", ["hq_loss", "in_distribution_loss"])
def test_curves_name_every_sampler(results, loss):
  figure = figures.loss_curves(results, loss)
  for name in ("Full data", "Random", "Ask-LLM", "Density", "Classifier"):
    assert name in _words(figure)
  paths = [p.get("class") for p in _drawing(figure).iter(f"{_SVG}path")]
  assert sum(p.startswith("curve ") for p in paths) == 5
  assert sum(p.startswith("band ") for p in paths) == 5
  assert _inside(figure)
  assert figure == figures.loss_curves(results, loss)


def test_several_budgets_are_told_apart(results):
  extra = [r | {"budget": 0.4} for r in results["runs"] if r["budget"]]
  results["runs"] += extra
  results["samplers"] += [
    s | {"budget": 0.4} for s in results["samplers"] if s["budget"]
  ]
  words = _words(figures.loss_curves(results, "hq_loss"))
  assert "Ask-LLM 20%" in words and "Ask-LLM 40%" in words
  dashed = [b.label for b in figures.bands(results, "hq_loss") if b.stroke]
  assert dashed == [
    f"{n} 40%" for n in ("Random", "Ask-LLM", "Density", "Classifier")
  ]


def test_many_samplers_have_a_stroke_and_a_place_each(results):
  runs = [r for r in results["runs"] if r["sampler"] == "density"]
  (one,) = [s for s in results["samplers"] if s["sampler"] == "density"]
  sizes = [f"perplexity_{size}" for size in ("small", "base", "large", "xl")]
  sizes += [f"perplexity_large_{n}00k" for n in range(1, 18)]
  for name in sizes:
    results["runs"] += [r | {"sampler": name} for r in runs]
    results["samplers"].append(one | {"sampler": name})
  figure = figures.loss_curves(results, "hq_loss")
  drawing = _drawing(figure)
  labels = [
    t for t in drawing.iter(f"{_SVG}text") if t.get("class").startswith("label")
  ]
  assert len(labels) == 5 + len(sizes)
  places = sorted(float(label.get("y")) for label in labels)
  assert min(np.diff(places)) >= 13.9
  assert _inside(figure)
  paths = [p.get("class") for p in drawing.iter(f"{_SVG}path")]
  # Too many for bands; before each name stands a piece of its curve.
  assert not [p for p in paths if p.startswith("band ")]
  curves = [p for p in paths if p.startswith("curve ")]
  assert len(curves) == 2 * len(labels)
  named = [b for b in figures.bands(results, "hq_loss") if "perp" in b.colour]
  assert len({b.stroke for b in named}) == len(named) == 8
  assert (
    "band" not in figures.loss_curves(results, "hq_loss").split("caption")[1]
  )


def test_figures_without_full(results):
  results["target"]["hq_loss"] = None
  for figure in (
    figures.loss_curves(results, "hq_loss"),
    finals.final_losses(results, "hq_loss"),
  ):
    classes = [m.get("class") for m in _drawing(figure).iter(f"{_SVG}line")]
    assert "target" not in classes


def test_final_losses_show_every_seed(results):
  figure = finals.final_losses(results, "hq_loss")
  circles = list(_drawing(figure).iter(f"{_SVG}circle"))
  assert len(circles) == 12
  assert _inside(figure)


def test_final_losses_of_a_sampler_that_diverged(results):
  for row in results["runs"]:
    if row["sampler"] == "density":
      row["final_hq_loss"] = None
  figure = finals.final_losses(results, "hq_loss")
  assert len(list(_drawing(figure).iter(f"{_SVG}circle"))) == 10


def test_cost_bars_are_in_proportion(results):
  figure = costs.figure(results)
  bars = [float(r.get("width")) for r in _drawing(figure).iter(f"{_SVG}rect")]
  rows = costs.rows(results)
  assert [row["sampler"] for row in rows] == [
    "ask_llm", "density", "quality_classifier"
  ]  # fmt: skip
  assert bars[0] / bars[1] == pytest.approx(
    108.6 / rows[0]["training"], rel=0.01
  )
  assert rows[0]["share"] == pytest.approx(108.6 / rows[0]["training"])


def test_the_picture_stands_alone(results):
  from xml.etree import ElementTree

  text = figures.picture(results, "hq_loss")
  root = ElementTree.fromstring(text)
  assert root.tag == "{http://www.w3.org/2000/svg}svg"
  assert ".band" in text and "--random" in text
  assert figures.picture(results, "hq_loss") == text
