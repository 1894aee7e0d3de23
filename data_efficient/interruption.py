# SPDX-License-Identifier: Apache-2.0
"""Being asked to stop: SIGTERM (a scheduler, a preemption) and Ctrl-C.

Left to itself, Python dies of SIGTERM on the spot: no `finally` is run, no
cost is counted, no process that was started is ended. `raised` makes it an
exception; `noticed` lets a loop come to a good place first. Signals reach the
main thread alone; in another one both do nothing.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


class Interrupted(SystemExit):
  """The process was asked to stop; exits with 128 + the signal's number.

  143 is SIGTERM, 130 Ctrl-C, as shells report a process that they killed.
  """

  def __init__(self, number: int):
    """Of a signal's number."""
    super().__init__(128 + number)


class Request:
  """Whether and how a stop was asked for.

  Attributes:
    signal: number of the first signal; None as long as there was none.
  """

  def __init__(self):
    """Nothing was asked."""
    self.signal: int | None = None


@contextlib.contextmanager
def raised() -> Iterator[None]:
  """In this block, SIGTERM raises `Interrupted`."""

  def stop(number: int, frame) -> None:
    del frame
    raise Interrupted(number)

  with _handled({signal.SIGTERM: stop}):
    yield


@contextlib.contextmanager
def noticed() -> Iterator[Request]:
  """In this block, SIGTERM and Ctrl-C only leave word in a `Request`.

  A second Ctrl-C, of somebody who does not want to wait, is a
  KeyboardInterrupt at once.
  """
  request = Request()

  def note(number: int, frame) -> None:
    del frame
    if request.signal == number == signal.SIGINT:
      raise KeyboardInterrupt
    request.signal = request.signal or number

  with _handled({signal.SIGTERM: note, signal.SIGINT: note}):
    yield request


@contextlib.contextmanager
def passed_on() -> Iterator[None]:
  """In this block, Ctrl-C is a SIGTERM to this process.

  For one of several processes: JAX tells all of them of a SIGTERM that one
  gets, and of nothing else.
  """

  def pass_on(number: int, frame) -> None:
    del number, frame
    signal.raise_signal(signal.SIGTERM)

  with _handled({signal.SIGINT: pass_on}):
    yield


@contextlib.contextmanager
def _handled(handlers: dict[int, Callable]) -> Iterator[None]:
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  before = {
    number: signal.signal(number, handlers[number]) for number in handlers
  }
  try:
    yield
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
