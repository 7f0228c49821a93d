/* mallopt takes each parameter of <malloc.h> with each value that glibc takes, and returns 0 for
 * any other number. Many calls cost no memory, and blocks work as before. */
#include "../process.h"

#include <limits.h>
#include <pthread.h>

static const int parameters[] = {M_MXFAST,         M_NLBLKS,  M_GRAIN,          M_KEEP,
                                 M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX,
                                 M_CHECK_ACTION,   M_PERTURB, M_ARENA_TEST,     M_ARENA_MAX};
static const int values[] = {INT_MIN, -2, -1, 0, 1, 80, 160, 161, 1 << 20, (1 << 25) + 1, INT_MAX};
static const int others[] = {0, 5, 12345, -9, -100, INT_MAX, INT_MIN};

/* glibc limits M_MXFAST, the largest size of its fast bins. */
static bool glibc_takes(int parameter, int value) {
    return parameter != M_MXFAST || (value >= 0 && value <= 160);
}

static void a_block(size_t size) {
    char *block = malloc(test_opaque(size));
    CHECK(block != NULL, "no block of %zu bytes", size);
    memset(block, 1, size);
    block = realloc(block, size * 2);
    CHECK(block != NULL && block[size - 1] == 1, "realloc of %zu bytes", size);
    free(block);
}

static void each_value(void) {
    for (size_t p = 0; p < TEST_COUNT(parameters); p++)
        for (size_t v = 0; v < TEST_COUNT(values); v++) {
            int taken = mallopt(parameters[p], values[v]);
            CHECK(taken == glibc_takes(parameters[p], values[v]), "mallopt(%d, %d) gives %d",
                  parameters[p], values[v], taken);
            a_block(100);
            a_block(20000);
            a_block(300000);
        }
    for (size_t p = 0; p < TEST_COUNT(others); p++)
        CHECK(mallopt(others[p], 1) == 0, "parameter %d is taken", others[p]);
}

static void often(int parameter) {
    size_t before = process_resident();
    for (int i = 0; i < 100000; i++)
        CHECK(mallopt(parameter, (i % 100) << 20) == 1, "mallopt(%d, %d MiB) is refused", parameter,
              i % 100);
    CHECK(process_resident() < before + 4 * MIB, "resident memory grows from %zu to %zu", before,
          process_resident());
}

static void *maps(void *unused) {
    for (int i = 0; i <= 20000; i++)
        CHECK(mallopt(M_MMAP_MAX, i % 2) == 1, "refused");
    return unused;
}

/* Two threads change two options at once, and no change is lost. The last values of both options
 * keep memory: a purge delay after a free, the memory is still there. */
static void at_once(void) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, maps, NULL) == 0, "no thread");
    for (int i = 0; i <= 20000; i++) {
        CHECK(mallopt(M_TRIM_THRESHOLD, i % 2 == 0 ? -1 : 1 << 20) == 1, "refused");
        if (i % 100 == 0) a_block(300000);
    }
    pthread_join(thread, NULL);
    void *block = malloc(test_opaque(32 * MIB));
    memset(block, 1, 32 * MIB);
    size_t before = process_resident();
    free(test_opaque_pointer(block));
    for (int tenth = 0; tenth < 12; tenth++) {
        usleep(100000);
        process_work_a_little();
    }
    CHECK(process_resident() + MIB > before, "resident %zu before a free, %zu after", before,
          process_resident());
}

int main(void) {
    test_needs_hakmem();
    each_value();
    often(M_TRIM_THRESHOLD);
    often(M_MMAP_THRESHOLD);
    at_once();
    return test_ok("%zu parameters", TEST_COUNT(parameters));
}
