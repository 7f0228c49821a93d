#include "verify/virtual/system.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    bool kept; /* lines do not go to stderr */
    bool (*sound)(const char *text, size_t length);
    size_t count;
} lines;

static uint32_t now;

uint32_t __wrap_hak_os_now_ms(void);
void __wrap_hak_os_write_error(const char *text, size_t length);
void __real_hak_os_write_error(const char *text, size_t length);

uint32_t __wrap_hak_os_now_ms(void) {
    return now;
}

/* True for reports, which always go to stderr: the program is about to end. */
static bool is_report(const char *text, size_t length) {
    static const char *const beginnings[] = {
        "hakmem: audit: broken", "hakmem: audit:   ", "hakmem: check: ", "hakmem: internal check"};
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++)
        if (length > strlen(beginnings[i]) &&
            memcmp(text, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return false;
}

void __wrap_hak_os_write_error(const char *text, size_t length) {
    if (!lines.kept || is_report(text, length)) {
        __real_hak_os_write_error(text, length);
        return;
    }
    lines.count++;
    FUZZ_CHECK(lines.sound == NULL || lines.sound(text, length), "not one sound line: \"%.*s\"",
               (int)length, text);
}

void fuzz_lines_begin(bool (*sound)(const char *text, size_t length)) {
    lines.kept = true;
    lines.sound = sound;
    lines.count = 0;
}

size_t fuzz_lines_end(void) {
    lines.kept = false;
    return lines.count;
}

void fuzz_time_set(uint32_t milliseconds) {
    now = milliseconds;
}

void fuzz_time_passes(uint32_t milliseconds) {
    now += milliseconds;
}

const char *__asan_default_options(void);

/* A small quarantine: AddressSanitizer sees only the fuzzer's own blocks, and a fork takes longer
 * the more freed blocks it keeps. */
const char *__asan_default_options(void) {
    return "quarantine_size_mb=1:thread_local_quarantine_size_kb=64";
}

_Noreturn void fuzz_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("fuzz: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

/* Defined by the coverage runtime, if that is linked. */
int __llvm_profile_write_file(void) __attribute__((weak));

_Noreturn void fuzz_child_ends(bool well) {
    if (__llvm_profile_write_file != NULL && __llvm_profile_write_file() != 0) well = false;
    _exit(well ? 0 : 1);
}
