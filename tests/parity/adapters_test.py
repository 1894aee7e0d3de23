# SPDX-License-Identifier: Apache-2.0
"""LoRA against the library PEFT on torch: logits, gradients, and files."""

import functools

import jax
import numpy as np
import peft
import pytest
import torch
import transformers

from data_efficient.models import (
  adapters,
  checkpoints,
  decoder_configs,
  huggingface,
  networks,
  parameter_trees,
  peft_files,
)
from tests.parity import peers

LIMIT = 1e-4
RANK, ALPHA = 3, 12.0
LLAMA = {
  **{"vocab_size": 96, "hidden_size": 32, "intermediate_size": 48},
  **{"num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 16},
  **{"num_key_value_heads": 2, "max_position_embeddings": 64},
}
T5 = {
  **{"vocab_size": 64, "d_model": 32, "num_heads": 4, "d_kv": 8},
  **{"d_ff": 48, "num_layers": 1, "num_decoder_layers": 2},
}
# Ours, and PEFT's name of the same choice.
TARGETS = {
  "llama": {
    "all": (("all-linear",), "all-linear"),
    "some": (("query", "value"), ["q_proj", "v_proj"]),
  },
  "t5": {
    "all": (("all-linear",), "all-linear"),
    "some": (("query", "value"), ["q", "v"]),
  },
}
CASES = [(kind, name) for kind, named in TARGETS.items() for name in named]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def case(request, tmp_path_factory):
  """(PEFT's model, network, parameters, Lora, adapter, directory)."""
  kind, name = request.param
  directory = tmp_path_factory.mktemp(f"{kind}_{name}")
  torch.manual_seed(0)
  if kind == "llama":
    base = transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA))
    base.save_pretrained(directory / "base")
    network = decoder_configs.read_config(directory / "base", dtype="float32")
  else:
    base = peers.make(directory / "base", sizes=T5).model
    network = huggingface.read_config(directory / "base", dtype="float32")
  ours, theirs = TARGETS[kind][name]
  model = peft.get_peft_model(
    base.float(),
    peft.LoraConfig(
      **{"r": RANK, "lora_alpha": ALPHA, "lora_dropout": 0.0},
      **{"target_modules": theirs, "bias": "none"},
      task_type="CAUSAL_LM" if kind == "llama" else "SEQ_2_SEQ_LM",
    ),
  )
  with torch.no_grad():
    for key, tensor in model.named_parameters():
      if "lora_" in key:
        tensor.normal_(0.0, 0.1)
  model.save_pretrained(directory / "adapter")
  parameters = checkpoints.load_parameters(directory / "base", config=network)
  lora, adapter = peft_files.load(directory / "adapter", network=network)
  wanted = adapters.Lora(rank=RANK, alpha=ALPHA, dropout_rate=0.0, targets=ours)
  assert jax.tree.map(np.shape, adapter) == jax.tree.map(
    np.shape, adapters.shapes(network, wanted)
  )
  return model, network, parameters, lora, adapter, directory


def _batch(network):
  rng = np.random.default_rng(0)
  tokens = rng.integers(1, network.vocab_size, (2, 9))
  return {
    "encoder_input_tokens": rng.integers(1, network.vocab_size, (2, 7)),
    "decoder_input_tokens": tokens[:, :-1],
    "decoder_target_tokens": tokens[:, 1:],
  }


def _theirs(model, batch):
  tensors = {name: torch.tensor(rows) for name, rows in batch.items()}
  if model.config.is_encoder_decoder:
    return model(
      input_ids=tensors["encoder_input_tokens"],
      decoder_input_ids=tensors["decoder_input_tokens"],
    ).logits
  return model(input_ids=tensors["decoder_input_tokens"]).logits


def _ours(network, parameters, adapter, batch, lora):
  logits = jax.jit(
    functools.partial(
      adapters.logits, network, batch=batch, lora=lora, dropout=None
    )
  )(parameters, adapter)
  return np.asarray(logits)


def test_logits(case):
  model, network, parameters, lora, adapter, _ = case
  batch = _batch(network)
  found = _ours(network, parameters, adapter, batch, lora)
  theirs = _theirs(model.eval(), batch).detach().numpy()
  np.testing.assert_allclose(found, theirs, atol=LIMIT, rtol=0)
  with model.disable_adapter():
    base = _theirs(model, batch).detach().numpy()
  assert np.abs(theirs - base).max() > 100 * LIMIT


def test_gradients(case):
  model, network, parameters, lora, adapter, _ = case
  batch = _batch(network)
  targets = batch["decoder_target_tokens"]

  def gradient(adapter):
    def loss(adapter):
      logits = adapters.logits(
        network, parameters, adapter, batch, lora=lora, dropout=None
      )
      chosen = jax.nn.one_hot(targets, network.vocab_size)
      return -(jax.nn.log_softmax(logits) * chosen).sum(axis=-1).mean()

    return jax.jit(jax.grad(loss))(adapter)

  logits = _theirs(model.eval(), batch)
  torch.nn.functional.cross_entropy(
    logits.flatten(0, 1), torch.tensor(targets).flatten()
  ).backward()
  theirs = {
    key.replace(".default", ""): tensor.grad.numpy().T
    for key, tensor in model.named_parameters()
    if tensor.grad is not None
  }
  model.zero_grad()
  found = parameter_trees.flatten(gradient(adapter))
  names = peft_files._modules(network)
  assert len(theirs) == len(found)
  for path, ours in found.items():
    expected = theirs[peft_files._tensor(names, path)]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(ours, expected, atol=LIMIT * scale, rtol=0)


def _written(case, name):
  """The adapter in a directory of PEFT's."""
  _, network, _, lora, adapter, directory = case
  written = directory / name
  written.mkdir()
  peft_files.save(
    written,
    adapter,
    network=network,
    lora=lora,
    base_model=str(directory / "base"),
  )
  return written


def test_peft_reads_what_is_written(case):
  model, network, *_ = case
  read = (
    peft.AutoPeftModelForSeq2SeqLM
    if model.config.is_encoder_decoder
    else peft.AutoPeftModelForCausalLM
  )
  found = read.from_pretrained(_written(case, "written")).eval()
  batch = _batch(network)
  np.testing.assert_allclose(
    _theirs(found, batch).detach(),
    _theirs(model.eval(), batch).detach(),
    atol=1e-5,
    rtol=0,
  )


def test_peft_s_directory_is_a_checkpoint(case):
  """The base's path is in its adapter_config.json."""
  _, network, parameters, lora, adapter, _ = case
  found = checkpoints.load_parameters(_written(case, "again"), config=network)
  merged = adapters.merged(parameters, adapter, lora)
  jax.tree.map(np.testing.assert_array_equal, found, merged)


def test_merged_parameters_are_peft_s(case):
  model, network, parameters, lora, adapter, directory = case
  merged = adapters.merged(parameters, adapter, lora)
  batch = _batch(network)
  ours = networks.logits(network, merged, batch, dropout=None)
  theirs = _theirs(model.merge_and_unload().eval(), batch).detach()
  np.testing.assert_allclose(ours, theirs, atol=LIMIT, rtol=0)
