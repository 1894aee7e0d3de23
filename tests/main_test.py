# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
import time

import pytest

from data_efficient import main


def test_help_names_every_verb_within_a_second_and_a_half():
  began = time.perf_counter()
  done = subprocess.run(
    [sys.executable, "-m", "data_efficient", "--help"],
    capture_output=True,
    text=True,
    check=True,
  )
  assert time.perf_counter() - began < 1.5
  for verb in main.VERBS:
    assert f"\n  {verb} " in done.stdout


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_verb_has_a_function_and_a_gin_file(root, verb):
  assert callable(main.VERBS[verb].load())
  assert (root / "gin" / "runs" / f"{verb}.gin").is_file()


def test_a_misspelt_macro_ends_with_a_message_and_code_2(capsys):
  assert main.main(["select", "--gin.KEEP_FRACTOIN=0.2"]) == 2
  error = capsys.readouterr().err
  assert "KEEP_FRACTOIN" in error
  assert "did you mean KEEP_FRACTION?" in error
  assert "Traceback" not in error


def test_an_unknown_argument_is_refused(capsys):
  with pytest.raises(SystemExit) as stopped:
    main.main(["select", "--keep=0.2"])
  assert stopped.value.code == 2
  assert "--keep=0.2" in capsys.readouterr().err
