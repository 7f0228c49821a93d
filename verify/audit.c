#include "verify/audit.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/heap.h"
#include "core/os_process.h"
#include "core/stderr.h"
#include "core/syscall.h"
#include "verify/audit_block.h"
#include "verify/audit_valgrind.h"
#include "verify/heap_check.h"

struct hak_audit_figures hak_audit_figures;

/* The books. Only address space is taken for all of them; memory is touched where there are
 * slabs. */
static struct {
    _Atomic(struct hak_audit_slab *) slabs; /* one entry a granule */
    /* The sum of used of each SuperSlab, by the SuperSlab's first granule / 16. */
    uint32_t *active;
    _Atomic bool off; /* there was no address space: nothing is audited */
} books;

/* The books are opened in the middle of the first malloc. pthread_once(3) is not called there:
 * another library may wrap it. */
static _Atomic uint32_t books_state;
enum { BOOKS_CLOSED, BOOKS_OPENING, BOOKS_OPEN };

/* Helgrind keeps records of all memory that is mapped accessible, and the books are too large for
 * that: so they are mapped without access and made accessible afterwards. Memcheck walks each byte
 * of memory that becomes accessible afterwards: for it the books are mapped accessible. */
void *hak_audit_map(size_t bytes) {
    bool later = HAK_VALGRIND && !hak_valgrind_is_memcheck();
    int access = PROT_READ | PROT_WRITE;
    long mapped = hak_syscall6(SYS_mmap, 0, (long)bytes, later ? PROT_NONE : access,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (hak_syscall_failed(mapped)) return NULL;
    void *start = (void *)mapped;
    if (later && hak_syscall3(SYS_mprotect, mapped, (long)bytes, access) != 0) return NULL;
    if (HAK_VALGRIND) hak_valgrind_hide(start, bytes);
    return start;
}

static void books_open(void) {
    hak_audit_options_read();
    size_t granules = hak_range.granules;
    books.active = hak_audit_map(granules / 16 * sizeof *books.active);
    struct hak_audit_slab *slabs = hak_audit_map(granules * sizeof *slabs);
    if (books.active == NULL || slabs == NULL || !hak_audit_blocks_open()) {
        static const char text[] =
            "hakmem: audit: no address space for the books; nothing is audited\n";
        hak_os_write_error(text, sizeof text - 1);
        atomic_store(&books.off, true);
        return;
    }
    atomic_store_explicit(&books.slabs, slabs, memory_order_release);
}

static void books_open_once(void) {
    uint32_t state = BOOKS_CLOSED;
    if (atomic_compare_exchange_strong(&books_state, &state, BOOKS_OPENING)) {
        books_open();
        atomic_store(&books_state, BOOKS_OPEN);
        hak_os_wake(&books_state, INT_MAX);
    }
    while (atomic_load(&books_state) != BOOKS_OPEN)
        hak_os_wait(&books_state, BOOKS_OPENING);
}

struct hak_audit_slab *hak_audit_slab_of(const struct hak_slab *slab) {
    struct hak_audit_slab *slabs = atomic_load_explicit(&books.slabs, memory_order_acquire);
    if (HAK_UNLIKELY(slabs == NULL)) {
        if (atomic_load(&books.off)) return NULL;
        books_open_once();
        slabs = atomic_load_explicit(&books.slabs, memory_order_acquire);
        if (slabs == NULL) return NULL;
    }
    return &slabs[hak_slab_first_granule(slab)];
}

/* HAK_THREAD.books: the thread's own books, or those of the heap that it has seized. */
static struct hak_audit_thread *books_of_thread(void) {
    static _Thread_local struct hak_audit_thread own, threadless;
    if (HAK_THREAD.books == NULL) {
        own.threadless = &threadless;
        HAK_THREAD.books = &own;
    }
    return HAK_THREAD.books;
}

/* Books for a heap whose thread does not exist in this process. They start from the bins'
 * counts. */
static struct hak_audit_thread *books_of_threadless(const struct hak_heap *heap) {
    struct hak_audit_thread *threadless = books_of_thread()->threadless;
    HAK_CHECK(threadless != NULL);
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        threadless->lengths[bin] = hak_bin_count(heap, bin);
    return threadless;
}

/* A thread cannot end while its heap is seized, so its books stay valid. */
static void books_seize(struct hak_heap *heap) {
    const struct hak_thread *thread = atomic_load_explicit(&heap->thread, memory_order_acquire);
    struct hak_audit_thread *theirs = thread != NULL ? thread->books : books_of_threadless(heap);
    theirs->own = books_of_thread();
    HAK_THREAD.books = theirs;
}

static void books_return(void) {
    HAK_THREAD.books = books_of_thread()->own;
}

/* ---- level 1 --------------------------------------------------------------------------------- */

static void equal(const char *equation, uint64_t left, uint64_t right, const struct hak_slab *slab,
                  const void *block) {
    if (HAK_UNLIKELY(left != right)) hak_audit_report(equation, left, right, slab, block);
}

static void at_most(const char *equation, uint64_t left, uint64_t right,
                    const struct hak_slab *slab) {
    if (HAK_UNLIKELY(left > right)) hak_audit_report(equation, left, right, slab, NULL);
}

/* Proves place and header of a moved block. The slab is found from the block's address alone. */
static HAK_NOINLINE void check_moved(const struct hak_block *block, const struct hak_slab *slab) {
    equal("moved block is in the range", hak_range_has(block), true, slab, block);
    equal("moved block lies in the slab it is counted on", hak_slab_find(block) == slab, true, slab,
          block);
    equal("moved block is a block of its slab", hak_slab_has(slab, block), true, slab, block);
    equal("header of a moved block", hak_header_of(block), HAK_CLASS_HEADER_FREE(slab->class), slab,
          block);
}

/* The list that the calling thread's last batch took off a slab; all its blocks are proved. If a
 * refill makes it the bin's whole list, hak_audit_bin need not walk the list again. */
static _Thread_local struct {
    const struct hak_block *head;
    uint32_t count;
} proved __attribute__((tls_model("initial-exec")));

/* Counts and proves the blocks of a batch. `ends`: the list must end with the batch. All blocks of
 * a granule lie in the same slab, so the slab is looked up once a granule; place and header are
 * checked for each block. */
static void count_moved(enum hak_batch batch, const struct hak_slab *slab,
                        const struct hak_block *head, uint32_t count) {
    const struct hak_places places = hak_slab_places(slab);
    const uint8_t header = HAK_CLASS_HEADER_FREE(slab->class);
    struct hak_audit_block *const records = hak_audit_records_of(slab);
    const struct hak_block *const first = head;
    uint32_t found = 0, granule = 0; /* no block is in granule 0 */
    bool ends = batch == HAK_BATCH_TAKE || batch == HAK_BATCH_CARVE || batch == HAK_BATCH_RESET ||
                batch == HAK_BATCH_UNCARVE;
    while (head != NULL && found < count) {
        const uint64_t index = hak_places_index(&places, head);
        if (HAK_UNLIKELY(index >= places.capacity || hak_header_of(head) != header ||
                         hak_granule_of((const char *)head - 1) != granule)) {
            check_moved(head, slab);
            granule = hak_granule_of((const char *)head - 1);
        }
        if (records != NULL) hak_audit_block_moved(batch, &records[index], slab, head);
        head = head->next;
        found++;
    }
    equal("blocks moved = blocks counted", found, count, slab, head);
    if (ends) equal("the moved list ends where its count does", head == NULL, true, slab, head);
    proved.head = batch == HAK_BATCH_TAKE || batch == HAK_BATCH_CARVE ? first : NULL;
    proved.count = count;
}

/* Changes the audit's own counters as the batch must change the allocator's. */
static void book(enum hak_batch batch, struct hak_audit_slab *own, uint32_t count,
                 const struct hak_slab *slab) {
    switch (batch) {
    case HAK_BATCH_TAKE:
        at_most("blocks taken <= length(freelist)", count, own->free_length, slab);
        own->free_length -= count;
        own->used += count;
        break;
    case HAK_BATCH_CARVE:
        own->carved += count;
        own->used += count;
        break;
    case HAK_BATCH_PUT:
    case HAK_BATCH_COLLECT:
        at_most("blocks put back <= used", count, own->used, slab);
        own->free_length += count;
        own->used -= count;
        break;
    case HAK_BATCH_RESET:
        equal("a slab that begins again has all its blocks back", count, own->used, slab, NULL);
        own->carved = own->used = own->free_length = 0;
        break;
    case HAK_BATCH_UNCARVE:
        at_most("blocks uncarved <= length(freelist)", count, own->free_length, slab);
        own->free_length -= count;
        own->carved -= count;
        break;
    case HAK_BATCH_RECARVE:
        own->free_length += count;
        own->carved += count;
        break;
    case HAK_BATCH_SEND:
        break;
    }
}

static void check_counters(const struct hak_audit_slab *own, const struct hak_slab *slab,
                           uint32_t active) {
    equal("used = blocks that left the slab and did not come back", slab->used, own->used, slab,
          NULL);
    equal("carved = blocks cut so far", slab->carved, own->carved, slab, NULL);
    equal("used = carved - length(freelist)", slab->used, slab->carved - own->free_length, slab,
          NULL);
    at_most("carved <= capacity", slab->carved, slab->capacity, slab);
    at_most("count(remote) <= used", hak_remote_count(slab), slab->used, slab);
    equal("an empty freelist and a length of 0", slab->freelist == NULL, own->free_length == 0,
          slab, NULL);
    equal("active = sum of used", hak_superslab_of(slab)->active, active, slab, NULL);
    atomic_fetch_add_explicit(&hak_audit_figures.equations, 7, memory_order_relaxed);
}

static void remember(struct hak_audit_slab *own, enum hak_batch batch, const struct hak_slab *slab,
                     uint32_t count, uint64_t number) {
    own->ring[own->next++ % HAK_AUDIT_RING] = (struct hak_audit_entry){.number = number,
                                                                       .count = (uint16_t)count,
                                                                       .used = slab->used,
                                                                       .carved = slab->carved,
                                                                       .batch = (uint8_t)batch};
}

/* Level 3. Only after a whole refill or flush: between its batches, bin and slabs need not
 * agree. */
static void check_everything(void) {
    struct hak_heap_check check;
    atomic_fetch_add_explicit(&hak_audit_figures.heap_checks, 1, memory_order_relaxed);
    if (!hak_check_heap(&check)) hak_audit_report("the whole heap", check.faults, 0, NULL, NULL);
}

static void book_bin(enum hak_batch batch, const struct hak_slab *slab, uint32_t count) {
    if (batch == HAK_BATCH_TAKE || batch == HAK_BATCH_CARVE)
        hak_audit_bin_length_add(slab->class, count);
    if (batch == HAK_BATCH_PUT || batch == HAK_BATCH_SEND)
        hak_audit_bin_length_add(slab->class, -count);
}

void hak_audit_batch(enum hak_batch batch, struct hak_slab *slab, void *head, uint32_t count) {
    book_bin(batch, slab, count);
    if (hak_audit_options.level == 0) return;
    struct hak_audit_slab *own = hak_audit_slab_of(slab);
    if (own == NULL) return;
    uint64_t number =
        atomic_fetch_add_explicit(&hak_audit_figures.batches, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&hak_audit_figures.blocks, count, memory_order_relaxed);
    if (batch == HAK_BATCH_SEND) { /* the slab's owner may change the counters at the same time */
        at_most("blocks sent <= capacity", count, slab->capacity, slab);
        count_moved(batch, slab, head, count);
        return;
    }
    uint32_t *active = &books.active[slab->superslab_first / 16];
    if (batch == HAK_BATCH_RESET) {
        /* This hook runs before the counters change; the next batch proves them afterwards. */
        equal("used = blocks that left the slab and did not come back", slab->used, own->used, slab,
              NULL);
        remember(own, batch, slab, count, number);
        count_moved(batch, slab, head, count);
        *active -= own->used;
        book(batch, own, count, slab);
        hak_audit_blocks_reset(slab);
        return;
    }
    *active -= own->used;
    remember(own, batch, slab, count, number);
    book(batch, own, count, slab);
    *active += own->used;
    check_counters(own, slab, *active);
    count_moved(batch, slab, head, count);
}

/* The slab of a block in a bin's list; proves that the slab has the bin's class. */
static HAK_NOINLINE const struct hak_slab *listed_slab(const struct hak_block *block,
                                                       unsigned bin) {
    const struct hak_slab *slab = hak_range_has(block) ? hak_slab_find(block) : NULL;
    equal("listed block lies in a slab of its class", slab != NULL && slab->class == bin, true,
          slab, block);
    return slab;
}

/* Proves each block of a bin's list; returns its length, or count + 1 if it is longer. */
static uint32_t list_length(const struct hak_heap *heap, unsigned bin, uint32_t count) {
    const struct hak_slab *slab = NULL; /* of the last block; the next one is mostly in it, too */
    struct hak_places places = {.capacity = 0};
    struct hak_audit_block *records = NULL;
    uint32_t length = 0;
    for (const struct hak_block *block = hak_bin_first(heap, bin); block != NULL;
         block = block->next) {
        uint64_t index = hak_places_index(&places, block);
        if (HAK_UNLIKELY(index >= places.capacity)) {
            slab = listed_slab(block, bin);
            places = hak_slab_places(slab);
            records = hak_audit_records_of(slab);
            index = hak_places_index(&places, block);
            equal("listed block is a block of its slab", index < places.capacity, true, slab,
                  block);
        }
        equal("header of a listed block", hak_header_of(block), HAK_CLASS_HEADER_FREE(bin), slab,
              block);
        if (records != NULL) hak_audit_block_listed(&records[index], slab, block);
        if (HAK_UNLIKELY(++length > count)) break;
    }
    return length;
}

void hak_audit_bin(struct hak_heap *heap, unsigned bin) {
    if (hak_audit_options.level == 0) return;
    const uint32_t count = hak_bin_count(heap, bin);
    bool is_proved = proved.head != NULL && proved.head == hak_bin_first(heap, bin);
    uint32_t length = is_proved ? proved.count : list_length(heap, bin, count);
    proved.head = NULL;
    equal("count(bin) = length(bin)", count, length, NULL, NULL);
    equal("count(bin) = blocks that entered the bin and did not leave", count,
          books_of_thread()->lengths[bin], NULL, NULL);
    atomic_fetch_add_explicit(&hak_audit_figures.equations, 2, memory_order_relaxed);
    if (hak_audit_options.level >= 3) check_everything();
}

static void slab_created(const struct hak_slab *slab) {
    struct hak_audit_slab *own = hak_audit_slab_of(slab);
    if (own == NULL) return;
    equal("a new slab has no blocks", slab->used + slab->carved, 0, slab, NULL);
    equal("capacity of a new slab", slab->capacity,
          hak_slab_capacity(slab->class, (size_t)hak_slab_granules(slab) << HAK_GRANULE_SHIFT),
          slab, NULL);
    equal("nothing is left of the slab before", own->used, 0, slab, NULL);
    own->carved = own->used = own->free_length = 0;
    hak_audit_blocks_reset(slab);
}

static void slab_destroyed(const struct hak_slab *slab) {
    struct hak_audit_slab *own = hak_audit_slab_of(slab);
    if (own == NULL) return;
    equal("used of a slab that is given up", own->used, 0, slab, NULL);
    equal("remote list of a slab that is given up", hak_remote_count(slab), 0, slab, NULL);
    hak_audit_blocks_reset(slab);
}

/* Proves that a heap without a thread has empty bins and no current slab. */
static void heap_is_idle(const struct hak_heap *heap) {
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++) {
        equal("bins of an ended heap", hak_bin_count(heap, bin), 0, NULL, heap);
        equal("current slabs of an ended heap", heap->classes[bin].current == NULL, true, NULL,
              heap);
    }
}

