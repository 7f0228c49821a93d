# The production allocator; HAKMEM_RECORD=FILE writes a log of the program's requests.
# The recorder provides the libc names.
HAK_DEBUG := 0
HAK_AUDIT := 0
HAK_LIBC_NAMES := 0
HAK_ASAN := 0
HAK_VALGRIND := 0
HAK_RECORD := 1
VARIANT_CFLAGS := -O2 -g
VARIANT_LDFLAGS :=
VARIANT_SRCS := verify/record.c verify/record_slots.c fuzz/oplog.c
