/* Each call to the operating system fails in turn, either alone or with all later calls. Failed
 * requests return NULL with ENOMEM, other blocks keep their contents, all equations hold, and no
 * block is lost. Afterwards everything works. */
#define TEST_LINKED
#include "verify/tests/test.h"

#include <pthread.h>
#include <sys/wait.h>

#include "verify/heap_check.h"
#include "verify/os_faults.h"

#define SLOTS 600

struct slot {
    unsigned char *block;
    size_t size;
    unsigned char fill;
};
static struct slot slots[SLOTS];
static size_t refused;

static void fill(struct slot *slot) {
    size_t step = slot->size > 4096 ? 509 : 1;
    for (size_t i = 0; i < slot->size; i += step)
        slot->block[i] = slot->fill;
}

static void verify(const struct slot *slot, size_t size) {
    size_t step = slot->size > 4096 ? 509 : 1;
    for (size_t i = 0; i < size; i += step)
        CHECK(slot->block[i] == slot->fill, "byte %zu of %zu", i, slot->size);
}

static void take(struct slot *slot, void *block, size_t size) {
    if (block == NULL) {
        CHECK(errno == ENOMEM, "errno %d for %zu bytes", errno, size);
        refused++;
        return;
    }
    *slot = (struct slot){.block = block, .size = size, .fill = (unsigned char)(size * 7 + 1)};
    fill(slot);
}

static void give(struct slot *slot) {
    if (slot->block == NULL) return;
    verify(slot, slot->size);
    hak_free(slot->block);
    slot->block = NULL;
}

static void change(struct slot *slot, size_t size) {
    errno = 0;
    unsigned char *block = hak_realloc(slot->block, size);
    if (block == NULL) {
        CHECK(errno == ENOMEM, "errno %d for %zu bytes", errno, size);
        refused++;
        verify(slot, slot->size); /* the old block must still be there */
        return;
    }
    struct slot changed = {.block = block, .size = slot->size, .fill = slot->fill};
    verify(&changed, slot->size < size ? slot->size : size);
    slot->block = NULL;
    take(slot, block, size);
}

static void take_zeroed(struct slot *slot, size_t size) {
    unsigned char *block = hak_calloc(1, size);
    for (size_t i = 0; block != NULL && i < size; i++)
        CHECK(block[i] == 0, "calloc: byte %zu of %zu", i, size);
    take(slot, block, size);
}

static size_t any_size(uint64_t *random) {
    static const size_t most[] = {64, 1000, 8000, 52000, 300000, 3000000};
    return 1 + test_random_below(random, most[test_random_below(random, TEST_COUNT(most))]);
}

/* Ends with live blocks: the thread's heap is abandoned, and later reclaimed, with or without
 * memory from the system. */
static void *leave_blocks(void *argument) {
    struct slot *mine = argument;
    uint64_t random = 5;
    for (size_t i = 0; i < SLOTS / 6; i++) {
        size_t size = any_size(&random) % 60000 + 1;
        errno = 0;
        take(&mine[i], hak_malloc(size), size);
    }
    return NULL;
}

static void scenario(void) {
    uint64_t random = 1;
    pthread_t thread;
    if (pthread_create(&thread, NULL, leave_blocks, slots) == 0) pthread_join(thread, NULL);
    for (int round = 0; round < 1500; round++) {
        struct slot *slot = &slots[test_random_below(&random, SLOTS)];
        size_t size = any_size(&random);
        errno = 0;
        if (slot->block == NULL && round % 5 == 0)
            take_zeroed(slot, size);
        else if (slot->block == NULL)
            take(slot,
                 round % 3 == 0 ? hak_aligned_alloc((size_t)16 << (round % 9), size)
                                : hak_malloc(size),
                 size);
        else if (round % 4 == 0)
            change(slot, size);
        else
            give(slot);
        if (round % 500 == 499) hak_malloc_trim(0);
    }
    errno = 0;
    take(&slots[0],
         slots[0].block == NULL ? hak_calloc(1, 5000000) : hak_realloc(slots[0].block, 5000000),
         5000000);
}

static void expect_sound(const char *when, size_t live_before, size_t large_before) {
    struct hak_heap_check check;
    CHECK(hak_check_heap(&check), "%s: %zu equations do not hold", when, check.faults);
    size_t mine = 0;
    for (size_t i = 0; i < SLOTS; i++)
        mine += slots[i].block != NULL;
    CHECK(check.live + check.large == live_before + large_before + mine,
          "%s: %zu + %zu blocks, expected %zu", when, check.live, check.large,
          live_before + large_before + mine);
}

static size_t run_once(size_t first, bool for_ever) {
    struct hak_heap_check before;
    /* The thread library's own one-time allocations come before the count. */
    pthread_t thread;
    if (pthread_create(&thread, NULL, leave_blocks, slots) == 0) pthread_join(thread, NULL);
    for (size_t i = 0; i < SLOTS; i++)
        give(&slots[i]);
    CHECK(hak_check_heap(&before), "before: %zu equations do not hold", before.faults);
    hak_os_faults_begin(first, for_ever);
    scenario();
    size_t calls = hak_os_faults_end();
    expect_sound("after the failure", before.live, before.large);
    size_t refused_then = refused;
    uint64_t random = 2;
    for (size_t i = 0; i < SLOTS; i++) {
        size_t size = any_size(&random);
        if (slots[i].block == NULL) take(&slots[i], hak_malloc(size), size);
    }
    CHECK(refused == refused_then, "%zu requests refused after the failure was over",
          refused - refused_then);
    expect_sound("with all slots full", before.live, before.large);
    for (size_t i = 0; i < SLOTS; i++)
        give(&slots[i]);
    hak_malloc_trim(0);
    expect_sound("at the end", before.live, before.large);
    return calls;
}

static void run_in_child(size_t first, bool for_ever) {
    pid_t child = fork();
    CHECK(child >= 0, "fork: %s", strerror(errno));
    if (child == 0) {
        run_once(first, for_ever);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child, "waitpid: %s", strerror(errno));
    CHECK(status == 0, "call %zu fails%s: child status %#x", first,
          for_ever ? " and all later ones" : "", status);
}

int main(int argc, char **argv) {
    if (argc > 1) { /* one case, for a debugger */
        run_once((size_t)atol(argv[1]), argc > 2);
        return test_ok("%zu requests refused", refused);
    }
    int channel[2];
    size_t calls = 0;
    CHECK(pipe(channel) == 0, "pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0) {
        calls = run_once(SIZE_MAX, false);
        _exit(write(channel[1], &calls, sizeof calls) == sizeof calls ? 0 : 1);
    }
    CHECK(read(channel[0], &calls, sizeof calls) == sizeof calls, "the run without failures died");
    CHECK(waitpid(child, NULL, 0) == child && calls > 20, "only %zu calls", calls);
    size_t step = test_quick() ? 7 : 1;
    for (size_t first = 0; first < calls; first += step)
        for (int for_ever = 0; for_ever < 2; for_ever++)
            run_in_child(first, for_ever);
    return test_ok("each of %zu calls failed once and for ever", calls);
}
