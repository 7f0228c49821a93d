/* Shared by the benchmarks: arguments, clock, random numbers, the mixed loop, threads, the result
 * lines.
 *
 * One operation is one call: a malloc or a free. Tables of pointers come from mmap, so that the
 * allocator under test serves only the blocks that are measured. */
#ifndef HAK_BENCH_H
#define HAK_BENCH_H

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BENCH_UNUSED __attribute__((unused))

/* Ends the program with status 2 and a line on stderr. */
BENCH_UNUSED __attribute__((noreturn)) static void bench_die(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(2);
}

/* The index-th argument as a number in min..max, or `otherwise` if it is not given. */
BENCH_UNUSED static uint64_t bench_arg(int argc, char **argv, int index, uint64_t otherwise,
                                       uint64_t min, uint64_t max) {
    if (index >= argc) return otherwise;
    char *end = NULL;
    uint64_t value = strtoull(argv[index], &end, 10);
    if (argv[index][0] == '-' || end == argv[index] || *end != '\0' || value < min || value > max) {
        fprintf(stderr, "argument %d: %s is not a number in %llu..%llu\n", index, argv[index],
                (unsigned long long)min, (unsigned long long)max);
        exit(2);
    }
    return value;
}

BENCH_UNUSED static double bench_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* xorshift64*: it takes a few instructions, so that the measured time is that of the allocator. */
struct bench_rng {
    uint64_t state;
};

