# SPDX-License-Identifier: Apache-2.0
"""Networks by the name of their size are those of gin/models."""

import pytest

from data_efficient import gin_config
from data_efficient.models import encoder_decoder, published


@pytest.mark.parametrize("size", published.T5_1_1)
def test_a_size_is_that_of_its_gin_file(size):
  gin_config.parse(["gin/runs/plan_paper.gin", f"gin/models/t5_1_1_{size}.gin"])
  expected = gin_config.configured(encoder_decoder.T5Config)()
  assert published.t5_1_1(size=size, dtype="bfloat16") == expected


def test_an_unknown_size_is_named():
  with pytest.raises(ValueError, match="'huge'.*xxl"):
    published.t5_1_1(size="huge", dtype="bfloat16")
