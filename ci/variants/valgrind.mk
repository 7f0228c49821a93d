# The audit with Valgrind's client requests: Memcheck sees our blocks while our code runs (./build.sh valgrind -- PROGRAM).
HAK_DEBUG := 0
HAK_AUDIT := 1
HAK_LIBC_NAMES := 1
HAK_ASAN := 0
HAK_VALGRIND := 1
VARIANT_CFLAGS := -O2 -g -fno-omit-frame-pointer -fno-optimize-sibling-calls
VARIANT_LDFLAGS :=
VARIANT_SRCS := verify/audit.c verify/audit_block.c verify/audit_leaks.c verify/audit_report.c verify/audit_site.c verify/audit_valgrind.c verify/heap_check.c verify/heap_check_range.c
