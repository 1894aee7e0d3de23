# SPDX-License-Identifier: Apache-2.0
"""The verb `export`: from runs and adapters to files that anyone reads."""

import json
import shutil

import jax
import numpy as np
import pytest

from data_efficient import gin_config, main
from data_efficient.models import (
  adapter_files,
  adapters,
  checkpoints,
  decoder_configs,
  fingerprints,
  tokenizer_files,
)
from data_efficient.models.parameter_trees import CheckpointError
from tests import decoders

BASE_FILES = ("config.json", "model.safetensors", "tokenizer.json")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
  directory = tmp_path_factory.mktemp("base") / "llama"
  decoders.save(directory)
  return directory


@pytest.fixture(scope="module")
def network(base):
  return decoder_configs.read_config(base, dtype="float32")


@pytest.fixture(scope="module")
def adapted(base, network, tmp_path_factory):
  """A run's directory with an adapter of the base; its merged parameters."""
  lora = adapters.Lora(rank=2, alpha=4.0, dropout_rate=0.0, targets=("query",))
  rng = np.random.default_rng(0)
  adapter = jax.tree.map(
    lambda leaf: np.float32(rng.normal(size=leaf.shape)),
    adapters.shapes(network, lora),
  )
  directory = tmp_path_factory.mktemp("adapted")
  checkpoints.save_parameters(directory / "checkpoints/3", adapter)
  parameters = checkpoints.load_parameters(base, config=network)
  found = adapter_files.Base(str(base), fingerprints.fingerprint(parameters))
  record = adapter_files.Record(lora, found)
  (directory / adapter_files.NAME).write_bytes(record.encoded())
  return directory, adapters.merged(parameters, adapter, lora)


def _export(output, *, base, **bindings):
  bound = {
    **{"JUDGE_CHECKPOINT": base, "CHECKPOINT": base, "TOKENIZER": base},
    **{"OUTPUT": output},
    **bindings,
  }
  return main.main(
    [
      *("export", "--gin_file=gin/models/decoder_from_checkpoint.gin"),
      "--gin_file=gin/runs/export.gin",
      *(f"--gin.{name}={value}" for name, value in bound.items()),
    ]
  )


def test_an_adapter_becomes_a_whole_checkpoint(
  adapted, base, network, tmp_path
):
  output = tmp_path / "deep" / "exported"
  assert _export(output, base=base, CHECKPOINT=adapted[0]) == 0
  names = {path.name for path in output.iterdir()}
  assert names == {*BASE_FILES, "tokenizer_config.json", "config.gin"}
  # As it came, but for the type.
  ours, theirs = (
    json.loads((folder / "config.json").read_text())
    for folder in (output, base)
  )
  assert ours == theirs | {"torch_dtype": "float32"}
  assert decoder_configs.read_config(output, dtype="float32") == network
  found = checkpoints.load_parameters(output, config=network)
  jax.tree.map(np.testing.assert_array_equal, found, adapted[1])
  tokenizer = tokenizer_files.read(str(output))
  assert tokenizer.encode("ab") == decoders.tokenizer().encode("ab").ids[1:]
  # Nothing is left beside it.
  assert [path.name for path in output.parent.iterdir()] == ["exported"]


def test_an_adapter_alone_is_peft_s(adapted, base, network, tmp_path, capsys):
  output, alone = tmp_path / "adapter", {"ADAPTER_ALONE": True}
  assert _export(output, base=base, CHECKPOINT=adapted[0], **alone) == 0
  values = json.loads((output / "adapter_config.json").read_text())
  assert values["base_model_name_or_path"] == str(base)
  assert (values["r"], values["lora_alpha"]) == (2, 4.0)
  assert values["target_modules"] == [
    f"model.layers.{layer}.self_attn.q_proj" for layer in (0, 1)
  ]
  # It is a checkpoint as well, of any verb.
  found = checkpoints.load_parameters(output, config=network)
  jax.tree.map(np.testing.assert_array_equal, found, adapted[1])
  assert _export(tmp_path / "none", base=base, **alone) == 2
  assert "adapter.json is not there" in capsys.readouterr().err
  for field, value in (("use_dora", True), ("bias", "all")):
    path = output / "adapter_config.json"
    path.write_text(json.dumps(values | {field: value}))
    with pytest.raises(CheckpointError, match=f"{field} is .*plain LoRA"):
      checkpoints.load_parameters(output, config=network)
  path.write_text(json.dumps(values | {"base_model_name_or_path": "org/x"}))
  with pytest.raises(CheckpointError, match="'org/x', which is no directory"):
    checkpoints.load_parameters(output, config=network)