BENCH_UNUSED static struct bench_rng bench_rng_start(uint64_t seed) {
    /* Neighbouring seeds must not give neighbouring states, and no state may be 0. */
    uint64_t z = (seed + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    struct bench_rng rng = {(z ^ (z >> 31)) | 1};
    return rng;
}

BENCH_UNUSED static uint32_t bench_rng_next(struct bench_rng *rng) {
    rng->state ^= rng->state >> 12;
    rng->state ^= rng->state << 25;
    rng->state ^= rng->state >> 27;
    return (uint32_t)((rng->state * 0x2545f4914f6cdd1du) >> 32);
}

/* A number in 0..bound-1, without a division. */
BENCH_UNUSED static uint32_t bench_rng_below(struct bench_rng *rng, uint32_t bound) {
    return (uint32_t)(((uint64_t)bench_rng_next(rng) * bound) >> 32);
}

/* Zeroed memory that does not come from malloc. */
BENCH_UNUSED static void *bench_table(size_t count, size_t size) {
    void *table =
        mmap(NULL, count * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED) bench_die("no memory for the benchmark's table");
    return table;
}

/* Writes the first and last byte of a block. */
static inline char *bench_written(void *memory, size_t size) {
    char *block = (char *)memory;
    if (block == NULL) bench_die("malloc failed");
    block[0] = 1;
    block[size - 1] = 1;
    return block;
}

static inline char *bench_block(size_t size) {
    return bench_written(malloc(size), size);
}

/* Writes to each page of a block from `from` on, so that all of it is resident. */
BENCH_UNUSED static void bench_touch(char *block, size_t from, size_t size) {
    for (size_t at = from; at < size; at += 4096) {
        block[at] = 1;
    }
}

/* Random malloc and free over a working set. Each cycle draws a slot: the block in an occupied slot
 * is freed; an empty slot gets a block, whose size is drawn independently of the slot. */
struct bench_mixed {
    uint64_t cycles;
    uint32_t slots;
    uint32_t min;
    uint32_t max;
    struct bench_rng rng;
};

/* Always inlined, so that the call of `allocate` is direct. */
BENCH_UNUSED __attribute__((always_inline)) static inline void
bench_mixed_run_with(struct bench_mixed mixed, char **table,
                     char *(*allocate)(size_t size, struct bench_rng *rng)) {
    uint32_t sizes = mixed.max - mixed.min + 1;
    for (uint64_t cycle = 0; cycle < mixed.cycles; cycle++) {
        char **slot = &table[bench_rng_below(&mixed.rng, mixed.slots)];
        if (*slot != NULL) {
            free(*slot);
            *slot = NULL;
        } else {
            uint32_t above = sizes == 1 ? 0 : bench_rng_below(&mixed.rng, sizes);
            *slot = allocate(mixed.min + above, &mixed.rng);
        }
    }
}

static inline char *bench_block_any(size_t size, struct bench_rng *unused) {
    (void)unused;
    return bench_block(size);
}

BENCH_UNUSED static void bench_mixed_run(struct bench_mixed mixed, char **table) {
    bench_mixed_run_with(mixed, table, bench_block_any);
}

BENCH_UNUSED static void bench_mixed_free(const struct bench_mixed *mixed, char **table) {
    for (uint32_t slot = 0; slot < mixed->slots; slot++) {
        free(table[slot]);
        table[slot] = NULL;
    }
}

/* ---- threads --------------------------------------------------------------------------------- */

BENCH_UNUSED static void bench_start_thread(pthread_t *thread, void *(*work)(void *),
                                            void *argument) {
    if (pthread_create(thread, NULL, work, argument) != 0) bench_die("pthread_create failed");
}

/* ---- results --------------------------------------------------------------------------------- */

/* The largest number of kernel mappings seen. */
static size_t bench_mappings;

/* Counts the mappings, because the kernel records no peak of them. Called when much memory is live,
 * outside of the timed part. */
BENCH_UNUSED static void bench_note_peak(void) {
    char text[4096];
    size_t lines = 0;
    ssize_t length;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    while ((length = read(fd, text, sizeof text)) > 0) {
        for (ssize_t i = 0; i < length; i++) {
            lines += text[i] == '\n';
        }
    }
    close(fd);
    if (lines > bench_mappings) bench_mappings = lines;
}

/* The largest resident size so far, in KiB; 0 if the kernel does not tell. Does not use malloc. */
BENCH_UNUSED static unsigned long bench_peak_kib(void) {
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    const char *line = strstr(text, "VmHWM:");
    return line == NULL ? 0 : strtoul(line + strlen("VmHWM:"), NULL, 10);
}

/* The file that malloc comes from. It shows when a library was not preloaded or has no malloc. */
BENCH_UNUSED static const char *bench_allocator(void) {
    Dl_info found;
    void *symbol = dlsym(RTLD_DEFAULT, "malloc");
    return symbol != NULL && dladdr(symbol, &found) != 0 ? found.dli_fname : "unknown";
}

BENCH_UNUSED static void bench_report(uint64_t operations, double seconds) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    bench_note_peak();
    unsigned long peak = bench_peak_kib();
    printf("Throughput = %.0f ops/s\n", (double)operations / seconds);
    printf("Time = %.6f s for %llu operations\n", seconds, (unsigned long long)operations);
    printf("Peak memory = %lu KiB\n", peak);
    printf("Minor faults = %ld\n", usage.ru_minflt);
    printf("Mappings = %zu\n", bench_mappings);
    printf("Allocator = %s\n", bench_allocator());
}

/* A complete benchmark with one thread and one working set. */
BENCH_UNUSED __attribute__((always_inline)) static inline int
bench_mixed_main_with(struct bench_mixed mixed,
                      char *(*allocate)(size_t size, struct bench_rng *rng)) {
    if (mixed.min > mixed.max) bench_die("the smallest size is above the largest");
    char **table = (char **)bench_table(mixed.slots, sizeof *table);
    double start = bench_now();
    bench_mixed_run_with(mixed, table, allocate);
    double seconds = bench_now() - start;
    bench_note_peak();
    bench_mixed_free(&mixed, table);
    bench_report(mixed.cycles, seconds);
    return 0;
}

BENCH_UNUSED static int bench_mixed_main(struct bench_mixed mixed) {
    return bench_mixed_main_with(mixed, bench_block_any);
}

#endif
