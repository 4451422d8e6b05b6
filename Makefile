# SPDX-License-Identifier: BSD-3-Clause
# nvme-conform. `make help` lists the targets. Objects go to $(BUILD), so that flavours live side by side.

VERSION   := 0.1.0
PREFIX    ?= /usr/local
DESTDIR   ?=
BUILD     ?= build
CC        ?= cc
PYTHON    ?= python3
SANITIZE  ?=
PKGS      := libssl libcrypto jansson libpcap
CHECK_PKG := check

WARN   := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
          -Wvla -Wundef -Wpointer-arith -Wwrite-strings -Werror
HARDEN := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
OPT    ?= -O2 -g
CPPFLAGS += -Ilib -I. -D_GNU_SOURCE -DNVC_VERSION='"$(VERSION)"'
CFLAGS   += -std=c17 $(OPT) $(WARN) -MMD -MP
LDFLAGS  += -pie -Wl,-z,relro,-z,now
ifneq ($(SANITIZE),)
CFLAGS   += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
LDFLAGS  += -fsanitize=$(SANITIZE)
CFLAGS   += -fPIE
else
CFLAGS   += $(HARDEN)
endif
PKG_CFLAGS   := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS     := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
CHECK_CFLAGS := $(filter-out -pthread,$(shell pkg-config --cflags $(CHECK_PKG) 2>/dev/null))
CHECK_LIBS   := $(shell pkg-config --libs $(CHECK_PKG) 2>/dev/null)

