# The real allocator for the explorer (build.sh explore).
# With the audit and every assertion; each step and each plain access is reported. Needs clang.
# The variables of core/ lie in sections of their own, so that each schedule begins with the same
# state (verify/virtual/state.h).
CC := clang
HAK_DEBUG := 1
HAK_AUDIT := 1
HAK_LIBC_NAMES := 0
HAK_ASAN := 0
HAK_VALGRIND := 0
VARIANT_CFLAGS := -O1 -g -fno-omit-frame-pointer
VARIANT_LDFLAGS :=
VARIANT_INCLUDE := -include verify/virtual/thread.h
VARIANT_CORE_CFLAGS := -include verify/virtual/sections.h $(STEPS_ARE_TOLD) $(ACCESSES_ARE_TOLD)
VARIANT_SRCS := $(AUDIT_SRCS) verify/virtual/yields.c verify/virtual/thread.c verify/virtual/accesses.c
