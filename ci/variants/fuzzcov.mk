# Fuzz targets that count which lines and branches of core/ they reach (./build.sh fuzz-coverage).
CC := clang
HAK_DEBUG := 0
HAK_AUDIT := 1
HAK_LIBC_NAMES := 0
HAK_ASAN := 0
HAK_VALGRIND := 0
VARIANT_CFLAGS := -O1 -g -fno-omit-frame-pointer
VARIANT_LDFLAGS := -fprofile-instr-generate
VARIANT_CORE_CFLAGS := -fprofile-instr-generate -fcoverage-mapping -include fuzz/sections.h
VARIANT_SRCS := verify/audit.c verify/audit_block.c verify/audit_leaks.c verify/audit_report.c verify/audit_site.c verify/heap_check.c verify/heap_check_range.c
FUZZ_ENGINE := -fsanitize=fuzzer
