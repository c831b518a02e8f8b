# SPDX-License-Identifier: GPL-2.0-or-later
# Gantry. On the host, every target is handed to the build root (.ci/buildroot, docs/building.md), which is made first
# where it is missing; the second half of this file works inside it. `make help` lists the targets.

.DEFAULT_GOAL := all
.SUFFIXES:
MAKEFLAGS += -rR

ifndef GANTRY_INSIDE
# ---- on the host ------------------------------------------------------------------------------------------------------

PYTHON := $(firstword $(wildcard /usr/bin/python3) python3)
BUILDROOT := $(PYTHON) .ci/buildroot
JOBS ?= $(shell nproc)
export GANTRY_TEST_DATA ?= $(wildcard ../shared/data)

# The variables that a target takes, besides those that all take. Those given on the command line reach the programs in the root as
# environment; any other is a mistake that would go unnoticed.
TAKES := V JOBS KERNEL MIRROR MIRROR_SECURITY KEYRING INPUTS PINNED SOURCE_DATE_EPOCH
TAKES_image := IMAGE
TAKES_measurements := IMAGE
TAKES_run := IMAGE EXIT AGAIN TIER DISK DISK_AFTER FAULTS SNAPSHOT PORT TIMEOUT
TAKES_test := T
TAKES_test-sanitized := T
TAKES_bench := ONLY N
TAKES_fuzz := T SECONDS
TAKES_sign-policy := IMAGE KEY VERSION
TAKES_release := IMAGE KEY
TAKES_verify := IMAGE FILE SIGNER
TAKES_import-systemapi := FILE BOOT ROOT
TAKES_enter := CMD
TAKES_update-deps := ONLY DRY
TAKES_update-packages := IMAGE
TAKES_inputs := FILE IMAGE
GIVEN := $(foreach v,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $v))),$v))
OWN := $(foreach goal,$(or $(MAKECMDGOALS),all),$(TAKES_$(goal)))
UNKNOWN := $(filter-out $(OWN) $(TAKES) GANTRY_%,$(GIVEN))
ifneq ($(UNKNOWN),)
$(error $(UNKNOWN): not a variable of `make$(addprefix $() ,$(MAKECMDGOALS))`, which takes $(strip $(sort $(OWN)) $(TAKES)) and GANTRY_*)
endif
# A target that is not known is said so here: the build root may be minutes away.
HASH := \#
STRANGE := $(filter-out $(shell sed -n 's/^$(HASH)  make \([a-z-]*\).*/\1/p' Makefile) all help lint-% tests-built build/%,$(MAKECMDGOALS))
ifneq ($(STRANGE),)
$(error $(STRANGE): not a target; `make help` lists them)
endif
export GANTRY_PASS := $(filter-out CMD INPUTS MIRROR MIRROR_SECURITY KEYRING KERNEL KEY VERSION IMAGE FILE SIGNER,$(GIVEN))
ifneq ($(filter IMAGE,$(GIVEN)),)
export GANTRY_IMAGE := $(IMAGE)
endif
ifneq ($(filter verify,$(MAKECMDGOALS)),)
export GANTRY_PUBLISHED := $(FILE)
export GANTRY_SIGNER := $(SIGNER)
endif
ifneq ($(filter sign-policy release,$(MAKECMDGOALS)),)
export GANTRY_SIGN_KEY := $(KEY)
export GANTRY_SIGN_VERSION := $(if $(filter VERSION,$(GIVEN)),$(VERSION))
endif

HERE := help enter shell deps update-deps update-packages inputs rebuild security clean prune import-systemapi versitygw
GOALS := $(filter-out $(HERE),$(or $(MAKECMDGOALS),all))

.PHONY: $(HERE) inside
$(GOALS): inside
	@:

inside:
	+@MAKEFLAGS= $(BUILDROOT) make -j$(JOBS) $(if $(findstring k,$(firstword -$(MAKEFLAGS))),-k) $(GOALS)

