# SPDX-License-Identifier: Apache-2.0
"""configs/smoke.py by launch.local, whole; one of its jobs is killed."""

from tests import smoke_runs


def test_a_killed_job_goes_on_and_a_second_start_runs_nothing(tmp_path):
  smoke = smoke_runs.Smoke("local", tmp_path, "--steps=200")
  process = smoke.start()
  before = smoke.kill_in_the_middle("full-1-0", process)
  output, _ = process.communicate(timeout=900)
  assert process.returncode == 0, output
  assert "train_full-1-0: exit -9, again (2 of 3)" in output
  assert set(smoke_runs.seconds(output)) == set(smoke_runs.NAMES)
  smoke.check()

  # What was saved was not done again: its rows have the times of the first try.
  after = smoke.rows("full-1-0")
  assert after[: len(before)] == before
  assert after[-1]["step"] == 200 and before[-1]["step"] < 200
  steps = [(row["step"], row.get("evaluation")) for row in after]
  assert len(steps) == len(set(steps))

  page = smoke.root / "index.html"
  written = page.stat().st_mtime_ns
  assert smoke.run().splitlines()[-1] == "10 of 10 steps were done before"
  assert page.stat().st_mtime_ns == written
