# The real allocator, reporting each step, to count the cache lines that move (build.sh counts).
# Plain accesses are reported, too: as to the explorer, but from real threads (verify/counts/).
# Needs clang.
CC := clang
HAK_DEBUG := 0
HAK_AUDIT := 0
HAK_LIBC_NAMES := 0
HAK_ASAN := 0
HAK_VALGRIND := 0
VARIANT_CFLAGS := -O1 -g
VARIANT_LDFLAGS :=
VARIANT_CORE_CFLAGS := $(STEPS_ARE_TOLD) $(ACCESSES_ARE_TOLD)
VARIANT_SRCS := verify/virtual/yields.c verify/virtual/accesses.c
