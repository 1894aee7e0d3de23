# SPDX-License-Identifier: Apache-2.0
"""Files in Hugging Face's naming give the logits of the same weights."""

import json

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors import numpy as safetensors

from data_efficient import gin_config
from data_efficient.models import checkpoints, huggingface
from data_efficient.models.checkpoints import CheckpointError
from data_efficient.scorers import judges

CONFIG = {
  "model_type": "t5",
  "vocab_size": 40,
  "d_model": 16,
  "num_heads": 2,
  "d_kv": 8,
  "d_ff": 24,
  "num_layers": 2,
  "num_decoder_layers": 2,
  "dropout_rate": 0.0,
  "feed_forward_proj": "gated-gelu",
  "tie_word_embeddings": False,
  "relative_attention_num_buckets": 8,
  "relative_attention_max_distance": 10,
}


def _tensors(p):
  """The tree in Hugging Face's names, written out one by one."""
  tensors = {
    "shared.weight": p["token_embedder"]["embedding"],
    "encoder.embed_tokens.weight": p["token_embedder"]["embedding"],
    "lm_head.weight": p["decoder"]["logits_dense"]["kernel"].T,
  }
  attention = {"q": "query", "k": "key", "v": "value", "o": "out"}
  for stack in ("encoder", "decoder"):
    bias = p[stack]["relpos_bias"]["rel_embedding"].T
    tensors[
      f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    ] = bias
    norm = p[stack][f"{stack}_norm"]["scale"]
    tensors[f"{stack}.final_layer_norm.weight"] = norm
    for i in range(2):
      ours, theirs = p[stack][f"layers_{i}"], f"{stack}.block.{i}.layer"
      parts = [("SelfAttention", "attention", "pre_attention_layer_norm")]
      if stack == "decoder":
        parts = [
          ("SelfAttention", "self_attention", "pre_self_attention_layer_norm"),
          (
            "EncDecAttention",
            "encoder_decoder_attention",
            "pre_cross_attention_layer_norm",
          ),
        ]
      for j, (name, module, norm) in enumerate(parts):
        tensors[f"{theirs}.{j}.layer_norm.weight"] = ours[norm]["scale"]
        for letter, kernel in attention.items():
          tensors[f"{theirs}.{j}.{name}.{letter}.weight"] = ours[module][
            kernel
          ]["kernel"].T
      j = len(parts)
      tensors[f"{theirs}.{j}.layer_norm.weight"] = ours["pre_mlp_layer_norm"][
        "scale"
      ]
      for kernel in ("wi_0", "wi_1", "wo"):
        tensors[f"{theirs}.{j}.DenseReluDense.{kernel}.weight"] = ours["mlp"][
          kernel
        ]["kernel"].T
  return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


@pytest.fixture
def tensors(parameters):
  return _tensors(parameters)


@pytest.fixture
def directory(tmp_path, tensors):
  (tmp_path / "config.json").write_text(json.dumps(CONFIG))
  safetensors.save_file(tensors, tmp_path / "model.safetensors")
  return tmp_path


def _load(directory):
  config = huggingface.read_config(directory, dtype="float32")
  return checkpoints.load_parameters(directory, config=config)


def test_logits_equal_the_twin(directory, parameters, example, forward, twin):
  loaded = _load(directory)
  batch = (example.source, example.inputs, example.targets)
  np.testing.assert_allclose(
    forward(loaded, *batch), twin(parameters, *batch), atol=2e-5
  )


def test_config_is_read(directory, config):
  found = huggingface.read_config(directory, dtype="float32")
  assert found == config


def test_config_in_the_manner_of_transformers_5(directory, config):
  # It says so of every T5, and of the head that is not tied beside it.
  values = CONFIG | {"tie_word_embeddings": True}
  values |= {"scale_decoder_outputs": False, "layer_norm_epsilon": 1e-6}
  (directory / "config.json").write_text(json.dumps(values))
  assert huggingface.read_config(directory, dtype="float32") == config
  values["scale_decoder_outputs"] = True
  (directory / "config.json").write_text(json.dumps(values))
  with pytest.raises(CheckpointError, match="scale_decoder_outputs is True"):
    huggingface.read_config(directory, dtype="float32")


def test_gin_asks_the_checkpoint_for_its_network(directory, config):
  gin_config.parse(
    [
      *("gin/runs/score.gin", "gin/data/files.gin", "gin/scorers/ask_llm.gin"),
      *("gin/data/vocabulary_file.gin", "gin/models/from_checkpoint.gin"),
    ],
    [
      *(f"JUDGE_CHECKPOINT={directory}", "VOCABULARY_FILE=x", "FILES=x"),
      *("PREPARED=x", "OUTPUT=x"),
    ],
  )
  judge = gin_config.configured(judges.load)()
  assert judge.network == config


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16])
def test_other_precisions_are_what_they_say(
  dtype, directory, tensors, parameters
):
  stored = {name: values.astype(dtype) for name, values in tensors.items()}
  safetensors.save_file(stored, directory / "model.safetensors")
  for found, expected in zip(
    jax.tree.leaves(_load(directory)), jax.tree.leaves(parameters), strict=True
  ):
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(
      found, np.asarray(expected).astype(dtype).astype(np.float32)
    )


def test_quantised_tensors_are_refused(directory, tensors):
  name = "encoder.block.0.layer.1.DenseReluDense.wo.weight"
  tensors[name] = tensors[name].astype(np.int8)
  safetensors.save_file(tensors, directory / "model.safetensors")
  with pytest.raises(CheckpointError, match=rf"{name} is stored as I8"):
    _load(directory)


