/* What the linker puts in the place of parts of core/os.c (--wrap): the fuzzer's clock, and its look at the lines that the
 * allocator writes. And how a target says what it has found. */
#ifndef HAK_FUZZ_SYSTEM_H
#define HAK_FUZZ_SYSTEM_H

#include "core/types.h"

/* The allocator's clock stands still otherwise. */
void fuzz_time_set(uint32_t milliseconds);
void fuzz_time_passes(uint32_t milliseconds);

/* Between these the allocator's lines do not go to stderr, but those that end the program; they are counted, and each must
 * be `sound`, if that is not NULL. */
void fuzz_lines_begin(bool (*sound)(const char *text, size_t length));
size_t fuzz_lines_end(void);

/* Ends the program with a line: what the fuzzer has found. */
_Noreturn void fuzz_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define FUZZ_CHECK(cond, ...) ((void)((cond) || (fuzz_fail(__VA_ARGS__), 0)))

/* Ends a fork's child. Where lines are counted, those that it reached count, too. */
_Noreturn void fuzz_child_ends(bool well);

#endif
