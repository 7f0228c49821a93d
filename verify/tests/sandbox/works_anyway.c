/* A program that does all that a threaded program does: it has blocks of every tier; threads
 * begin, hand blocks over and end; it forks; memory grows and goes back; large blocks move; one
 * error is reported. sandbox.bats runs it without some of the system calls.
 *
 * usage: works_anyway BACK REPORT     as docs/using.md says of the calls
 *   BACK    when freed memory goes back: "at once", also what sleeping threads hold; "later", what
 *           these hold at their next calls; "in part", depending on its place; "no", never
 *   REPORT  of a double free: "line, SIGABRT", or another signal, or "no line" */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "../process.h"
#include "../threads/threads.h"

enum { THREADS = 3, GENERATIONS = 2, BLOCKS = 30, HANDED = 16, CHILDREN = 3, CHILD_SECONDS = 600 };

static const size_t sizes[] = {1, 24, 100, 800, 3000, 20000, 50000, 100000, 800000};

struct kept {
    unsigned char *block;
    size_t size;
};
static struct kept kept[GENERATIONS + 1][THREADS][BLOCKS];
static _Atomic(unsigned char *) handed[HANDED]; /* each block has its size in its first bytes */
static _Atomic int step;                        /* spun on: libc's locks may not be able to wait */
static _Atomic bool busy;

