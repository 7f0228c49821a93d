# Fuzz targets that record which lines of core/ they reach (build.sh fuzz-coverage).
CC := clang
HAK_DEBUG := 0
HAK_AUDIT := 1
HAK_LIBC_NAMES := 0
HAK_ASAN := 0
HAK_VALGRIND := 0
VARIANT_CFLAGS := -O1 -g -fno-omit-frame-pointer
VARIANT_LDFLAGS := -fprofile-instr-generate
VARIANT_INCLUDE := -include verify/virtual/thread.h
VARIANT_CORE_CFLAGS := -fprofile-instr-generate -fcoverage-mapping \
                       -include verify/virtual/sections.h $(STEPS_ARE_TOLD)
VARIANT_SRCS := $(AUDIT_SRCS) verify/virtual/yields.c verify/virtual/thread.c
FUZZ_ENGINE := -fsanitize=fuzzer
