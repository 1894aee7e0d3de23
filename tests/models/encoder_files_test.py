# SPDX-License-Identifier: Apache-2.0
"""Files of encoders: read as they are, or refused by the name of the fault."""

import json

import numpy as np
import pytest
import safetensors.numpy as safetensors

from data_efficient.models import checkpoints, encoder_files, parameter_trees
from data_efficient.models.parameter_trees import CheckpointError
from tests.models import encoders


def _read(directory):
  return encoder_files.read_config(directory, dtype="float32")


@pytest.fixture(params=["bert", "t5"])
def kind(request):
  return request.param


@pytest.fixture
def written(kind, tmp_path):
  """A checkpoint, its network and its parameters."""
  network = {"bert": encoders.BERT, "t5": encoders.SENTENCE_T5}[kind]
  parameters = encoders.parameters(network)
  write = {"bert": encoders.write_bert, "t5": encoders.write_t5}[kind]
  write(tmp_path, parameters)
  return tmp_path, network, parameters


@pytest.fixture
def bert(tmp_path):
  encoders.write_bert(tmp_path, encoders.parameters(encoders.BERT))
  return tmp_path


@pytest.fixture
def t5(tmp_path):
  encoders.write_t5(tmp_path, encoders.parameters(encoders.SENTENCE_T5))
  return tmp_path


def test_network_and_tensors_are_read(written):
  directory, network, parameters = written
  assert _read(directory) == network
  found = checkpoints.load_parameters(directory, config=network)
  expected = parameter_trees.flatten(parameters)
  assert set(parameter_trees.flatten(found)) == set(expected)
  for path, values in parameter_trees.flatten(found).items():
    np.testing.assert_array_equal(values, expected[path], err_msg=path)


def _edit(path, **values):
  path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
  "values, words",
  [
    ({"model_type": "xlm-roberta"}, "'xlm-roberta', expected .* padding"),
    ({"rope_theta": 10000.0}, "rope_theta: not known here"),
    ({"position_embedding_type": "relative_key"}, "expected 'absolute'"),
    ({"hidden_act": "silu"}, "activation = 'silu'"),
    ({"num_attention_heads": 3}, "3 heads do not share"),
    ({"is_decoder": True}, "is_decoder is True, expected False"),
  ],
)
def test_another_architecture_is_refused(values, words, bert):
  _edit(bert / "config.json", **values)
  with pytest.raises(CheckpointError, match=f"config.json: .*{words}"):
    _read(bert)


def test_a_feed_forward_that_is_not_known_is_refused(t5):
  _edit(t5 / "config.json", feed_forward_proj="gated-silu")
  with pytest.raises(CheckpointError, match="'gated-silu', expected one of"):
    _read(t5)


def test_both_ways_to_say_how_states_are_pooled(bert):
  path = bert / "1_Pooling/config.json"
  path.write_text('{"pooling_mode": "cls", "embedding_dimension": 16}')
  assert _read(bert).pooling == "cls"
  path.write_text('{"pooling_mode_cls_token": true}')
  assert _read(bert).pooling == "cls"


@pytest.mark.parametrize(
  "values, words",
  [
    ({"pooling_mode_max_tokens": True}, "pools .*'mean', 'max_tokens'"),
    ({"pooling_mode_mean_tokens": False}, r"pools \[\], expected one of"),
    ({"include_prompt": False}, "include_prompt is false"),
  ],
)
def test_another_pooling_is_refused(values, words, bert):
  _edit(bert / "1_Pooling/config.json", **values)
  with pytest.raises(CheckpointError, match=words):
    _read(bert)


def test_other_modules_are_refused(bert):
  listed = json.loads((bert / "modules.json").read_text())
  for kinds in (
    ["Transformer"],
    ["Transformer", "Pooling", "LSTM"],
    ["Transformer", "Pooling", "Normalize", "Dense"],
  ):
    modules = [{"path": "", "type": f"x.{kind}"} for kind in kinds]
    (bert / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(CheckpointError, match=f"the modules .*{kinds[-1]}"):
      _read(bert)
  listed[0]["path"] = "0_Transformer"
  (bert / "modules.json").write_text(json.dumps(listed))
  with pytest.raises(CheckpointError, match="in '0_Transformer'"):
    _read(bert)
  (bert / "modules.json").unlink()
  with pytest.raises(CheckpointError, match="modules.json: cannot be read"):
    _read(bert)


@pytest.mark.parametrize(
  "values", [{"bias": True}, {"activation_function": "torch.nn.Tanh"}]
)
def test_another_projection_is_refused(values, t5):
  _edit(t5 / "2_Dense/config.json", **values)
  with pytest.raises(CheckpointError, match="projection without either"):
    _read(t5)


def test_a_projection_in_pytorch_s_own_format_is_refused(t5):
  (t5 / "2_Dense/model.safetensors").rename(t5 / "2_Dense/pytorch_model.bin")
  with pytest.raises(CheckpointError, match="2_Dense.*safetensors: is missing"):
    checkpoints.load_parameters(t5, config=encoders.SENTENCE_T5)


def _change(directory, change):
  path = directory / "model.safetensors"
  tensors = safetensors.load_file(path)
  change(tensors)
  safetensors.save_file(tensors, path)


@pytest.mark.parametrize(
  "change, words",
  [
    (lambda t: t.pop("embeddings.LayerNorm.bias"), "embedding_norm/bias"),
    (
      lambda t: t.update(extra=np.zeros(3, np.float32)),
      "1 surplus:\n  extra",
    ),
    (
      lambda t: t.update(
        {"encoder.layer.1.output.dense.weight": np.zeros((16, 20), "f4")}
      ),
      r"layers_1/wo/kernel is \(20, 16\), expected \(24, 16\)",
    ),
    (
      lambda t: t.update({"embeddings.LayerNorm.bias": np.zeros(16, np.int8)}),
      "LayerNorm.bias is stored as I8",
    ),
  ],
)
def test_tensors_that_are_not_the_network_s_are_refused(change, words, bert):
  _change(bert, change)
  with pytest.raises(CheckpointError, match=words):
    checkpoints.load_parameters(bert, config=encoders.BERT)


def test_another_vocabulary_is_refused_as_such(bert):
  rows = np.zeros((41, 16), np.float32)
  _change(bert, lambda t: t.update({"embeddings.word_embeddings.weight": rows}))
  with pytest.raises(CheckpointError, match="41 vocabulary entries"):
    checkpoints.load_parameters(bert, config=encoders.BERT)