static void wait_for(int wanted) {
    while (atomic_load(&step) < wanted)
        sched_yield();
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void fill(const struct kept *kept_, size_t from) {
    memset(kept_->block + from, (int)(kept_->size % 251 + 1), kept_->size - from);
}

static void verify(const struct kept *kept_, size_t bytes) {
    for (size_t i = 0; i<bytes; i += bytes> 5000 ? 97 : 1)
        CHECK(kept_->block[i] == kept_->size % 251 + 1, "byte %zu of %zu", i, kept_->size);
}

static struct kept take(size_t size, unsigned number) {
    struct kept new = {.size = size};
    new.block = number % 3 == 0   ? calloc(1, size)
                : number % 3 == 1 ? malloc(size)
                                  : aligned_alloc((size_t)16 << number % 8, size);
    CHECK(new.block != NULL, "%zu bytes", size);
    for (size_t i = 0; number % 3 == 0 && i<size; i += size> 5000 ? 97 : 1)
        CHECK(new.block[i] == 0, "byte %zu of %zu of calloc", i, size);
    fill(&new, 0);
    return new;
}

static void give(struct kept *old) {
    if (old->block == NULL) return;
    verify(old, old->size);
    free(old->block);
    old->block = NULL;
}

/* Resizes a block, and checks the bytes that both sizes have. */
static void resize(struct kept *old, size_t size) {
    struct kept again = {.block = realloc(old->block, size), .size = old->size};
    CHECK(again.block != NULL, "%zu bytes", size);
    verify(&again, old->size < size ? old->size : size);
    again.size = size;
    fill(&again, 0);
    *old = again;
}

static void blocks_of_each_tier(void) {
    struct kept mine[TEST_COUNT(sizes)];
    for (unsigned i = 0; i < TEST_COUNT(sizes); i++)
        mine[i] = take(sizes[i], i);
    for (unsigned i = 0; i < TEST_COUNT(sizes); i++)
        resize(&mine[i], sizes[TEST_COUNT(sizes) - 1 - i] + 7);
    for (unsigned i = 0; i < TEST_COUNT(sizes); i++)
        give(&mine[i]);
}

/* ---- threads --------------------------------------------------------------------------------- */

static void hand_over(uint64_t *random) {
    size_t size = sizes[test_random_below(random, TEST_COUNT(sizes) - 3)] + sizeof size;
    unsigned char *block = malloc(size), *got;
    CHECK(block != NULL, "%zu bytes", size);
    memset(block, (int)(size % 251), size);
    memcpy(block, &size, sizeof size);
    got = atomic_exchange(&handed[test_random_below(random, HANDED)], block);
    if (got == NULL) return;
    memcpy(&size, got, sizeof size);
    CHECK(got[size - 1] == size % 251 || size == sizeof size, "the last of %zu bytes", size);
    free(got);
}

/* Frees the blocks that a thread of the generation before left, and leaves as many blocks of its
 * own. */
static void *live(void *argument) {
    unsigned number = (unsigned)(uintptr_t)argument, thread = number % THREADS,
             generation = number / THREADS;
    uint64_t random = number + 1;
    struct kept *old = kept[generation][(thread + 1) % THREADS],
                *new = kept[generation + 1][thread];
    for (unsigned i = 0; i < BLOCKS; i++) {
        new[i] = take(sizes[test_random_below(&random, TEST_COUNT(sizes))] + i, i);
        if (i % 4 == 3) resize(&new[i - 1], new[i - 1].size * 2 + 1);
        give(&old[i]);
        for (int n = 0; n < 20; n++)
            hand_over(&random);
    }
    return NULL;
}

static void threads_begin_and_end(void) {
    pthread_t threads[THREADS];
    for (uintptr_t generation = 0; generation < GENERATIONS; generation++) {
        for (uintptr_t i = 0; i < THREADS; i++)
            threads[i] = thread_start(live, (void *)(generation * THREADS + i));
        for (size_t i = 0; i < THREADS; i++)
            thread_join(threads[i]);
    }
    for (size_t i = 0; i < THREADS * BLOCKS; i++)
        give(&kept[GENERATIONS][i / BLOCKS][i % BLOCKS]);
    for (size_t i = 0; i < HANDED; i++)
        free(atomic_exchange(&handed[i], NULL));
}

/* ---- fork ------------------------------------------------------------------------------------ */

static void *keep_busy(void *unused) {
    while (atomic_load(&busy))
        blocks_of_each_tier();
    return unused;
}

static void *work_once(void *unused) {
    blocks_of_each_tier();
    return unused;
}

static void ends_well(pid_t child, const char *what) {
    int status;
    CHECK(child > 0, "%s: errno %d", what, errno);
    CHECK(waitpid(child, &status, 0) == child && status == 0,
          "the child of %s ends with status %#x", what, status);
}

static void children_work(void) {
    pthread_t threads[2];
    atomic_store(&busy, true);
    for (size_t i = 0; i < TEST_COUNT(threads); i++)
        threads[i] = thread_start(keep_busy, NULL);
    for (int n = 0; n < CHILDREN; n++) {
        blocks_of_each_tier();
        pid_t child = fork();
        if (child == 0) {
            alarm(CHILD_SECONDS);
            blocks_of_each_tier();
            thread_join(thread_start(work_once, NULL));
            malloc_trim(0);
            _exit(0);
        }
        ends_well(child, "fork");
    }
    atomic_store(&busy, false);
    for (size_t i = 0; i < TEST_COUNT(threads); i++)
        thread_join(threads[i]);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Small blocks are of 1000 bytes, large ones of 2 MiB: 24 MiB each. */
enum { SMALL = 24000, LARGE = 12, KEPT_EVERY = 1500 };

static bool in_part; /* how much goes back depends on its place */

static void expect_back(const char *what, bool is_back, size_t before, size_t after) {
    CHECK(in_part || (after + 12 * MIB < before) == is_back, "%s: %zu MiB are resident, then %zu",
          what, before / MIB, after / MIB);
}

static void memory_goes_back(bool goes_back) {
    void **blocks = process_map((SMALL + LARGE) * sizeof *blocks);
    for (size_t i = 0; i < SMALL + LARGE; i++) {
        size_t size = i < SMALL ? 1000 : 2 * MIB;
        blocks[i] = memset(malloc(size), 1, size);
    }
    /* Each second large block grows; the block behind it is in the way, so it has to move. */
    for (size_t i = SMALL; i < SMALL + LARGE; i += 2)
        blocks[i] = realloc(blocks[i], 3 * MIB);
    size_t before = process_resident();
    for (size_t i = SMALL; i < SMALL + LARGE; i++)
        free(blocks[i]);
    malloc_trim(0);
    size_t without_large = process_resident();
    expect_back("large blocks", goes_back, before, without_large);
    for (size_t i = 0; i < SMALL; i++)
        free(blocks[i]);
    malloc_trim(0);
    expect_back("small blocks", goes_back, without_large, process_resident());
    munmap(blocks, (SMALL + LARGE) * sizeof *blocks);
}

static void *hold_free_memory(void *unused) {
    void **blocks = process_map(SMALL * sizeof *blocks);
    for (size_t i = 0; i < SMALL; i++)
        blocks[i] = memset(malloc(1000), 1, 1000);
    for (size_t i = 0; i < SMALL; i++)
        if (i % KEPT_EVERY != 0) free(blocks[i]);
    atomic_store(&step, 1);
    wait_for(2); /* the main thread has trimmed */
    process_work_a_little();
    free(malloc(MIB));
    atomic_store(&step, 3);
    wait_for(4);
    for (size_t i = 0; i < SMALL; i += KEPT_EVERY)
        free(blocks[i]);
    munmap(blocks, SMALL * sizeof *blocks);
    return unused;
}

static void sleeper_gives_back(bool at_once, bool later) {
    pthread_t thread = thread_start(hold_free_memory, NULL);
    wait_for(1);
    size_t before = process_resident();
    malloc_trim(0);
    expect_back("a thread that sleeps, at once", at_once, before, process_resident());
    atomic_store(&step, 2);
    wait_for(3);
    expect_back("a thread that slept", at_once || later, before, process_resident());
    atomic_store(&step, 4);
    thread_join(thread);
}

/* ---- an error -------------------------------------------------------------------------------- */

static void free_twice(void) {
    void *block = malloc(test_opaque(100));
    free(block);
    free(test_opaque_pointer(block));
    _exit(0);
}

static void errors_are_reported(const char *report) {
    char text[1000] = "";
    int ends[2], status;
    size_t length = 0;
    CHECK(pipe(ends) == 0, "pipe: errno %d", errno);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[1]);
        free_twice();
    }
    close(ends[1]);
    for (ssize_t got; (got = read(ends[0], text + length, sizeof text - 1 - length)) > 0;)
        length += (size_t)got;
    close(ends[0]);
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status), "status %#x", status);
    bool has_line = strncmp(text, "hakmem: free(): double free: ", 29) == 0;
    char *end = strchr(text, '\n');
    CHECK(has_line ? end != NULL && end[1] == '\0' : length == 0, "\"%s\"", text);
    char seen[60];
    snprintf(seen, sizeof seen, "%sline, SIG%s", has_line ? "" : "no ",
             sigabbrev_np(WTERMSIG(status)));
    CHECK(strcmp(seen, report) == 0, "\"%s\", not \"%s\"", seen, report);
}

int main(int argc, char **argv) {
    test_needs_hakmem();
    CHECK(argc == 3, "usage: works_anyway BACK REPORT");
    bool at_once = strcmp(argv[1], "at once") == 0, later = strcmp(argv[1], "later") == 0;
    in_part = strcmp(argv[1], "in part") == 0;
    CHECK(at_once || later || in_part || strcmp(argv[1], "no") == 0, "\"%s\"", argv[1]);
    memory_goes_back(at_once || later);
    sleeper_gives_back(at_once, later);
    threads_begin_and_end();
    children_work();
    errors_are_reported(argv[2]);
    return test_ok("freed memory goes back: %s; an error: %s", argv[1], argv[2]);
}
