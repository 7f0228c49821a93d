/* The ends of the seeded driver, its blocks that prove their contents, and its proofs of the
 * heap. */
#ifndef HAK_VERIFY_SEEDED_DRIVER_H
#define HAK_VERIFY_SEEDED_DRIVER_H

#define TEST_LINKED
#include "verify/tests/test.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/cache.h"
#include "core/heap.h"
#include "core/superslab.h"
#include "verify/clock.h"
#include "verify/heap_check.h"
#include "verify/os_faults.h"

#define SLOTS 384
/* Seconds without an operation after which the driver counts as hanging: at least so many, and at
 * most twice as many. */
#define ALARM_SECONDS   40
#define CHILD_SECONDS   10
#define OPERATIONS_A_MS 64 /* operations in a millisecond of the driver's clock */

static _Atomic uint64_t operations;
static const char *phase_name = "begin";
static uint64_t seed = 1;
/* True in the tsan build: ThreadSanitizer holds memory of its own, and dislikes forks. */
static bool sanitized;

/* Time passes with the operations, and not with the work of the machine. */
static void count_operation(void) {
    uint64_t before = atomic_fetch_add_explicit(&operations, 1, memory_order_relaxed);
    if (before % OPERATIONS_A_MS == 0) hak_clock_passes(1);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void die_of(int number) {
    static _Atomic bool said;
    char text[32], *at = text + sizeof text;
    if (!atomic_exchange(&said, true)) {
        uint64_t count = atomic_load_explicit(&operations, memory_order_relaxed);
        *--at = '\n';
        do
            *--at = (char)('0' + count % 10);
        while ((count /= 10) != 0);
        at -= 4;
        memcpy(at, "ops ", 4);
        ssize_t done = write(STDERR_FILENO, at, (size_t)(text + sizeof text - at));
        (void)done;
    }
    signal(number, SIG_DFL);
    raise(number);
}

static uint64_t operations_at_alarm = UINT64_MAX;

static bool goes_on(void) {
    uint64_t before = operations_at_alarm;
    operations_at_alarm = atomic_load_explicit(&operations, memory_order_relaxed);
    return operations_at_alarm != before;
}

static void at_alarm(int number) {
    if (!goes_on()) die_of(number);
    alarm(ALARM_SECONDS);
}

static void catch_ends(void) {
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    static char stack[64 << 10];
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&other, NULL);
    for (size_t i = 0; i < TEST_COUNT(numbers); i++) {
        struct sigaction action = {.sa_handler = die_of, .sa_flags = SA_ONSTACK | SA_NODEFER};
        sigaction(numbers[i], &action, NULL);
    }
    sigaction(SIGALRM,
              &(struct sigaction){.sa_handler = at_alarm, .sa_flags = SA_ONSTACK | SA_RESTART},
              NULL);
    alarm(ALARM_SECONDS);
}