LIB_SRC    := $(sort $(wildcard lib/*/*.c))
SUITE_SRC  := $(sort $(wildcard suites/*.c))
ENGINE_SRC := $(sort $(wildcard harness/engine/*.c))
UNIT_SRC   := $(sort $(wildcard tests/unit/*.c))
obj         = $(patsubst %.c,$(BUILD)/%.o,$(1))
LIB        := $(BUILD)/libnvmeconform.a
ENGINE     := $(BUILD)/nvme-conform-engine
UNIT       := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(UNIT_SRC))

RUNNER     := $(PYTHON) harness/nvme-conform
JOBS       ?= $(shell nproc)

.PHONY: all
all: $(LIB) $(ENGINE) $(UNIT) ## build the library, the engine and the unit tests

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

.PHONY: run conformance
run conformance: $(ENGINE) ## run the suites against the reference target
	$(RUNNER) run --reference -j $(JOBS)

# What `make check` is made of; each part says what it proves.
.PHONY: check
check: unit runner-tests arrows crosscheck conformance-quiet defects-quick ## pass all tests (no root, no network)
	@echo "check: every part passed"

.PHONY: conformance-quiet
conformance-quiet: $(ENGINE)
	@rm -rf $(BUILD)/run
	$(RUNNER) run --reference -j $(JOBS) --seed 1 --output-dir $(BUILD)/run

.PHONY: runner-tests
runner-tests: $(ENGINE)
	@cd tests/runner && ls test_*.py | sed 's/\.py$$//' | xargs -P 4 -n 1 $(PYTHON) -m unittest -q

.PHONY: arrows
arrows: ## check that the parts of the tree include one another as docs/architecture.md says
	$(PYTHON) tests/arrows.py

# The recorded cells of the kill matrix are proven anew, and the clean target under three seeds and every stream fault.
.PHONY: defects-quick
defects-quick: $(ENGINE)
	$(RUNNER) defects --quick -j $(JOBS)

.PHONY: defects
defects: $(ENGINE) ## compute the kill matrix: every defect against every case
	$(RUNNER) defects -j $(JOBS)

.PHONY: soundness
soundness: $(ENGINE) ## twenty seeds, every stream fault and a busy machine change no verdict
	NVME_CONFORM_ENGINE=$(abspath $(ENGINE)) $(PYTHON) tests/soundness.py -j $(JOBS)

.PHONY: asan ubsan
asan ubsan: ## the unit tests and the suites under AddressSanitizer and UBSan
	$(MAKE) BUILD=build-asan SANITIZE=address,undefined OPT='-O1 -g' sanitized

.PHONY: sanitized
sanitized: all unit
	@rm -rf $(BUILD)/run
	NVME_CONFORM_ENGINE=$(abspath $(ENGINE)) $(RUNNER) run --reference -j $(JOBS) --seed 1 --output-dir $(BUILD)/run

.PHONY: valgrind
valgrind: $(UNIT) ## the unit tests under valgrind
	@for t in $(UNIT); do echo "# $$t"; CK_FORK=no CK_DEFAULT_TIMEOUT=600 valgrind -q --error-exitcode=99 --leak-check=full \
		--errors-for-leak-kinds=definite,indirect,possible $$t || exit 1; done

.PHONY: coverage
coverage: ## line and branch coverage of lib/ from the unit tests and the suites
	$(MAKE) BUILD=build-cov OPT='-O0 -g --coverage' HARDEN= LDFLAGS='--coverage' all unit
	NVME_CONFORM_ENGINE=$(CURDIR)/build-cov/nvme-conform-engine $(RUNNER) run --reference -j $(JOBS) --seed 1 --output-dir build-cov/run
	gcovr -r . --filter 'lib/' --object-directory build-cov --print-summary -o build-cov/coverage.txt && tail -n 5 build-cov/coverage.txt

C_FILES := $(sort $(wildcard lib/*/*.[ch] suites/*.[ch] harness/engine/*.[ch] tests/*/*.[ch] tests/bench/*.[ch]))

.PHONY: docs
docs: $(ENGINE) ## generate docs/requirements.md; a test fails when it is stale
	$(RUNNER) list --coverage -o markdown > docs/requirements.md.new
	mv docs/requirements.md.new docs/requirements.md

# What reports/interop/ holds; conversations are left out, because implementers are to hear of some of it first (SECURITY.md).
INTEROP_KERNELS := 7.0.13,7.1.13,7.2.12,7.3.4
comma           := ,

.PHONY: interop
interop: $(ENGINE) ## make reports/interop/: the reference target and four kernels on one page (boots them, fetches what is missing)
	@rm -rf $(BUILD)/interop && mkdir -p $(BUILD)/interop reports/interop
	$(RUNNER) run --reference -j $(JOBS) --seed 1 --output-dir $(BUILD)/interop/reference
	-$(RUNNER) gate --kernels $(INTEROP_KERNELS) -j $(JOBS) --output-dir $(BUILD)/interop/kernels
	$(RUNNER) report $(BUILD)/interop/reference $(addprefix $(BUILD)/interop/kernels/,$(subst $(comma), ,$(INTEROP_KERNELS))) \
		--no-conversations --output reports/interop/index.html

.PHONY: lint
lint: ## clang-format, clang-tidy, cppcheck
	clang-format --dry-run --Werror $(C_FILES)
	clang-tidy --quiet $(LIB_SRC) $(SUITE_SRC) $(ENGINE_SRC) -- $(CPPFLAGS) -std=c17 $(PKG_CFLAGS) $(CHECK_CFLAGS)
	shellcheck harness/bootstrap
	cppcheck -q --std=c11 --error-exitcode=1 --enable=warning,performance,portability --inline-suppr \
		--suppressions-list=.cppcheck -Ilib -I. $(LIB_SRC) $(SUITE_SRC) $(ENGINE_SRC)

.PHONY: format
format: ## clang-format everything in place
	clang-format -i $(C_FILES)

.PHONY: install uninstall
install: all ## install under $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/nvme-conform $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 755 $(ENGINE) $(DESTDIR)$(PREFIX)/lib/nvme-conform/
	find harness -type f -not -path '*/__pycache__/*' -not -path 'harness/engine/*' | \
		while read -r f; do install -D -m "$$(stat -c %a "$$f")" "$$f" "$(DESTDIR)$(PREFIX)/lib/nvme-conform/$$f"; done
	ln -sf ../lib/nvme-conform/harness/nvme-conform $(DESTDIR)$(PREFIX)/bin/nvme-conform
	install -d $(DESTDIR)$(PREFIX)/lib/nvme-conform/reports/templates
	install -m 644 reports/templates/* $(DESTDIR)$(PREFIX)/lib/nvme-conform/reports/templates/
	install -m 644 docs/man/nvme-conform.1 $(DESTDIR)$(PREFIX)/share/man/man1/
uninstall: ## remove what install put there
	rm -rf $(DESTDIR)$(PREFIX)/lib/nvme-conform $(DESTDIR)$(PREFIX)/bin/nvme-conform \
		$(DESTDIR)$(PREFIX)/share/man/man1/nvme-conform.1

.PHONY: dist
dist: ## a source archive of HEAD
	git archive --prefix=nvme-conform-$(VERSION)/ -o nvme-conform-$(VERSION).tar.gz HEAD

# Figures are ratios within one run; never a test.
$(BUILD)/bench: $(BUILD)/tests/bench/bench.o $(call obj,$(filter-out harness/engine/main.c,$(ENGINE_SRC)) $(SUITE_SRC)) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(CHECK_LIBS) $(PKG_LIBS)

.PHONY: bench
bench: $(BUILD)/bench $(ENGINE) ## cost of a case over its Diffie-Hellman operations, and of the whole run
	$(BUILD)/bench
	$(PYTHON) tests/bench/whole_run.py $(JOBS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(PKG_CFLAGS) $(CHECK_CFLAGS) -c -o $@ $<

$(LIB): $(call obj,$(LIB_SRC))
	@rm -f $@
	$(AR) rcs $@ $^

$(ENGINE): $(call obj,$(SUITE_SRC) $(ENGINE_SRC)) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $(call obj,$(SUITE_SRC) $(ENGINE_SRC)) $(LIB) $(CHECK_LIBS) $(PKG_LIBS)

$(BUILD)/tests/test_walk: $(call obj,suites/walk.c suites/walk_text.c)
$(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(CHECK_LIBS) $(PKG_LIBS)

.SECONDARY: # keep the objects of the unit tests

.PHONY: unit
unit: $(UNIT) seeds ## the unit tests of lib/
	@for t in $(UNIT); do echo "# $$t"; $$t || exit 1; done

.PHONY: wireshark
wireshark: $(ENGINE) ## compare what tshark shows of our captures with their bytes, where tshark is installed
	NVME_CONFORM_ENGINE=$(abspath $(ENGINE)) $(PYTHON) tests/capture/test_wireshark.py

# Every fuzz target once over its seeds, with any compiler: what fuzzing found stays fixed.
FUZZ_SRC     := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_NAMES   := $(patsubst tests/fuzz/%.c,%,$(FUZZ_SRC))
FUZZ_SEEDERS := $(FUZZ_NAMES:%=$(BUILD)/fuzz/%)

$(BUILD)/fuzz/%: tests/fuzz/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(PKG_CFLAGS) -DNVC_FUZZ_STANDALONE $(LDFLAGS) -o $@ $< $(LIB) $(PKG_LIBS)

.PHONY: seeds
seeds: $(FUZZ_SEEDERS)
	@for t in $(FUZZ_NAMES); do test -d tests/fuzz/seeds/$$t || { echo "# $$t has no seeds"; continue; }; \
		echo "# $$t over its seeds"; $(BUILD)/fuzz/$$t tests/fuzz/seeds/$$t/* || exit 1; done

# libFuzzer for FUZZ_SECONDS per target; the corpus grows in $(BUILD), findings are left beside it.
FUZZ_SECONDS ?= 20
FUZZ_CC      ?= clang
FUZZ_BIN     := $(FUZZ_NAMES:%=$(BUILD)/libfuzzer/%)

$(BUILD)/libfuzzer/%: tests/fuzz/%.c $(LIB_SRC)
	@mkdir -p $(@D)
	$(FUZZ_CC) $(CPPFLAGS) -std=c17 -O1 -g $(PKG_CFLAGS) -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -o $@ $< $(LIB_SRC) $(PKG_LIBS)

.PHONY: fuzz
fuzz: $(FUZZ_BIN) ## libFuzzer on every decoder and engine, FUZZ_SECONDS each
	@for t in $(FUZZ_NAMES); do mkdir -p $(BUILD)/libfuzzer/$$t.corpus; \
		$(BUILD)/libfuzzer/$$t -max_total_time=$(FUZZ_SECONDS) -max_len=4608 -print_final_stats=1 \
			-artifact_prefix=$(BUILD)/libfuzzer/$$t- $(BUILD)/libfuzzer/$$t.corpus $$(ls -d tests/fuzz/seeds/$$t 2>/dev/null) || exit 1; done

# What nvme-cli and lib/crypto think of the same secrets; a skip line where nvme-cli is not installed.
$(BUILD)/keytool: $(BUILD)/tests/support/keytool.o $(LIB)
	$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(PKG_LIBS)

.PHONY: crosscheck
crosscheck: $(BUILD)/keytool ## compare our secrets with nvme-cli's, where it is installed
	$(PYTHON) tests/vectors/crosscheck_nvme_cli.py $<

.PHONY: clean
clean: ## remove everything built
	rm -rf build build-*

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