help:
	@echo 'Usage: make [TARGET] [VARIABLE=VALUE]...'
	@echo
	@sed -n 's/^#  \(\(make\| \).*\)/  \1/p' Makefile

# The targets, as `make help` shows them:
#  make                  build the binary, build/init, and the programs of the test image
#  make run              boot the image on the emulated platform and show it live  [IMAGE=DIR] [EXIT=1] [AGAIN=1] [TIER=1|2]
#                        [DISK=...] [DISK_AFTER=S] [FAULTS=...] [SNAPSHOT=64M] [PORT=3535] [TIMEOUT=300] (docs/emulated-platform.md)
#  make test             run every test  [T=PATTERN]
#  make test-sanitized   the component tests with PID 1 and all roles under ASan and UBSan  [T=PATTERN]
#  make image            the Unified Kernel Image, the GPT disk and the Azure VHD of the image's folder DIR, in build/NAME; of the
#                        test image, in build/test, without [IMAGE=DIR] (docs/images.md)
#  make measurements     PCR 4, 9 and 11 of that image, as JSON  [IMAGE=DIR]
#  make sign-policy KEY=FILE   sign that image's disk policy, so that it opens its predecessor's disk  [IMAGE=DIR] [VERSION=N]
#  make release KEY=FILE publish that image: its files, what went in, and a signed list of hashes  [IMAGE=DIR] (docs/images.md)
#  make verify FILE=DIR SIGNER=FILE   hold a published image against one's own build: which file, PCR, path differs  [IMAGE=DIR]
#  make import-systemapi FILE=...   an older System API's configuration as ours  [BOOT=boot.json] [ROOT=DIR]
#  make lint             gcc, clang, cppcheck, shellcheck and pyflakes over everything
#  make bench            the benchmarks, as one table and build/bench.json  [ONLY=PART,...] [N=3]
#  make fuzz T=NAME      search for new failures with libFuzzer  [SECONDS=60]
#  make shell            a shell in the build root
#  make enter CMD=...    one command in the build root
#  make versitygw        an S3 server for one test, built with the host's own Go; without it that test is skipped
#  make deps             only the build root, the libraries and the kernel
#  make update-deps      show what would move in deps.lock and why, then move it to what the mirrors have now
#                        [ONLY=root|image|sources] [DRY=1: show it only]
#  make fetch-images IMAGE=DIR   fetch the OCI images that DIR/image.json names, for a build without a network
#  make update-packages IMAGE=DIR   pin the Debian packages of an image, and what they depend on, in DIR/packages.lock
#  make inputs [FILE=build/inputs.tar]   all that an image is made of, as a tarball: with it, no network is needed
#  make rebuild          build all from `make inputs` a second time, without a network, with another date, umask and so on, and
#                        compare every library, program and image: minutes of a processor
#  make security         name each pin with a newer security version; fails if there is one
#  make prune            remove from the cache what this checkout does not use
#  make clean            remove build/
#
#  make ... V=1          show the commands
#  make ... JOBS=N       that many compilers at once; one for each processor otherwise
#  make ... SOURCE_DATE_EPOCH=N   the date in the image
#  make ... KERNEL=FILE  another kernel package than the pinned one: Debian's, or one of the kernel's own `make bindeb-pkg`
#  make ... MIRROR=URL   another Debian mirror than the host's own
#  make ... MIRROR_SECURITY=URL   another mirror of Debian's security suite than the host's own
#  make ... KEYRING=FILE the keyring that signs those mirrors' lists, instead of Debian's
#  make ... INPUTS=DIR   take what deps.lock pins from this folder where it is there, before any mirror is asked
#  make ... PINNED=1     refuse an image's folder that is not as committed, for images whose measurements are published

import-systemapi:
	@$(PYTHON) qemu/import_systemapi.py $(or $(FILE),$(error give FILE=systemapi-config.toml)) $(if $(BOOT),--boot $(BOOT)) \
		$(if $(ROOT),--root $(ROOT))

