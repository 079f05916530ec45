# make run: the demo; make test: lint and all tests; make setup: the installation alone.
# make mini: the embedded model from nothing; make mini-on: trained on; make mini-smoke: a trial of all that.
# make browser: as root on Debian, installs the browser for the test of `aix-lsp inspect --html` where there is none.
# make test-editors: Neovim, Emacs, Helix and VS Code for real (Neovim is in make test too).
# make faults, fuzz, soak, audit: reliability and security, each with a short table; its short form is in make test.
# make package: the wheel in empty environments. make test-all: everything that there is; hours.
# make vscode: the extension for VS Code with the server in it, dist/aix-lsp-vscode-VERSION.vsix; needs Node.js 20 or later.
# TORCH_INDEX=URL takes PyTorch from that package index (README, first screen).

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.aix-installed

.PHONY: run test test-remote test-editors test-all faults fuzz soak audit package vscode browser setup lint format constraints documents mini mini-on mini-smoke clean

run: $(INSTALLED)
	@$(BIN)/aix-lsp demo

# two at a time, each file whole: most tests wait for a process half of their time
test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# the remote engine against a server that serves aix_lsp/models/aix-mini: AIX_TEST_REMOTE_URL=http://127.0.0.1:8000
test-remote: $(INSTALLED)
	$(BIN)/python -m pytest -m remote tests/e2e/test_remote.py

# each editor is installed into a cache folder from packages by name; what cannot be is reported as skipped
test-editors: $(INSTALLED)
	$(BIN)/python -m tests.editors.install || true
	$(BIN)/python -m pytest -m 'editor or not editor' tests/editors

# what can go wrong, done to a real server: missing and broken files, full disks, servers and clients that misbehave
faults: $(INSTALLED)
	$(BIN)/python -m tests.faults

# 200,000 messages by default; MESSAGES=N for another number, SEED=N to see a run again
fuzz: $(INSTALLED)
	$(BIN)/python -m tests.fuzz --messages $(or $(MESSAGES),200000) $(if $(SEED),--seed $(SEED))

# an hour by default; SECONDS=N for another length
soak: $(INSTALLED)
	$(BIN)/python -m tests.soak --seconds $(or $(SECONDS),3600)

# pins, licences, and known vulnerabilities where a database can be reached
audit: $(INSTALLED)
	$(BIN)/python -m tests.audit

# builds the wheel twice and tries it in empty environments of Python 3.11 to 3.13, and what the container promises
package: $(INSTALLED)
	$(BIN)/python -m tests.package

test-all: test test-editors faults fuzz soak audit package

vscode: $(INSTALLED)
	@command -v npm >/dev/null || { echo "make vscode needs Node.js 20 or later, and there is no npm here"; exit 1; }
	cd editors/vscode && npm ci && npm run check && npm run lint && npm test
	$(BIN)/python editors/vscode/package_vsix.py

# a mirror that does not answer must not hold up everything else
APT_GET := timeout 300 apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=30 -o Dpkg::Use-Pty=0

browser:
	@for name in chromium chromium-browser google-chrome; do \
		if command -v $$name >/dev/null; then exit 0; fi; \
	done; \
	if ! command -v apt-get >/dev/null || [ "$$(id -u)" != 0 ]; then \
		echo "no chromium here: the test of inspect's page is skipped (Debian, as root: make browser)"; exit 1; \
	fi; \
	$(APT_GET) update && DEBIAN_FRONTEND=noninteractive $(APT_GET) install -y --no-install-recommends \
		chromium fonts-dejavu-core >/dev/null \
		|| { echo "chromium could not be installed: the test of inspect's page is skipped"; exit 1; }

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "aix-lsp needs Python 3.11 to 3.13; name one with: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "Python's venv module is missing (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@# a PyTorch that is there already is kept, whatever its version
	@$(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/python -m pip install --disable-pip-version-check -q \
		$(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $$(grep '^torch==' constraints.txt)
	@{ grep -v '^torch==' constraints.txt; \
		$(BIN)/python -c 'from importlib.metadata import version; print("torch==" + version("torch").split("+")[0])'; \
		} > $(VENV)/constraints.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q -c $(VENV)/constraints.txt -e '.[dev]'
	@touch $@

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

# what is installed now becomes what is tested; pins of extras that are not installed here stay
constraints: $(INSTALLED)
	@{ $(BIN)/python -m pip freeze --all --exclude-editable --exclude pip | sed -E 's/^(torch==[0-9.]+)\+.*/\1/; / @ /d'; \
		cat constraints.txt; } | LC_ALL=C sort -f -s -u -t= -k1,1 > .constraints && mv .constraints constraints.txt
	$(BIN)/python -m tests.audit --write

# README's settings table, the editors' settings, and the picture of the demo
documents: $(INSTALLED)
	$(BIN)/python docs/generate.py

# Everything on the way and the finished model lie in build/NAME; the same call goes on where it was stopped.
# Both take long and should stand behind other work: nice -n 19 make mini
mini mini-on: $(INSTALLED)
	$(BIN)/aix-lsp recipe aix_$(subst -,_,$@) --work build/$@

mini-smoke: $(INSTALLED)
	$(BIN)/aix-lsp recipe mini_smoke --work build/$@

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
