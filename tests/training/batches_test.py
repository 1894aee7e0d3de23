# SPDX-License-Identifier: Apache-2.0
"""What an iterator of batches costs beside the batches."""

import time

from data_efficient.training import batches


def test_a_dropped_iterator_is_gone_at_once(run):
  # tf.data's tuning thread would sleep from 1.3 s to 2.6 s after the start.
  data = batches.training(run, start=0)
  began = time.monotonic()
  while time.monotonic() - began < 1.5:
    next(data)
  began = time.monotonic()
  del data
  assert time.monotonic() - began < 0.5
