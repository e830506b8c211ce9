# The commands of this project; `make help` lists them. Each one makes the environment it
# needs in .venv from the pins of requirements.txt, and repairs one that is incomplete.
PYTHON ?= python3 python3.11 python3.12 python3.13
PORT ?= 8000
VENV := .venv
READY := $(VENV)/.ready
PY := $(VENV)/bin/python
FRAMEWORKS := .venv-frameworks

# Nothing from the caller's own set-up may change what the notebooks print.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP
# Kernels and child processes of tests would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE
export PIP_USER := 0
# One thread for linear algebra: sums come out the same on any number of cores, and two test
# workers do not fight over two cores.
export OPENBLAS_NUM_THREADS := 1
export OMP_NUM_THREADS := 1
export MPLCONFIGDIR := $(CURDIR)/$(VENV)/cache/matplotlib
export IPYTHONDIR := $(CURDIR)/$(VENV)/cache/ipython

# An environment counts only while its Python runs and only where it was made: the stamp holds
# the folder's name, is written last, and falls here if either is no longer true.
ifneq ($(shell cat $(READY) 2>/dev/null):$(shell $(PY) -c 'print("runs")' 2>/dev/null),$(CURDIR):runs)
$(shell rm -f $(READY))
endif

SOURCE := $(shell find saddlelib -type f -name '*.py' -o -type f -name '*.js' \
	-o -type f -name '*.css') $(wildcard benchmarks/*.json benchmarks/standings.py examples/*.json)
PAGES := $(wildcard *.md *.yml *.bib) $(shell find api chapters checking practice claims figures _site -type f \
	-not -path '*/.*' -not -path '*/__pycache__/*')

.PHONY: help book pdf test thorough bench frameworks serve lint record bundles clean distclean

help:
	@echo "make book       execute the notebooks and write the site to _build/html"
	@echo "make test       build the book, then run every test"
	@echo "make thorough   run the tests of random instances with many more of them"
	@echo "make bench      measure who wins where, some minutes on two cores, for practice/who_wins"
	@echo "make pdf        build the book, then print it as one PDF with a Chromium"
	@echo "make frameworks run optimizers inside Lightning, Fabric, Accelerate and transformers"
	@echo "make serve      build the book and show it on http://127.0.0.1:$(PORT)/"
	@echo "make lint       check the Python style"
	@echo "make record     execute the notebooks and store in them what they print and draw"
	@echo "make bundles    bundle the live figures anew, after a change of one (needs npm)"
	@echo "make clean      remove what the other commands wrote, except the environment"
	@echo "make distclean  remove the environment too"

book: _build/.book

pdf: _build/escaping-saddles.pdf

_build/escaping-saddles.pdf: _build/.book
	@$(PY) _site/edition.py

# What is measured against a clock runs afterwards, alone.
test: book
	@$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder --nbval \
		-m "not timing" tests saddlelib chapters
	@$(PY) -m pytest -m timing tests/test_site_timing.py

# The tests that say how many instances of a property they try, each with the larger number.
thorough: $(READY)
	@THOROUGH=1 $(PY) -m pytest -n 2 $$(grep -rlE "^from thorough import" tests)

# Who wins where. Peers take part if they are in the folder peer: benchmarks/bench.py says how.
bench: $(READY)
	@PYTHONPATH=$(CURDIR)/peer $(PY) benchmarks/bench.py

# Optimizers inside other people's training loops, and the examples that show them there.
frameworks: $(FRAMEWORKS)/.ready
	@$(FRAMEWORKS)/bin/python -m pytest -n 2 tests/test_examples.py \
		tests/optim/test_optim_frameworks.py

serve: book
	@echo "The book is on http://127.0.0.1:$(PORT)/ until you press Ctrl-C."
	@$(PY) -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

lint: $(READY)
	@$(PY) -m ruff check .

record: $(READY)
	@$(PY) _site/record.py chapters/*.ipynb checking/*.ipynb practice/*.ipynb

bundles: $(READY)
	@npm ci --silent --prefix saddlelib/live
	@$(PY) -m saddlelib.live._build

clean:
	rm -rf _build .pytest_cache .ruff_cache .hypothesis *.egg-info
	rm -rf benchmarks/.bench
	find saddlelib tests chapters checking practice benchmarks figures _site -name __pycache__ -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(FRAMEWORKS)

# The cache of executed notebooks knows their cells but not saddlelib and what was measured, so new
# code and new measurements empty it.
_build/.code: $(READY) $(SOURCE)
	@rm -rf _build/.jupyter_cache
	@mkdir -p _build && touch $@

_build/.book: _build/.code $(PAGES)
	@$(VENV)/bin/jupyter-book build . -W -q --all
	@touch $@

# Sets $$python to the first interpreter of $(PYTHON) that fits, or says in one line what is missing.
define FIND_PYTHON
for p in $(PYTHON); do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || continue; \
	"$$p" -c 'import ensurepip, venv' 2>/dev/null && { python="$$p"; break; } || bare="$$p"; \
done; \
if [ -z "$$python" ] && [ -n "$$bare" ]; then \
	echo "$$bare has no venv module: run apt-get install python3-venv, then make again." >&2; exit 1; \
elif [ -z "$$python" ]; then \
	echo "Python 3.11, 3.12 or 3.13 is missing: run apt-get install python3 python3-venv, or give one as make PYTHON=..." >&2; exit 1; \
fi
endef

# No stamp: start from nothing. An old stamp: the pins changed, install over what is there.
# matplotlib's list of fonts is made here, else the first cell that draws would report making it.
$(READY): requirements.txt pyproject.toml
	@if [ -e $@ ]; then rm $@; else $(FIND_PYTHON); \
		echo "Making the environment in $(VENV) (once; a few minutes)"; \
		"$$python" -m venv --clear $(VENV); fi
	@$(PY) -m pip install -q --disable-pip-version-check -r requirements.txt
	@$(PY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(PY) -c 'import matplotlib.font_manager' 2>/dev/null || true
	@echo '$(CURDIR)' > $@

# The environment above with more packages on top: no second PyTorch, and no package of $(VENV)
# in another version. It takes seconds, so whatever has changed, it is made anew.
$(FRAMEWORKS)/.ready: $(READY) examples/frameworks.txt
	@echo "Making the environment in $(FRAMEWORKS)"
	@$(PY) -m venv --clear --without-pip $(FRAMEWORKS)
	@cd $(FRAMEWORKS) && for packages in lib/python*/site-packages; do \
		echo "import site; site.addsitedir('$(CURDIR)/$(VENV)/$$packages')" > $$packages/below.pth; \
	done
	@$(FRAMEWORKS)/bin/python -m pip install -q --disable-pip-version-check --no-deps \
		-r examples/frameworks.txt
	@touch $@
