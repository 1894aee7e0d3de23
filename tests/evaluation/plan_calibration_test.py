# SPDX-License-Identifier: Apache-2.0
"""How seconds of a few steps become those of all, on machines made up.

That the prediction is what is then measured: tests/parity.
"""

import dataclasses

import numpy as np
import pytest

from data_efficient.evaluation import plan_calibration, plan_scoring
from tests.evaluation import planned


def _smaller(monkeypatch, rate, memory=1e12):
  """A machine on which some steps would take too long."""
  monkeypatch.setattr(
    plan_calibration, "product_rate", lambda dtype, clock=None: rate
  )
  monkeypatch.setattr(plan_calibration, "_memory", lambda: memory)


class Flops:
  """A machine that does one FLOP a second: steps say how many they had."""

  def __init__(self, monkeypatch):
    self.at = 0.0
    monkeypatch.setattr(plan_calibration, "_timed", self._timed)

  def _timed(self, step, clock):
    before = self.at
    step()
    return self.at - before


def test_what_is_left_out_is_scaled(monkeypatch):
  """With fewer rows and layers, the prediction is that of all of them."""
  machine = Flops(monkeypatch)
  deep = dataclasses.replace(
    planned.WIDE, num_encoder_layers=6, num_decoder_layers=6
  )
  scorer = planned.scorer(deep)
  batch = plan_scoring.Batches(10.0, np.ones((8, 128), np.int32))
  asked = plan_scoring.answers_of(scorer)
  one = plan_scoring.flops_of(deep, asked, 128)
  work = plan_scoring.Work(deep, asked, [batch], 80 * one, 80 * one, 0.0)
  rows = []

  def step(self, arrays):
    rows.append((len(arrays), self.judge.network.num_encoder_layers))
    found = plan_scoring.flops_of(self.judge.network, asked, arrays.shape[1])
    machine.at += len(arrays) * found

  monkeypatch.setattr(type(scorer), "step", step)
  monkeypatch.setattr(
    plan_calibration,
    "_random",
    lambda judge, network: dataclasses.replace(judge, network=network),
  )
  for rate in (1e3, 0.15 * one, one, 1e18):
    _smaller(monkeypatch, rate)
    found = plan_calibration.scoring(scorer, work, seconds=40)
    assert found.device_seconds == pytest.approx(work.flops)
    assert ("scaled" in found.measured) == (rate < 1e18)
  assert rows[0] == (1, 1)
  assert rows[-1] == (8, 6)
  # Parameters that do not fit are not made either.
  _smaller(monkeypatch, 1e18, memory=1.0)
  plan_calibration.scoring(scorer, work, seconds=40)
  assert rows[-1] == (8, 1)


def test_a_step_has_a_part_that_rows_do_not_change(monkeypatch):
  """The optimizer's: it grows with the parameters, and is paid once a step."""
  run = dataclasses.replace(planned.TRAINING, batch=64)
  each = run.flops_of_a_row.executed

  def step(smaller, mesh, clock):
    return 5.0 * each + smaller.batch * smaller.flops_of_a_row.executed

  monkeypatch.setattr(plan_calibration, "_step", step)
  for rate in (1e3, 3 * each, 1e18):
    _smaller(monkeypatch, rate)
    found = plan_calibration.training(run, seconds=40)
    assert found.seconds == pytest.approx(run.steps * (5 + 64) * each)


def test_the_host_works_beside_an_accelerator_and_not_beside_a_cpu():
  together = plan_calibration.Scoring(5.0, 2.0, False, "")
  beside = plan_calibration.Scoring(5.0, 2.0, True, "")
  assert (together.seconds, beside.seconds) == (7.0, 5.0)
  # Whichever is slower is waited for.
  assert plan_calibration.Scoring(2.0, 5.0, True, "").seconds == 5.0
