# No allocator: hak_malloc and the others forward to libc, so that a sanitizer sees every block.
HAK_DEBUG := 0
HAK_AUDIT := 0
HAK_LIBC_NAMES := 0
HAK_ASAN := 0
HAK_VALGRIND := 0
VARIANT_CFLAGS := -O2 -g -foptimize-sibling-calls
VARIANT_LDFLAGS :=
VARIANT_SRCS :=
CORE_SRCS := verify/libc_forward.c