enter:
	@$(BUILDROOT) enter sh -c '$(subst ','\'',$(value CMD))'

shell:
	@$(BUILDROOT) enter bash

deps:
	@$(BUILDROOT) deps

update-deps:
	@$(BUILDROOT) update

update-packages:
	@$(BUILDROOT) update-packages

inputs:
	@$(BUILDROOT) inputs "$(or $(FILE),build/inputs.tar)"

rebuild:
	@$(PYTHON) .ci/rebuild

security:
	@$(BUILDROOT) security

# Not in the root: Go and its packages would be a third of it, and compiling takes minutes. Go compares the hashes of what it fetches with
# those of its public log.
VERSITYGW := v1.8.0
versitygw:
	GOBIN=$(CURDIR)/build/peers go install github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW)

prune:
	@$(BUILDROOT) prune

clean:
	@rm -rf build

else
# ---- in the build root ------------------------------------------------------------------------------------------------

include build/paths.env

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@echo "  $(1)";)
SHELL := /bin/sh
export LC_ALL := C.UTF-8
export SOURCE_DATE_EPOCH ?= 1700000000
.DELETE_ON_ERROR:

# The binary. musl has no fortified functions: _FORTIFY_SOURCE costs nothing there and works in the unit tests' glibc.
CC := $(LIBS)/tc/bin/musl-gcc
WARNINGS := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wformat -Wformat-security -Wundef
CPPFLAGS := -D_GNU_SOURCE= -Iinclude -I.
HARDENING := -fstack-protector-strong -fstack-clash-protection -ftrivial-auto-var-init=zero -D_FORTIFY_SOURCE=2
CFLAGS := -std=gnu11 -Os -g -fPIE $(HARDENING) -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables \
	-fno-unwind-tables -ffile-prefix-map=$(CURDIR)/= -ffile-prefix-map=$(LIBS)=/usr $(WARNINGS)
LDFLAGS := -static-pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,text,-z,separate-code,-z,pack-relative-relocs -Wl,--gc-sections -Wl,--build-id=none \
	-Wl,--fatal-warnings -L$(LIBS)/lib
# init/lib/strerror.h
WORDS := -Wl,--wrap=strerror
STRIP := strip -s -R .comment -R .note.gnu.property
LDLIBS := -Wl,--start-group -lcryptsetup -ldevmapper -ljson-c -lblkid -luuid -lcurl -ltss2-esys -ltss2-sys -ltss2-mu \
	-ltss2-tctildr -ltss2-tcti-swtpm -ltss2-tcti-mssim -ltss2-tcti-device -ltss2-rc -lmicrohttpd -lseccomp -lmbedtls -lmbedx509 \
	-lmbedcrypto -lexpat -Wl,--end-group

SOURCES := $(sort $(wildcard init/*.c init/*/*.c stages/*.c stages/*/*.c))
OBJECTS := $(SOURCES:%.c=build/obj/%.o)

