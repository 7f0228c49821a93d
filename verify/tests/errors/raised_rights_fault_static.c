/* Commits a fault in a program that a caller with fewer rights may start. Prints to stdout whether
 * the kernel says so (AT_SECURE).
 *
 * usage: raised_rights_fault_static KIND */
#define TEST_LINKED
#include "../test.h"

#include <sys/auxv.h>

static void double_free(void) {
    char *block = test_opaque_pointer(malloc(40));
    free(block);
    free(test_opaque_pointer(block));
}

static void interior(void) {
    free((char *)test_opaque_pointer(malloc(40)) + 16);
}

static void misaligned(void) {
    free((char *)test_opaque_pointer(malloc(100000)) + 8);
}

static void foreign(void) {
    static char bytes[64] __attribute__((aligned(64)));
    free(test_opaque_pointer(bytes + 16));
}

static void unused(void) {
    char *block = test_opaque_pointer(malloc(300 << 20)); /* more than the cache keeps */
    free(block);
    free(test_opaque_pointer(block));
}

static void bad_list(void) {
    char **first = malloc(40), *second = malloc(40);
    free(second);
    free(first);
    *(char **)test_opaque_pointer(first) = (char *)first + 8;
    free(test_opaque_pointer(malloc(40)));
    malloc_trim(0);
}

static const struct {
    const char *name;
    void (*commit)(void);
} kinds[] = {{"double_free", double_free}, {"interior", interior}, {"misaligned", misaligned},
             {"foreign", foreign},         {"unused", unused},     {"bad_list", bad_list}};

int main(int count, char **arguments) {
    test_needs_hakmem();
    CHECK(count == 2, "usage: raised_rights_fault_static KIND");
    dprintf(STDOUT_FILENO, "AT_SECURE %lu\n", getauxval(AT_SECURE));
    for (size_t i = 0; i < TEST_COUNT(kinds); i++)
        if (strcmp(arguments[1], kinds[i].name) == 0) kinds[i].commit();
    return test_ok("not noticed");
}
