#include "verify/counts/tally.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "core/heap.h"
#include "verify/counts/lines.h"
#include "verify/virtual/waiting.h"
#include "verify/virtual/yields.h"

static const char *const part_names[] = {
    [TALLY_THREAD] = "thread",       [TALLY_HEAP] = "heap", [TALLY_MAP] = "page map",
    [TALLY_SUPERSLAB] = "SuperSlab", [TALLY_LOCK] = "lock", [TALLY_STATIC] = "static",
    [TALLY_BLOCK] = "block"};

/* ---- places ---------------------------------------------------------------------------------- */

/* The counts of one word, or of the plain accesses to a part. */
struct place {
    const char *word; /* NULL: plain accesses */
    enum tally_part part;
    bool used;
    uint64_t changes, takes, writes, reads;
};

enum { PLACES = 256 };

struct counter {
    _Alignas(64) struct tally tally;
    struct place places[PLACES];
};

static struct counter counters[LINES_THREADS];
static _Thread_local struct counter *own;
static bool counting; /* accessed by __atomic functions, which are no steps */
static bool interleaving;

static struct place *place_of(struct place *places, const char *word, enum tally_part part) {
    size_t at = ((uintptr_t)word * 31 + part) % PLACES;
    for (size_t tried = 0; tried < PLACES; tried++, at = (at + 1) % PLACES) {
        struct place *place = &places[at];
        if (!place->used) *place = (struct place){.word = word, .part = part, .used = true};
        if (place->word == word && place->part == part) return place;
    }
    bench_die("too many places");
}

/* ---- parts ----------------------------------------------------------------------------------- */

extern char __data_start[], _end[]; /* the linker's: around the program's variables */

static bool is_within(uintptr_t address, const void *start, size_t bytes) {
    return address - (uintptr_t)start < bytes;
}

/* False: the address lies in no part, for example on a stack, which no other thread accesses. */
static bool part_of(uintptr_t address, enum tally_part *part) {
    if (is_within(address, &hak_thread, sizeof hak_thread)) {
        *part = TALLY_THREAD;
    } else if (is_within(address, __data_start, (size_t)(_end - __data_start))) {
        *part = TALLY_STATIC;
    } else if (address < hak_range.map || hak_range.granules == 0) {
        return false;
    } else if (address >= hak_range.start) {
        *part = TALLY_BLOCK;
        return is_within(address, (void *)hak_range.start,
                         (size_t)hak_range.granules << HAK_GRANULE_SHIFT);
    } else if (is_within(address, (void *)hak_range.map,
                         (size_t)hak_range.granules * HAK_MAP_ENTRY_SIZE)) {
        *part = TALLY_MAP;
    } else if (is_within(address, hak_superslab_record(0),
                         (size_t)(hak_range.granules / 16 + 1) * HAK_SUPERSLAB_RECORD)) {
        *part = TALLY_SUPERSLAB;
    } else {
        *part = TALLY_HEAP;
    }
    return true;
}

/* ---- what core/ tells ------------------------------------------------------------------------ */

static bool is_counted(void) {
    return __atomic_load_n(&counting, __ATOMIC_RELAXED);
}

static void access_part(const char *word, enum tally_part part, uintptr_t address, bool is_write) {
    unsigned thread = (unsigned)(own - counters);
    bool comes = is_write ? lines_write(address, thread) : lines_read(address, thread);
    if (!comes || !is_counted()) return;
    struct place *place = place_of(own->places, word, part);
    (is_write ? own->tally.writes : own->tally.reads)[part]++;
    if (is_write)
        place->writes++;
    else
        place->reads++;
}

static void access_told(void *address, size_t size, bool is_write) {
    enum tally_part part;
    (void)size; /* no access crosses a line */
    if (own != NULL && part_of((uintptr_t)address, &part))
        access_part(NULL, part, (uintptr_t)address, is_write);
}

/* Gives up the processor at every fourth step on a word that other threads may see. */
static void others_first(enum tally_part part) {
    static _Thread_local uint32_t turn;
    if (interleaving && (part == TALLY_MAP || part == TALLY_STATIC || part == TALLY_LOCK) &&
        ++turn % 4 == 0)
        sched_yield();
}