# Kernel modules of the test image, against the headers of the pinned kernel, which want to lie below /usr; what is written there is
# gone when the root is left. Another kernel may have none: then they are left out.
HEADERS := /usr/src/linux-headers-$(KERNEL_VERSION)
LINK_HEADERS := test -d $(HEADERS) || ln -s $(KERNEL_DIR)/headers/usr/src/* /usr/src/ && test -d $(HEADERS) && \
	{ test -d /usr/lib/linux-kbuild-$(KERNEL_VERSION:-cloud-amd64=) || ln -s $(KERNEL_DIR)/headers/usr/lib/linux-kbuild-* /usr/lib/; }
MODULES := $(if $(wildcard $(HEADERS) $(KERNEL_DIR)/headers$(HEADERS)),$(patsubst qemu/tdx/%.c,build/modules/%.ko,$(wildcard qemu/tdx/*.c)))
GUEST := $(patsubst qemu/guest/%.c,build/guest/%,$(wildcard qemu/guest/*.c))

.PHONY: all run test test-sanitized image fetch-images measurements sign-policy release verify lint bench fuzz tests-built
all: build/init $(GUEST) $(MODULES) build/compile_commands.json
	@$(if $(MODULES),:,echo "  note: kernel $(KERNEL_VERSION) comes without headers: the emulated TDX module is left out")

build/init: build/init.debug
	$(Q)$(STRIP) -o $@.new $< && mv $@.new $@
	$(Q)echo "  $@ $$(stat -c %s $@) bytes"

build/init.debug: $(OBJECTS) build/objects init/process/sections.ld
	$(call say,LINK $@)$(CC) $(LDFLAGS) $(WORDS) -Wl,-T,init/process/sections.ld -o $@ $(OBJECTS) $(LDLIBS)

# A file that comes or goes changes the list, and so links again; what a removed source left behind goes too.
build/objects: FORCE
	@mkdir -p build; rm -f $(filter-out $(GUEST) $(MODULES),$(wildcard build/guest/* build/modules/*)); echo '$(OBJECTS)' | cmp -s - $@ || echo '$(OBJECTS)' > $@

# Objects are taken from a cache beside the build root where the preprocessed source, the flags, the root and the libraries are the same.
# Without ccache's direct mode no new header can be overlooked. An object with an .incbin is always compiled.
export CCACHE_DIR := $(or $(GANTRY_CACHE),/cache)/ccache
export CCACHE_NODIRECT := 1
export CCACHE_COMPILERCHECK := string:$(ROOT_ID) $(LIBS)
export CCACHE_MAXSIZE := 2G
# what the build root's compiler made
build/tests/% build/sanitized/%: export CCACHE_COMPILERCHECK := string:$(TEST_ROOT_ID)

build/obj/%.o: %.c Makefile build/paths.env
	@mkdir -p $(@D)
	$(call say,CC $<)ccache $(CC) $(CPPFLAGS) -isystem $(LIBS)/include $(CFLAGS) -MMD -MP -c -o $@ $<

# The clock is never before the date of what this was built from, or SOURCE_DATE_EPOCH where that is later.
PINS_DATE := $(shell date -u -d "$$(sed -n 's/^date //p' deps.lock)" +%s)
build/obj/init/pid1/clock.o: deps.lock
build/obj/init/pid1/clock.o: CPPFLAGS += -DGANTRY_BUILD_DATE=$(shell echo "$(SOURCE_DATE_EPOCH) $(PINS_DATE)" | tr ' ' '\n' | sort -n | tail -1)

# The page is part of its object, which the compiler cannot know.
PAGE := $(wildcard init/api/page/*)
build/obj/init/api/page.o: $(PAGE)

build/guest/%: qemu/guest/%.c Makefile build/paths.env
	@mkdir -p $(@D) build/obj/qemu/guest
	$(call say,CC $<)$(CC) $(CPPFLAGS) -isystem $(LIBS)/include $(CFLAGS) -MMD -MP -MF build/obj/$(<:.c=.d) $(LDFLAGS) -o $@ $< && \
		$(STRIP) $@

# Debug information is stripped, paths are not in it, and without BTF pahole is not needed.
build/modules/%.ko: qemu/tdx/%.c $(wildcard qemu/tdx/*.h) Makefile build/paths.env
	@mkdir -p build/kbuild/$* $(@D)
	@$(LINK_HEADERS)
	@cp $< $(wildcard qemu/tdx/*.h) build/kbuild/$*/ && echo 'obj-m := $*.o' > build/kbuild/$*/Kbuild
	$(call say,KBUILD $<)$(MAKE) -s -C $(HEADERS) M=$(CURDIR)/build/kbuild/$* KCFLAGS=-ffile-prefix-map=$(CURDIR)/build/kbuild/= \
		CONFIG_DEBUG_INFO_BTF_MODULES= modules \
		> build/kbuild/$*/log 2>&1 || { cat build/kbuild/$*/log; exit 1; }
	@strip -g -o $@ build/kbuild/$*/$*.ko

