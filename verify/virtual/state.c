#include "verify/virtual/state.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/collect.h"
#include "core/enter.h"
#include "core/flush.h"
#include "core/hakmem.h"
#include "core/os_process.h"
#include "core/thread.h"
#include "verify/audit.h"
#include "verify/heap_check.h"
#include "verify/os_faults.h"

#define TIME_BEGIN  1000u             /* milliseconds */
#define FIRST_BYTES ((size_t)6 << 20) /* bytes of a block that makes the range grow */

/* The bounds of the variables of core/ (verify/virtual/sections.h). */
extern char __start_hak_data[], __stop_hak_data[], __start_hak_bss[], __stop_hak_bss[];

/* A memory area, and a copy of it from before the first input. */
struct saved {
    char *start, *copy;
    size_t bytes;
};

static struct saved data, bss, slots, records, metadata;
static struct hak_heap *first_heap;
static uint32_t first_announced;
static uint32_t first_top, first_committed; /* granules */

/* ---- mappings -------------------------------------------------------------------------------- */

/* The changes of mappings that core/ made since the first state, or since the state before the
 * first use. Each change is undone. */
#define CHANGES_MAX 20000u

enum change_kind { PLACED, COMMITTED, RESERVED, RELEASED };

static struct change {
    void *start;
    size_t bytes;
    enum change_kind kind;
} changes[CHANGES_MAX];
static size_t change_count;
static struct hak_os_table system_calls;

static void changed(void *start, size_t bytes, enum change_kind kind) {
    FUZZ_CHECK(change_count < CHANGES_MAX, "more than %u changes of mappings", CHANGES_MAX);
    changes[change_count++] = (struct change){.start = start, .bytes = bytes, .kind = kind};
}

static enum hak_placed logged_place(void *start, size_t bytes) {
    enum hak_placed placed = system_calls.place(start, bytes);
    if (placed == HAK_PLACED) changed(start, bytes, PLACED);
    return placed;
}

static void *logged_reserve(size_t bytes) {
    void *start = system_calls.reserve(bytes);
    if (start != NULL) changed(start, bytes, RESERVED);
    return start;
}

static bool logged_unmap(void *start, size_t bytes) {
    bool done = system_calls.unmap(start, bytes);
    if (done) changed(start, bytes, RELEASED);
    return done;
}

static bool logged_commit(void *start, size_t bytes) {
    bool done = system_calls.commit(start, bytes);
    if (done) changed(start, bytes, COMMITTED);
    return done;
}

/* A move unmaps the old addresses. */
static enum hak_moved logged_move(void *from, size_t bytes, void *to, size_t longer) {
    enum hak_moved moved = system_calls.move(from, bytes, to, longer);
    if (moved == HAK_MOVED) changed(from, bytes, RELEASED);
    return moved;
}

static void mappings_begin(void) {
    system_calls = hak_os;
    struct hak_os_table logged = hak_os;
    logged.place = logged_place;
    logged.reserve = logged_reserve;
    logged.unmap = logged_unmap;
    logged.commit = logged_commit;
    logged.move = logged_move;
    hak_os_table_write(&logged);
}

/* Memory that is mapped again reads as zero. */
static void undo(const struct change *change) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    int protection = change->kind == COMMITTED ? PROT_NONE : PROT_READ | PROT_WRITE;
    bool done = change->kind == PLACED || change->kind == RESERVED
                    ? munmap(change->start, change->bytes) == 0
                    : mmap(change->start, change->bytes, protection, flags, -1, 0) == change->start;
    FUZZ_CHECK(done, "cannot undo change %d of %zu bytes at %p", change->kind, change->bytes,
               change->start);
}

static void mappings_go_back(size_t count) {
    while (change_count > count)
        undo(&changes[--change_count]);
}

/* ---- virtual threads ------------------------------------------------------------------------- */

static struct {
    struct hak_thread thread;
    struct hak_audit_thread books, threadless;
    _Atomic uint32_t ends; /* threads that have ended as this virtual thread */
} threads[FUZZ_THREADS];
static unsigned running;

#define NUMBER_FIRST (1 << 24) /* above the thread numbers of the kernel */

int __wrap_hak_os_thread_id(void);
int __real_hak_os_thread_id(void);
bool __wrap_hak_os_thread_exists(int process, int thread);
bool __real_hak_os_thread_exists(int process, int thread);

/* The kernel's number of each virtual thread; it changes when a thread ends. */
int __wrap_hak_os_thread_id(void) {
    if (!fuzz_is_of_thread((uintptr_t)&HAK_THREAD)) return __real_hak_os_thread_id();
    return NUMBER_FIRST + (int)(HAK_OWN_LOAD(&threads[running].ends) * FUZZ_THREADS + running);
}

