# SPDX-License-Identifier: Apache-2.0
"""Which process this is; `make faults` starts two real ones."""

import jax
import pytest

from data_efficient import processes


@pytest.fixture
def asked(monkeypatch):
  """What JAX was asked to join; nothing is joined."""
  calls = []
  monkeypatch.setattr(
    jax.distributed, "initialize", lambda **given: calls.append(given)
  )
  return calls


def test_without_the_variable_a_process_is_alone(monkeypatch, asked):
  monkeypatch.delenv(processes.VARIABLE, raising=False)
  processes.join()
  assert asked == [] and processes.is_first()


@pytest.mark.parametrize(
  "value, expected",
  [
    ("auto", {}),
    (
      "1/4@10.0.0.1:1234",
      {
        "coordinator_address": "10.0.0.1:1234",
        "num_processes": 4,
        "process_id": 1,
      },
    ),
  ],
)
def test_the_variable_says_who_is_who(monkeypatch, asked, value, expected):
  monkeypatch.setenv(processes.VARIABLE, value)
  processes.join()
  assert asked == [expected]


@pytest.mark.parametrize("value", ["2", "2/2@host:1", "0/2@host", "a/2@host:1"])
def test_other_values_are_refused(monkeypatch, asked, value):
  monkeypatch.setenv(processes.VARIABLE, value)
  with pytest.raises(processes.ProcessesError, match="INDEX/COUNT@HOST:PORT"):
    processes.join()
  assert asked == []
