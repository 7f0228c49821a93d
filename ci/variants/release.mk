# Production. The fast path's own checks stay on.
HAK_DEBUG := 0
HAK_AUDIT := 0
HAK_LIBC_NAMES := 1
HAK_ASAN := 0
HAK_VALGRIND := 0
VARIANT_CFLAGS := -O2 -g