bool __wrap_hak_os_thread_exists(int process, int thread) {
    if (thread < NUMBER_FIRST) return __real_hak_os_thread_exists(process, thread);
    uint32_t number = (uint32_t)(thread - NUMBER_FIRST);
    _Atomic uint32_t *ends = &threads[number % FUZZ_THREADS].ends;
    return atomic_load_explicit(ends, memory_order_relaxed) == number / FUZZ_THREADS;
}

void fuzz_thread_switch(unsigned thread) {
    running = thread;
    fuzz_virtual_thread = &threads[running].thread;
}

int __wrap_pthread_key_create(pthread_key_t *key, void (*destructor)(void *));
int __real_pthread_key_create(pthread_key_t *key, void (*destructor)(void *));

/* The key of core/thread_key.c. After fuzz_state_untouched core/ creates a key again, and gets this
 * one. */
static struct {
    bool made;
    pthread_key_t key;
} thread_key;

int __wrap_pthread_key_create(pthread_key_t *key, void (*destructor)(void *)) {
    if (destructor != hak_heap_end_thread) return __real_pthread_key_create(key, destructor);
    int bad = thread_key.made ? 0 : __real_pthread_key_create(&thread_key.key, destructor);
    thread_key.made = true;
    *key = thread_key.key;
    return bad;
}

bool fuzz_is_of_thread(uintptr_t address) {
    return address - (uintptr_t)threads < sizeof threads;
}

void fuzz_flush(unsigned bin) {
    struct hak_heap *heap = hak_slow_enter(0);
    if (hak_heap_is_real(heap)) hak_flush(heap, bin, 0);
    hak_slow_leave();
}

void fuzz_flush_all(void) {
    struct hak_heap *heap = hak_slow_enter(0);
    if (hak_heap_is_real(heap)) hak_flush_all(heap);
    hak_slow_leave();
}

void fuzz_collect(void) {
    struct hak_heap *heap = hak_slow_enter(0);
    if (hak_heap_is_real(heap)) hak_collect(heap);
    hak_slow_leave();
}

/* From an untracked heap the thread vanishes: nobody tells its end. */
static void teardown(struct hak_heap *heap) {
    if (heap->untracked_process == 0) {
        hak_heap_end_thread(heap);
    } else {
        hak_thread_heap_set(&hak_heap_gone);
        memset(threads[running].books.lengths, 0, sizeof threads[running].books.lengths);
    }
    /* As when the kernel ends a thread: all its stores are in memory before others can see that it
     * has ended (release). The thread that asks does not acquire. */
    atomic_fetch_add_explicit(&threads[running].ends, 1, memory_order_release);
}

void fuzz_thread_teardown(void) {
    struct hak_heap *heap = hak_thread_heap();
    if (hak_heap_is_real(heap)) teardown(heap);
}

/* libc ends a thread with its heap even if another thread has seized the heap just now, so this
 * waits until the heap has been given back. */
void fuzz_thread_end(void) {
    if (running == 0) return;
    struct hak_heap *heap = hak_slow_enter(0);
    hak_slow_leave();
    if (!hak_heap_is_real(heap)) return;
    teardown(heap);
    hak_thread_heap_set(running == FUZZ_THREAD_GONE ? &hak_heap_gone : &hak_heap_none);
}

static void threads_begin(void) {
    for (unsigned i = 0; i < FUZZ_THREADS; i++) {
        const struct hak_heap *heap = i == FUZZ_THREAD_GONE ? &hak_heap_gone : &hak_heap_none;
        memset(&threads[i].books, 0, sizeof threads[i].books);
        threads[i].books.threadless = &threads[i].threadless;
        atomic_store_explicit(&threads[i].ends, 0, memory_order_relaxed);
        threads[i].thread.books = &threads[i].books;
        fuzz_thread_switch(i);
        hak_thread_heap_set(i == 0 ? first_heap : heap);
        threads[i].thread.announced = i == 0 ? first_announced : 0;
    }
    fuzz_thread_switch(0);
    fuzz_time_set(TIME_BEGIN);
    hak_audit_options.level = 3;
}

/* ---- the first state ------------------------------------------------------------------------- */

/* memcpy for memory that contains red zones of AddressSanitizer. */
__attribute__((no_sanitize("address"), no_builtin("memcpy"))) static void
copy(char *to, const char *from, size_t bytes) {
    size_t words = (uintptr_t)from % 8 == 0 && (uintptr_t)to % 8 == 0 ? bytes / 8 : 0;
    for (size_t i = 0; i < words; i++)
        ((uint64_t *)(void *)to)[i] = ((const uint64_t *)(const void *)from)[i];
    for (size_t i = words * 8; i < bytes; i++)
        to[i] = from[i];
}

static void save(struct saved *saved, void *start, size_t bytes) {
    *saved = (struct saved){.start = start, .copy = malloc(bytes), .bytes = bytes};
    FUZZ_CHECK(saved->copy != NULL, "no memory for a copy of %zu bytes", bytes);
    copy(saved->copy, start, bytes);
}

