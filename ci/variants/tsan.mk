# The real allocator under ThreadSanitizer, with prefixed names only.
# The program's own malloc is that of the sanitizer.
HAK_DEBUG := 0
HAK_AUDIT := 0
HAK_LIBC_NAMES := 0
HAK_ASAN := 0
HAK_VALGRIND := 0
VARIANT_CFLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
VARIANT_LDFLAGS := -fsanitize=thread
