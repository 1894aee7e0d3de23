# SPDX-License-Identifier: Apache-2.0
"""Package metadata; versions are pinned in constraints.txt."""

import setuptools

CORE = [
  "clu",
  "flax",
  "gin-config",
  # TFDS imports it to define a dataset, and does not declare it.
  "importlib_resources",
  "jax",
  "jaxtyping",
  "matplotlib",
  "numpy",
  "optax",
  "orbax-checkpoint",
  "pyarrow",
  "rich",
  "safetensors",
  "scikit-learn",
  "scipy",
  "sentencepiece",
  "seqio",
  "tensorboard",
  "tensorflow",
  "tensorflow-datasets",
  "tensorflow-text",
  "tokenizers",
  "xxhash",
  "zstandard",
]

setuptools.setup(
  name="data-efficient",
  version="0.1.0",
  description="Choosing the data that large language models are trained on",
  license="Apache-2.0",
  python_requires=">=3.11",
  packages=setuptools.find_packages(include=["data_efficient*"]),
  install_requires=CORE,
  extras_require={
    # The ahead-of-time TPU compiler; on a TPU VM also the runtime.
    "tpu": ["libtpu"],
    "gpu": ["jax[cuda12]"],
    # Plain apache-beam cannot write TFRecord.
    "beam": ["apache-beam[tfrecord]"],
    "xm": ["xmanager"],
    # What t5 imports, beside the core (t5 itself: `make suites`).
    "suites": [
      "babel",
      "editdistance",
      "nltk",
      "pandas",
      "rouge-score",
      "sacrebleu",
    ],
    # What T5X imports, beside the core (T5X itself: `make t5x`).
    "t5x": ["cached_property", "chex", "fiddle", "grain"],
    "test": [
      "beartype",
      "grain",
      "hypothesis",
      "markdown-it-py",
      "pytest",
      "pytest-xdist",
      "ruff",
    ],
  },
  entry_points={
    "console_scripts": ["data-efficient = data_efficient.main:main"]
  },
)
