# SPDX-License-Identifier: Apache-2.0
"""What would be submitted to Vertex AI: the image, the machines, the arguments.

Docker, the account and the service are stood in for at XManager's edge; the
image's file and the worker pools are XManager's own work.
"""

import pathlib
import time

import pytest

pytest.importorskip("xmanager", reason="run `make xm`")

from google.auth import exceptions  # noqa: E402
from google.cloud import aiplatform_v1 as aip  # noqa: E402
from xmanager import xm  # noqa: E402
from xmanager.cloud import auth, build_image, vertex  # noqa: E402
from xmanager.xm_local.packaging import cloud  # noqa: E402

from data_efficient.cli import job  # noqa: E402
from launch import xm_launch, xm_vertex  # noqa: E402

SMOKE = ["configs/smoke.py", "--corpus=/gcs/c4/*.jsonl", "--on=vertex"]


class _Cloud:
  """What was built and submitted; jobs whose name has `failing` fail."""

  failing = "nothing"

  def __init__(self):
    self.submitted: list[dict] = []
    self.dockerfile = ""
    self.files: set[str] = set()
    self.running = self.most = 0

  def build(self, path, dockerfile, image_name, *args, **kwargs) -> str:
    self.dockerfile = pathlib.Path(dockerfile).read_text()
    root = pathlib.Path(path, "data-efficient")
    self.files = {p.name for p in root.iterdir()}
    self.entrypoint = pathlib.Path(path, "entrypoint.sh").read_text()
    return "image"

  def job(self, **kwargs):
    cloud = self

    class _Job:
      resource_name = str(len(cloud.submitted))

      def submit(self, **_):
        cloud.submitted.append(kwargs)

      def _dashboard_uri(self):
        return "https://console"

    return _Job()

  def get(self, name: str):
    words = " ".join(
      self.submitted[int(name)]["worker_pool_specs"][0].container_spec.args
    )
    failed = self.failing in words

    cloud = self

    class _Job:
      def _block_until_complete(self):
        cloud.running += 1
        cloud.most = max(cloud.most, cloud.running)
        time.sleep(0.1)
        cloud.running -= 1
        if failed:
          raise RuntimeError("Job failed with: out of memory")

    return _Job()

  def pool(self, word: str):
    """The worker pool of the first job whose arguments have a word."""
    pools = [job["worker_pool_specs"] for job in self.submitted]
    assert all(len(found) == 1 for found in pools)
    return next(p for (p,) in pools if word in " ".join(p.container_spec.args))


@pytest.fixture
def found(monkeypatch, tmp_path):
  made = _Cloud()
  monkeypatch.setenv("HOME", str(tmp_path))
  monkeypatch.setenv("GOOGLE_CLOUD_BUCKET_NAME", "bucket")
  monkeypatch.setattr(auth, "get_project_name", lambda: "project")
  monkeypatch.setattr(auth, "get_service_account", lambda: "account")
  monkeypatch.setattr(build_image, "build_by_dockerfile", made.build)
  monkeypatch.setattr(cloud.docker_lib, "is_docker_installed", lambda: False)
  stand_in = type("CustomJob", (), {"get": staticmethod(made.get)})
  monkeypatch.setattr(vertex.aiplatform, "CustomJob", stand_in)
  monkeypatch.setattr(stand_in, "__new__", lambda cls, **kw: made.job(**kw))
  monkeypatch.setattr(vertex.aiplatform, "init", lambda **_: None)
  monkeypatch.setattr(vertex, "_default_client", None)
  return made


def _launch(monkeypatch, tmp_path, *words: str) -> int:
  monkeypatch.chdir(tmp_path)
  return xm_launch.main([*SMOKE, *words])


def test_verbs_that_compute_get_the_accelerator(found, monkeypatch, tmp_path):
  assert _launch(monkeypatch, tmp_path, "--accelerator=tpu_v3=8") == 0
  assert len(found.submitted) == 10
  machine = found.pool("train").machine_spec
  assert machine.machine_type == "cloud-tpu"
  assert machine.accelerator_type == aip.AcceleratorType.TPU_V3
  assert machine.accelerator_count == 8
  other = found.pool("select").machine_spec
  assert other.machine_type == "n1-standard-8" and not other.accelerator_count
  arguments = list(found.pool("train").container_spec.args)
  assert arguments[0] == "train"
  # Not quoted: there is no shell between.
  assert "--gin.OUTPUT='out/smoke/runs/full-1-0'" in arguments
  assert found.pool("train").container_spec.image_uri == "image"


