# Fuzz targets under ThreadSanitizer, to replay the inputs that the fuzz variant has learnt.
# Without the fuzzer's counters, which clang 14 takes for races. Without the audit, whose books are
# atomic and would add an order between threads that is not there.
CC := clang
HAK_DEBUG := 1
HAK_AUDIT := 0
HAK_LIBC_NAMES := 0
HAK_ASAN := 0
HAK_VALGRIND := 0
VARIANT_CFLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
VARIANT_LDFLAGS := -fsanitize=thread
VARIANT_INCLUDE := -include verify/virtual/thread.h
VARIANT_FUZZ_CFLAGS := -DFUZZ_REAL_THREADS
VARIANT_SRCS := verify/virtual/thread.c
FUZZ_ENGINE := -fsanitize=fuzzer
