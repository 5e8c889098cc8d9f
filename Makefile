# Two commands do all set-up: `make demo` and `make test`. What they install and how: scripts/setup.sh.

.PHONY: help demo test lint docs clean
.NOTPARALLEL:

help:
	@echo 'make demo    the main job, on a lab of real sshd nodes on this machine'
	@echo 'make test    lint, types and all tests; make test ARGS="-k sync" for some of them'
	@echo 'make lint    ruff, mypy, shellcheck'
	@echo 'make docs    the pages that are made from the code, and the recorded screen'
	@echo 'make clean   remove .venv, caches and what was built'
	@echo
	@echo 'The first four make a virtual environment in .venv, and say what they install before they do.'
	@echo 'PYTHON=/path/to/python3 chooses the interpreter that .venv is made with (3.10 or newer).'

demo:
	@sh scripts/setup.sh demo
	@.venv/bin/python -m invoke demo

test:
	@sh scripts/setup.sh test
	@sh scripts/check.sh test $(ARGS)

lint:
	@sh scripts/setup.sh test
	@sh scripts/check.sh lint

docs:
	@sh scripts/setup.sh test
	@.venv/bin/python -m invoke docs.build docs.record

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
