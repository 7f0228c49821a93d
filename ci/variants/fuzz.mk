# The real allocator for libFuzzer (build.sh fuzz).
# With the audit, every assertion, AddressSanitizer and UndefinedBehaviorSanitizer; needs clang.
# core/'s variables lie in sections of their own, so that each input begins with the same state (fuzz/state.h).
CC := clang
HAK_DEBUG := 1
HAK_AUDIT := 1
HAK_LIBC_NAMES := 0
HAK_ASAN := 1
HAK_VALGRIND := 0
VARIANT_CFLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
VARIANT_LDFLAGS := -fsanitize=address,undefined
VARIANT_INCLUDE := -include fuzz/thread.h
# Comparisons of the allocator say nothing to the fuzzer, and tracing them costs more than all else; the audit is not what
# is to be covered.
VARIANT_FUZZ_CFLAGS := -fsanitize=fuzzer-no-link -fno-sanitize-coverage=trace-cmp
VARIANT_CORE_CFLAGS := $(VARIANT_FUZZ_CFLAGS) -include fuzz/sections.h $(STEPS_ARE_TOLD)
# The audit looks at the whole heap after each batch: half of an input's time.
VARIANT_VERIFY_CFLAGS := -O2 -fno-sanitize=address,undefined
VARIANT_SRCS := $(AUDIT_SRCS) verify/explore/yields.c fuzz/thread.c
FUZZ_ENGINE := -fsanitize=fuzzer
