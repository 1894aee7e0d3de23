# SPDX-License-Identifier: Apache-2.0
"""Every file of gin/selectors, from its scores to a page of the report.

One quickstart of test size is asked to compare one sampler after the other.
The paper's models are networks of test size in their places.
"""

import dataclasses
import json
import math
import pathlib
import shutil

import jax
import numpy as np
import pytest
import safetensors.numpy as safetensors

from data_efficient import gin_config
from data_efficient.cli import stages
from data_efficient.data import embedding_sets, score_sets, selections
from data_efficient.evaluation import markup, names
from data_efficient.models import checkpoints
from data_efficient.models import networks as models
from tests import networks, quickstarts
from tests.models import encoders

# What samplers are made of, and the full data.
PARTS = {"full", "inverse_propensity", "recipe", "resampling", "top"}
PARTS |= {"budget_examples", "budget_tokens", "sample"}
# Of gin/runs/select_utility.gin and select_embeddings.gin: they choose examples
# for fine-tuning, a set at once and not by scores.
OF_EXAMPLES = ("delift", "cover", "deft_ucs", "length", "less", "selectit")
SAMPLERS = sorted(
  path.stem
  for path in (gin_config.ROOT / "gin/selectors").glob("*.gin")
  if path.stem not in PARTS and not path.stem.startswith(OF_EXAMPLES)
)
# The quickstart's own, of models that it teaches.
STAND_INS = ["ask_llm", "perplexity"]
# Of the paper's models, and the steps after which T5-Large is another one.
SIZES = {
  **{"small": 20000, "base": 100000, "large": 300000},
  **{"xl": 500000, "xxl": 700000},
}
BUDGET = 0.4
GEMMA = {
  **{"model_type": "gemma", "vocab_size": 640, "hidden_size": 16},
  **{"intermediate_size": 24, "num_hidden_layers": 1, "head_dim": 8},
  **{"num_attention_heads": 2, "num_key_value_heads": 1},
  **{"hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6},
  **{"rope_theta": 10000.0, "max_position_embeddings": 1024},
}


def _write_gemma(directory: pathlib.Path) -> None:
  shapes = {
    **{"self_attn.q_proj": (16, 16), "self_attn.k_proj": (8, 16)},
    **{"self_attn.v_proj": (8, 16), "self_attn.o_proj": (16, 16)},
    **{"mlp.gate_proj": (24, 16), "mlp.up_proj": (24, 16)},
    **{"mlp.down_proj": (16, 24), "input_layernorm": (16,)},
    "post_attention_layernorm": (16,),
  }
  shapes = {f"model.layers.0.{name}": shape for name, shape in shapes.items()}
  shapes |= {"model.embed_tokens": (640, 16), "model.norm": (16,)}
  draw = np.random.default_rng(0).normal
  tensors = {
    f"{name}.weight": draw(scale=0.3, size=shape).astype(np.float32)
    for name, shape in shapes.items()
  }
  directory.mkdir()
  (directory / "config.json").write_text(json.dumps(GEMMA))
  safetensors.save_file(tensors, directory / "model.safetensors")


def _write_models(root: pathlib.Path, vocabulary: pathlib.Path) -> dict:
  """Macro -> a directory with a checkpoint and its vocabulary."""
  network = networks.t5(vocab_size=640, embedding_init_stddev=0.1)
  drawn = models.init_parameters(network, jax.random.key(0))
  found = {"ASK_LLM_GEMMA_7B_CHECKPOINT": root / "gemma"}
  _write_gemma(root / "gemma")
  for size, step in SIZES.items():
    path = root / f"t5_{size}"
    drawn = jax.tree.map(lambda leaf: leaf * 1.2, drawn)
    checkpoints.save_parameters(path, drawn)
    shutil.copytree(path, root / f"steps/checkpoint_{step}")
    found[f"ASK_LLM_{size.upper()}_CHECKPOINT"] = path
    found[f"PERPLEXITY_{size.upper()}_CHECKPOINT"] = path
  found["T5_LARGE_CHECKPOINTS"] = root / "steps"
  for path in {*found.values()}:
    shutil.copy(vocabulary, path / "spiece.model")
  return {macro: str(path) for macro, path in found.items()}


class Comparison:
  """A quickstart that goes on from a finished one, in a directory of its own.

  Attributes:
    root: its output.
    models: macro -> directory of a checkpoint.
  """

  def __init__(self, experiment, directory: pathlib.Path):
    self.root = directory / "out"
    shutil.copytree(experiment.root, self.root)
    self._experiment = experiment
    self._small = experiment.root.parent / "gin"
    # A run would not go on in another place, and need not.
    self._done = set(experiment.jobs) - {"evaluate", "report"}
    (vocabulary,) = (self.root / "corpus/vocabulary").rglob("*.model")
    self.models = _write_models(directory, vocabulary)
    # A network of the paper in test size, and one shape of its batches.
    sizes = (self._small / "model.gin").read_text().split("\n", 1)[1]
    self._sizes = directory / "sizes.gin"
    self._sizes.write_text(
      f"{sizes}  dtype = 'float32'\n"
      "from data_efficient.scorers import ask_llm\n"
      "from data_efficient.scorers import perplexity\n"
      "ask_llm.AskLlm.length_step = 512\n"
      "perplexity.Perplexity.length_step = 512\n"
    )

  def jobs(self, compared: str, *gin_files: str, **bindings) -> list:
    """The quickstart's jobs, whatever is done of them."""
    with pytest.MonkeyPatch.context() as monkeypatch:
      return quickstarts.jobs(
        monkeypatch,
        self.root,
        self._experiment.files,
        self._small,
        gin_files=gin_files,
        bindings={"SAMPLERS": compared, **self.models, **bindings},
      )

  def run(self, compared: str) -> dict:
    """Runs what is not done; the results."""
    for job in self.jobs(compared):
      if job.name not in self._done:
        if "VOCABULARY_FILE" in job.bindings:
          files = [*job.gin_files, str(self._sizes)]
          job = dataclasses.replace(job, gin_files=files)
        assert quickstarts.run_job(job) == 0, job.command()
        if job.name not in ("evaluate", "report"):
          self._done.add(job.name)
    return json.loads((self.root / "results.json").read_text())


@pytest.fixture(scope="module")
def comparison(experiment, tmp_path_factory):
  with quickstarts.shared_training():
    yield Comparison(experiment, tmp_path_factory.mktemp("samplers"))


def _check_budget(root: pathlib.Path, name: str) -> None:
  """Met by the last record that is kept, and by none before it."""
  kept = selections.Selection.open(root / f"selections/{name}-{BUDGET}-0")
  pool = selections.Selection.open(root / "corpus/splits/pool")
  counts = score_sets.ScoreSet.open(root / "scores/token_counts").read(
    ["score"]
  )
  of_pool, of_kept = [], []
  for shard, tokens in counts["score"].items():
    assert not (kept.mask(shard) & ~pool.mask(shard)).any()
    of_pool.append(tokens[pool.mask(shard)])
    of_kept.append(tokens[kept.mask(shard)])
  of_pool, of_kept = np.concatenate(of_pool), np.concatenate(of_kept)
  wanted = math.ceil(BUDGET * of_pool.sum())
  assert wanted <= of_kept.sum() < wanted + of_kept.max()
  assert 0 < len(of_kept) < len(of_pool)


@pytest.mark.parametrize("name", [*SAMPLERS, *STAND_INS])
def test_a_sampler_goes_from_scores_to_the_report(comparison, name):
  results = comparison.run(name)
  _check_budget(comparison.root, name)
  # Random and the full data are beside it, asked for or not.
  assert {s["sampler"] for s in results["samplers"]} == {"full", "random", name}
  (run,) = [
    run for run in results["runs"] if (run["sampler"], run["seed"]) == (name, 0)
  ]
  assert run["steps"] == [0, 2, 4] and np.isfinite(run["hq_loss"]).all()
  (row,) = [s for s in results["samplers"] if s["sampler"] == name]
  assert name == "random" or 0 in row["against_random"]["hq_loss"]["seeds"]
  assert (name == "random") == (name not in results["scoring_seconds"])
  page = (comparison.root / "index.html").read_text()
  assert markup.escape(names.title(name)) in page
  assert names.title(name) != name.replace("_", " ")


def test_quotas_bind(comparison):
  comparison.run("quality_classifier  quotas")
  top, bounded = (
    selections.Selection.open(comparison.root / f"selections/{name}-{BUDGET}-0")
    for name in ("quality_classifier", "quotas")
  )
  assert bounded.summary["sources"] != top.summary["sources"]
  assert bounded.summary["quotas"]["shares"]["wikipedia"] <= 0.5


def test_a_report_shows_the_samplers_that_are_compared_in_one_figure(
  comparison,
):
  compared = ["density", "quality_classifier", "ask_llm"]
  results = comparison.run(" ".join(compared))
  found = [s["sampler"] for s in results["samplers"]]
  assert sorted(found) == sorted(["full", "random", *compared])
  assert {s["sampler"] for s in results["selections"].values()} == {*found}
  assert results["judge"]["kinds"] == {"ask_llm": "stand_in"}
  page = (comparison.root / "index.html").read_text()
  for name in found:
    assert f">{names.title(name)}</text>" in page
  # Other samplers were run here before.
  assert "SemDeDup" not in page and "DSIR" not in page


def test_every_sampler_can_be_named(comparison):
  with pytest.raises(stages.ChainError) as raised:
    comparison.jobs("random semdedupe")
  words = str(raised.value)
  assert "there is no sampler 'semdedupe' (did you mean semdedup?)" in words
  known = words.split("; there are ")[1].splitlines()[0].split(", ")
  assert sorted(known) == sorted([*SAMPLERS, *STAND_INS, "full"])


@pytest.mark.parametrize(
  "name, macro",
  [
    ("ask_llm_xl", "ASK_LLM_XL_CHECKPOINT"),
    ("ask_llm_gemma_7b", "ASK_LLM_GEMMA_7B_CHECKPOINT"),
    ("perplexity_small", "PERPLEXITY_SMALL_CHECKPOINT"),
    ("perplexity_large_20k", "T5_LARGE_CHECKPOINTS"),
  ],
)
def test_a_model_that_nobody_named_is_asked_for(comparison, name, macro):
  with pytest.raises(stages.ChainError, match=rf"--gin.{macro}=DIRECTORY"):
    comparison.jobs(name, **{macro: None})
  # What is not compared asks for nothing.
  assert comparison.jobs("random", **dict.fromkeys(comparison.models))


def test_random_and_the_full_data_are_always_compared(comparison):
  jobs = {job.name: job for job in comparison.jobs("semdedup")}
  assert "train_full-1-0" in jobs and f"train_random-{BUDGET}-0" in jobs
  assert jobs["evaluate"].bindings["SAMPLERS"] == ["full", "random", "semdedup"]
  assert "score_ask_llm" not in jobs and "teach_judge" not in jobs


def test_a_published_encoder_takes_the_place_of_the_quickstart_s(
  comparison, tmp_path
):
  network = dataclasses.replace(encoders.SENTENCE_T5, vocab_size=640)
  encoder, vectors = tmp_path / "encoder", tmp_path / "vectors"
  encoders.write_t5(encoder, encoders.parameters(network))
  config = encoders.T5_JSON | {"vocab_size": 640}
  (encoder / "config.json").write_text(json.dumps(config))
  vocabulary = pathlib.Path(comparison.models["T5_LARGE_CHECKPOINTS"])
  shutil.copy(vocabulary / "spiece.model", encoder)
  gin_file = "gin/runs/quickstart_encoder.gin"
  jobs = comparison.jobs("prototypes", gin_file, ENCODER=str(encoder))
  jobs = {job.name: job for job in jobs}
  job = jobs["score_embedding"]
  assert quickstarts.run_job(job, OUTPUT=str(vectors), ENCODER_TOKENS=32) == 0
  found = embedding_sets.EmbeddingSet.open(vectors).encoder["encoder"]
  assert found["kind"] == "sentence_t5_base"
  reads = jobs["score_prototypes"].bindings["EMBEDDINGS"]
  assert reads == job.bindings["OUTPUT"]
