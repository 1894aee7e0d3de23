# SPDX-License-Identifier: Apache-2.0
"""The paper's ten perplexity samplers: ten gin files, one of them run."""

import jax
import numpy as np
import pytest

from data_efficient import gin_config, main
from data_efficient.data import score_sets
from data_efficient.models import checkpoints, encoder_decoder
from data_efficient.models import networks as models
from tests import networks, quickstarts

SIZES = {
  "small": (512, 8),
  "base": (768, 12),
  "large": (1024, 24),
  "xl": (2048, 24),
  "xxl": (4096, 24),
}
STEPS = (20, 100, 300, 500, 700)
SAMPLERS = [*SIZES, *(f"large_{steps}k" for steps in STEPS)]
FILES = ["gin/runs/score.gin", "gin/data/files.gin"]
VOCABULARY = "gin/data/vocabulary_file.gin"
BINDINGS = ["FILES=x", "PREPARED=x", "OUTPUT=x"]


def _checkpoint(sampler):
  return "T5_LARGE_CHECKPOINTS" if "_" in sampler else "JUDGE_CHECKPOINT"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_sampler_of_the_paper_is_a_file(sampler):
  files = [*FILES, VOCABULARY, f"gin/scorers/perplexity_{sampler}.gin"]
  bindings = [*BINDINGS, "VOCABULARY_FILE=x"]
  macro = _checkpoint(sampler)
  with pytest.raises(gin_config.GinError, match=f"{macro} .*is required"):
    gin_config.parse(files, bindings)
  gin_config.parse(files, [*bindings, f"{macro}=runs/large"])
  text = gin_config.resolved()
  assert f"JUDGE_KIND = 't5_{sampler}'" in text
  assert f"perplexity.Perplexity.name = 'perplexity_{sampler}'" in text
  assert "SpanCorruption.noise_density = 0.15" in text
  network = gin_config.configured(encoder_decoder.T5Config)()
  assert (network.emb_dim, network.num_encoder_layers) == (
    SIZES[sampler.split("_")[0]]
  )
  if "_" in sampler:
    steps = int(sampler.split("_")[1][:-1]) * 1000
    assert f"CHECKPOINT_NAME = 'checkpoint_{steps}'" in text


@pytest.mark.parametrize("objective", ["prefix_lm", "causal_lm"])
def test_other_objectives_are_files_too(objective):
  model = "gin/models/t5_1_1_small.gin"
  scorer = f"gin/scorers/perplexity_{objective}.gin"
  gin_config.parse(
    [*FILES, VOCABULARY, model, scorer],
    [*BINDINGS, "VOCABULARY_FILE=x", "JUDGE_CHECKPOINT=x"],
  )
  name = {"prefix_lm": "PrefixLm", "causal_lm": "CausalLm"}[objective]
  assert f"OBJECTIVE = @objectives.{name}()" in gin_config.resolved()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
  """A corpus, small gin files, and the checkpoint of step 20,000."""
  root = tmp_path_factory.mktemp("perplexity")
  quickstarts.write_corpus(root / "files")
  quickstarts.write_small(root)
  network = networks.t5(vocab_size=640, embedding_init_stddev=0.1)
  parameters = models.init_parameters(network, jax.random.key(0))
  checkpoints.save_parameters(root / "large/checkpoint_20000", parameters)
  return root


def _score(root, output, **bindings):
  files = [*FILES, f"{root}/vocabulary.gin"]
  files += ["gin/scorers/perplexity_large_20k.gin", f"{root}/model.gin"]
  values = {
    "FILES": f"{root}/files/*.jsonl",
    "PREPARED": f"{root}/prepared",
    "OUTPUT": f"{root}/{output}",
    "T5_LARGE_CHECKPOINTS": f"{root}/large",
    "BATCH_TOKENS": 2048,
    "perplexity.Perplexity.length_step": 512,
  } | bindings
  code = main.main(
    ["score", *(f"--gin_file={path}" for path in files)]
    + [f"--gin.{name}={value!r}" for name, value in values.items()]
  )
  return code, root / output


def test_one_of_them_scores_a_corpus(root, capsys):
  code, output = _score(root, "scores")
  assert code == 0
  found = score_sets.ScoreSet.open(output)
  scorer = found.identity["scorer"]
  assert scorer["name"] == "perplexity_large_20k"
  assert scorer["judge"]["kind"] == "t5_large_20k"
  assert scorer["objective"]["name"] == "span_corruption"
  names = ["score", "log_likelihood", "target_tokens", "document_tokens"]
  columns = {
    name: np.concatenate(list(shards.values()))
    for name, shards in found.read(names).items()
  }
  scored = np.isfinite(columns["score"])
  assert scored.sum() == found.scored > 100
  # An untrained network is about as good as a uniform guess of 640 pieces.
  assert -12 < columns["score"][scored].mean() < -5
  np.testing.assert_allclose(
    columns["score"][scored],
    (columns["log_likelihood"] / columns["target_tokens"])[scored],
    rtol=1e-6,
  )
  assert (columns["target_tokens"] < columns["document_tokens"])[scored].all()
  # Another number of masks is another score set.
  code, _ = _score(root, "scores", REPEATS=2)
  assert code == 2 and "objective" in capsys.readouterr().err
