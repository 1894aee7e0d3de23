# SPDX-License-Identifier: Apache-2.0
import pytest

from data_efficient.evaluation import results as results_module
from tests.evaluation import fakes


@pytest.fixture(scope="session")
def run_directories(tmp_path_factory):
  return fakes.write_experiment(tmp_path_factory.mktemp("experiment"))


@pytest.fixture
def results(run_directories):
  """What the report is made of; a fresh copy that a test may change."""
  facts = fakes.describe_experiment()
  return results_module.assemble(run_directories, **facts)


@pytest.fixture
def examples():
  return fakes.describe_examples()
