# SPDX-License-Identifier: Apache-2.0
"""A plan as a text to read, from the values of plan.json."""

from collections.abc import Iterator, Mapping, Sequence

_HEADER = (
  *("", "chips", "hours", "chip-hours", "US$", "GiB a chip", "memory from"),
)


def text(plan: Mapping) -> str:
  """The whole plan: corpus, scoring, training, shares, sources."""
  return "\n".join(_lines(plan))


def _lines(plan: Mapping) -> Iterator[str]:
  yield from _corpus(plan["corpus"])
  yield ""
  yield from _scoring(plan["scoring"])
  yield from _places(plan, "scoring")
  yield ""
  yield from _training(plan["training"])
  yield from _places(plan, "training")
  yield ""
  yield from _amortisation(plan["amortisation"])
  yield ""
  yield from _sources(plan)


def _corpus(corpus: Mapping) -> Iterator[str]:
  yield (
    f"corpus: {_estimate(corpus['records'])} records,"
    f" {_estimate(corpus['tokens'])} tokens ({corpus['source']})"
  )


def _scoring(scoring: Mapping) -> Iterator[str]:
  yield (
    f"scoring by {scoring['judge']}, {_short(scoring['parameters'])}"
    f" parameters: {scoring['flops']:.3g} FLOPs,"
    f" {scoring['padding_share']:.1%} of them for padding;"
    f" {_short(scoring['steps'])} steps of {len(scoring['shapes'])} shapes"
  )


def _training(training: Mapping) -> Iterator[str]:
  again = training["executed_flops"] / training["flops"] - 1.0
  remat = f", and {again:.1%} more by remat" if again else ""
  yield (
    f"one training run, {_short(training['parameters'])} parameters:"
    f" {training['steps']:,} steps × {training['batch']:,} ×"
    f" ({training['inputs']} + {training['targets']}) tokens,"
    f" {training['flops']:.3g} FLOPs{remat}"
  )


def _places(plan: Mapping, work: str) -> Iterator[str]:
  rows = [_HEADER, *map(_chip_row, plan[work]["chips"])]
  here = plan[work]["this_machine"]
  if here:
    rows.append((plan["machine"], "", _number(here["hours"]), *[""] * 4))
  yield from _table(rows)
  if here:
    yield f"  {plan['machine']}: {here['measured']}"
  lacking = [row["chip"] for row in plan[work]["chips"] if not row["fits"]]
  if lacking:
    yield (
      f"  does not fit: {', '.join(lacking)}; more chips a copy, MICROBATCHES,"
      " REMAT = 'full' or smaller batches need less"
    )


def _chip_row(row: Mapping) -> tuple[str, ...]:
  needed, shared = row["memory_bytes"], row["model_parallel"]
  memory = "too much" if needed is None else f"{needed / 2**30:.1f}"
  return (
    row["chip"],
    str(row["chips"]),
    _range(row["hours"]),
    _range(row["chip_hours"]),
    _range(row["dollars"]),
    memory + (f" ({shared} share)" if shared > 1 else ""),
    row["memory_source"] + ("" if row["fits"] else ": does not fit"),
  )


def _amortisation(found: Mapping) -> Iterator[str]:
  for where, shares in found.items():
    runs = shares["runs_to_a_tenth"]
    yield (
      f"scoring is {shares['share_of_one_run']:.3g} of one training run by"
      f" {where}; a tenth of the training after"
      f" {runs:,} run{'s' if runs > 1 else ''}"
    )


def _sources(plan: Mapping) -> Iterator[str]:
  yield (
    "Hours of chips are FLOPs / (peak × efficiency), for the range of"
    " efficiencies in plan.json, which is stated and not measured."
  )
  for chip in plan["prices"]:
    as_of = f", {chip['price_as_of']}" if chip["price_as_of"] else ""
    yield (
      f"  {chip['chip']}: ${chip['dollars_per_hour']:.2f} a chip-hour"
      f" ({chip['priced_by']}{as_of}); {chip['peak_flops'] / 1e12:.0f} TFLOP/s"
      f" bf16, {chip['memory_bytes'] / 2**30:.0f} GiB ({chip['specified_by']},"
      f" {chip['specified_as_of']})"
    )
  for note in plan["notes"]:
    yield f"Note: {note}"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  for row in rows:
    first, *others = (
      cell.ljust(width) if at == 0 else cell.rjust(width)
      for at, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    yield f"  {first}  {'  '.join(others)}".rstrip()


def _estimate(found: Mapping) -> str:
  if found["low"] == found["high"]:
    return _short(found["value"])
  return (
    f"{_short(found['value'])} [{_short(found['low'])},"
    f" {_short(found['high'])}]"
  )


def _range(pair: Sequence[float]) -> str:
  return f"{_number(pair[0])} – {_number(pair[1])}"


def _number(value: float | int) -> str:
  """Three digits, thousands with commas."""
  return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _short(value: float | int) -> str:
  """A count: 364M, 184B."""
  for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
    if value >= unit:
      return f"{value / unit:.4g}{name}"
  return f"{value:,.0f}"
