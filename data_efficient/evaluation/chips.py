# SPDX-License-Identifier: Apache-2.0
"""Accelerators as a plan knows them: dated data, each with its source.

A price is the provider's public on-demand list price in the United States on
that date, without discounts; it changes: give your own (`PRICES` in gin).

An efficiency is the share of the peak that a whole job reaches, the products
of remat counted. It is a range that is stated, not measured: the low end is a
job whose shapes and meshes nobody tuned, the high end one that somebody did.
"""

import dataclasses
from collections.abc import Mapping

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chip:
  """One chip that can be rented.

  Attributes:
    name: what a plan calls it.
    peak_flops: dense bfloat16 FLOP/s.
    memory_bytes: of its HBM.
    specified_by: where both stand.
    specified_as_of: when, "YYYY-MM".
    dollars_per_hour: US dollars a chip-hour, on demand.
    price_as_of: when, "YYYY-MM".
    priced_by: whose list price.
    scoring_efficiency: (low, high) share of the peak, forward passes alone.
    training_efficiency: likewise, train steps.
  """

  name: str
  peak_flops: float
  memory_bytes: int
  specified_by: str
  specified_as_of: str
  dollars_per_hour: float
  price_as_of: str
  priced_by: str
  scoring_efficiency: Range
  training_efficiency: Range

  def __post_init__(self):
    """Refuses what is no range."""
    for low, high in (self.scoring_efficiency, self.training_efficiency):
      if not 0.0 < low <= high <= 1.0:
        raise ValueError(
          f"{self.name}: an efficiency of {low} to {high}: expected"
          " 0 < low ≤ high ≤ 1"
        )


_AS_OF = "2025-06"


def _tpu(name: str, tflops: float, gib: int, dollars: float) -> Chip:
  return Chip(
    name=name,
    peak_flops=tflops * 1e12,
    memory_bytes=gib * 2**30,
    specified_by=f"Google Cloud documentation, TPU {name}",
    specified_as_of=_AS_OF,
    dollars_per_hour=dollars,
    price_as_of=_AS_OF,
    priced_by="Google Cloud, Cloud TPU pricing, a US region, a chip-hour",
    scoring_efficiency=(0.30, 0.60),
    training_efficiency=(0.25, 0.55),
  )


def _gpu(name: str, gb: int, dollars: float, instance: str) -> Chip:
  return Chip(
    name=name,
    peak_flops=989e12,
    memory_bytes=gb * 10**9,
    specified_by=f"NVIDIA data sheet, {name} SXM, without sparsity",
    specified_as_of=_AS_OF,
    dollars_per_hour=dollars,
    price_as_of=_AS_OF,
    priced_by=f"AWS EC2, {instance}, a US region, an eighth of an instance",
    scoring_efficiency=(0.25, 0.50),
    training_efficiency=(0.20, 0.45),
  )


CHIPS: tuple[Chip, ...] = (
  _tpu("v5e", 197.0, 16, 1.20),
  _tpu("v5p", 459.0, 95, 4.20),
  _tpu("v6e", 918.0, 32, 2.70),
  _gpu("H100", 80, 6.88, "p5.48xlarge"),
  _gpu("H200", 141, 7.91, "p5en.48xlarge"),
)
NAMES = tuple(chip.name for chip in CHIPS)


def named(
  names: tuple[str, ...], prices: Mapping[str, float | int] | None = None
) -> list[Chip]:
  """Chips by name, in the order of the names.

  Args:
    names: of `NAMES`.
    prices: US dollars a chip-hour that replace the list prices.

  Raises:
    ValueError: an unknown name, or a price below 0.
  """
  prices = dict(prices or {})
  unknown = [name for name in (*names, *prices) if name not in NAMES]
  if unknown:
    raise ValueError(f"no chip {unknown[0]!r}; there are {', '.join(NAMES)}")
  wrong = [name for name, price in prices.items() if price < 0]
  if wrong:
    raise ValueError(f"a price of {prices[wrong[0]]} for {wrong[0]}: below 0")
  by_name = {chip.name: chip for chip in CHIPS}
  return [_priced(by_name[name], prices.get(name)) for name in names]


def _priced(chip: Chip, price: float | int | None) -> Chip:
  if price is None:
    return chip
  return dataclasses.replace(
    chip,
    dollars_per_hour=float(price),
    price_as_of="",
    priced_by="given in gin (PRICES)",
  )