static void restore(const struct saved *saved) {
    copy(saved->start, saved->copy, saved->bytes);
}

void fuzz_state_init(void) {
    if (first_heap != NULL) return;
    fuzz_time_set(TIME_BEGIN);
    hak_free(hak_malloc(1));
    hak_free(hak_malloc(FIRST_BYTES)); /* most inputs then need no growth of the range */
    hak_malloc_trim(0);
    hak_audit_options.level = 3; /* no block that is live was allocated before this */
    first_heap = hak_thread_heap();
    first_announced = HAK_THREAD.announced;
    if (atomic_load(&first_heap->thread) != NULL)
        atomic_store(&first_heap->thread, &threads[0].thread);
    first_top = hak_range_top();
    first_committed = hak_range_state().committed;
    save(&slots, (void *)hak_range.map, hak_range_state().map_bytes);
    save(&records, hak_superslab_record(0), hak_range_state().record_bytes);
    /* Metadata grows upwards from the first heap. */
    save(&metadata, first_heap, (size_t)((char *)hak_metadata_alloc(0) - (char *)first_heap));
    save(&data, __start_hak_data, (size_t)(__stop_hak_data - __start_hak_data));
    save(&bss, __start_hak_bss, (size_t)(__stop_hak_bss - __start_hak_bss));
    mappings_begin();
    threads_begin();
}

static void expect_empty(void) {
    struct hak_heap_check check;
    FUZZ_CHECK(hak_check_heap(&check), "%zu equations do not hold at the end", check.faults);
    FUZZ_CHECK(check.live == 0 && check.large == 0,
               "%zu blocks and %zu large ones are live at the end", check.live, check.large);
    FUZZ_CHECK(check.slabs == 0, "%zu slabs at the end", check.slabs);
}

/* Restores the memory of the first state, and unmaps memory that was mapped since. The memory must
 * read as zero: either it was proved to be free or, if `torn`, it is mapped anew, because calls
 * that failed may have left anything at its addresses. */
static void memory_go_back(bool torn) {
    memset(slots.start, 0, slots.bytes);
    memset(records.start, 0, records.bytes);
    mappings_go_back(0);
    void *start = hak_granule_address(HAK_GRANULE_FIRST);
    size_t bytes = (size_t)(first_committed - HAK_GRANULE_FIRST) << HAK_GRANULE_SHIFT;
    if (torn) undo(&(struct change){.start = start, .bytes = bytes, .kind = RELEASED});
}

/* Ends the threads, and proves the whole heap at the end. Until then the audit proves only the
 * batches (level 2). */
static void threads_end(void) {
    if (hak_audit_options.level > 2) hak_audit_options.level = 2;
    for (unsigned i = 1; i < FUZZ_THREADS; i++) {
        fuzz_thread_switch(i);
        fuzz_thread_end();
    }
    fuzz_thread_switch(0);
    hak_malloc_trim(0);
    expect_empty();
}

static void go_back(bool torn) {
    char *metadata_end = hak_metadata_alloc(0);
    memset(metadata.start + metadata.bytes, 0,
           (size_t)(metadata_end - metadata.start) - metadata.bytes);
    memory_go_back(torn);
    restore(&slots);
    restore(&records);
    restore(&metadata);
    restore(&data);
    restore(&bss);
    threads_begin();
}

void fuzz_state_end(bool torn) {
    threads_end();
    FUZZ_CHECK(torn || hak_range_top() <= first_top, "the range ends at granule %u, not %u",
               hak_range_top(), first_top);
    go_back(torn);
}

void fuzz_state_drop(void) {
    go_back(true);
}

/* ---- the state before that ------------------------------------------------------------------- */

static struct saved untouched;

/* Priority 101: runs before the constructor of core/, which allocates. */
__attribute__((constructor(101))) static void keep_untouched(void) {
    save(&untouched, __start_hak_data, (size_t)(__stop_hak_data - __start_hak_data));
}

void fuzz_state_untouched(void) {
    restore(&untouched);
    memset(bss.start, 0, bss.bytes);
    for (unsigned i = 0; i < FUZZ_THREADS; i++)
        if (i != FUZZ_THREAD_GONE)
            threads[i].thread =
                (struct hak_thread){.heap = (struct hak_heap *)(uintptr_t)&hak_heap_none,
                                    .books = threads[i].thread.books};
}

void fuzz_state_untouched_end(void) {
    threads_end();
    mappings_go_back(0);
    /* The page of hak_os_process is the only mapping that hak_os does not make. Where the kernel
     * cannot wipe that page, hak_os_process points to a variable. */
    uintptr_t page = (uintptr_t)atomic_load(&hak_os_process);
    if (page % hak_os_page_size() == 0)
        FUZZ_CHECK(munmap((void *)page, hak_os_page_size()) == 0, "cannot undo the process's page");
    restore(&data);
    restore(&bss);
    threads_begin();
}
