# SPDX-License-Identifier: Apache-2.0
import pytest

from data_efficient import gin_config
from data_efficient.selection import budget, top

FILE = """
from __gin__ import dynamic_registration
from data_efficient.selection import budget
from data_efficient.selection import top

KEEP = %gin.REQUIRED
SELECTOR = @top.Top()
top.Top.highest = True
budget.fraction_of_tokens.fraction = %KEEP
budget.Budget.kind = %SELECTOR
"""


@pytest.fixture
def gin_file(tmp_path):
  path = tmp_path / "some.gin"
  path.write_text(FILE)
  return str(path)


def test_a_binding_reaches_the_function(gin_file):
  gin_config.parse([gin_file], ["KEEP=0.25"])
  assert gin_config.configured(budget.fraction_of_tokens)().amount == 0.25
  assert gin_config.configured(top.Top)().highest is True


def test_later_files_override_earlier_ones(gin_file, tmp_path):
  later = tmp_path / "later.gin"
  later.write_text("KEEP = 0.75\n")
  gin_config.parse([gin_file, str(later)])
  assert gin_config.configured(budget.fraction_of_tokens)().amount == 0.75


@pytest.mark.parametrize(
  "value, expected",
  [
    ("../some/*.jsonl.gz", "../some/*.jsonl.gz"),
    ("out/x", "out/x"),
    ("'quoted'", "quoted"),
    ("None", None),
    ("3", 3),
    ("(1, 2)", (1, 2)),
  ],
)
def test_a_value_that_is_not_gin_is_a_string(tmp_path, value, expected):
  path = tmp_path / "top.gin"
  path.write_text(
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.selection import top\n"
    "NAME = %gin.REQUIRED\ntop.Top.highest = %NAME\n"
  )
  gin_config.parse([str(path)], [f"NAME={value}"])
  assert gin_config._gin.query_parameter("NAME/gin.macro.value") == expected


def test_a_misspelt_macro_is_refused_with_its_file_and_the_near_name(
  gin_file, tmp_path
):
  typo = tmp_path / "typo.gin"
  typo.write_text("KEEPP = 0.5\n")
  with pytest.raises(gin_config.GinError, match=r"KEEPP .*typo\.gin.*KEEP\?"):
    gin_config.parse([gin_file, str(typo)], ["KEEP=0.1"])
  with pytest.raises(gin_config.GinError, match=r"KEEPER \(--gin\.KEEPER\)"):
    gin_config.parse([gin_file], ["KEEP=0.1", "KEEPER=1"])


def test_a_missing_required_macro_is_named_with_its_file(gin_file):
  with pytest.raises(gin_config.GinError, match=r"KEEP \(.*some\.gin\)"):
    gin_config.parse([gin_file])


def test_a_macro_without_any_binding_is_named(tmp_path):
  path = tmp_path / "unbound.gin"
  path.write_text(
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.selection import top\n"
    "top.Top.highest = %NOBODY\n"
  )
  with pytest.raises(gin_config.GinError, match=r"%NOBODY .*unbound\.gin"):
    gin_config.parse([str(path)])


def test_a_misspelt_parameter_is_refused(tmp_path):
  path = tmp_path / "parameter.gin"
  path.write_text(
    "from __gin__ import dynamic_registration\n"
    "from data_efficient.selection import top\n"
    "top.Top.hihgest = True\n"
  )
  with pytest.raises(gin_config.GinError, match="hihgest"):
    gin_config.parse([str(path)])


def test_a_missing_gin_file_is_named():
  with pytest.raises(gin_config.GinError, match=r"gin/nowhere\.gin"):
    gin_config.parse(["gin/nowhere.gin"])


def test_a_binding_needs_a_value(gin_file):
  with pytest.raises(gin_config.GinError, match="NAME=VALUE"):
    gin_config.parse([gin_file], ["KEEP"])


def test_an_unconfigured_function_says_what_to_give(gin_file):
  gin_config.parse([gin_file], ["KEEP=0.5"])
  with pytest.raises(gin_config.GinError, match="no gin file configures"):
    gin_config.configured(test_a_missing_gin_file_is_named)