static void count_step(const struct explore_step *step, enum tally_part part) {
    struct tally *tally = &own->tally;
    if (!is_counted()) return;
    if (step->kind == EXPLORE_CHANGE) {
        tally->changes++;
        place_of(own->places, step->word, part)->changes++;
    } else if (step->kind == EXPLORE_STORE && step->order == memory_order_seq_cst) {
        tally->exchanges++;
        place_of(own->places, step->word, part)->changes++;
    } else if (step->kind == EXPLORE_STORE) {
        tally->stores++;
        /* The store on entry is relaxed; the store on return is a release. */
        tally->slow_paths +=
            step->address == &hak_thread.slow && step->order == memory_order_relaxed;
    } else if (step->kind == EXPLORE_TAKE) {
        tally->takes++;
        place_of(own->places, step->word, part)->takes++;
    } else if (step->kind == EXPLORE_SYSTEM) {
        tally->system_calls++;
    }
}

static void step_told(struct explore_step *step) {
    if (own == NULL) return;
    enum tally_part part = TALLY_LOCK;
    bool is_lock = step->kind == EXPLORE_TAKE || step->kind == EXPLORE_DROP;
    bool is_word = step->kind <= EXPLORE_CHANGE;
    if (!is_lock && !is_word) {
        count_step(step, TALLY_STATIC);
        return;
    }
    /* A word in no part belongs to another thread's struct hak_thread: only a seizer accesses
     * it. */
    if (is_word && !part_of((uintptr_t)step->address, &part)) part = TALLY_THREAD;
    others_first(part);
    count_step(step, part);
    access_part(step->word, part, (uintptr_t)step->address, step->kind != EXPLORE_LOAD);
}

/* ---- locks and looks, on their way to core/ (--wrap) ----------------------------------------- */

void __wrap_hak_lock_take(struct hak_lock *lock);
bool __wrap_hak_lock_try(struct hak_lock *lock);
void __wrap_hak_lock_drop(struct hak_lock *lock);
void __wrap_hak_seize_each(uint32_t now, uint32_t still_ms,
                           bool (*visit)(struct hak_heap *heap, void *context),
                           void (*after)(struct hak_heap *heap, void *context), void *context);
void __real_hak_lock_take(struct hak_lock *lock);
bool __real_hak_lock_try(struct hak_lock *lock);
void __real_hak_lock_drop(struct hak_lock *lock);
void __real_hak_seize_each(uint32_t now, uint32_t still_ms,
                           bool (*visit)(struct hak_heap *heap, void *context),
                           void (*after)(struct hak_heap *heap, void *context), void *context);

static void lock_step(enum explore_kind kind, const struct hak_lock *lock, int order) {
    static const char *const names[HAK_RANK_COUNT] = {[HAK_RANK_SEIZING] = "of seizing",
                                                      [HAK_RANK_HEAPS] = "of the heaps",
                                                      [HAK_RANK_CACHE] = "of the cache",
                                                      [HAK_RANK_RANGE] = "of the range"};
    explore_yield(kind, names[lock->rank], lock, sizeof *lock, order);
}

void __wrap_hak_lock_take(struct hak_lock *lock) {
    lock_step(EXPLORE_TAKE, lock, memory_order_acquire);
    __real_hak_lock_take(lock);
}

bool __wrap_hak_lock_try(struct hak_lock *lock) {
    lock_step(EXPLORE_TAKE, lock, memory_order_acquire);
    return __real_hak_lock_try(lock);
}

void __wrap_hak_lock_drop(struct hak_lock *lock) {
    lock_step(EXPLORE_DROP, lock, memory_order_release);
    __real_hak_lock_drop(lock);
}

void __wrap_hak_seize_each(uint32_t now, uint32_t still_ms,
                           bool (*visit)(struct hak_heap *heap, void *context),
                           void (*after)(struct hak_heap *heap, void *context), void *context) {
    if (own != NULL && is_counted()) own->tally.looks += still_ms > 0;
    __real_hak_seize_each(now, still_ms, visit, after, context);
}

