# SPDX-License-Identifier: BSD-3-Clause
# nvme-conform. `make help` lists the targets. Objects go to $(BUILD), so that flavours live side by side.

VERSION    := 0.1.0
PREFIX     ?= /usr/local
DESTDIR    ?=
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include/nvmeconform
MANDIR     ?= $(PREFIX)/share/man
BUILD      ?= build
CC         ?= cc
PYTHON     ?= python3
SANITIZE   ?=
PKGS       := libssl libcrypto jansson libpcap
CHECK_PKG  := check

WARN   := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
          -Wvla -Wundef -Wpointer-arith -Wwrite-strings -Werror
HARDEN := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
OPT    ?= -O2 -g
CPPFLAGS += -Ilib -I. -D_GNU_SOURCE -DNVC_VERSION='"$(VERSION)"'
CFLAGS   += -std=c17 $(OPT) $(WARN) -MMD -MP
LDFLAGS  += -pie -Wl,-z,relro,-z,now
ifneq ($(SANITIZE),)
CPPFLAGS += -DNVC_EXIT_HANDLERS
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
	@sed -n 's/^\([a-z][a-z -]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

.PHONY: run conformance
run conformance: $(ENGINE) ## run the suites against the reference target
	$(RUNNER) run --reference -j $(JOBS)

# What `make check` is made of; each part says what it proves.
.PHONY: check
check: unit runner-tests arrows crosscheck conformance-quiet defects ## pass all tests (no root, no network)
	@echo "check: every part passed"

.PHONY: conformance-quiet
conformance-quiet: $(ENGINE)
	@rm -rf $(BUILD)/run
	$(RUNNER) run --reference -j $(JOBS) --seed 4 --output-dir $(BUILD)/run
	@$(PYTHON) tests/judged.py $(ENGINE) $(BUILD)/run

.PHONY: runner-tests
runner-tests: $(ENGINE) $(LIB)
	@cd tests/runner && ls test_*.py | sed 's/\.py$$//' | xargs -P 4 -n 1 $(PYTHON) -m unittest -q

.PHONY: check-guests
check-guests: $(ENGINE) ## test the kernel gate with real guests: killed, side by side, everything that can go wrong
	cd tests/guests && $(PYTHON) -m unittest -v test_guests

.PHONY: arrows
arrows: ## check that the parts of the tree include one another as docs/architecture.md says
	$(PYTHON) tests/arrows.py

.PHONY: defects
defects: $(ENGINE) ## compute the kill matrix: every defect against every case
	$(RUNNER) defects -j $(JOBS)

.PHONY: soundness
soundness: $(ENGINE) ## twenty seeds, every stream fault and a busy machine change no verdict
	NVME_CONFORM_ENGINE=$(abspath $(ENGINE)) $(PYTHON) tests/soundness.py -j $(JOBS)

# There is no tsan: nothing is threaded, and `make arrows` refuses what would be.
.PHONY: asan ubsan
asan ubsan: ## the unit tests and the suites under AddressSanitizer and UBSan
	$(MAKE) BUILD=build-asan SANITIZE=address,undefined OPT='-O1 -g' sanitized

# The bounds of the tests are for code without sanitizers, which takes several times as long.
.PHONY: sanitized
sanitized: export CK_TIMEOUT_MULTIPLIER := 4
sanitized: all unit
	@rm -rf $(BUILD)/run
	NVME_CONFORM_ENGINE=$(abspath $(ENGINE)) $(RUNNER) run --reference -j $(JOBS) --seed 1 --output-dir $(BUILD)/run

.PHONY: valgrind
valgrind: $(UNIT) ## the unit tests under valgrind
	@for t in $(UNIT); do echo "# $$t"; CK_FORK=no CK_DEFAULT_TIMEOUT=600 valgrind -q --error-exitcode=99 --leak-check=full \
		--errors-for-leak-kinds=definite,indirect,possible $$t || exit 1; done

.PHONY: coverage
coverage: ## line and branch coverage of lib/ from the unit tests and the suites
	$(MAKE) BUILD=build-cov OPT='-O0 -g --coverage -DNVC_EXIT_HANDLERS' HARDEN= LDFLAGS='--coverage' all unit
	NVME_CONFORM_ENGINE=$(CURDIR)/build-cov/nvme-conform-engine $(RUNNER) run --reference -j $(JOBS) --seed 1 --output-dir build-cov/run
	gcovr -r . --filter 'lib/' --object-directory build-cov --print-summary -o build-cov/coverage.txt && tail -n 5 build-cov/coverage.txt