@pytest.mark.parametrize(
  "change, message",
  [
    ({"d_ff": 32}, r"wi_0/kernel is \(16, 24\), expected \(16, 32\)"),
    # As many columns, but another number of heads.
    (
      {"num_heads": 4, "d_kv": 4},
      r"relpos_bias/rel_embedding is \(2, 8\), expected \(4, 8\)",
    ),
    ({"num_layers": 3}, r"9 missing:\n  encoder/layers_2/attention/key"),
    ({"num_decoder_layers": 1}, r"14 surplus:\n  decoder.block.1.layer.0"),
    ({"relative_attention_num_buckets": 16}, r"\(2, 8\), expected \(2, 16\)"),
    ({"vocab_size": 48}, "holds 40 vocabulary entries, the network expects 48"),
  ],
)
def test_a_config_that_contradicts_the_tensors(change, message, directory):
  (directory / "config.json").write_text(json.dumps(CONFIG | change))
  with pytest.raises(CheckpointError, match=message):
    _load(directory)


def test_shards_in_bfloat16(tmp_path, tensors, parameters):
  (tmp_path / "config.json").write_text(json.dumps(CONFIG))
  names = sorted(tensors)
  weight_map = {}
  for shard, kept in enumerate((names[:20], names[20:])):
    file = f"model-{shard + 1:05d}-of-00002.safetensors"
    safetensors.save_file(
      {name: tensors[name].astype(ml_dtypes.bfloat16) for name in kept},
      tmp_path / file,
    )
    weight_map |= dict.fromkeys(kept, file)
  index = tmp_path / "model.safetensors.index.json"
  index.write_text(json.dumps({"weight_map": weight_map}))
  loaded = _load(tmp_path)
  kernel = parameters["decoder"]["logits_dense"]["kernel"]
  found = loaded["decoder"]["logits_dense"]["kernel"]
  assert found.dtype == jnp.float32
  np.testing.assert_array_equal(
    found, kernel.astype(jnp.bfloat16).astype(jnp.float32)
  )
  shard = tmp_path / "model-00002-of-00002.safetensors"
  shard.write_bytes(shard.read_bytes()[:-10])
  with pytest.raises(CheckpointError, match=f"{shard}: .*cut short"):
    _load(tmp_path)
  shard.unlink()
  with pytest.raises(CheckpointError, match="model-00002-of-00002.* missing"):
    _load(tmp_path)


def test_missing_and_surplus_tensors(directory, tensors):
  del tensors["encoder.block.1.layer.0.SelfAttention.q.weight"]
  tensors["encoder.block.1.layer.0.SelfAttention.q.bias"] = np.zeros(16)
  safetensors.save_file(tensors, directory / "model.safetensors")
  with pytest.raises(CheckpointError) as error:
    _load(directory)
  message = str(error.value)
  assert "1 missing:\n  encoder/layers_1/attention/query/kernel" in message
  assert "1 surplus:\n  encoder.block.1.layer.0.SelfAttention.q.bias" in message


def test_another_vocabulary(directory):
  (directory / "config.json").write_text(
    json.dumps(CONFIG | {"vocab_size": 41})
  )
  with pytest.raises(CheckpointError, match="40 vocabulary .* expects 41"):
    _load(directory)


def test_truncated_file(directory):
  file = directory / "model.safetensors"
  file.write_bytes(file.read_bytes()[:-100])
  with pytest.raises(CheckpointError, match=f"{file}: .*cut short"):
    _load(directory)


@pytest.mark.parametrize(
  "text, message",
  [
    ("{}", "has no weight_map"),
    ("[1]", "expected a JSON object"),
    ("{", "JSON"),
  ],
)
def test_a_broken_index(text, message, directory):
  index = directory / "model.safetensors.index.json"
  index.write_text(text)
  with pytest.raises(CheckpointError, match=f"{index}: .*{message}"):
    _load(directory)


def test_missing_tensors_file(directory):
  (directory / "model.safetensors").unlink()
  with pytest.raises(CheckpointError, match="model.safetensors: is missing"):
    _load(directory)


@pytest.mark.parametrize(
  "change, message",
  [
    ({"feed_forward_proj": "relu"}, "feed_forward_proj is 'relu'"),
    ({"tie_word_embeddings": True}, "tie_word_embeddings is True"),
    ({"model_type": "bert"}, "model_type is 'bert', expected 't5'"),
    ({"layer_norm_epsilon": 1e-5}, "layer_norm_epsilon is 1e-05"),
  ],
)
def test_other_architectures_are_refused(directory, change, message):
  (directory / "config.json").write_text(json.dumps(CONFIG | change))
  with pytest.raises(CheckpointError, match=message):
    huggingface.read_config(directory, dtype="float32")


def test_broken_config(directory):
  file = directory / "config.json"
  file.write_text(json.dumps(CONFIG)[:-5])
  with pytest.raises(CheckpointError, match="config.json: is not JSON"):
    huggingface.read_config(directory, dtype="float32")
  del (short := dict(CONFIG))["d_kv"]
  file.write_text(json.dumps(short))
  with pytest.raises(CheckpointError, match="'d_kv' is missing"):
    huggingface.read_config(directory, dtype="float32")
  with pytest.raises(CheckpointError, match="cannot be read"):
    huggingface.read_config(directory / "nothing", dtype="float32")
