/* A process forks while another thread is at work under one of the allocator's locks: after each
 * single instruction under a lock, at which the processor's trap flag stops the thread. That
 * thread does not exist in the child. In the child every part of the range is found exactly once,
 * live blocks are whole, and everything can be allocated and freed. */
#define TEST_LINKED
#include "threads.h"

#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "core/abandoned.h"
#include "core/cache.h"
#include "core/superslab.h"
#include "core/thread.h"
#include "verify/heap_check.h"

enum { KEPT = 40, CHILD_BLOCKS = 200, NO_THREAD = INT_MAX };

static struct letter *kept[KEPT]; /* blocks of the main thread, live all the time */
static sem_t fork_wanted, forked;
static _Atomic bool ends;
static const char *operation_name;
static struct hak_heap *worker_heap;
static bool each_instruction; /* stop after each instruction, not only under a lock */
static size_t stops, forks, every = 1, held_for[HAK_RANK_COUNT];

/* ---- the thread that is stopped -------------------------------------------------------------- */

/* Sets or clears the processor's trap flag. Uses the stack below the red zone, which belongs to
 * the compiler. */
static void step_by_step(bool wanted_now) {
    uint64_t flag = wanted_now ? 0x100 : 0;
    __asm__ volatile(
        "lea -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\torq %0, (%%rsp)\n\tpopfq\n\t"
        "lea 128(%%rsp), %%rsp"
        :
        : "r"(flag)
        : "memory", "cc");
}

static void stopped(int signal) {
    (void)signal;
    bool held = false;
    /* The thread that forks takes this lock for a moment before the fork, and would wait here. */
    if (hak_lock_is_mine(&hak_locks[HAK_RANK_SEIZING])) return;
    for (unsigned rank = HAK_RANK_HEAPS; rank < HAK_RANK_COUNT; rank++)
        if (hak_lock_is_mine(&hak_locks[rank])) {
            held = true;
            held_for[rank]++;
        }
    if ((!held && !each_instruction) || stops++ % every != 0) return;
    sem_post(&fork_wanted);
    while (sem_wait(&forked) != 0)
        continue;
}

#define LARGE ((size_t)200000)
static void *blocks[64];

static void take(size_t index, size_t size) {
    step_by_step(true);
    blocks[index] = hak_malloc(size);
    step_by_step(false);
    CHECK(blocks[index] != NULL, "%zu bytes", size);
}

static void give(size_t index) {
    step_by_step(true);
    hak_free(blocks[index]);
    step_by_step(false);
    blocks[index] = NULL;
}

static void resize(size_t index, size_t size) {
    step_by_step(true);
    blocks[index] = hak_realloc(blocks[index], size);
    step_by_step(false);
    CHECK(blocks[index] != NULL, "%zu bytes", size);
}

static void trim(void) {
    step_by_step(true);
    hak_malloc_trim(0);
    step_by_step(false);
}

static void large_blocks(void) {
    for (size_t i = 0; i < 4; i++)
        take(i, LARGE + i * 70000);
    give(1);
    give(2); /* joined with block 1 */
    take(1, LARGE / 2);
    resize(1, LARGE); /* into the cached memory behind it */
    resize(3, 70000); /* gives back its end */
    resize(3, 3 * LARGE);
    give(0);
    give(1);
    give(3);
    step_by_step(true);
    blocks[0] = hak_aligned_alloc(1 << 18, LARGE);
    step_by_step(false);
    give(0);
    trim();
}

/* Takes SuperSlabs of both sizes from the cache and the range, and gives them up; then empties the
 * cache. */
static void superslabs(void) {
    struct hak_home *home = &hak_thread_heap()->home;
    struct hak_superslab *ss[6];
    for (size_t i = 0; i < 6; i++) {
        step_by_step(true);
        ss[i] = hak_superslab_create(
            home, i % 2 == 0 ? HAK_SUPERSLAB_SHIFT : HAK_SUPERSLAB_SHIFT_MIN, false);
        step_by_step(false);
        CHECK(ss[i] != NULL, "no SuperSlab");
    }
    for (size_t i = 0; i < 6; i++) {
        if (i < 4) ss[i]->dirty_mask = 1; /* only memory is cached */
        step_by_step(true);
        hak_superslab_destroy(ss[i], (size_t)64 << 20);
        step_by_step(false);
    }
    step_by_step(true);
    ss[0] = hak_superslab_create(home, HAK_SUPERSLAB_SHIFT, true);
    CHECK(ss[0] != NULL && ss[0]->dirty_mask != 0, "no SuperSlab out of the cache");
    hak_superslab_destroy(ss[0], (size_t)64 << 20);
    hak_cache_evict(hak_os_now_ms(), UINT32_MAX, 0);
    step_by_step(false);
}

