# Fuzz targets under ThreadSanitizer, to replay what the fuzz variant has learnt.
# Clang 14 takes the fuzzer's counters for races, so there are none. Without the audit, whose books are atomic and
# would order what is not ordered.
CC := clang
HAK_DEBUG := 1
HAK_AUDIT := 0
HAK_LIBC_NAMES := 0
HAK_ASAN := 0
HAK_VALGRIND := 0
VARIANT_CFLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
VARIANT_LDFLAGS := -fsanitize=thread
VARIANT_INCLUDE := -include fuzz/thread.h
VARIANT_FUZZ_CFLAGS := -DFUZZ_REAL_THREADS
VARIANT_SRCS := fuzz/thread.c
FUZZ_ENGINE := -fsanitize=fuzzer
