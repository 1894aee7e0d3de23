# SPDX-License-Identifier: Apache-2.0
"""Fronts, convergence and agreement, drawn."""

import itertools
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from data_efficient.evaluation import (
  agreement_figure,
  convergence_figure,
  front_figure,
  report_convergence,
  report_views,
  svg,
)
from data_efficient.evaluation.convergence_figure import Mark, Row
from tests.evaluation import contract

_SVG = "{http://www.w3.org/2000/svg}"


def _drawing(figure):
  return ElementTree.fromstring(figure).find(f"{_SVG}svg")


def _marks(figure, name, class_):
  return [
    mark
    for mark in _drawing(figure).iter(f"{_SVG}{name}")
    if class_ in (mark.get("class") or "").split()
  ]


def _words(figure):
  return [mark.text for mark in _drawing(figure).iter(f"{_SVG}text")]


def _inside(figure):
  """Whether points, lines and the widths of words lie in the view box."""
  drawing = _drawing(figure)
  _, _, width, height = map(float, drawing.get("viewBox").split())
  for mark in drawing.iter():
    for key in ("x", "x1", "x2", "cx"):
      assert 0 <= float(mark.get(key, 0)) <= width, mark.attrib
    for key in ("y", "y1", "y2", "cy"):
      assert 0 <= float(mark.get(key, 0)) <= height, mark.attrib
    if mark.tag == f"{_SVG}text":
      # A bold letter of 12 px is 7.2 wide on average, a small one less.
      long = 7.2 if "label" in mark.get("class") else 5.6
      left = float(mark.get("x")) - long * len(mark.text) * {
        "start": 0, "middle": 0.5, "end": 1,
      }[mark.get("text-anchor")]  # fmt: skip
      assert -1 <= left and left + long * len(mark.text) <= width + 1, mark.text


def _front(points):
  return front_figure.front(
    points, title="t", caption="c", x_title="tokens", key="k"
  )


def _point(sampler, x, y, *, on_front=False, budget=0.5, interval=None):
  return {
    **{"sampler": sampler, "budget": budget, "x": x, "y": y},
    **{"interval": interval, "on_front": on_front},
  }


def test_the_front_goes_down_in_steps_through_its_points():
  figure = _front(
    [
      _point("ask_llm", 10, 5.0, on_front=True),
      _point("density", 20, 5.5),
      _point("full", 30, 4.0, on_front=True),
    ]
  )
  (path,) = _marks(figure, "path", "front")
  places = re.findall(r"([-\d.]+) ([-\d.]+)", path.get("d"))
  places = [(float(x), float(y)) for x, y in places]
  first, last = [
    (float(mark.get("cx")), float(mark.get("cy")))
    for mark in _marks(figure, "circle", "disc")
    if mark.get("class") in ("disc c-ask_llm", "disc c-full")
  ][:2]
  assert places[1:4] == [first, (last[0], first[1]), last]
  # A lower loss stands lower, more tokens further right.
  assert last[1] > first[1] and last[0] > first[0]
  _inside(figure)


def test_random_has_a_line_of_its_own():
  points = [
    _point("random", 10, 5.0, budget=0.2),
    _point("random", 30, 4.8, budget=0.6),
    _point("ask_llm", 10, 4.9, budget=0.2),
  ]
  (line,) = _marks(_front(points), "path", "lead-line")
  assert line.get("class") == "lead-line c-random"
  assert _marks(_front(points[1:]), "path", "lead-line") == []


def test_points_of_one_cost_stand_apart_where_their_cost_is():
  samplers = ("random", "ask_llm", "density", "quality_classifier")
  points = [_point(sampler, 50, 5.0) for sampler in samplers]
  points += [_point("full", 0, 4.0), _point("full", 100, 4.0)]
  figure = _front(points)
  places = [
    float(mark.get("cx"))
    for mark in _marks(figure, "circle", "disc")
    if float(mark.get("cy")) < 200 and "c-full" not in mark.get("class")
  ]
  assert np.diff(sorted(places)).min() >= 5.9
  ends = [
    float(m.get("cx"))
    for m in _marks(figure, "circle", "disc")
    if "c-full" in m.get("class")
  ][:2]
  assert np.mean(places) == pytest.approx(np.mean(ends), abs=0.1)