/* Begins an untracked heap, as in a late destructor. Then the heap gets the id of a thread that
 * does not exist, and a trim abandons it. */
static void heaps(void) {
    struct hak_heap *own = hak_thread_heap();
    bool borrowed;
    hak_thread_heap_set(&hak_heap_gone);
    step_by_step(true);
    struct hak_heap *heap = hak_heap_begin_after_end(&borrowed);
    step_by_step(false);
    CHECK(heap != NULL && !borrowed && heap == hak_thread_heap(), "no untracked heap");
    hak_thread_heap_set(own);
    atomic_store(&heap->thread_id, NO_THREAD);
    trim();
    CHECK(hak_home_owned_by(&heap->home, NULL), "the untracked heap is not abandoned");
}

/* Not in the audit: it runs too many instructions for this, and a child of fork mends no heap. */
static void malloc_and_free(void) {
    if (HAK_AUDIT) return;
    hak_free(hak_malloc(40)); /* fills the bin */
    each_instruction = true;
    for (size_t i = 0; i < 2; i++)
        take(i, 40);
    for (size_t i = 0; i < 2; i++)
        give(i);
    each_instruction = false;
}

static const struct {
    const char *name;
    void (*run)(void);
} operations[] = {{"malloc and free", malloc_and_free},
                  {"large blocks", large_blocks},
                  {"SuperSlabs", superslabs},
                  {"heaps", heaps}};

static void *worker(void *unused) {
    hak_free(hak_malloc(1));
    worker_heap = hak_thread_heap();
    for (size_t i = 0; i < TEST_COUNT(operations); i++) {
        operation_name = operations[i].name;
        operations[i].run();
    }
    atomic_store(&ends, true);
    sem_post(&fork_wanted);
    return unused;
}

/* ---- the child ------------------------------------------------------------------------------- */

/* A thread that takes a lost lock rebuilds what the lock protects. */
static void take_all_locks_in_turn(void) {
    for (unsigned rank = 0; rank < HAK_RANK_COUNT; rank++) {
        hak_lock_take(&hak_locks[rank]);
        hak_lock_drop(&hak_locks[rank]);
    }
}

static uint32_t superslab_units(uint32_t granule) {
    return granule % 16 == 0 ? hak_superslab_units_at(granule) : 0;
}

static uint32_t listed_in(const struct hak_span_index *index) {
    uint32_t listed = 0;
    for (unsigned list = 0; list < HAK_SPAN_LISTS; list++)
        for (uint32_t at = index->lists[list]; at != 0;
             at = ((struct hak_free_span *)hak_map_entry(at))->next)
            listed++;
    return listed;
}

/* Goes through the range from one part to the next: no part reaches into another, and the lists
 * have as many free spans as there are. */
static void range_is_tiled(void) {
    struct hak_range_state state = hak_range_state();
    uint32_t granule = HAK_GRANULE_FIRST, free_spans = 0, top = hak_range_top();
    while (granule < top) {
        const struct hak_free_span *run = hak_map_entry(granule);
        enum hak_kind kind = hak_kind_of(granule);
        uint32_t units = superslab_units(granule), count = units > 0 ? units : run->count;
        bool known = units > 0 || kind == HAK_KIND_FREE_SPAN || kind == HAK_KIND_HOLE ||
                     kind == HAK_KIND_TAKEN || kind == HAK_KIND_LARGE || kind == HAK_KIND_CACHED;
        CHECK(known, "granule %u belongs to nobody: kind %d", granule, kind);
        CHECK(count > 0 && count <= top - granule, "granule %u: %u granules", granule, count);
        free_spans += units == 0 && (kind == HAK_KIND_FREE_SPAN || kind == HAK_KIND_HOLE);
        granule += count;
    }
    uint32_t listed = listed_in(state.free) + listed_in(state.holes);
    CHECK(listed == free_spans, "%u free spans are listed, there are %u", listed, free_spans);
}