/* ---- what a pattern tells -------------------------------------------------------------------- */

void tally_begin(bool interleave) {
    interleaving = interleave;
    lines_begin();
    explore_system_begin();
    explore_step_hook = step_told;
    explore_access_hook = access_told;
}

void tally_thread_begin(unsigned number) {
    if (number >= LINES_THREADS) bench_die("too many threads");
    own = &counters[number];
}

void tally_set(bool counts) {
    __atomic_store_n(&counting, counts, __ATOMIC_RELAXED);
}

void tally_add_blocks(uint64_t blocks) {
    if (own != NULL && is_counted()) own->tally.blocks += blocks;
}

void tally_call(void) {
    if (own == NULL) return;
    access_part("hak_range.base", TALLY_STATIC, (uintptr_t)&hak_range.base, false);
    access_part("hak_range.end", TALLY_STATIC, (uintptr_t)&hak_range.end, false);
}

void tally_touch(const void *block, size_t bytes) {
    if (own == NULL) return;
    lines_write((uintptr_t)block, (unsigned)(own - counters));
    lines_write((uintptr_t)block + bytes - 1, (unsigned)(own - counters));
}

/* ---- sums ------------------------------------------------------------------------------------ */

uint64_t tally_shared(const uint64_t counts[TALLY_PARTS]) {
    uint64_t sum = 0;
    for (unsigned part = 0; part < TALLY_BLOCK; part++)
        sum += counts[part];
    return sum;
}

struct tally tally_sum(void) {
    struct tally sum = {.blocks = 0};
    for (unsigned i = 0; i < LINES_THREADS; i++) {
        const uint64_t *from = (const uint64_t *)(const void *)&counters[i].tally;
        uint64_t *to = (uint64_t *)(void *)&sum;
        for (size_t word = 0; word < sizeof sum / sizeof *to; word++)
            to[word] += from[word];
    }
    return sum;
}

static bool is_same(const struct place *a, const struct place *b) {
    if (a->part != b->part || (a->word == NULL) != (b->word == NULL)) return false;
    return a->word == NULL || strcmp(a->word, b->word) == 0;
}

/* Sums the places of all threads. Equal texts may have different addresses, one for each file. */
static size_t places_sum(struct place *sum) {
    size_t count = 0;
    for (size_t i = 0; i < (size_t)LINES_THREADS * PLACES; i++) {
        const struct place *from = &counters[i / PLACES].places[i % PLACES];
        size_t at = 0;
        if (!from->used) continue;
        while (at < count && !is_same(&sum[at], from))
            at++;
        if (at == PLACES) bench_die("too many places");
        if (at == count) sum[count++] = (struct place){.word = from->word, .part = from->part};
        sum[at].changes += from->changes;
        sum[at].takes += from->takes;
        sum[at].writes += from->writes;
        sum[at].reads += from->reads;
    }
    return count;
}

static int by_weight(const void *a, const void *b) {
    const struct place *left = a, *right = b;
    uint64_t of_left = left->changes + left->takes + left->writes + left->reads;
    uint64_t of_right = right->changes + right->takes + right->writes + right->reads;
    return of_left < of_right ? 1 : of_left > of_right ? -1 : 0;
}

void tally_print_places(uint64_t units) {
    static struct place sum[PLACES];
    size_t count = places_sum(sum);
    double thousands = (double)units / 1000;
    printf("    slow paths %.3f\n", (double)tally_sum().slow_paths / thousands);
    qsort(sum, count, sizeof *sum, by_weight);
    for (size_t i = 0; i < count; i++)
        printf("    %-10s %-36s %9.3f changes %9.3f takes %9.3f writes %9.3f reads\n",
               part_names[sum[i].part], sum[i].word == NULL ? "plain accesses" : sum[i].word,
               (double)sum[i].changes / thousands, (double)sum[i].takes / thousands,
               (double)sum[i].writes / thousands, (double)sum[i].reads / thousands);
}
