# SPDX-License-Identifier: Apache-2.0
"""An audit's figures as a file that people read, and as a table."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def text(found: Any, depth: int = 0) -> str:
  """JSON with a line for each dictionary that holds no other."""
  if not isinstance(found, dict) or not any(
    isinstance(value, dict) for value in found.values()
  ):
    return json.dumps(found)
  indent = " " * depth
  rows = (
    f"{indent} {json.dumps(key)}: {text(value, depth + 1)}"
    for key, value in found.items()
  )
  lines = "{\n" + ",\n".join(rows) + f"\n{indent}}}"
  return lines if depth else lines + "\n"


def table(found: Mapping[str, Any]) -> str:
  """The figures of each variant, then the median rise of each payload."""
  variants = found["variants"]
  head = ("variant", "median", "where it rose", "best attack", "changed", "ms")
  rows = [(*head, *next(iter(variants.values()))["auc"])]
  for name, facts in variants.items():
    rises = ("all", "where_it_rose", "best_attack")
    rows.append(
      (
        name,
        *(f"{facts[key].get('median', np.nan):+.3f}" for key in rises),
        f"{facts['documents_changed']:.1%}",
        f"{facts['milliseconds_of_cleaning']:.2f}",
        *(
          f"{one['auc']:.3f} ({one['change']:+.3f})"
          for one in facts["auc"].values()
        ),
      )
    )
  rows += [("",), ("median rise", *variants)]
  column = found["payloads_columns"].index("median")
  for payload, spreads in found["payloads"].items():
    medians = (
      spread[column] if len(spread) > column else np.nan
      for spread in spreads.values()
    )
    rows.append((payload, *(f"{median:+.3f}" for median in medians)))
  return "\n".join(
    f"{row[0]:22}" + "".join(f"{cell:>16}" for cell in row[1:]) for row in rows
  )