static void count_abandoned(struct hak_heap *heap, void *count) {
    if (heap->state != HAK_HEAP_ABANDONED) return;
    CHECK(hak_home_owned_by(&heap->home, NULL), "an abandoned heap has an owner");
    ++*(size_t *)count;
}

static void count_one(struct hak_heap *heap, void *count) {
    CHECK(heap->state == HAK_HEAP_ABANDONED, "a listed heap is in state %d", heap->state);
    ++*(size_t *)count;
}

/* Also the heaps that were on their way into the list or out of it. */
static void abandoned_heaps_are_listed(void) {
    size_t abandoned = 0, listed = 0;
    hak_heap_each(count_abandoned, &abandoned);
    hak_heap_each_listed(HAK_HEAP_ABANDONED, count_one, &listed);
    CHECK(abandoned == listed, "%zu abandoned heaps, %zu in the list", abandoned, listed);
}

static void child_goes_on(void) {
    static struct letter *letters[CHILD_BLOCKS];
    alarm(600);
    if (each_instruction)
        CHECK(worker_heap->state == HAK_HEAP_ORPHAN, "the heap is in state %d", worker_heap->state);
    take_all_locks_in_turn();
    abandoned_heaps_are_listed();
    range_is_tiled();
    for (size_t i = 0; i < CHILD_BLOCKS; i++) {
        size_t size = (i % 10 == 0 ? 100000 : 16) + i * 40;
        char *zero = hak_calloc(1, size);
        CHECK(zero != NULL, "%zu bytes", size);
        for (size_t byte = 0; byte < size; byte++)
            CHECK(zero[byte] == 0, "byte %zu of a new block of %zu is %d", byte, size, zero[byte]);
        hak_free(zero);
        letters[i] = letter_new(size, i);
    }
    for (size_t i = 0; i < KEPT; i++)
        letter_free(kept[i]);
    for (size_t i = 0; i < CHILD_BLOCKS; i++)
        letter_free(letters[i]);
    hak_malloc_trim(0);
    range_is_tiled();
    if (each_instruction) {
        struct hak_heap_check check;
        CHECK(worker_heap->state == HAK_HEAP_ABANDONED || worker_heap->state == HAK_HEAP_RECLAIMED,
              "the heap is in state %d", worker_heap->state);
        int said = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, STDERR_FILENO);
        hak_check_heap(&check);
        dup2(said, STDERR_FILENO);
        /* One block may be in no list. */
        CHECK(check.faults <= 1, "%zu equations do not hold", check.faults);
    }
    _exit(0);
}

static void fork_now(void) {
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0, "fork: errno %d", errno);
    if (child == 0) child_goes_on();
    int status;
    while (waitpid(child, &status, 0) < 0)
        CHECK(errno == EINTR, "waitpid: errno %d", errno);
    CHECK(status == 0, "%s, stop %zu: the child ends with status %#x", operation_name, stops,
          status);
    forks++;
}

int main(void) {
    struct sigaction action = {.sa_handler = stopped, .sa_flags = SA_RESTART};
    if (test_quick()) every = 23;
    sem_init(&fork_wanted, 0, 0);
    sem_init(&forked, 0, 0);
    CHECK(sigaction(SIGTRAP, &action, NULL) == 0, "sigaction: errno %d", errno);
    for (size_t i = 0; i < KEPT; i++)
        kept[i] = letter_new(i * i * 100, i);
    pthread_t thread = thread_start(worker, NULL);
    for (;;) {
        while (sem_wait(&fork_wanted) != 0)
            continue;
        if (atomic_load(&ends)) break;
        fork_now();
        sem_post(&forked);
    }
    thread_join(thread);
    for (unsigned rank = HAK_RANK_HEAPS; rank < HAK_RANK_COUNT; rank++)
        CHECK(held_for[rank] > 20, "%zu stops under lock %u", held_for[rank], rank);
    for (size_t i = 0; i < KEPT; i++)
        letter_free(kept[i]);
    return test_ok("%zu forks, under the locks of heaps %zu, cache %zu, range %zu", forks,
                   held_for[1], held_for[2], held_for[3]);
}