def test_what_is_there_is_left_alone(base, tmp_path, capsys):
  output = tmp_path / "exported"
  assert _export(output, base=base) == 0
  before = (output / "model.safetensors").stat().st_mtime_ns
  assert _export(output, base=base) == 0
  assert "done before" in capsys.readouterr().out
  assert _export(output, base=base, DTYPE="bfloat16") == 2
  assert "nothing is overwritten" in capsys.readouterr().err
  assert (output / "model.safetensors").stat().st_mtime_ns == before


def test_marks_of_a_tokenizer_that_came_alone(base, tmp_path):
  """Those of the published config.json are not known then."""
  alone = tmp_path / "tokenizer.json"
  shutil.copy(base / "tokenizer.json", alone)
  output = tmp_path / "exported"
  assert _export(output, base=base, TOKENIZER=alone) == 0
  values = json.loads((output / "config.json").read_text())
  assert (values["bos_token_id"], values["eos_token_id"]) == (0, 1)
  marks = json.loads((output / "tokenizer_config.json").read_text())
  assert marks == {
    **{"tokenizer_class": "PreTrainedTokenizerFast"},
    **{"bos_token": "<s>", "eos_token": "</s>"},
  }


@pytest.mark.parametrize(
  "bindings, match",
  [
    ({"DTYPE": "float16"}, "expected 'float32' or 'bfloat16'"),
    ({"CHECKPOINT": "nowhere"}, "no such checkpoint"),
    ({"TOKENIZER": "{tmp}"}, "no tokenizer there"),
  ],
)
def test_mistakes_leave_nothing(bindings, match, base, tmp_path, capsys):
  bindings = {k: v.format(tmp=tmp_path) for k, v in bindings.items()}
  assert _export(tmp_path / "exported", base=base, **bindings) == 2
  assert match in capsys.readouterr().err
  assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_of_another_network_is_refused(base, tmp_path, capsys):
  values = json.loads((base / "config.json").read_text())
  small = tmp_path / "small"
  small.mkdir()
  (small / "config.json").write_text(json.dumps(values | {"vocab_size": 9}))
  output = tmp_path / "exported"
  assert _export(output, base=base, JUDGE_CHECKPOINT=small) == 2
  assert "name the tokenizer that it was trained with" in (
    capsys.readouterr().err
  )


def test_fine_tuning_of_an_adapter_is_one_gin_file_more():
  files = [
    *("gin/runs/train.gin", "gin/data/files.gin"),
    *("gin/data/vocabulary_file.gin", "gin/models/t5_1_1_small.gin"),
    *("gin/engines/local.gin", "gin/runs/finetune_lora.gin"),
  ]
  names = ("FILES", "PREPARED", "VOCABULARY_FILE", "SELECTION", "OUTPUT")
  bindings = [f"{name}=x" for name in names]
  with pytest.raises(gin_config.GinError, match="INITIAL_CHECKPOINT .*require"):
    gin_config.parse(files, bindings)
  gin_config.parse(files, [*bindings, "INITIAL_CHECKPOINT=base"])
  text = gin_config.resolved()
  assert "finetuning.finetuning.adapter = @adapters.Lora()" in text
  assert "train.train.run = @finetuning.finetuning()" in text
  lora = gin_config.configured(adapters.Lora)()
  assert lora == adapters.Lora(rank=8, alpha=32.0, dropout_rate=0.1)