def test_very_many_points_of_one_cost_stay_near_it():
  points = [
    _point(f"s{number}", 50, 5.0, interval=[4.9, 5.1]) for number in range(60)
  ]
  points += [_point("random", 50, 5.0, interval=[4.9, 5.1])]
  points += [_point("full", 0, 4.0), _point("full", 100, 4.0, on_front=True)]
  figure = _front(points)
  crowd = [
    float(mark.get("x1"))
    for mark in _marks(figure, "line", "whisker")
    if "c-random" in mark.get("class")
  ]
  assert len(_marks(figure, "line", "whisker")) == len(crowd) == 3
  places = [
    float(mark.get("cx"))
    for mark in _marks(figure, "circle", "disc")
    if "c-other" in mark.get("class") and float(mark.get("cy")) < 200
  ]
  assert max(places) - min(places) < 41


def test_intervals_beyond_the_frame_end_in_arrows():
  points = [
    _point("random", 10, 5.0, interval=[4.95, 9.0]),
    _point("ask_llm", 20, 4.8, interval=[4.75, 4.85]),
  ]
  figure = _front(points)
  assert len(_marks(figure, "path", "whisker")) == 1
  assert len(_marks(figure, "line", "whisker")) == 5
  _inside(figure)


@pytest.mark.parametrize("axis", ["data", "accelerator_time"])
def test_a_front_of_many_points(axis):
  results = contract.results(
    networks=("T5-Small",),
    samplers=("random", *(f"a_sampler_of_a_long_name_{n}" for n in range(9))),
    budgets=(0.1, 0.2, 0.4, 0.6),
    evaluations=4,
    seeds=(0,),
  )
  figure = _front(results["pareto"]["T5-Small"][axis])
  _inside(figure)
  assert len(_marks(figure, "text", "label")) == 11
  budgets = [
    (float(m.get("x")), float(m.get("y")), 5.6 * len(m.text))
    for m in _marks(figure, "text", "halo")
  ]
  for (x, y, wide), (a, b, _) in itertools.permutations(budgets, 2):
    assert not (abs(y - b) < 9 and x <= a < x + wide)


def test_a_front_without_points_or_with_one():
  _inside(_front([]))
  _inside(_front([_point("full", 10, 5.0, budget=None, on_front=True)]))


def _dots(rows, paper=0.56, legend=()):
  return convergence_figure.dots(
    rows, title="t", caption="c", x_title="%", paper=paper, key="k",
    legend=legend,
  )  # fmt: skip


def test_dots_stand_where_their_share_is():
  rows = [
    Row("Full", "c-full", [Mark("disc", 1.0, None)], ""),
    Row("Ask", "c-ask_llm", [Mark("disc", 0.56, (0.5, 0.62))], "2/3"),
  ]
  figure = _dots(rows)
  (full,) = _marks(figure, "line", "target")
  (paper,) = _marks(figure, "line", "reference")
  discs = {
    m.get("class"): float(m.get("cx")) for m in _marks(figure, "circle", "disc")
  }
  assert discs["disc c-full"] == float(full.get("x1"))
  assert discs["disc c-ask_llm"] == float(paper.get("x1"))
  middle, *_ = _marks(figure, "line", "whisker")
  low, high = float(middle.get("x1")), float(middle.get("x2"))
  assert (low + high) / 2 == pytest.approx(discs["disc c-ask_llm"], abs=0.02)
  assert {"paper 56%", "Full", "2/3"} <= set(_words(figure))
  _inside(figure)
  assert _marks(_dots(rows, paper=None), "line", "reference") == []


