/* Faulty programs, one for each (KIND, TARGET). Each prints the address that its fault is about and
 * the number of the main thread, commits the fault, and must not survive it. expected.txt has the
 * line that each must end with. */
#ifndef HAK_VERIFY_FAULTS_H
#define HAK_VERIFY_FAULTS_H

#include "../test.h"

static const struct target {
    const char *name;
    size_t size, alignment; /* alignment 0: malloc */
} targets[] = {
    {"tiny", 64, 0},      {"mid", 4000, 0},       {"pool", 20000, 0},
    {"large", 100000, 0}, {"aligned", 1000, 256}, {"aligned-large", 100000, 262144},
    {"tiny-first", 1, 0}, {"mid-first", 1040, 0}, {"pool-first", 7184, 0},
    {"none", 0, 0},
};

static const struct target *target;

/* A zeroed block of the target's kind. */
static char *take(void) {
    char *block = target->alignment == 0 ? malloc(target->size)
                                         : aligned_alloc(target->alignment, target->size);
    CHECK(block != NULL, "no %s block", target->name);
    return memset(block, 0, target->size);
}

/* Prints the address and the thread that the expected line is about. The fault comes next. dprintf
 * is not used, because it would allocate. */
static char *about(char *pointer) {
    char line[64];
    int length = snprintf(line, sizeof line, "%#zx %d\n", (size_t)pointer, (int)getpid());
    CHECK(write(STDOUT_FILENO, line, (size_t)length) == length, "stdout: errno %d", errno);
    return test_opaque_pointer(pointer);
}

TEST_UNUSED static char *freed(void) {
    char *block = take();
    free(block);
    return test_opaque_pointer(block);
}

struct kind {
    const char *name;
    void (*commit)(void);
};

#define KIND(function)                                                                             \
    { #function, function }

/* For main: commits the fault that the arguments name. */
static int commit(const struct kind *kinds, size_t kind_count, int count, char **arguments) {
    test_needs_hakmem();
    CHECK(count == 3, "usage: %s KIND TARGET", arguments[0]);
    for (size_t i = 0; i < TEST_COUNT(targets); i++)
        if (strcmp(arguments[2], targets[i].name) == 0) target = &targets[i];
    CHECK(target != NULL, "no target %s", arguments[2]);
    for (size_t i = 0; i < kind_count; i++)
        if (strcmp(arguments[1], kinds[i].name) == 0) {
            kinds[i].commit();
            return test_ok("%s %s was not noticed", arguments[1], arguments[2]);
        }
    CHECK(false, "no kind %s", arguments[1]);
}

#endif