build/compile_commands.json: build/objects Makefile build/paths.env
	$(Q)python3 .ci/compile-commands $(SOURCES) $(wildcard qemu/guest/*.c) -- $(CPPFLAGS) -std=gnu11 $(WARNINGS) > $@.new && mv $@.new $@

.PHONY: FORCE
FORCE:

# ---- the image and the machine

image: all
	$(Q)python3 qemu/image.py

fetch-images:
	$(Q)python3 qemu/oci.py

measurements: all
	$(Q)python3 qemu/measure.py

sign-policy: all
	$(Q)python3 qemu/policy.py --key "$$GANTRY_SIGN_KEY" $(if $(GANTRY_SIGN_VERSION),--version "$$GANTRY_SIGN_VERSION")

release: all
	$(Q)python3 qemu/release.py release --key "$$GANTRY_SIGN_KEY"

verify: all
	$(Q)python3 qemu/release.py verify "$$GANTRY_PUBLISHED" --signer "$$GANTRY_SIGNER"

run: all
	$(Q)exec python3 qemu/run.py

bench: all
	$(Q)exec python3 tests/bench/bench.py

# ---- tests

test:
	$(Q)exec python3 tests/run.py

# Unit tests and fuzz targets name the rooms that they link in a comment; build/tests.mk is made of those. Everything in them is
# compiled with the root's own glibc and gcc, under the sanitizers, and each room becomes one archive, in build/tests/lib.
TEST_SOURCES := $(wildcard tests/unit/test_*.c tests/fuzz/fuzz_*.c)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
TEST_CFLAGS := $(CPPFLAGS) -DUNIT_TEST -std=gnu11 -g1 -O1 $(WARNINGS) -Wno-missing-prototypes $(SANITIZE)

ifneq ($(filter tests-built fuzz build/tests/%,$(MAKECMDGOALS)),)
include build/tests.mk
endif

build/tests.mk: $(TEST_SOURCES) .ci/test-rules Makefile build/objects
	@mkdir -p build/rooms
	$(Q)python3 .ci/test-rules $(TEST_SOURCES) > $@.new && mv $@.new $@

build/tests/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC $< (sanitized))ccache gcc $(TEST_CFLAGS) -MMD -MP -c -o $@ $<

tests-built: $(TEST_PROGRAMS)
	@:

# The whole binary under the same sanitizers, with glibc and the root's own shared libraries: no sanitizer works with a static binary or
# with musl. tests/sanitized.c has what they need.
SANITIZED_OBJECTS := $(SOURCES:%.c=build/sanitized/obj/%.o) build/sanitized/obj/tests/sanitized.o
SANITIZED_LIBS := -lcryptsetup -ldevmapper -ljson-c -lblkid -luuid -lcurl -ltss2-esys -ltss2-sys -ltss2-mu -ltss2-tctildr \
	-ltss2-tcti-swtpm -ltss2-tcti-mssim -ltss2-tcti-device -ltss2-rc -lmicrohttpd -lseccomp -lmbedtls -lmbedx509 -lmbedcrypto -lexpat

test-sanitized: build/sanitized/init
	$(Q)exec python3 tests/sanitized.py

build/sanitized/init: $(SANITIZED_OBJECTS) build/objects
	$(call say,LINK $@)gcc $(SANITIZE) -static-libasan -static-libubsan $(WORDS) -o $@ $(SANITIZED_OBJECTS) $(SANITIZED_LIBS)

build/sanitized/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC $< (sanitized))ccache gcc $(filter-out -DUNIT_TEST,$(TEST_CFLAGS)) -MMD -MP -c -o $@ $<

build/sanitized/obj/init/api/page.o: $(PAGE)

# libFuzzer needs clang and its own compilation of everything that a target links, in build/fuzz/obj and build/fuzz/lib.
SECONDS ?= 60
SANITIZE_FUZZ := -fsanitize=fuzzer,address,undefined
fuzz: $(if $(T),build/fuzz/$(T))
	$(if $(T),,$(error give T=NAME, one of: $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))))
	$(Q)mkdir -p build/fuzz/corpus/$(T)
	$(Q)cd build/fuzz && exec ./$(T) -max_total_time=$(SECONDS) -max_len=65536 -print_final_stats=1 -print_funcs=0 \
		$(addprefix -dict=,$(wildcard $(CURDIR)/tests/fuzz/dict/$(T).dict)) corpus/$(T) $(wildcard $(CURDIR)/tests/fuzz/corpus/$(T))

build/fuzz/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CLANG $<)clang $(CPPFLAGS) -DUNIT_TEST -std=gnu11 -g -O1 $(SANITIZE_FUZZ) -MMD -MP -c -o $@ $<

# ---- lint

LINT_C := $(SOURCES) $(wildcard qemu/guest/*.c tests/unit/*.c tests/fuzz/*.c tests/*.c)
LINT_PYTHON := $(sort $(wildcard .ci/*.py) $(shell grep -lE '^\#!.*python' .ci/* 2>/dev/null) $(shell find qemu tests -name '*.py' 2>/dev/null))
LINT_SHELL := $(shell grep -lE '^\#!.*sh$$' .ci/* 2>/dev/null)

.PHONY: lint-gcc lint-clang lint-cppcheck lint-python lint-shell lint-text lint-rooms
lint: lint-gcc lint-clang lint-cppcheck lint-python lint-shell lint-text lint-rooms

lint-gcc: $(LINT_C:%=build/lint/gcc/%)
lint-clang: $(LINT_C:%=build/lint/clang/%)

build/lint/gcc/%: % Makefile
	@mkdir -p $(@D)
	$(call say,GCC $<)gcc $(CPPFLAGS) -DUNIT_TEST -std=gnu11 -O1 -fsyntax-only $(WARNINGS) -Werror -MMD -MP -MT $@ -MF $@.d $< && touch $@

build/lint/clang/%: % Makefile
	@mkdir -p $(@D)
	$(call say,CLANG $<)clang $(CPPFLAGS) $(if $(filter tests/%,$<),-DUNIT_TEST) -std=gnu11 -fsyntax-only $(WARNINGS) -Wno-gnu-variable-sized-type-not-at-end \
		-Werror -MMD -MP -MT $@ -MF $@.d $< && touch $@

# cppcheck does not know __attribute__((cleanup)), nor that this is Linux alone.
CPPCHECK_OFF := resourceLeak memleak doubleFree legacyUninitvar varFuncNullUB invalidFunctionArg readdirCalled getpwnamCalled \
	getgrnamCalled normalCheckLevelMaxBranches uninitvar nullPointer ctunullpointer nullPointerOutOfMemory nullPointerOutOfResources

lint-cppcheck: $(LINT_C)
	$(call say,CPPCHECK)cppcheck -q --enable=warning,portability --inline-suppr --std=c11 --error-exitcode=1 \
		--suppress=missingIncludeSystem $(CPPCHECK_OFF:%=--suppress=%) --library=posix -D__linux__ -DUNIT_TEST \
		-Iinclude -I. -j2 --cppcheck-build-dir=$(shell mkdir -p build/lint/cppcheck; echo build/lint/cppcheck) $(SOURCES)

lint-python:
	$(call say,PYFLAKES)pyflakes3 $(LINT_PYTHON)

lint-shell:
	$(call say,SHELLCHECK)$(if $(LINT_SHELL),shellcheck $(LINT_SHELL),:)

lint-text:
	$(call say,TEXT)python3 .ci/lint-text

# Calls between rooms are seen in the symbols of the objects.
lint-rooms: $(OBJECTS)
	$(call say,ROOMS)python3 .ci/lint-rooms

-include $(shell find build/obj build/tests/obj build/fuzz/obj build/sanitized/obj build/lint -name '*.d' 2>/dev/null)
endif