def test_dots_far_beyond_full_end_at_the_frame_with_their_number():
  rows = [
    Row("Full", "c-full", [Mark("ring", 1.0, None)], ""),
    Row("x" * 60, "c-other", [Mark("disc", 25.0, (20.0, 30.0))], ""),
  ]
  figure = _dots(rows, legend=[("alone", "ring"), ("with scoring", "disc")])
  assert "2,500%" in _words(figure)
  assert f"{'x' * 25}…" in _words(figure)
  _inside(figure)


@pytest.mark.parametrize(
  ("metric", "words"),
  [
    ("hq_loss", "44% fewer on HQ perplexity"),
    ("glue_average", "70% fewer on GLUE"),
    ("super_glue_average", "50% fewer on SuperGLUE"),
    ("in_distribution_loss", None),
    ("hq_accuracy", None),
  ],
)
def test_what_the_paper_claims_is_cited_where_it_does(metric, words):
  results = contract.results(
    networks=("T5-Small",), samplers=("random",), budgets=(0.6,)
  )
  for sampler in results["samplers"]:
    found = sampler["convergence"]["hq_loss"]
    sampler["convergence"] = {metric: found}
  (view,) = report_views.views(results)
  drawn = "".join(report_convergence._drawings(view, metric))
  assert ("arXiv 2402.09668, Figure 1" in drawn) == (words is not None)
  assert ("reference" in drawn) == (words is not None)
  assert words is None or words in drawn


def test_seconds_have_three_marks_a_row():
  results = contract.results(
    networks=("T5-Small",), samplers=("random", "ask_llm"), budgets=(0.6,)
  )
  (view,) = report_views.views(results)
  steps, seconds = report_convergence._drawings(view, "hq_loss")
  assert len(_marks(steps, "circle", "disc")) == 3
  assert len(_marks(seconds, "circle", "ring")) == 3 + 1  # and the legend's
  assert len(_marks(seconds, "circle", "disc")) == 3 + 1
  assert len(_marks(seconds, "path", "disc")) == 3 + 1  # diamonds


def test_the_heat_map_is_as_strong_as_agreement():
  tau = [[1.0, -0.62, None], [-0.62, 1.0, 0.07], [None, 0.07, 1.0]]
  figure = agreement_figure.matrix(["A", "B", "C"], tau)
  cells = list(_drawing(figure).iter(f"{_SVG}rect"))
  opacity = [float(cell.get("fill-opacity")) for cell in cells]
  assert opacity[:4] == [1.0, 0.62, 0.0, 0.62]
  assert cells[1].get("class") == "tau tau-minus"
  assert cells[5].get("class") == "tau tau-plus"
  assert {"1.00", "−0.62", "–", "0.07", "1 A", "3 C"} <= set(_words(figure))
  _inside(figure)


def test_a_heat_map_of_many_scorers_leaves_numbers_to_the_table():
  titles = [f"A scorer of a long name {n}" for n in range(19)]
  figure = agreement_figure.matrix(titles, np.eye(19).tolist())
  assert "1.00" not in _words(figure)
  assert len(list(_drawing(figure).iter(f"{_SVG}rect"))) == 361
  _inside(figure)


@pytest.mark.parametrize("shape", svg.SHAPES)
def test_every_shape_is_centred(shape):
  mark = ElementTree.fromstring(svg.marker(shape, 50, 60, "c-full"))
  if mark.tag == "circle":
    assert (mark.get("cx"), mark.get("cy")) == ("50", "60")
    return
  corners = re.findall(r"([-\d.]+) ([-\d.]+)", mark.get("d"))
  x, y = np.asarray(corners, float).mean(axis=0)
  assert (x, y) == (pytest.approx(50, abs=0.1), pytest.approx(60, abs=1))


def test_large_ticks_are_short():
  assert svg.tick_text(1e6) == "1M"
  assert svg.tick_text(-2.5e9) == "−2.5B"
  assert svg.tick_text(800_000) == "800,000"