/* Gives a thread whose heap is lost new, empty books: it borrows heaps from now on. [1] is for the
 * thread that found the error, [0] for the thread whose heap that thread had seized. */
static void books_lose(struct hak_thread *thread) {
    static struct hak_audit_thread fresh[2], threadless[2];
    const bool own = thread == &HAK_THREAD;
    fresh[own].threadless = &threadless[own];
    thread->books = &fresh[own];
}

void hak_audit_event(enum hak_event event, void *subject) {
    if (event == HAK_EVENT_HEAP_LOST) books_lose(subject);
    if (event == HAK_EVENT_HEAP_BEGUN) books_of_thread();
    if (event == HAK_EVENT_VISIT_BEGUN) books_seize(subject);
    if (event == HAK_EVENT_VISIT_ENDED) books_return();
    if (hak_audit_options.level == 0) return;
    switch (event) {
    case HAK_EVENT_SLAB_CREATED:
        slab_created(subject);
        break;
    case HAK_EVENT_SLAB_DESTROYED:
        slab_destroyed(subject);
        break;
    case HAK_EVENT_SLAB_SWITCHED: {
        const struct hak_slab *slab = subject;
        equal("a current slab has free blocks", slab->used < slab->capacity, true, slab, NULL);
        break;
    }
    case HAK_EVENT_HEAP_ENDED:
        heap_is_idle(subject);
        for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
            equal("blocks that an ended thread did not give back", books_of_thread()->lengths[bin],
                  0, NULL, subject);
        break;
    case HAK_EVENT_HEAP_RECLAIMED:
        heap_is_idle(subject);
        break;
    case HAK_EVENT_HEAP_LOST:
    case HAK_EVENT_HEAP_BEGUN:
    case HAK_EVENT_VISIT_BEGUN:
    case HAK_EVENT_VISIT_ENDED:
        break;
    }
}
