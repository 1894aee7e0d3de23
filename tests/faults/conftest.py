# SPDX-License-Identifier: Apache-2.0
"""One compile serves all processes of these tests."""

import pytest

from tests import compilation


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
  with compilation.shared(tmp_path_factory.mktemp("compiled")):
    yield
