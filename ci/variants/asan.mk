# The real allocator under AddressSanitizer, with prefixed names only.
# The audit poisons free memory and the bytes after the requested size. So the sanitizer reports a
# wrong access of the program, or of the allocator, at the instruction.
HAK_DEBUG := 0
HAK_AUDIT := 1
HAK_LIBC_NAMES := 0
HAK_ASAN := 1
HAK_VALGRIND := 0
VARIANT_CFLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=address
VARIANT_LDFLAGS := -fsanitize=address
VARIANT_SRCS := $(AUDIT_SRCS)
