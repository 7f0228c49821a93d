/* What every test program starts from: CHECK, the final "ok" line, a random generator, and the
 * proof that the allocator under test is HAKMEM and not the system's.
 *
 * A plain program runs with LD_PRELOAD=libhakmem.so and uses the libc names. A program that is
 * linked with libhakmem.a defines TEST_LINKED before this header. With HAK_TEST_ANY_ALLOCATOR=1 in
 * the environment a program runs on any allocator: to try a new test on the system's malloc, and
 * under tools that replace malloc. */
#ifndef HAK_VERIFY_TEST_H
#define HAK_VERIFY_TEST_H

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef TEST_LINKED
#include "core/hakmem.h"
#define test_usable_size hak_malloc_usable_size
#else
/* The system's libc has no hak_malloc_usable_size, and may lack the two functions of C23. So these
 * functions are looked up at run time. */
typedef size_t test_usable_size_type(const void *);
typedef void test_free_sized_type(void *, size_t);
typedef void test_free_aligned_sized_type(void *, size_t, size_t);
#define TEST_BY_NAME(type, name) ((type *)(uintptr_t)test_symbol(name))
#define test_usable_size         TEST_BY_NAME(test_usable_size_type, "hak_malloc_usable_size")
#define free_sized               TEST_BY_NAME(test_free_sized_type, "free_sized")
#define free_aligned_sized       TEST_BY_NAME(test_free_aligned_sized_type, "free_aligned_sized")
#endif

#define TEST_UNUSED       __attribute__((unused))
#define TEST_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Ends the program with status 1 unless `cond` holds. The message shows the values. */
#define CHECK(cond, ...) ((cond) ? (void)0 : test_fail(__FILE__, __LINE__, #cond, __VA_ARGS__))

TEST_UNUSED __attribute__((noreturn, format(printf, 4, 5))) static void
test_fail(const char *file, int line, const char *condition, const char *format, ...) {
    char text[512];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    dprintf(STDERR_FILENO, "%s:%d: %s fails: %s\n", file, line, condition, text);
    _exit(1);
}

/* Prints the one line of a passing program. Returns the status for main. */
TEST_UNUSED __attribute__((format(printf, 1, 2))) static int test_ok(const char *format, ...) {
    char text[512];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    dprintf(STDOUT_FILENO, "ok: %s\n", text);
    return 0;
}

/* True if the run must be short: the same properties are tested in fewer rounds. */
TEST_UNUSED static bool test_quick(void) {
    const char *value = getenv("HAK_TEST_QUICK");
    return value != NULL && value[0] == '1';
}

/* Hides a value from the compiler, so that the compiler neither evaluates a call at compile time
 * nor warns about it. */
TEST_UNUSED static size_t test_opaque(size_t value) {
    __asm__ volatile("" : "+r"(value));
    return value;
}

TEST_UNUSED static void *test_opaque_pointer(void *pointer) {
    __asm__ volatile("" : "+r"(pointer) : : "memory");
    return pointer;
}

/* splitmix64. `state` may start with any value; equal start values give equal sequences. */
TEST_UNUSED static uint64_t test_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A number in 0 .. bound-1. */
TEST_UNUSED static size_t test_random_below(uint64_t *state, size_t bound) {
    return (size_t)(test_random(state) % bound);
}

/* The address of an exported function. Fails if there is no such function. */
TEST_UNUSED static void *test_symbol(const char *name) {
    void *symbol = dlsym(RTLD_DEFAULT, name);
    CHECK(symbol != NULL, "%s is not there: run with LD_PRELOAD=libhakmem.so", name);
    return symbol;
}

/* Fails unless malloc() is HAKMEM's: only HAKMEM exports hak_malloc_usable_size, which aborts on a
 * foreign block. */
TEST_UNUSED static void test_needs_hakmem(void) {
    if (getenv("HAK_TEST_ANY_ALLOCATOR") != NULL) return;
    void *block = malloc(test_opaque(100));
    size_t usable = test_usable_size(block);
    CHECK(usable >= 100, "malloc(100) holds %zu bytes", usable);
    free(block);
}

#endif
