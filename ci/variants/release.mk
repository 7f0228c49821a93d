# Production. The fast path's own checks stay on.
HAK_DEBUG := 0
HAK_AUDIT := 0
HAK_LIBC_NAMES := 1
HAK_ASAN := 0
HAK_VALGRIND := 0
# Each function begins a cache line and each loop half of one, so their speed does not depend on the
# functions before it (prodcons 16: 2 %, decision 21).
VARIANT_CFLAGS := -O2 -g -falign-functions=64 -falign-loops=32
