# SPDX-License-Identifier: BSD-3-Clause
# nvme-conform. `make help` lists the targets. Objects go to $(BUILD), so flavours live side by side.

VERSION   := 0.1.0
PREFIX    ?= /usr/local
DESTDIR   ?=
BUILD     ?= build
CC        ?= cc
PYTHON    ?= python3
SANITIZE  ?=
PKGS      := libssl libcrypto jansson
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

.PHONY: all
all: $(LIB) $(ENGINE) $(UNIT)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(PKG_CFLAGS) $(CHECK_CFLAGS) -c -o $@ $<

$(LIB): $(call obj,$(LIB_SRC))
	@rm -f $@
	$(AR) rcs $@ $^

$(ENGINE): $(call obj,$(SUITE_SRC) $(ENGINE_SRC)) $(LIB)
	$(CC) $(LDFLAGS) -o $@ $(call obj,$(SUITE_SRC) $(ENGINE_SRC)) $(LIB) $(CHECK_LIBS) $(PKG_LIBS)

$(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(CHECK_LIBS) $(PKG_LIBS)

.PHONY: unit
unit: $(UNIT) seeds
	@for t in $(UNIT); do echo "# $$t"; $$t || exit 1; done

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

# libFuzzer for FUZZ_SECONDS per target; the corpus grows in $(BUILD), findings are left beside it.
FUZZ_SECONDS ?= 20
FUZZ_CC      ?= clang
FUZZ_BIN     := $(FUZZ_NAMES:%=$(BUILD)/libfuzzer/%)

$(BUILD)/libfuzzer/%: tests/fuzz/%.c $(LIB_SRC)
	@mkdir -p $(@D)
	$(FUZZ_CC) $(CPPFLAGS) -std=c17 -O1 -g $(PKG_CFLAGS) -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -o $@ $< $(LIB_SRC) $(PKG_LIBS)

.PHONY: fuzz
fuzz: $(FUZZ_BIN)
	@for t in $(FUZZ_NAMES); do mkdir -p $(BUILD)/libfuzzer/$$t.corpus; \
		$(BUILD)/libfuzzer/$$t -max_total_time=$(FUZZ_SECONDS) -max_len=4608 -print_final_stats=1 \
			-artifact_prefix=$(BUILD)/libfuzzer/$$t- $(BUILD)/libfuzzer/$$t.corpus tests/fuzz/seeds/$$t || exit 1; done

# What nvme-cli and lib/crypto think of the same secrets; a skip line where nvme-cli is not installed.
$(BUILD)/keytool: $(BUILD)/tests/support/keytool.o $(LIB)
	$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(PKG_LIBS)

.PHONY: crosscheck
crosscheck: $(BUILD)/keytool
	$(PYTHON) tests/vectors/crosscheck_nvme_cli.py $<

.PHONY: clean
clean:
	rm -rf build build-*

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
