# The real allocator for libFuzzer (build.sh fuzz).
# With the audit, every assertion, AddressSanitizer and UndefinedBehaviorSanitizer. Needs clang.
# The variables of core/ lie in sections of their own, so that each input begins with the same state
# (verify/virtual/state.h).
CC := clang
HAK_DEBUG := 1
HAK_AUDIT := 1
HAK_LIBC_NAMES := 0
HAK_ASAN := 1
HAK_VALGRIND := 0
VARIANT_CFLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
VARIANT_LDFLAGS := -fsanitize=address,undefined
VARIANT_INCLUDE := -include verify/virtual/thread.h
# Comparisons in the allocator tell the fuzzer nothing, and tracing them costs more than everything
# else. The audit is not instrumented: its coverage is not the goal.
VARIANT_FUZZ_CFLAGS := -fsanitize=fuzzer-no-link -fno-sanitize-coverage=trace-cmp
VARIANT_CORE_CFLAGS := $(VARIANT_FUZZ_CFLAGS) -include verify/virtual/sections.h $(STEPS_ARE_TOLD)
# The audit checks the whole heap after each batch, which takes half of an input's time: so it is
# optimised and has no sanitizers.
VARIANT_VERIFY_CFLAGS := -O2 -fno-sanitize=address,undefined
VARIANT_SRCS := $(AUDIT_SRCS) verify/virtual/yields.c verify/virtual/thread.c
FUZZ_ENGINE := -fsanitize=fuzzer
