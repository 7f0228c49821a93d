# The audit, which tells Valgrind of each block of HAKMEM (build.sh valgrind).
HAK_DEBUG := 0
HAK_AUDIT := 1
HAK_LIBC_NAMES := 1
HAK_ASAN := 0
HAK_VALGRIND := 1
VARIANT_CFLAGS := -O2 -g -fno-omit-frame-pointer -fno-optimize-sibling-calls
VARIANT_LDFLAGS :=
VARIANT_SRCS := $(AUDIT_SRCS) verify/audit_valgrind.c
