# The real allocator under UndefinedBehaviorSanitizer, with prefixed names only.
# The first report ends the program.
HAK_DEBUG := 1
HAK_AUDIT := 0
HAK_LIBC_NAMES := 0
HAK_ASAN := 0
HAK_VALGRIND := 0
VARIANT_CFLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=undefined -fno-sanitize-recover=undefined
VARIANT_LDFLAGS := -fsanitize=undefined
