# SPDX-License-Identifier: Apache-2.0
"""Fields of a run's files, each checked, with an error that names its place."""

import json
import math
import pathlib

RESUME = "run train again with the same gin file: it resumes"
REPLACE = "move the directory away and run train again"


class EvaluationError(ValueError):
  """A run, or a set of runs, that no honest figure can be computed from."""


def read_bytes(path: pathlib.Path) -> bytes:
  """A file's bytes; raises EvaluationError where it cannot be read."""
  try:
    return path.read_bytes()
  except FileNotFoundError:
    raise EvaluationError(f"{path}: no such file; {RESUME}") from None
  except OSError as error:
    raise EvaluationError(f"{path}: cannot be read: {error.strerror}") from None


def parse(data: bytes, *, where: str) -> dict:
  """A JSON object; raises EvaluationError for anything else."""
  try:
    row = json.loads(data.decode("utf-8"))
  except ValueError as error:  # JSON's and UTF-8's errors are both ValueErrors
    raise EvaluationError(f"{where}: damaged: {error}; {REPLACE}") from None
  if not isinstance(row, dict):
    raise EvaluationError(f"{where}: expected a JSON object; {REPLACE}")
  return row


def wrong(row: dict, field: str, where: object, *, expected: str) -> Exception:
  """The error of a field that is missing or not what it must be."""
  found = repr(row[field]) if field in row else "missing"
  return EvaluationError(
    f'{where}: "{field}" is {found}, expected {expected}; {REPLACE}'
  )


def text(row: dict, field: str, where: object) -> str:
  """A field that is text."""
  if not isinstance(row.get(field), str):
    raise wrong(row, field, where, expected="text")
  return row[field]


def whole(row: dict, field: str, where: object) -> int:
  """A field that is a whole number, 0 or more."""
  value = row.get(field)
  if not isinstance(value, int) or isinstance(value, bool) or value < 0:
    raise wrong(row, field, where, expected="a whole number, 0 or more")
  return value


def real(row: dict, field: str, where: object) -> float:
  """A field that is a finite number."""
  value = row.get(field)
  number = isinstance(value, (int, float)) and not isinstance(value, bool)
  if not number or not math.isfinite(value):
    raise wrong(row, field, where, expected="a finite number")
  return float(value)


def measured(row: dict, field: str, where: object) -> float:
  """What an evaluation found; NaN is a fact (the run diverged), not damage."""
  value = row.get(field, "missing")
  if value is None:
    return math.nan
  if not isinstance(value, (int, float)) or isinstance(value, bool):
    raise wrong(row, field, where, expected="a number")
  return float(value) if math.isfinite(value) else math.nan