C_FILES := $(sort $(wildcard lib/*/*.[ch] suites/*.[ch] harness/engine/*.[ch] tests/*/*.[ch] tests/bench/*.[ch]))

.PHONY: docs
docs: $(ENGINE) ## generate docs/requirements.md; a test fails when it is stale
	$(RUNNER) list --coverage -o markdown > docs/requirements.md.new
	mv docs/requirements.md.new docs/requirements.md

# What reports/interop/ holds; conversations are left out, and of what implementers are to hear first (SECURITY.md) the cases, too.
INTEROP_KERNELS := 7.0.13,7.1.13,7.2.12,7.3.4
comma           := ,

.PHONY: interop
interop: $(ENGINE) ## make reports/interop/: the reference target and four kernels on one page (boots them, fetches what is missing)
	@rm -rf $(BUILD)/interop && mkdir -p $(BUILD)/interop reports/interop
	$(RUNNER) run --reference -j $(JOBS) --seed 1 --output-dir $(BUILD)/interop/reference
	-$(RUNNER) gate --kernels $(INTEROP_KERNELS) -j $(JOBS) --output-dir $(BUILD)/interop/kernels
	$(RUNNER) report $(BUILD)/interop/reference $(addprefix $(BUILD)/interop/kernels/,$(subst $(comma), ,$(INTEROP_KERNELS))) \
		--no-conversations --withhold harness/baselines/withheld.txt --output reports/interop/index.html

.PHONY: lint
lint: man ## clang-format, clang-tidy, cppcheck, shellcheck, and the manual page
	clang-format --dry-run --Werror $(C_FILES)
	$(MAKE) -s -j $(JOBS) tidy
	shellcheck harness/bootstrap harness/deb .ci/run
	cppcheck -q --std=c11 --error-exitcode=1 --enable=warning,performance,portability --inline-suppr \
		--suppressions-list=.cppcheck -Ilib -I. $(LIB_SRC) $(SUITE_SRC) $(ENGINE_SRC)

# A mark for each file that clang-tidy has nothing to say of, so that only what changed is looked at again.
TIDY := $(patsubst %.c,$(BUILD)/tidy/%,$(LIB_SRC) $(SUITE_SRC) $(ENGINE_SRC))
.PHONY: tidy
tidy: $(TIDY)
$(TIDY): $(BUILD)/tidy/%: %.c $(filter %.h,$(C_FILES)) .clang-tidy
	@mkdir -p $(@D)
	clang-tidy --quiet $< -- $(CPPFLAGS) -std=c17 $(PKG_CFLAGS) $(CHECK_CFLAGS)
	@touch $@

.PHONY: format
format: ## clang-format everything in place
	clang-format -i $(C_FILES)

# The program is what stands in lib/nvme-conform, and the library what other programs link. A header that no other program may
# include is left out.
PROGRAM_DIR = $(DESTDIR)$(PREFIX)/lib/nvme-conform
SHARE_DIR   = $(DESTDIR)$(PREFIX)/share/nvme-conform
HEADERS    := $(filter-out %_state.h %/internal.h %/tls_ossl.h lib/target/teardown.h lib/capture/interface.h,$(wildcard lib/*/*.h)) \
              $(wildcard lib/catalogue/*.def) lib/target/rules.def

.PHONY: install install-program install-library uninstall
install: install-program install-library ## install program, library, manual page and what Wireshark takes under $(DESTDIR)$(PREFIX)

install-program: $(ENGINE)
	install -d $(PROGRAM_DIR)/reports/templates $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(MANDIR)/man1
	install -m 755 $(ENGINE) $(PROGRAM_DIR)/
	tar -cf - --mode=u=rwX,go=rX --exclude=__pycache__ --exclude=harness/engine --exclude=harness/bootstrap --exclude=harness/deb \
		harness | tar -xf - --no-same-owner -C $(PROGRAM_DIR)
	install -m 644 reports/templates/* $(PROGRAM_DIR)/reports/templates/
	ln -sf ../lib/nvme-conform/harness/nvme-conform $(DESTDIR)$(PREFIX)/bin/nvme-conform
	install -m 644 docs/man/nvme-conform.1 $(DESTDIR)$(MANDIR)/man1/
	install -d $(SHARE_DIR)
	tar -C captures -cf - --mode=u=rwX,go=rX wireshark | tar -xf - --no-same-owner -C $(SHARE_DIR)

install-library: $(LIB)
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)
	install -m 644 $(LIB) $(DESTDIR)$(LIBDIR)/
	tar -C lib -cf - --mode=u=rw,go=r $(HEADERS:lib/%=%) | tar -xf - --no-same-owner -C $(DESTDIR)$(INCLUDEDIR)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
		lib/libnvmeconform.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/libnvmeconform.pc
	chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/libnvmeconform.pc

uninstall: ## remove what install put there
	rm -rf $(PROGRAM_DIR) $(SHARE_DIR) $(DESTDIR)$(INCLUDEDIR)
	rm -f $(DESTDIR)$(PREFIX)/bin/nvme-conform $(DESTDIR)$(MANDIR)/man1/nvme-conform.1 \
		$(DESTDIR)$(LIBDIR)/libnvmeconform.a $(DESTDIR)$(LIBDIR)/pkgconfig/libnvmeconform.pc

.PHONY: deb
deb: $(ENGINE) $(LIB) ## Debian packages of the program and of the library, in $(BUILD)
	harness/deb $(BUILD) $(VERSION) $(BUILD)

# mandoc judges better; groff is on every Debian that can show a manual page.
.PHONY: man
man: ## check the manual page, and show it as text in $(BUILD)/nvme-conform.1.txt
	@mkdir -p $(BUILD)
	@if command -v mandoc >/dev/null; then mandoc -T lint -W warning docs/man/nvme-conform.1; \
	elif command -v groff >/dev/null; then ! groff -mandoc -ww -b -z -T utf8 docs/man/nvme-conform.1 2>&1 | grep .; \
	else echo "make man: neither mandoc nor groff is there; install the Debian package mandoc" >&2; exit 2; fi
	@if command -v mandoc >/dev/null; then mandoc -T utf8 docs/man/nvme-conform.1 | sed 's/.\x08//g'; \
	else groff -mandoc -T utf8 -P-c -P-b -P-u docs/man/nvme-conform.1; fi > $(BUILD)/nvme-conform.1.txt

.PHONY: dist
dist: ## a source archive of HEAD
	git archive --prefix=nvme-conform-$(VERSION)/ -o nvme-conform-$(VERSION).tar.gz HEAD

# Figures are ratios within one run; never a test.
$(BUILD)/bench: $(BUILD)/tests/bench/bench.o $(call obj,$(filter-out harness/engine/main.c,$(ENGINE_SRC)) $(SUITE_SRC)) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(CHECK_LIBS) $(PKG_LIBS)

$(BUILD)/make_capture $(BUILD)/bare_loop: $(BUILD)/%: $(BUILD)/tests/bench/%.o $(LIB)
	$(CC) $(LDFLAGS) -o $@ $^ $(CHECK_LIBS) $(PKG_LIBS)

# The kernel's verdict needs this kernel in the gate's cache: nvme-conform gate --kernel VERSION --fetch
BENCH_KERNEL ?= 7.3.4

.PHONY: bench bench-replay
bench: $(BUILD)/bench $(ENGINE) bench-replay ## cost of a case over its Diffie-Hellman operations, of the whole run, of the kill matrix, of captures, of replay, of a kernel's verdict
	$(BUILD)/bench
	$(PYTHON) tests/bench/whole_run.py $(JOBS)
	NVME_CONFORM_ENGINE=$(abspath $(ENGINE)) $(PYTHON) tests/bench/capture_cost.py
	$(PYTHON) tests/bench/kernel_story.py $(BENCH_KERNEL)
bench-replay: $(ENGINE) $(BUILD)/make_capture $(BUILD)/bare_loop
	$(PYTHON) tests/bench/replay_speed.py $(BUILD)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(PKG_CFLAGS) $(CHECK_CFLAGS) -c -o $@ $<

$(LIB): $(call obj,$(LIB_SRC))
	@rm -f $@
	$(AR) rcs $@ $^

$(ENGINE): $(call obj,$(SUITE_SRC) $(ENGINE_SRC)) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $(call obj,$(SUITE_SRC) $(ENGINE_SRC)) $(LIB) $(CHECK_LIBS) $(PKG_LIBS)

$(BUILD)/tests/unit/test_golden.o: CPPFLAGS += -DNVC_CAPTURES='"$(CURDIR)/captures"'
$(BUILD)/tests/test_walk: $(call obj,suites/walk.c suites/walk_text.c)
$(BUILD)/tests/test_batch: $(call obj,$(filter-out harness/engine/main.c,$(ENGINE_SRC)))
$(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(CHECK_LIBS) $(PKG_LIBS)

.SECONDARY: # keep the objects of the unit tests

.PHONY: unit
unit: $(UNIT) seeds ## the unit tests of lib/
	@printf '%s\n' $(UNIT) | CK_DEFAULT_TIMEOUT=120 xargs -P 4 -n 1 sh -c \
		'said=$$($$0 2>&1); status=$$?; printf "# %s\n%s\n" "$$0" "$$said"; exit $$status'

# With the million connections for which `make check` has no time, and the golden captures cut and bent at every byte.
.PHONY: broken-captures
broken-captures: $(ENGINE) $(BUILD)/tests/test_golden ## hostile captures: a million connections, golden ones cut and bent at every byte
	cd tests/runner && NVME_CONFORM_ENGINE=$(abspath $(ENGINE)) BROKEN_CAPTURES_CONNECTIONS=1000000 $(PYTHON) -m unittest -v test_broken_captures
	GOLDEN_STRIDE=1 CK_TIMEOUT_MULTIPLIER=60 $(BUILD)/tests/test_golden

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
	@for t in $(FUZZ_NAMES); do echo "# $$t over its seeds"; $(BUILD)/fuzz/$$t tests/fuzz/seeds/$$t/* || exit 1; done

# Fuzzing for FUZZ_SECONDS per target, with the library built as the fuzzer wants it. Corpus and findings are left in $(BUILD).
# Of captures the golden ones are seeds too, at their full length.
FUZZ_SECONDS ?= 20
FUZZ_CC      ?= clang
AFL_CC       ?= afl-clang-fast
FUZZ_FLAVOUR  = SANITIZE=fuzzer-no-link,address,undefined OPT='-O1 -g' WARN=
FUZZERS      := $(FUZZ_NAMES:%=$(BUILD)/fuzzer/%)

$(BUILD)/fuzzer/%: tests/fuzz/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(PKG_CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(LIB) $(PKG_LIBS)

.PHONY: fuzz afl
fuzz: ## libFuzzer on every decoder and engine, FUZZ_SECONDS each
	$(MAKE) BUILD=build-fuzz CC='$(FUZZ_CC)' $(FUZZ_FLAVOUR) run-libfuzzer
afl: ## AFL++ on the same, FUZZ_SECONDS each
	$(MAKE) BUILD=build-afl CC='$(AFL_CC)' $(FUZZ_FLAVOUR) run-afl

.PHONY: run-libfuzzer run-afl
run-libfuzzer: $(FUZZERS)
	@for t in $(FUZZ_NAMES); do mkdir -p $(BUILD)/$$t.corpus; len=4608; more=; \
		case $$t in fuzz_capture) len=131072; more=captures;; fuzz_replay) len=32768;; esac; \
		$(BUILD)/fuzzer/$$t -max_total_time=$(FUZZ_SECONDS) -max_len=$$len -print_final_stats=1 \
			-artifact_prefix=$(BUILD)/$$t- $(BUILD)/$$t.corpus tests/fuzz/seeds/$$t $$more || exit 1; done

# afl-fuzz ends with 0 whatever it found. It asks for a core pattern that only root can set, and needs it for crashes alone that
# a sanitizer does not see.
run-afl: $(FUZZERS)
	@for t in $(FUZZ_NAMES); do echo "# $$t under AFL++ for $(FUZZ_SECONDS) s"; rm -rf $(BUILD)/$$t.out $(BUILD)/$$t.seeds; \
		cp -r tests/fuzz/seeds/$$t $(BUILD)/$$t.seeds; \
		case $$t in fuzz_capture) cp captures/*.pcapng $(BUILD)/$$t.seeds/;; esac; \
		AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_AFFINITY=1 \
			afl-fuzz -V $(FUZZ_SECONDS) -t 5000 -i $(BUILD)/$$t.seeds -o $(BUILD)/$$t.out -- $(BUILD)/fuzzer/$$t \
			> $(BUILD)/$$t.log 2>&1 || { tail -n 20 $(BUILD)/$$t.log; exit 1; }; \
		grep -E '^(execs_done|corpus_found|saved_crashes|saved_hangs|bitmap_cvg)' $(BUILD)/$$t.out/default/fuzzer_stats; \
		grep -q '^saved_crashes *: 0$$' $(BUILD)/$$t.out/default/fuzzer_stats || exit 1; done

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
