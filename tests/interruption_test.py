# SPDX-License-Identifier: Apache-2.0
"""Signals: an exception, or a word for a loop; and what a verb makes of it."""

import json
import signal

import pytest

from data_efficient import gin_config, interruption, main
from data_efficient.cli import cost


def test_sigterm_is_an_exception_inside_and_what_it_was_outside():
  before = signal.getsignal(signal.SIGTERM)
  with pytest.raises(interruption.Interrupted) as stopped:
    with interruption.raised():
      signal.raise_signal(signal.SIGTERM)
  assert stopped.value.code == 143
  assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_loop_is_only_told(number):
  with interruption.noticed() as request:
    assert request.signal is None
    signal.raise_signal(number)
    assert request.signal == number
    # A scheduler that repeats itself does not cut the checkpoint short.
    signal.raise_signal(signal.SIGTERM)
    assert request.signal == number
  assert interruption.Interrupted(number).code == 128 + number


def test_a_second_ctrl_c_stops_at_once():
  with pytest.raises(KeyboardInterrupt), interruption.noticed():
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_is_passed_on_as_sigterm():
  with interruption.noticed() as request, interruption.passed_on():
    signal.raise_signal(signal.SIGINT)
    assert request.signal == signal.SIGTERM


@pytest.fixture
def heard():
  """Ctrl-C is heard, also where tests run in the background of a shell."""
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield
  signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(
  "number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_stopped_verb_counts_its_cost(monkeypatch, tmp_path, number, code):
  def verb():
    with cost.measured(tmp_path):
      signal.raise_signal(number)

  monkeypatch.setattr(gin_config, "parse", lambda *_: None)
  monkeypatch.setattr(gin_config, "configured", lambda _: verb)
  try:
    found = main.main(["select"])
  except SystemExit as stopped:
    found = stopped.code
  assert found == code
  assert json.loads((tmp_path / "cost.json").read_text())["seconds"] >= 0
