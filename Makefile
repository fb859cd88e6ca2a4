# The doors: `make demo`, `make test`, `make lint`, `make bench`, `make bench-smoke`. Each sets up what it needs in .venv first.
PYTHON ?= python3
BIN := .venv/bin

DATA ?= ../shared/data

.PHONY: demo test lint bench bench-smoke clean

.venv/installed: pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[dev]'
	touch .venv/installed

demo: .venv/installed
	$(BIN)/refine blocklist data_samples/blocklist.txt --out demo-output/blocklist.idx
	$(BIN)/refine run configs/quickstart.yaml --input 'data_samples/crawl/*' --out demo-output/dataset \
		--set extract.url.blocklist=demo-output/blocklist.idx --set 'decontaminate.evals=[data_samples/evals]' \
		--set decontaminate.fields=data_samples/eval_fields.yaml
	$(BIN)/refine verify demo-output/dataset
	$(BIN)/refine report demo-output/dataset --by language

test: .venv/installed
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed
	$(BIN)/python -m benchmarks $(DATA)

bench-smoke: .venv/installed
	$(BIN)/python -m benchmarks --smoke

clean:
	rm -rf .venv demo-output build *.egg-info benchmarks/.peers .pytest_cache .mypy_cache .ruff_cache .hypothesis
