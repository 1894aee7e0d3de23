# SPDX-License-Identifier: Apache-2.0
"""How far a long piece of work is: a bar, plain lines, or a file.

On a terminal a bar with rate and time left; otherwise a line now and then; and
where DATA_EFFICIENT_PROGRESS names a file, the numbers go there, so that a
process that started several others can draw one bar for each.
"""

import contextlib
import contextvars
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

FILE_VARIABLE = "DATA_EFFICIENT_PROGRESS"
_LINE_SECONDS = 20.0
_FILE_SECONDS = 0.5
_COUNT_SECONDS = 0.1
_quiet: contextvars.ContextVar[bool] = contextvars.ContextVar(
  "quiet", default=False
)

Advance = Callable[[int], None]
Item = TypeVar("Item")


class Progress(NamedTuple):
  """What a bar shows: a label, units done, units in all."""

  label: str
  done: int
  total: int


@contextlib.contextmanager
def bar(label: str, *, total: int, done: int = 0) -> Iterator[Advance]:
  """Yields `advance(units)`; `done` units were finished before."""
  path = os.environ.get(FILE_VARIABLE)
  if _quiet.get():
    yield lambda units: None
  elif path:
    with _file(pathlib.Path(path), label, total, done) as advance:
      yield advance
  elif sys.stderr.isatty():
    with _terminal(label, total, done) as advance:
      yield advance
  else:
    with _lines(label, total, done) as advance:
      yield advance


@contextlib.contextmanager
def quietly() -> Iterator[None]:
  """Inside, bars show nothing: of one of many workers, say."""
  token = _quiet.set(True)
  try:
    yield
  finally:
    _quiet.reset(token)


def over(items: Iterable[Item], label: str, *, total: int) -> Iterator[Item]:
  """Yields the items under a bar, which opens when the first is asked for."""
  with bar(label, total=total) as advance:
    count, at = 0, time.monotonic()
    for item in items:
      yield item
      count += 1
      # A million items are not a million drawings.
      if time.monotonic() - at > _COUNT_SECONDS:
        advance(count)
        count, at = 0, time.monotonic()
    advance(count)


def read(path: pathlib.Path) -> Progress | None:
  """What another process last wrote to its progress file, if anything."""
  try:
    return Progress(**json.loads(path.read_text()))
  except (OSError, json.JSONDecodeError, TypeError):
    return None


@contextlib.contextmanager
def _file(path, label: str, total: int, done: int) -> Iterator[Advance]:
  state = {"done": done, "at": 0.0}

  def write() -> None:
    temporary = path.with_suffix(".tmp")
    values = Progress(label, state["done"], total)._asdict()
    temporary.write_text(json.dumps(values))
    temporary.replace(path)
    state["at"] = time.monotonic()

  def advance(units: int) -> None:
    state["done"] += units
    if time.monotonic() - state["at"] > _FILE_SECONDS:
      write()

  write()
  yield advance
  write()


@contextlib.contextmanager
def bars():
  """A rich display for several bars at once, with rate and time left."""
  from rich import console
  from rich import progress as rich_progress

  columns = (
    rich_progress.TextColumn("{task.description:32}"),
    rich_progress.BarColumn(),
    rich_progress.MofNCompleteColumn(),
    rich_progress.TextColumn("{task.fields[rate]}"),
    rich_progress.TextColumn("left"),
    rich_progress.TimeRemainingColumn(),
  )
  with rich_progress.Progress(
    *columns, console=console.Console(stderr=True)
  ) as display:
    yield display


@contextlib.contextmanager
def _terminal(label: str, total: int, done: int) -> Iterator[Advance]:
  with bars() as display:
    task = display.add_task(label, total=total, completed=done, rate="")

    def advance(units: int) -> None:
      display.advance(task, units)
      speed = display.tasks[0].speed
      display.update(task, rate=f"{speed:,.1f}/s" if speed else "")

    yield advance


@contextlib.contextmanager
def _lines(label: str, total: int, done: int) -> Iterator[Advance]:
  began = time.monotonic()
  state = {"done": done, "at": began}

  def advance(units: int) -> None:
    state["done"] += units
    now = time.monotonic()
    if now - state["at"] > _LINE_SECONDS:
      state["at"] = now
      speed = (state["done"] - done) / (now - began)
      print(line(Progress(label, state["done"], total), speed), file=sys.stderr)

  yield advance


def line(progress: Progress, speed: float) -> str:
  """One line: label, share, rate (units a second) and time left."""
  label, done, total = progress
  left = f"{(total - done) / speed:,.0f} s left" if speed > 0 else "…"
  share = f"{done / total:.0%}" if total else "0%"
  return f"{label}: {done:,} of {total:,} ({share}), {speed:,.1f}/s, {left}"
