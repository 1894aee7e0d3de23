# SPDX-License-Identifier: Apache-2.0
"""Sizes for the paper's configs that a laptop trains in a second."""

import pathlib

_MODEL = """
include 'gin/models/t5_1_1.gin'
from __gin__ import dynamic_registration
from data_efficient.models import encoder_decoder

encoder_decoder.T5Config:
  vocab_size = 512
  emb_dim = {width}
  num_heads = 2
  head_dim = 8
  mlp_dim = {double}
  num_encoder_layers = 1
  num_decoder_layers = 1
"""
_TRAIN = """
include 'gin/runs/train.gin'
include 'gin/models/t5_1_1_{size}.gin'
from __gin__ import dynamic_registration
from data_efficient.training import optimizers
from data_efficient.training import pretraining

BATCH_SIZE = 4
EVALUATION_PERIOD = 2
pretraining.pretraining:
  inputs = 48
  evaluation_batches = 2
  checkpoint_period = 1
optimizers.rsqrt:
  base = 0.25
  warmup_steps = 50
"""


def write(root: pathlib.Path, **widths: int) -> None:
  """Gin files of sizes by name, found where `root` is the working directory."""
  for size, width in widths.items():
    for name, text in (("models/t5_1_1", _MODEL), ("runs/train", _TRAIN)):
      path = root / f"gin/{name}_{size}.gin"
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text(text.format(size=size, width=width, double=2 * width))