def test_jobs_are_submitted_when_what_they_need_is_done(
  found, monkeypatch, tmp_path, capsys
):
  found.failing = "selections/random-0.4-0"
  assert _launch(monkeypatch, tmp_path, "--workers=3") == 2
  error = capsys.readouterr().err
  assert "select_random-0.4-0 failed (Vertex AI says" in error
  assert "3 times" in error and "Job failed with: out of memory" in error
  assert "not run: train_random-0.4-0 (needs select_random-0.4-0)" in error
  assert "not run: report" in error
  trained = [j for j in found.submitted if "train" in str(j)]
  assert any("full-1-0" in str(job) for job in trained)
  assert 1 < found.most <= 3
  before = len(found.submitted)
  found.failing = "nothing"
  assert _launch(monkeypatch, tmp_path) == 0
  # The one that failed and the three that need it; no other again.
  assert len(found.submitted) - before == 4


def test_gpus_stand_in_machines_with_cores(found, monkeypatch, tmp_path):
  words = ["--accelerator=v100=4", "--cpus=16", "--memory_gib=60"]
  assert _launch(monkeypatch, tmp_path, *words) == 0
  machine = found.pool("train").machine_spec
  assert machine.machine_type == "n1-standard-16"
  assert machine.accelerator_type == aip.AcceleratorType.NVIDIA_TESLA_V100
  assert machine.accelerator_count == 4


def test_the_image_has_the_code_its_pins_and_no_more(
  found, monkeypatch, tmp_path
):
  assert _launch(monkeypatch, tmp_path, "--accelerator=tpu_v2=8") == 0
  lines = found.dockerfile.splitlines()
  assert (
    "FROM python:3.11" in lines
    and "COPY data-efficient /data-efficient" in lines
  )
  install = next(line for line in lines if "--editable" in line)
  assert install.endswith("--constraint constraints.txt --editable .[tpu]")
  assert "RUN make t5x" not in lines
  assert found.files == {
    *("data_efficient", "gin", "Makefile"),
    *("constraints.txt", "pyproject.toml", "setup.py"),
  }
  assert '.venv/bin/python -m data_efficient "$@"' in found.entrypoint
  assert lines[-1] == 'ENTRYPOINT ["./entrypoint.sh"]'


def test_the_image_has_t5x_where_a_job_trains_with_it():
  for engine, wanted in (("t5x", True), ("local", False)):
    files = ("gin/runs/train.gin", f"gin/engines/{engine}.gin")
    trained = job.Job(name="a", verb="train", gin_files=files, bindings={})
    image = xm_vertex.container(
      [trained], None, path="data-efficient", base_image="python:3.11"
    )
    made = image.executable_spec.docker_instructions
    assert ("RUN make t5x" in made) == wanted


@pytest.mark.parametrize(
  "words, message",
  [
    (["--accelerator=a100=17"], "a100=17 does not fit in any valid machine"),
    (["--cpus=1000"], "does not fit in any valid machine type"),
    (["--accelerator=tpu_v4=8"], "use python -m launch.tpu_vm CONFIG"),
  ],
)
def test_machines_that_there_are_not_are_refused_before_anything_is_built(
  found, monkeypatch, tmp_path, capsys, words, message
):
  assert _launch(monkeypatch, tmp_path, *words) == 2
  assert message in capsys.readouterr().err
  assert not found.dockerfile and not found.submitted


def _no_account():
  raise exceptions.DefaultCredentialsError("none")


def test_without_an_account_or_a_bucket_it_says_what_to_do(
  found, monkeypatch, tmp_path, capsys
):
  monkeypatch.delenv("GOOGLE_CLOUD_BUCKET_NAME")
  assert _launch(monkeypatch, tmp_path) == 2
  assert "no bucket" in capsys.readouterr().err
  monkeypatch.setattr(auth, "get_project_name", _no_account)
  assert _launch(monkeypatch, tmp_path) == 2
  assert "gcloud auth application-default login" in capsys.readouterr().err


def test_newer_tpus_are_what_xmanager_cannot_ask_vertex_ai_for():
  """Why they are refused: see launch/accelerators.py."""
  from xmanager import xm_local

  for name in ("tpu_v4", "tpu_v5e", "tpu_v5p", "tpu_v6e"):
    executor = xm_local.Vertex(requirements=xm.JobRequirements(**{name: 8}))
    with pytest.raises(KeyError):
      vertex.get_machine_spec(xm.Job(executable=None, executor=executor))