#define EXPECT(cond, ...)                                                                          \
    ((cond) ? (void)0 : expectation_fails(__FILE__, __LINE__, #cond, __VA_ARGS__))

__attribute__((noreturn, format(printf, 4, 5))) static void
expectation_fails(const char *file, int line, const char *condition, const char *format, ...) {
    char text[256];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    const char *folder_end = strrchr(file, '/');
    dprintf(STDERR_FILENO, "seeded driver: %s: %s:%d: %s fails: %s\n", phase_name,
            folder_end != NULL ? folder_end + 1 : file, line, condition, text);
    abort();
}

/* ---- blocks that prove themselves ------------------------------------------------------------ */

struct slot {
    unsigned char *block;
    size_t size; /* requested bytes */
    size_t room; /* usable bytes, which are all filled */
    unsigned char fill;
};

static unsigned char fill_next(void) {
    static _Atomic unsigned next;
    return (unsigned char)(atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % 251 + 1);
}

static void slot_verify_bytes(const struct slot *slot, size_t bytes) {
    size_t step = bytes > 2048 ? 61 : 1;
    for (size_t i = 0; i < bytes; i += step)
        EXPECT(slot->block[i] == slot->fill, "byte %zu of %zu (%p) is %#x, not %#x", i, slot->size,
               (void *)slot->block, slot->block[i], slot->fill);
    for (size_t i = bytes > 64 ? bytes - 64 : 0; i < bytes; i++)
        EXPECT(slot->block[i] == slot->fill, "byte %zu of %zu (%p) is %#x, not %#x", i, slot->size,
               (void *)slot->block, slot->block[i], slot->fill);
}

static void slot_own(struct slot *slot, void *block, size_t size, size_t align) {
    EXPECT(block != NULL, "%zu bytes refused", size);
    EXPECT((uintptr_t)block % align == 0, "%p for alignment %zu", block, align);
    size_t room = hak_malloc_usable_size(block);
    EXPECT(room >= size, "%zu usable bytes of %zu", room, size);
    *slot = (struct slot){.block = block, .size = size, .room = room, .fill = fill_next()};
    memset(block, slot->fill, room);
}

static void slot_take(struct slot *slot, size_t size) {
    count_operation();
    slot_own(slot, hak_malloc(size), size, 16);
}

static void slot_take_aligned(struct slot *slot, size_t align, size_t size) {
    count_operation();
    slot_own(slot, hak_aligned_alloc(align, size), size, align);
}

static void slot_take_zeroed(struct slot *slot, size_t size) {
    count_operation();
    unsigned char *block = hak_calloc(1, size);
    EXPECT(block != NULL, "%zu bytes refused", size);
    size_t step = size > 4096 ? 13 : 1;
    for (size_t i = 0; i < size; i += step)
        EXPECT(block[i] == 0, "calloc: byte %zu of %zu is %#x", i, size, block[i]);
    slot_own(slot, block, size, 16);
}

static void slot_give(struct slot *slot) {
    if (slot->block == NULL) return;
    count_operation();
    slot_verify_bytes(slot, slot->room);
    hak_free(slot->block);
    slot->block = NULL;
}

static void slot_resize(struct slot *slot, size_t size) {
    count_operation();
    slot_verify_bytes(slot, slot->room);
    struct slot moved = *slot;
    moved.block = hak_realloc(slot->block, size);
    EXPECT(moved.block != NULL, "realloc of %zu to %zu bytes refused", slot->size, size);
    slot_verify_bytes(&moved, slot->size < size ? slot->size : size);
    slot_own(slot, moved.block, size, 16);
}

/* A random size of any tier, at most `most`; often at the edge of a class. */
static size_t any_size(uint64_t *random, size_t most) {
    size_t size;
    switch (test_random_below(random, 8)) {
    case 0:
        size = (size_t)1 << test_random_below(random, 17);
        break;
    case 1:
        size = 16 * (1 + test_random_below(random, 600)) - test_random_below(random, 2);
        break;
    case 2:
        size = 1 + test_random_below(random, 53000);
        break;
    case 3:
        size = 53200 + test_random_below(random, 400000);
        break;
    case 4:
        size = 1 + test_random_below(random, 8000);
        break;
    default:
        size = 1 + test_random_below(random, 700);
    }
    return size <= most ? size : 1 + size % most;
}

/* The blocks of phases that need many. */
#define BATCH_MOST 12000
static struct slot batch[BATCH_MOST];

static size_t batch_count(unsigned bin, size_t bytes) {
    size_t count = bytes / hak_classes[bin].stride;
    return count > BATCH_MOST ? BATCH_MOST : count;
}

/* ---- proofs ---------------------------------------------------------------------------------- */

static struct hak_heap_check baseline;
static bool proofs = true;

static void prove_running(void) {
    struct hak_heap_check check;
    if (!proofs) return;
    EXPECT(hak_check_heap(&check), "%zu equations do not hold", check.faults);
}

/* At the end of a phase: nothing of the phase is left over, in particular no block on a remote
 * list that nobody will collect. */
static void prove_empty(void) {
    struct hak_heap_check check;
    prove_running();
    hak_malloc_trim(0);
    if (!proofs) return;
    EXPECT(hak_check_heap(&check), "%zu equations do not hold after a trim", check.faults);
    EXPECT(check.live == baseline.live, "%zu live blocks, %zu at first", check.live, baseline.live);
    EXPECT(check.large == baseline.large, "%zu large blocks, %zu at first", check.large,
           baseline.large);
    EXPECT(check.in_remote_lists == 0, "%zu blocks in remote lists", check.in_remote_lists);
    EXPECT(check.slabs <= baseline.slabs + 2, "%zu slabs, %zu at first", check.slabs,
           baseline.slabs);
    EXPECT(hak_cache_bytes() == 0, "%zu bytes in the cache", hak_cache_bytes());
}

static size_t resident_mb(void) {
    long pages = 0, all = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) return 0;
    if (fscanf(file, "%ld %ld", &all, &pages) != 2) pages = 0;
    fclose(file);
    return ((size_t)pages * (size_t)sysconf(_SC_PAGESIZE)) >> 20;
}

/* True if the resident memory is the allocator's: a sanitizer's shadow and the audit's books would
 * be in the figure, too. */
static bool memory_is_ours(void) {
    return !sanitized && !HAK_AUDIT;
}

#endif
