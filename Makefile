# HAKMEM's build: the libraries, benchmarks and test programs of one variant, in out/VARIANT/.
#
#   make [VARIANT=release] [all|lib|benchmarks|tests|NAME]
#                            NAME: a file of out/VARIANT/, or a variant
#   make print-flags         prints what a build would use
#   make clean
#
# A variant is one file of constants, ci/variants/NAME.mk:
#   HAK_DEBUG, HAK_AUDIT, HAK_LIBC_NAMES, HAK_ASAN, HAK_VALGRIND
#                          always 0 or 1, and passed to the compiler as such. Without its libc names
#                          the library has only the prefixed names, and no C++ operators
#   HAK_RECORD             1 only in record
#   VARIANT_CFLAGS         optimisation, debug information, instrumentation
#   VARIANT_LDFLAGS        the same for the linker
#   VARIANT_INCLUDE        a header before each file; optional
#   VARIANT_CORE_CFLAGS, VARIANT_FUZZ_CFLAGS, VARIANT_VERIFY_CFLAGS
#                          for core/, fuzz/ and verify/ only; optional
#   FUZZ_ENGINE            what a fuzz target is linked with; only in variants with fuzz targets
#   VARIANT_SRCS           sources outside core/ that belong to the library, such as $(AUDIT_SRCS);
#                          never any in release
#   CORE_SRCS              only in libc: sources of the library instead of core/

.SUFFIXES:
.SECONDARY:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all

# ---- what can be chosen on the command line ------------------------------------------------------

POOL_TLS_PHASE1 ?= 1
POOL_TLS_PREWARM ?= 0
HEADER_CLASSIDX ?= 1
AGGRESSIVE_INLINE ?= 1
PREWARM_TLS ?= 0
SWITCHES := POOL_TLS_PHASE1 POOL_TLS_PREWARM HEADER_CLASSIDX AGGRESSIVE_INLINE PREWARM_TLS

# Which variant a plain `make` builds: 1 release, 0 debug.
BUILD_RELEASE_DEFAULT ?= 1
# 1: the variant libc, which forwards to libc's malloc.
HAKMEM_FORCE_LIBC_ALLOC_BUILD ?= 0
ifeq ($(HAKMEM_FORCE_LIBC_ALLOC_BUILD),1)
VARIANT ?= libc
$(if $(filter libc,$(VARIANT)),,$(error HAKMEM_FORCE_LIBC_ALLOC_BUILD=1 is the variant libc, not $(VARIANT)))
endif
VARIANT ?= $(if $(filter 0,$(BUILD_RELEASE_DEFAULT)),debug,release)

