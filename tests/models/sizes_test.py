# SPDX-License-Identifier: Apache-2.0
"""Every size in gin/models has the parameters that were published."""

import dataclasses
import math

import jax
import pytest

from data_efficient import gin_config
from data_efficient.models import encoder_decoder

# google/t5-v1_1-* and google/flan-t5-* on Hugging Face, 32,128 ids.
PUBLISHED = {
  "small": 76_961_152,
  "base": 247_577_856,
  "large": 783_150_080,
  "xl": 2_849_757_184,
  "xxl": 11_135_332_352,
}


def _config(name: str) -> encoder_decoder.T5Config:
  gin_config.parse(
    [
      *("gin/runs/train.gin", "gin/data/files.gin", "gin/engines/local.gin"),
      *("gin/data/vocabulary_file.gin", f"gin/models/{name}.gin"),
    ],
    [
      *("FILES=x", "PREPARED=x", "VOCABULARY_FILE=x"),
      *("SELECTION=x", "OUTPUT=x"),
    ],
  )
  return gin_config.configured(encoder_decoder.T5Config)()


def _parameters(config: encoder_decoder.T5Config) -> int:
  shapes = encoder_decoder.parameter_shapes(config)
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


@pytest.mark.parametrize("size", PUBLISHED)
def test_a_size_has_the_published_parameters(size):
  config = _config(f"t5_1_1_{size}")
  assert _parameters(config) == PUBLISHED[size]
  assert config.dtype == "bfloat16"


def test_tiny_is_tiny():
  # The two tables of 32,128 × 8, and little more.
  tables = 2 * 32_128 * 8
  assert tables < _parameters(_config("t5_1_1_tiny")) < tables + 10_000


@pytest.mark.parametrize("size", PUBLISHED)
def test_a_judge_is_of_the_published_size(size):
  # What does not fit one machine is asked on accelerators.
  dtype = "bfloat16" if size in ("xl", "xxl") else "float32"
  published = _config(f"t5_1_1_{size}")
  assert _config(f"flan_t5_{size}") == dataclasses.replace(
    published, dtype=dtype
  )
