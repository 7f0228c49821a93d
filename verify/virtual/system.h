/* Replacements for functions of core/os.c and core/stderr.c, which the linker puts in (--wrap): the
 * fuzzer's clock, and a check of the lines that the allocator writes. Also how a target reports a
 * finding. */
#ifndef HAK_VIRTUAL_SYSTEM_H
#define HAK_VIRTUAL_SYSTEM_H

#include "core/types.h"

/* The clock that the allocator sees. It stands still between these calls. */
void fuzz_time_set(uint32_t milliseconds);
void fuzz_time_passes(uint32_t milliseconds);

/* Between these two calls the allocator's lines are counted and do not go to stderr, except for
 * reports of errors that end the program. Each counted line must pass `sound`, unless that is NULL.
 * fuzz_lines_end returns the number of lines. */
void fuzz_lines_begin(bool (*sound)(const char *text, size_t length));
size_t fuzz_lines_end(void);

/* Reports a finding in one line and aborts the program. */
_Noreturn void fuzz_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define FUZZ_CHECK(cond, ...) ((void)((cond) || (fuzz_fail(__VA_ARGS__), 0)))

/* Ends a fork's child, with status 0 if `well`. In the coverage build it also writes the child's
 * profile, so that the code that the child reached is counted. */
_Noreturn void fuzz_child_ends(bool well);

#endif