VARIANTS := $(patsubst ci/variants/%.mk,%,$(wildcard ci/variants/*.mk))
$(if $(filter $(VARIANT),$(VARIANTS)),,$(error no variant '$(VARIANT)'; there are: $(VARIANTS)))
CONSTANTS := HAK_DEBUG HAK_AUDIT HAK_LIBC_NAMES HAK_ASAN HAK_VALGRIND HAK_RECORD
HAK_RECORD := 0
CORE_SRCS := $(filter-out core/cxx.c core/cxx_runtime.c core/deepbind.c core/advice.c core/pin.c core/watched.c,$(wildcard core/*.c))
AUDIT_SRCS := verify/audit.c verify/audit_block.c verify/audit_leaks.c verify/audit_report.c verify/audit_site.c \
              verify/audit_stack.c verify/audit_symbolize.c verify/audit_unwind.c verify/heap_check.c verify/heap_check_range.c \
              verify/heap_check_states.c
# Before each atomic operation, core/ reports it (verify/virtual/yields.h). Each plain access is
# reported by ThreadSanitizer's calls, which verify/virtual/accesses.c provides.
STEPS_ARE_TOLD := -include verify/virtual/yields.h
ACCESSES_ARE_TOLD := -fsanitize=thread \
                     $(addprefix -mllvm -tsan-instrument-,atomics=0 func-entry-exit=0 memintrinsics=0)
include ci/variants/$(VARIANT).mk

$(foreach name,$(SWITCHES) BUILD_RELEASE_DEFAULT HAKMEM_FORCE_LIBC_ALLOC_BUILD $(CONSTANTS),\
    $(if $(filter 0 1,$($(name))),,$(error $(name) is '$($(name))'; it must be 0 or 1)))

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin CXX),default)
CXX := $(if $(findstring clang,$(CC)),$(subst clang,clang++,$(CC)),$(subst gcc,g++,$(CC)))
endif

OBJCOPY ?= objcopy
OUT ?= out/$(VARIANT)

# ---- flags ---------------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wundef -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion -Werror

# The compiler knows the contract of malloc and would use it: calloc written as malloc + memset
# would become a call of calloc itself, and a benchmark's pair of malloc and free would disappear.
ALLOCATION_FUNCTIONS := malloc calloc realloc reallocarray free aligned_alloc posix_memalign memalign valloc pvalloc
NO_BUILTIN := $(addprefix -fno-builtin-,$(ALLOCATION_FUNCTIONS))

DEFINES := $(foreach name,$(SWITCHES),-DHAK_$(name)=$($(name))) \
           $(foreach name,$(CONSTANTS),-D$(name)=$($(name))) \
           -DHAK_VARIANT_NAME='"$(VARIANT)"'

LIB_CFLAGS := -std=c11 -D_GNU_SOURCE -I. $(DEFINES) $(WARNINGS) -fPIC -ftls-model=initial-exec \
              -fvisibility=hidden -fasynchronous-unwind-tables $(NO_BUILTIN) -pthread \
              $(VARIANT_CFLAGS) $(VARIANT_INCLUDE) $(CFLAGS)

LIB_CXXFLAGS := -std=c++17 $(filter-out -std=c11 -Wstrict-prototypes -Wmissing-prototypes,$(LIB_CFLAGS))

# nodelete: the handler at a thread's end must still find its code after dlclose.
LIB_LDFLAGS := -pthread -Wl,-z,defs -Wl,-z,nodelete -Wl,-z,now -Wl,-z,relro $(VARIANT_LDFLAGS) $(LDFLAGS)

# Benchmarks are optimised in every variant, because they are measured.
BENCH_WARNINGS := $(filter-out -Wstrict-prototypes -Wmissing-prototypes,$(WARNINGS))
BENCH_FLAGS := -D_GNU_SOURCE -I. -O2 -g $(NO_BUILTIN) -pthread
BENCH_CFLAGS := -std=c11 $(WARNINGS) $(BENCH_FLAGS)
BENCH_CXXFLAGS := -std=c++17 $(BENCH_WARNINGS) $(BENCH_FLAGS)

# The symbolizer is a program of its own, without allocator and instrumentation.
SYMBOLIZER_CXXFLAGS := -std=c++17 -D_GNU_SOURCE -I. $(DEFINES) -O2 -g $(BENCH_WARNINGS)

# No optimisation may remove the calls of malloc in tests.
COMPILER := $(shell $(CC) --version 2>/dev/null | head -n 1)
TEST_FLAGS := -D_GNU_SOURCE -I. -Iverify/tests -O1 -g -fno-builtin -Wall -Wextra -pthread
TEST_CFLAGS := -std=c11 $(TEST_FLAGS) -Werror=implicit-function-declaration
TEST_CXXFLAGS := -std=c++17 $(TEST_FLAGS) \
                 $(if $(findstring clang,$(COMPILER)),-fno-assume-sane-operator-new,-fno-allocation-dce)
TEST_LIBS := -ldl
COMMA := ,

# ---- sources -------------------------------------------------------------------------------------

LIB_SRCS := $(CORE_SRCS) $(VARIANT_SRCS)
LIB_OBJS := $(LIB_SRCS:%.c=$(OUT)/obj/%.o) $(OUT)/obj/build_id.o
CXX_PARTS := $(if $(filter 1,$(HAK_LIBC_NAMES)),cxx cxx_runtime cxx_nothrow)
STATIC_CXX_OBJS := $(CXX_PARTS:%=$(OUT)/obj/core/%.static.o)
SHARED_CXX_OBJS := $(CXX_PARTS:%=$(OUT)/obj/core/%.shared.o)
# dlopen, madvise and similar functions, if the library or its recorder has libc names.
BESIDE := $(if $(filter 1,$(HAK_LIBC_NAMES) $(HAK_RECORD)),$(OUT)/obj/core/deepbind $(if $(filter core/%,$(CORE_SRCS)),$(OUT)/obj/core/advice))
PIN_OBJ := $(if $(filter core/%,$(CORE_SRCS)),$(OUT)/obj/core/pin.o)
# libhakmem_prefixed: the same objects except for the libc names and the identity. Built only if
# libhakmem has libc names.
PREFIXED_OBJS := $(filter-out %/api.o %/build_id.o,$(LIB_OBJS)) \
                 $(addprefix $(OUT)/obj/,core/api.prefixed.o core/watched.o core/watched_info.o build_id_prefixed.o)
PREFIXED := $(if $(filter 1,$(HAK_LIBC_NAMES)),libhakmem_prefixed.so libhakmem_prefixed.a)

# The files that the identity of the build covers.
IDENTITY_FILES := $(sort $(wildcard core/*.c core/*.cc core/*.h core/*.def) ci/variants/$(VARIANT).mk Makefile \
                    $(LIB_SRCS) $(if $(filter verify/%,$(LIB_SRCS)),$(wildcard verify/*.h)) \
                    $(if $(filter fuzz/%,$(LIB_SRCS)),fuzz/oplog.h))
VERSION := $(shell sed -n 's/^.define HAKMEM_VERSION_[A-Z]* *//p' core/hakmem.h | paste -sd.)
MAJOR := $(firstword $(subst ., ,$(VERSION)))
IDENTITY := version=$(VERSION) variant=$(VARIANT) flags=[$(foreach name,$(SWITCHES) $(CONSTANTS),$(name)=$($(name)))] \
cflags=[$(strip $(VARIANT_CFLAGS) $(CFLAGS))] compiler=[$(COMPILER)]

BENCHES := $(basename $(notdir $(wildcard bench/*.c bench/*.cc)))
BENCH_PROGRAMS := $(foreach name,$(BENCHES),$(name)_hakmem $(name)_system)

TEST_SRCS := $(wildcard verify/tests/*.c verify/tests/*/*.c verify/tests/*.cc verify/tests/*/*.cc)
TEST_SRCS := $(if $(filter 0,$(HAK_AUDIT)),$(filter-out %_audit_internal.c,$(TEST_SRCS)),$(TEST_SRCS))
TEST_NAMES := $(basename $(notdir $(TEST_SRCS)))
$(if $(filter-out $(words $(TEST_NAMES)),$(words $(sort $(TEST_NAMES)))),$(error two test programs have one name))

# Fuzz targets, fuzz/fuzz_*.c, are built only in variants with a fuzz engine. The code that they
# share is an archive.
FUZZ_NAMES := $(basename $(notdir $(wildcard fuzz/fuzz_*.c)))
VIRTUAL := $(addprefix verify/virtual/,state.c system.c scheduler.c)
FUZZ_PARTS := $(patsubst %.c,$(OUT)/obj/%.o,$(filter-out fuzz/fuzz_%,$(wildcard fuzz/*.c)) $(VIRTUAL))

# The explorer, in its variant only. yields.c and accesses.c, which report the steps of core/, are
# in the library.
EXPLORE_PARTS := $(patsubst %.c,$(OUT)/obj/%.o,$(VIRTUAL) verify/virtual/waiting.c \
                   $(wildcard verify/explore/*.c))

# The program that counts moving cache lines, in its variant only. It gets the same reports as the
# explorer.
COUNTS_PARTS := $(patsubst %.c,$(OUT)/obj/%.o,verify/virtual/waiting.c verify/os_faults.c \
                  verify/clock.c $(wildcard verify/counts/*.c))

# Finds the names of functions for the audit's reports; lies beside the library.
SYMBOLIZER := $(if $(filter 1,$(HAK_AUDIT)),$(OUT)/hakmem-symbolize)

TARGETS := libhakmem.so libhakmem.a $(PREFIXED) $(notdir $(SYMBOLIZER)) $(BENCH_PROGRAMS)

# Programs that work on operation logs. replay uses the allocator of this variant, with or without
# libc names.
LOG_PARTS := fuzz/oplog fuzz/log/file fuzz/log/rules
REPLAY_PARTS := $(LOG_PARTS) fuzz/log/replay fuzz/log/baton fuzz/log/blocks
SHRINK_PARTS := $(LOG_PARTS) fuzz/log/shrink fuzz/log/shrink_run fuzz/log/shrink_search fuzz/log/shrink_log \
                fuzz/log/shrink_input

# ---- goals ---------------------------------------------------------------------------------------

.PHONY: all lib benchmarks tests fuzzers clean print-flags print-targets print-identity-files FORCE $(TARGETS) $(VARIANTS)

all: lib benchmarks
lib: $(OUT)/libhakmem.so $(OUT)/libhakmem.a $(PREFIXED:%=$(OUT)/%) $(SYMBOLIZER)
benchmarks: $(BENCH_PROGRAMS:%=$(OUT)/%)
tests: $(TEST_NAMES:%=$(OUT)/tests/%)
fuzzers: $(FUZZ_NAMES:%=$(OUT)/fuzz/%)
$(TARGETS): %: $(OUT)/%
$(VARIANTS):
	@$(MAKE) --no-print-directory VARIANT=$@ all

clean:
	rm -rf out

print-flags:
	@printf '%s\n' VARIANT=$(VARIANT) $(foreach name,$(SWITCHES) BUILD_RELEASE_DEFAULT $(CONSTANTS),$(name)=$($(name))) \
	    HAKMEM_FORCE_LIBC_ALLOC_BUILD=$(if $(filter libc,$(VARIANT)),1,0)
	@printf '%s\n' 'CC=$(CC)' 'COMPILER=$(COMPILER)' "CFLAGS="$(call quote,$(LIB_CFLAGS)) \
	    "LDFLAGS="$(call quote,$(LIB_LDFLAGS))

print-targets:
	@printf '%s\n' $(TARGETS)

print-identity-files:
	@printf '%s\n' $(IDENTITY_FILES)

# ---- rules ---------------------------------------------------------------------------------------

# V=1 shows whole commands, -s shows nothing.
Q := $(if $(filter 1,$(V)),,@)
SILENT := $(findstring s,$(filter-out --%,$(firstword $(MAKEFLAGS))))
say = @$(if $(SILENT),:,printf '  %-5s %s\n' $(1) $@)
quote = '$(subst ','\'',$(1))'

# For files that are made anew each time: the date changes only if the contents change.
keep_if_same = if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

define FLAGS_TEXT
$(COMPILER)
$(CC) $(LIB_CFLAGS) | $(LIB_LDFLAGS) | $(LIB_SRCS)
$(VARIANT_CORE_CFLAGS) | $(VARIANT_FUZZ_CFLAGS) | $(VARIANT_VERIFY_CFLAGS) | $(FUZZ_ENGINE)
$(CC) $(BENCH_CFLAGS) | $(TEST_CFLAGS)
$(CXX) $(BENCH_CXXFLAGS) | $(TEST_CXXFLAGS) | $(TEST_LIBS) | $(SYMBOLIZER_CXXFLAGS)
endef

$(OUT):
	@mkdir -p $@

$(OUT)/flags: FORCE | $(OUT)
	@$(file >$@.new,$(FLAGS_TEXT))$(keep_if_same)

$(OUT)/build_id.c: FORCE | $(OUT)
	@ci/build_id.sh source $(call quote,$(IDENTITY)) $(IDENTITY_FILES) >$@.new
	@$(keep_if_same)

$(OUT)/build_id_prefixed.c: FORCE | $(OUT)
	@ci/build_id.sh source $(call quote,$(subst HAK_LIBC_NAMES=1,HAK_LIBC_NAMES=0,$(IDENTITY))) $(IDENTITY_FILES) >$@.new
	@$(keep_if_same)

$(OUT)/obj/%.o: %.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(LIB_CFLAGS) -MMD -MP -c -o $@ $<

$(OUT)/obj/build_id.o $(OUT)/obj/build_id_prefixed.o: $(OUT)/obj/%.o: $(OUT)/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(LIB_CFLAGS) -c -o $@ $<

$(OUT)/obj/%.o: %.cc $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CXX)
	$(Q)$(CXX) $(LIB_CXXFLAGS) -MMD -MP -c -o $@ $<

# For libhakmem_prefixed, api.c has no libc names, and other prefixed ones: core/watched.c has the
# public functions, which call them.
$(OUT)/obj/core/api.prefixed.o: core/api.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(LIB_CFLAGS) -UHAK_LIBC_NAMES -DHAK_LIBC_NAMES=0 -include core/watched.h -MMD -MP -c -o $@ $<

# The shared library looks up the C++ runtime and the next dlopen at run time; the archive refers to
# those that the program is linked with.
%.static.o: HAK_STATIC_LIB := 1
%.shared.o: HAK_STATIC_LIB := 0
$(OUT)/obj/core/cxx_nothrow.%.o: core/cxx_nothrow.cc $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CXX)
	$(Q)$(CXX) $(LIB_CXXFLAGS) -DHAK_STATIC_LIB=$(HAK_STATIC_LIB) -MMD -MP -c -o $@ $<

$(OUT)/obj/core/cxx_runtime.%.o: core/cxx_runtime.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(LIB_CFLAGS) -DHAK_STATIC_LIB=$(HAK_STATIC_LIB) -MMD -MP -c -o $@ $<

$(OUT)/obj/core/deepbind.%.o: core/deepbind.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(LIB_CFLAGS) -DHAK_STATIC_LIB=$(HAK_STATIC_LIB) -MMD -MP -c -o $@ $<

$(OUT)/obj/core/advice.%.o: core/advice.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(LIB_CFLAGS) -DHAK_STATIC_LIB=$(HAK_STATIC_LIB) -MMD -MP -c -o $@ $<

# Operators call each other through the loader's table (the GOT), because the program may have
# replaced some of them.
$(OUT)/obj/core/cxx.%.o: core/cxx.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(LIB_CFLAGS) -DHAK_STATIC_LIB=$(HAK_STATIC_LIB) -fno-plt -fsemantic-interposition \
	    -foptimize-sibling-calls -MMD -MP -c -o $@ $<

# One table has the exported names: core/symbols.def.
$(OUT)/libhakmem.map: core/symbols.def $(OUT)/flags
	@mkdir -p $(@D)
	@{ echo '{ global:'; \
	   $(CC) -E -P -x c $(LIB_CFLAGS) '-DHAK_SYMBOL(name)=name;' core/symbols.def; \
	   echo 'local: *; };'; } >$@

$(OUT)/libhakmem.so.$(MAJOR): $(LIB_OBJS) $(SHARED_CXX_OBJS) $(BESIDE:=.shared.o)
$(OUT)/libhakmem_prefixed.so.$(MAJOR): $(PREFIXED_OBJS)
$(OUT)/%.so.$(MAJOR): $(OUT)/libhakmem.map
	$(call say,LD)
	$(Q)$(CC) -shared -Wl,-soname,$(@F) -Wl,--version-script=$(OUT)/libhakmem.map -o $@ $(filter %.o,$^) $(LIB_LDFLAGS)

$(OUT)/%.so: $(OUT)/%.so.$(MAJOR)
	@ln -sf $(<F) $@

# The linker takes a member of an archive as a whole or not at all. So the allocator is one member:
# a program that needs any part of it also gets the constructor, the options, the fork handlers and
# malloc. The C++ operators are a second member, which needs the first; only C++ programs take it.
#
# The operators refer to the C++ runtime weakly: it may come later, or never. But a weak reference
# takes no member of a static libstdc++. So the linker is given the name of a symbol to which
# nothing refers, in the member that throws bad_alloc: if there is such a member it is taken, and if
# there is none it is not missed.
$(OUT)/obj/hakmem.o: $(LIB_OBJS) $(PIN_OBJ) $(BESIDE:=.static.o)
$(OUT)/obj/hakmem_prefixed.o: $(PREFIXED_OBJS) $(PIN_OBJ)
$(OUT)/obj/hakmem_prefixed.o: LOCAL_NAMES := hak_unwatched_*
$(OUT)/obj/hakmem_cxx.o: $(STATIC_CXX_OBJS)
$(OUT)/obj/hakmem_cxx.o: JOIN_FLAGS := -Wl,-u,_ZSt16__throw_bad_castv
$(OUT)/obj/hakmem.o $(OUT)/obj/hakmem_prefixed.o $(OUT)/obj/hakmem_cxx.o:
	$(call say,JOIN)
	$(Q)$(CC) -r -nostdlib $(JOIN_FLAGS) -o $@ $^
	$(Q)$(if $(LOCAL_NAMES),$(OBJCOPY) --wildcard --localize-symbol='$(LOCAL_NAMES)' $@)

$(OUT)/libhakmem.a: $(OUT)/obj/hakmem.o $(if $(CXX_PARTS),$(OUT)/obj/hakmem_cxx.o)
$(OUT)/libhakmem_prefixed.a: $(OUT)/obj/hakmem_prefixed.o
# The same objects as single members, for the programs below that look inside.
$(OUT)/parts.a: $(LIB_OBJS) $(STATIC_CXX_OBJS) $(BESIDE:=.static.o)
$(OUT)/libhakmem.a $(OUT)/libhakmem_prefixed.a $(OUT)/parts.a:
	$(call say,AR)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(OUT)/hakmem-symbolize: verify/symbolize/symbolize.cc $(OUT)/flags
	@mkdir -p $(OUT)/obj/verify
	$(call say,LD)
	$(Q)$(CXX) $(SYMBOLIZER_CXXFLAGS) -MMD -MP -MF $(OUT)/obj/verify/symbolize.d -o $@ $< -ldw

$(OUT)/obj/bench/%.o: bench/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(BENCH_CFLAGS) -MMD -MP -c -o $@ $<

$(OUT)/obj/bench/%.o: bench/%.cc $(OUT)/flags
	@mkdir -p $(@D)
	$(call say,CXX)
	$(Q)$(CXX) $(BENCH_CXXFLAGS) -MMD -MP -c -o $@ $<

bench_linker = $(if $(wildcard bench/$(1).cc),$(CXX),$(CC)) -pthread $(VARIANT_LDFLAGS)

$(OUT)/%_system: $(OUT)/obj/bench/%.o
	$(call say,LD)
	$(Q)$(call bench_linker,$*) -o $@ $<

$(OUT)/%_hakmem: $(OUT)/obj/bench/%.o $(OUT)/libhakmem.a
	$(call say,LD)
	$(Q)$(call bench_linker,$*) -o $@ $^

# Test programs. Plain ones know nothing of HAKMEM and run with LD_PRELOAD. NAME_linked is linked
# with the static library, NAME_static wholly statically. NAME_internal also sees the headers of
# core/, the heap checker and the failing OS calls of verify/; its clock stands still unless the
# test moves it. NAME_audit_internal also sees the audit, and is built in variants that have one.
# NAME_log reads and writes operation logs.
HEAP_CHECK := $(patsubst %.c,$(OUT)/obj/%.o,verify/heap_check.c verify/heap_check_range.c verify/heap_check_states.c verify/os_faults.c)
CLOCK := $(OUT)/obj/verify/clock.o
CLOCK_LDFLAGS := -Wl,--wrap=hak_os_now_ms

test_is = $(filter $(addprefix %_,$(1)),$(basename $(2)))
test_with = $(if $(call test_is,internal,$(1)),$(HEAP_CHECK) $(CLOCK) $(OUT)/parts.a) \
            $(if $(call test_is,linked static,$(1)),$(OUT)/libhakmem.a) \
            $(if $(call test_is,log,$(1)),$(OUT)/obj/fuzz/oplog.o)

# These tests replace functions: those that give the heap check its figures, by wrong ones; and
# hak_audit_report, by one that returns.
$(OUT)/tests/break_heap_audit_internal: TEST_LIBS += $(addprefix -Wl$(COMMA)--wrap=hak_,range_top range_state \
    cache_state cache_bytes large_stats)
$(OUT)/tests/each_byte_audit_internal: TEST_LIBS += -Wl,--wrap=hak_audit_report

# This test observes which thread waits for which.
$(OUT)/tests/wait_is_short_internal: TEST_LIBS += -Wl,--wrap=hak_seize_is_awaited,--wrap=hak_slab_reset,--wrap=hak_os_wake

$(OUT)/obj/core/%.o: LIB_CFLAGS += $(VARIANT_CORE_CFLAGS)
# A lock is one step, which is reported where the lock is taken.
$(OUT)/obj/core/lock.o: VARIANT_CORE_CFLAGS :=
$(OUT)/obj/fuzz/%.o: LIB_CFLAGS += $(VARIANT_FUZZ_CFLAGS)
$(OUT)/obj/verify/%.o: LIB_CFLAGS += $(VARIANT_VERIFY_CFLAGS)

# The fuzzer replaces the clock and the output to stderr; the scheduler, in variants that have one,
# replaces the locks.
has_scheduler = $(findstring yields.h,$(VARIANT_CORE_CFLAGS))
FUZZ_WRAPS = hak_os_now_ms hak_os_write_error \
             $(if $(has_scheduler),pthread_key_create $(addprefix hak_os_,barrier_init barrier wait wake thread_id thread_exists) \
             hak_os_fork_word_reset hak_locks_after_fork $(addprefix hak_lock_,take drop try is_mine))
FUZZ_LDFLAGS = $(FUZZ_WRAPS:%=-Wl,--wrap=%)
$(addprefix $(OUT)/obj/,fuzz/fuzz_remote.o verify/virtual/state.o): LIB_CFLAGS += \
    $(if $(has_scheduler),-include verify/virtual/yields.h)
# What stands for the system is built as the fuzz targets are.
$(addprefix $(OUT)/obj/verify/virtual/,state.o system.o thread.o): VARIANT_VERIFY_CFLAGS = $(VARIANT_FUZZ_CFLAGS)
$(OUT)/fuzz/fuzz_canary: FUZZ_LDFLAGS += -Wl,--wrap=hak_slab_put
$(OUT)/fuzz/fuzz_threads: FUZZ_LDFLAGS += -Wl,--wrap=hak_check_heap

$(OUT)/fuzz/parts.a: $(FUZZ_PARTS) $(HEAP_CHECK)
	@mkdir -p $(@D)
	$(call say,AR)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(OUT)/fuzz/%: $(OUT)/obj/fuzz/%.o $(OUT)/fuzz/parts.a $(OUT)/parts.a
	$(call say,LD)
	$(Q)$(CXX) -pthread -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(FUZZ_LDFLAGS) $(VARIANT_LDFLAGS) \
	    $(FUZZ_ENGINE)

$(OUT)/explore: $(EXPLORE_PARTS) $(HEAP_CHECK) $(OUT)/parts.a
	$(call say,LD)
	$(Q)$(CC) -pthread -o $@ $^ $(FUZZ_LDFLAGS) -Wl,--wrap=pthread_atfork \
	    -Wl,--wrap=hak_os_thread_is_past_destructors $(VARIANT_LDFLAGS) \
	    -static-libgcc

$(OUT)/counts: $(COUNTS_PARTS) $(OUT)/parts.a
	$(call say,LD)
	$(Q)$(CC) -pthread -o $@ $^ $(addprefix -Wl$(COMMA)--wrap=,hak_lock_take hak_lock_try hak_lock_drop \
	    hak_seize_each) $(CLOCK_LDFLAGS) $(VARIANT_LDFLAGS)

$(OUT)/replay: $(REPLAY_PARTS:%=$(OUT)/obj/%.o) $(OUT)/libhakmem.a
	$(call say,LD)
	$(Q)$(CC) -pthread -o $@ $^ $(VARIANT_LDFLAGS)

$(OUT)/obj/fuzz/log/shrink_log.o: fuzz/log/standalone.c
$(OUT)/shrink: $(SHRINK_PARTS:%=$(OUT)/obj/%.o)
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(VARIANT_LDFLAGS)

define test_rule
$(OUT)/tests/$(basename $(notdir $(1))): $(1) $(OUT)/flags $(call test_with,$(1))
	@mkdir -p $(OUT)/tests $(OUT)/obj/tests
	$$(call say,TEST)
	$$(Q)$(if $(filter %.cc,$(1)),$$(CXX) $$(TEST_CXXFLAGS),$$(CC) $$(TEST_CFLAGS)) \
	    $(if $(call test_is,internal,$(1)),$$(DEFINES) $$(CLOCK_LDFLAGS)) $(if $(call test_is,static,$(1)),-static) \
	    -MMD -MP -MF $(OUT)/obj/tests/$(basename $(notdir $(1))).d -o $$@ $(1) $(call test_with,$(1)) \
	    $$(VARIANT_LDFLAGS) $$(TEST_LIBS)
endef
$(foreach source,$(TEST_SRCS),$(eval $(call test_rule,$(source))))

-include $(wildcard $(OUT)/obj/*.d $(OUT)/obj/*/*.d $(OUT)/obj/*/*/*.d)
