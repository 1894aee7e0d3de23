# SPDX-License-Identifier: Apache-2.0
"""What every benchmark prints: a table, then one line of JSON.

`ratio` is how many times faster ours is than the peer, `limit_fraction` the
share of what the hardware was measured to do.
"""

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

import rich.console
import rich.table


def alternating(
  sides: Mapping[str, Callable[[], float]], repeats: int
) -> dict[str, list[float]]:
  """Measures all sides in turn, `repeats` times: {side: what it returned}."""
  found: dict[str, list[float]] = {side: [] for side in sides}
  for _ in range(repeats):
    for side, measure in sides.items():
      found[side].append(measure())
  return found


def table(
  title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
  """Prints a table; floats with four digits."""
  drawn = rich.table.Table(*columns, title=title, title_justify="left")
  for row in rows:
    drawn.add_row(*(_text(value) for value in row))
  rich.console.Console(width=100).print(drawn)


def spread(values: Sequence[float]) -> str:
  """Median and range."""
  middle = statistics.median(values)
  return f"{middle:,.4g} ({min(values):,.4g} to {max(values):,.4g})"


def paired(ours: Sequence[float], peer: Sequence[float]) -> list[float]:
  """Ours over the peer's, measurement by measurement."""
  return [mine / theirs for mine, theirs in zip(ours, peer, strict=True)]


def last_line(
  name: str,
  *,
  ours: float,
  peer: float | None,
  ratio: float | None,
  limit_fraction: float | None,
  **more: object,
) -> None:
  """Prints the JSON object.

  Args:
    name: of the benchmark.
    ours: our median, in the unit of the table.
    peer: the peer's; None where it is not there.
    ratio: how many times faster ours is.
    limit_fraction: share of the measured limit; None where none is measured.
    **more: other figures.
  """
  figures = {"ours": ours, "peer": peer, "ratio": ratio}
  figures |= {"limit_fraction": limit_fraction, **more}
  rounded = {
    key: float(f"{value:.6g}") if isinstance(value, float) else value
    for key, value in figures.items()
  }
  print(json.dumps({"name": name, **rounded}), flush=True)


def _text(value: object) -> str:
  return f"{value:,.4g}" if isinstance(value, float) else str(value)
