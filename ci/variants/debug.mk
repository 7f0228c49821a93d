# No optimisation, every assertion.
HAK_DEBUG := 1
HAK_AUDIT := 0
HAK_LIBC_NAMES := 1
HAK_ASAN := 0
HAK_VALGRIND := 0
VARIANT_CFLAGS := -O0 -g3
