#include "core/refill.h"

#include "core/large.h"
#include "core/report.h"
#include "core/seize.h"
#include "core/trim.h"
#include "core/text.h"
#include "verify/hooks.h"

/* ---- log --------------------------------------------------------------------------------------------- */

/* A slab's counters, as a batch finds them. */
struct counters {
    uint32_t used, carved, active;
};

static inline struct counters counters_of(const struct hak_slab *slab) {
    return (struct counters){
        .used = slab->used, .carved = slab->carved, .active = hak_superslab_of(slab)->active};
}

/* "NAME BEFORE-AFTER (CHANGE)": the change is what the counters show, not what the batch meant to do. */
static void log_counter(struct hak_text *line, const char *name, uint32_t before, uint32_t after) {
    hak_text_add(line, name);
    hak_text_add_number(line, before);
    hak_text_add(line, "->");
    hak_text_add_number(line, after);
    hak_text_add(line, after < before ? " (-" : " (+");
    hak_text_add_number(line, after < before ? before - after : after - before);
    hak_text_add(line, ")");
}

/* One line a batch: where it came from, how many blocks, and what it did to the counters. */
HAK_COLD static void log_batch(const char *what, const struct hak_slab *slab, uint32_t count,
                               struct counters before) {
    struct counters after = counters_of(slab);
    struct hak_text line;
    line.length = 0;
    hak_text_add(&line, "hakmem: p0 ");
    hak_text_add(&line, what);
    hak_text_add_address(&line, " slab ", hak_slab_start(slab));
    hak_text_add(&line, " stride ");
    hak_text_add_number(&line, hak_classes[slab->bin].stride);
    hak_text_add(&line, " blocks ");
    hak_text_add_number(&line, count);
    log_counter(&line, " used ", before.used, after.used);
    log_counter(&line, " carved ", before.carved, after.carved);
    hak_text_add(&line, " of ");
    hak_text_add_number(&line, slab->capacity);
    log_counter(&line, " active ", before.active, after.active);
    hak_text_print(&line);
}

/* Keeps the sum of `used` for statistics; `change` blocks left (+) or came back to (-) a slab. */
static void used_shown_add(struct hak_slab *slab, uint32_t change) {
    _Atomic uint32_t *sum = &hak_heap_of_home(slab->home)->classes[slab->bin].used_shown;
    atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + change,
                          memory_order_relaxed);
}

/* ---- collect ----------------------------------------------------------------------------------------- */

static struct hak_block *list_tail(struct hak_block *head, uint32_t count) {
    HAK_ASSERT(count > 0);
    for (uint32_t i = 1; i < count; i++) {
        head = hak_block_next(head);
        HAK_CHECK(head != NULL);
    }
    return head;
}

/* Joins the taken remote list with the freelist; walks the shorter of the two. */
static void collect_join(struct hak_slab *slab, struct hak_block *head, uint32_t count) {
    uint32_t free_count = (uint32_t)(slab->carved - slab->used);
    if (free_count == 0 || count <= free_count) {
        hak_slab_put(slab, head, free_count == 0 ? NULL : list_tail(head, count), count);
        return;
    }
    struct hak_block *own = slab->freelist;
    struct hak_block *tail = list_tail(own, free_count);
    slab->freelist = NULL;
    hak_slab_put(slab, head, NULL, count);
    tail->next = slab->freelist;
    slab->freelist = own;
}

/* A slab whose notification has arrived: its remote list is taken back. */
static void collect_slab(struct hak_heap *home_heap, struct hak_slab *slab, const struct hak_policy *policy) {
    uint64_t word = hak_remote_take(slab);
    uint32_t count = hak_remote_word_count(word);
    HAK_CHECK(count > 0 && count <= slab->used);
    used_shown_add(slab, -count);
    struct counters before = counters_of(slab);
    if (count == slab->used) {
        /* Every block is back: begin again, in address order, without a look at any of them. */
        hak_hook_batch(HAK_BATCH_RESET, slab, hak_remote_word_head(word), count);
        hak_slab_reset(slab);
        if (HAK_UNLIKELY(policy->p0_log)) log_batch("collect-all", slab, count, before);
        if (slab->state == HAK_SLAB_CURRENT) return;
        if (slab->state == HAK_SLAB_PARTIAL) hak_heap_partial_remove(home_heap, slab);
        hak_heap_drop_slab(home_heap, slab, hak_os_now_ms());
        return;
    }
    collect_join(slab, hak_remote_word_head(word), count);
    hak_hook_batch(HAK_BATCH_COLLECT, slab, hak_remote_word_head(word), count);
    if (HAK_UNLIKELY(policy->p0_log)) log_batch("collect", slab, count, before);
    if (slab->state == HAK_SLAB_FULL) hak_heap_partial_push(home_heap, slab);
}

static void collect_home(struct hak_heap *heap, const struct hak_policy *policy) {
    struct hak_slab *slab = hak_home_take_notified(&heap->home);
    while (slab != NULL) {
        struct hak_slab *next = slab->notify_next; /* read first: a collected slab may cease to exist */
        HAK_CHECK(slab->home == &heap->home);
        collect_slab(heap, slab, policy);
        slab = next;
    }
}

void hak_collect(struct hak_heap *heap) {
    const struct hak_policy *policy = hak_policy();
    for (struct hak_heap *each = heap; each != NULL; each = each->ruled) {
        HAK_ASSERT(hak_home_ruled_by(&each->home, heap));
        collect_home(each, policy);
    }
}

void hak_collect_seized(struct hak_heap *heap) {
    const struct hak_policy *policy = hak_policy();
    for (struct hak_heap *each = heap; each != NULL; each = each->ruled) {
        struct hak_slab *next, *slab = hak_home_take_notified(&each->home);
        for (; slab != NULL; slab = next) {
            next = slab->notify_next;
            HAK_CHECK(slab->home == &each->home);
            if (hak_seize_is_awaited(heap))
                hak_home_notify(&each->home, slab);
            else
                collect_slab(each, slab, policy);
        }
    }
}

/* ---- refill ------------------------------------------------------------------------------------------ */

static struct hak_slab *partial_take(struct hak_heap *heap, unsigned bin) {
    struct hak_slab *slab = heap->classes[bin].partial;
    if (slab != NULL) hak_heap_partial_remove(heap, slab);
    return slab;
}

#define RULED_NEAR 8u /* ruled heaps looked at for each slab, in turn: a thread may rule hundreds */

/* A slab with free blocks, or else a new one, in the thread's own heap or in one of the next few that it rules. */
static struct hak_slab *near_slab(struct hak_heap *heap, unsigned bin, const struct hak_policy *policy) {
    struct hak_heap *first = heap->ruled_near != NULL ? heap->ruled_near : heap->ruled;
    struct hak_heap *each = heap, *next = first;
    for (unsigned tried = 0; each != NULL && tried <= RULED_NEAR; tried++) {
        HAK_ASSERT(hak_home_ruled_by(&each->home, heap));
        if (!policy->p0_no_drain) collect_home(each, policy);
        struct hak_slab *slab = partial_take(each, bin);
        if (slab != NULL) return slab;
        each = next;
        if (next != NULL) next = next->ruled;
    }
    heap->ruled_near = each;
    struct hak_slab *slab = hak_heap_new_slab(heap, bin);
    for (next = first; slab == NULL && next != each; next = next->ruled)
        slab = hak_heap_new_slab(next, bin);
    return slab;
}

static struct hak_slab *slab_of(struct hak_heap *heap, unsigned bin, const struct hak_policy *policy) {
    collect_home(heap, policy);
    struct hak_slab *slab = partial_take(heap, bin);
    return slab != NULL ? slab : hak_heap_new_slab(heap, bin);
}

/* Of a heap that the thread comes to rule; a few at a time. */
static struct hak_slab *adopted_slab(struct hak_heap *heap, unsigned bin, uint32_t most,
                                     const struct hak_policy *policy) {
    struct hak_slab *slab = NULL;
    for (uint32_t tried = 0; slab == NULL && tried < most; tried++) {
        struct hak_heap *adopted = hak_heap_adopt(heap);
        if (adopted == NULL) return NULL;
        slab = slab_of(adopted, bin, policy);
    }
    return slab;
}

/* Of any heap that the thread rules. */
HAK_COLD static struct hak_slab *ruled_slab(struct hak_heap *heap, unsigned bin,
                                            const struct hak_policy *policy) {
    struct hak_slab *slab = NULL;
    for (struct hak_heap *each = heap; each != NULL && slab == NULL; each = each->ruled)
        slab = slab_of(each, bin, policy);
    return slab;
}

/* Where memory is kept: what of it other bins hold, before there is more. The bin that asks is empty, and has no slab. */
HAK_COLD static struct hak_slab *gathered_slab(struct hak_heap *heap, unsigned bin,
                                               const struct hak_policy *policy) {
    const uint32_t units = 1u << (HAK_SUPERSLAB_SHIFT - HAK_GRANULE_SHIFT);
    hak_keep_gather(heap, units, units);
    return near_slab(heap, bin, policy);
}

/* SuperSlabs, of which there may be no memory, or somebody else's mappings where it should be. */
#define GROWN_TRIED 3

static struct hak_slab *find_slab(struct hak_heap *heap, unsigned bin, const struct hak_policy *policy) {
    struct hak_slab *slab = near_slab(heap, bin, policy);
    if (slab == NULL && policy->p0_no_drain) slab = ruled_slab(heap, bin, policy);
    if (slab != NULL) return slab;
    hak_heap_release_ruled(heap);
    slab = adopted_slab(heap, bin, RULED_NEAR, policy);
    if (slab != NULL) return slab;
    if (hak_range_keeps()) slab = gathered_slab(heap, bin, policy);
    if (slab != NULL) return slab;
    for (int tried = 0; tried < GROWN_TRIED && hak_heap_grow(heap, bin); tried++) {
        slab = hak_heap_new_slab(heap, bin);
        if (slab != NULL) return slab;
        hak_heap_release_empty(heap); /* the new one */
    }
    slab = ruled_slab(heap, bin, policy); /* there is no more memory */
    return slab != NULL ? slab : adopted_slab(heap, bin, UINT32_MAX, policy);
}

/* Makes another slab with free blocks the bin's current one; false: no memory. The old one is exhausted: it
 * comes back through a flush or a collect. */
static bool switch_slab(struct hak_heap *heap, unsigned bin, const struct hak_policy *policy) {
    struct hak_heap_class *class = &heap->classes[bin];
    if (class->current != NULL) {
        HAK_ASSERT(class->current->used == class->current->capacity);
        class->current->state = HAK_SLAB_FULL;
        class->current = NULL;
    }
    struct hak_slab *slab = find_slab(heap, bin, policy);
    if (slab == NULL) return false;
    slab->state = HAK_SLAB_CURRENT;
    class->current = slab;
    hak_hook_event(HAK_EVENT_SLAB_SWITCHED, slab);
    return true;
}

static uint32_t min_u32(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* A batch arrived: the bin must hold it and as much again, or the next free would flush it. */
static void bin_fill(struct hak_heap *heap, unsigned bin, struct hak_block *head, uint32_t count,
                     const struct hak_bin_policy *bounds) {
    struct hak_heap_class *class = &heap->classes[bin];
    uint32_t cap = class->cap < 2 * count ? min_u32(2 * count, bounds->cap_max) : class->cap;
    hak_bin_set(heap, bin, head, count, cap);
    class->batch = min_u32(class->batch * 2, bounds->batch_max);
    class->busy++;
    atomic_store_explicit(&class->count_shown, count, memory_order_relaxed);
}

bool hak_refill(struct hak_heap *heap, unsigned bin) {
    const struct hak_policy *policy = hak_policy();
    const struct hak_bin_policy *bounds = &policy->bins[bin];
    struct hak_heap_class *class = &heap->classes[bin];
    HAK_CHECK(hak_bin_first(heap, bin) == NULL && hak_bin_count(heap, bin) == 0);
    hak_tick(heap);
    if (hak_bin_first(heap, bin) != NULL) return true;
    uint32_t carve_max = policy->p0_enable ? min_u32(class->batch, bounds->batch_max) : 1;
    uint32_t take_max = policy->p0_enable ? bounds->cap_max / 2u : 1;
    for (;;) {
        struct hak_slab *slab = class->current; /* again after each switch */
        if (slab != NULL) {
            struct hak_block *head;
            struct counters before = counters_of(slab);
            enum hak_batch batch = HAK_BATCH_TAKE;
            uint32_t count = hak_slab_take(slab, take_max, &head);
            if (count == 0) {
                count = hak_slab_carve(slab, carve_max, &head);
                batch = HAK_BATCH_CARVE;
            }
            if (count > 0) {
                used_shown_add(slab, count);
                if (HAK_UNLIKELY(policy->p0_log))
                    log_batch(batch == HAK_BATCH_TAKE ? "take" : "carve", slab, count, before);
                hak_hook_batch(batch, slab, head, count);
                bin_fill(heap, bin, head, count, bounds);
                hak_hook_bin(heap, bin);
                return true;
            }
        }
        if (!switch_slab(heap, bin, policy)) return false;
    }
}

/* ---- flush ------------------------------------------------------------------------------------------- */

/* Blocks of one slab on their way home, in the order in which they were freed. */
struct run {
    struct hak_slab *slab;
    struct hak_block *head, *tail;
    uint32_t count;
    bool own;
};

#define SETS_LOG2 4
#define WAYS      4u /* runs in a set */
#define ALL_TAKEN ((1u << WAYS) - 1)
#define RUNS      (WAYS << SETS_LOG2)
/* 2^32 by the golden ratio: as multiples of it, neighbours and what lies powers of two apart get different sets. */
#define SPREAD 0x9e3779b1u

/* Runs of several slabs are gathered at once, so that each slab is written once and one CAS carries many blocks. */
struct runs {
    uint64_t open;               /* a bit a run, a set's first ones; what is not open has no meaning */
    uint32_t now;                /* milliseconds; 0: not asked yet */
    const struct hak_heap *heap; /* whose bin is flushed */
    struct run run[RUNS];
};

static void send_home(const struct run *run, const struct hak_policy *policy) {
    struct hak_slab *slab = run->slab;
    hak_hook_batch(HAK_BATCH_SEND, slab, run->head, run->count);
    if (hak_remote_push(slab, run->head, run->tail, run->count)) hak_home_notify(slab->home, slab);
    /* From here on the slab may be gone: its owner may have collected these blocks. */
    if (HAK_UNLIKELY(policy->p0_log)) {
        struct hak_text line;
        line.length = 0;
        hak_text_add(&line, "hakmem: p0 remote blocks ");
        hak_text_add_number(&line, run->count);
        hak_text_print(&line);
    }
}

static void put_own(struct runs *runs, const struct run *run, const struct hak_policy *policy) {
    struct hak_slab *slab = run->slab;
    HAK_ASSERT(hak_home_ruled_by(slab->home, runs->heap));
    struct counters before = {0};
    if (HAK_UNLIKELY(policy->p0_log)) before = counters_of(slab);
    hak_slab_put(slab, run->head, run->tail, run->count);
    used_shown_add(slab, -run->count);
    hak_hook_batch(HAK_BATCH_PUT, slab, run->head, run->count);
    if (HAK_UNLIKELY(policy->p0_log)) log_batch("flush", slab, run->count, before);
    struct hak_heap *owner = hak_heap_of_home(slab->home);
    if (slab->used == 0 && slab->state != HAK_SLAB_CURRENT) {
        if (slab->state == HAK_SLAB_PARTIAL) hak_heap_partial_remove(owner, slab);
        if (runs->now == 0) runs->now = hak_os_now_ms();
        hak_heap_drop_slab(owner, slab, runs->now);
    } else if (slab->state == HAK_SLAB_FULL) {
        hak_heap_partial_push(owner, slab);
    }
}

static void run_end(struct runs *runs, const struct run *run, const struct hak_policy *policy) {
    HAK_ASSERT(run->count > 0);
    if (run->own)
        put_own(runs, run, policy);
    else
        send_home(run, policy);
}

static inline void run_add(struct run *run, struct hak_block *block) {
    block->next = run->head; /* the bin is last in, first out: this restores the order of the frees */
    run->head = block;
    run->count++;
}

/* Adds a block to the run of its slab, and returns that run. If all places of its set are taken, the last one's ends. */
static struct run *runs_add(struct runs *runs, struct hak_slab *slab, bool own, struct hak_block *block,
                            const struct hak_policy *policy) {
    const unsigned set = hak_slab_first_granule(slab) * SPREAD >> (32 - SETS_LOG2);
    const unsigned taken = runs->open >> set * WAYS & ALL_TAKEN;
    struct run *run = &runs->run[set * WAYS];
    HAK_ASSERT((taken & (taken + 1)) == 0);
    for (unsigned left = taken; left != 0; left >>= 1, run++)
        if (run->slab == slab) {
            run_add(run, block);
            return run;
        }
    if (taken == ALL_TAKEN)
        run_end(runs, --run, policy);
    else
        runs->open |= (uint64_t)(taken + 1) << set * WAYS;
    /* The block's link stays: a circle that comes back to it while the run is open walks on, until it has seen too many. */
    *run = (struct run){.slab = slab, .head = block, .tail = block, .count = 1, .own = own};
    return run;
}

static void runs_end(struct runs *runs, const struct hak_policy *policy) {
    for (; runs->open != 0; runs->open &= runs->open - 1)
        run_end(runs, &runs->run[__builtin_ctzll(runs->open)], policy);
}

/* The slab of a block in a bin's list. The list lies in memory of the program: nothing of it is trusted. */
static inline struct hak_slab *list_block_slab(struct hak_block *block, unsigned bin) {
    if (HAK_LIKELY(hak_range_has(block)) && HAK_LIKELY(hak_header_of(block) == HAK_BIN_HEADER_FREE(bin))) {
        struct hak_slab *slab = hak_slab_find(block);
        if (HAK_LIKELY(slab != NULL && slab->bin == bin && hak_slab_owns(slab, block))) return slab;
    }
    hak_report_bad_list("free", block, bin);
}

uint32_t hak_flush(struct hak_heap *heap, unsigned bin, uint32_t keep) {
    const struct hak_policy *policy = hak_policy();
    const uint32_t count = hak_bin_count(heap, bin);
    struct runs runs;
    runs.open = 0;
    runs.now = 0;
    runs.heap = heap;
    /* Of the last block; most often of the next one, too. The slab stays while that block is in a run, or is kept. */
    struct hak_slab *slab = NULL;
    struct hak_places places = {.capacity = 0};
    bool own = false;
    struct run *run = NULL; /* NULL: not looked for yet */
    struct hak_block *kept_head = NULL, **kept_link = &kept_head;
    uint32_t kept = 0, others = 0, seen = 0;
    for (struct hak_block *block = hak_bin_first(heap, bin), *next; block != NULL; block = next, seen++) {
        if (!hak_places_has(&places, block) || hak_header_of(block) != HAK_BIN_HEADER_FREE(bin)) {
            slab = list_block_slab(block, bin);
            places = hak_slab_places(slab);
            own = hak_home_ruled_by(slab->home, heap);
            run = NULL;
        }
        next = block->next;
        if (HAK_UNLIKELY(seen == count)) hak_report_bad_list("free", block, bin); /* a circle */
        if (own && kept < keep) {
            *kept_link = block;
            kept_link = &block->next;
            kept++;
            continue;
        }
        others += !own;
        if (HAK_LIKELY(run != NULL))
            run_add(run, block);
        else
            run = runs_add(&runs, slab, own, block, policy);
    }
    HAK_CHECK(seen == count);
    *kept_link = NULL;
    hak_bin_set(heap, bin, kept_head, kept, heap->classes[bin].cap);
    runs_end(&runs, policy);
    atomic_store_explicit(&heap->classes[bin].count_shown, kept, memory_order_relaxed);
    hak_hook_bin(heap, bin);
    return others;
}

#define LARGE_LOTS_FROM 4u /* one block in so many goes home to others */

void hak_flush_full(struct hak_heap *heap, unsigned bin) {
    const struct hak_bin_policy *bounds = &hak_policy()->bins[bin];
    struct hak_heap_class *class = &heap->classes[bin];
    HAK_ASSERT(hak_bin_room(heap, HAK_BIN_HEADER(bin)) == 0);
    hak_tick(heap);
    const uint32_t count = class->cap; /* which another policy may have set */
    uint32_t others = hak_flush(heap, bin, min_u32(count, bounds->cap_own) / 2);
    uint32_t most = others >= count / LARGE_LOTS_FROM ? bounds->cap_max : bounds->cap_own;
    HAK_ASSERT(hak_bin_count(heap, bin) < most);
    hak_bin_set(heap, bin, hak_bin_first(heap, bin), hak_bin_count(heap, bin), min_u32(2 * count, most));
    class->busy++;
}

void hak_bin_reset(struct hak_heap *heap, unsigned bin, const struct hak_policy *policy) {
    HAK_CHECK(hak_bin_first(heap, bin) == NULL && hak_bin_count(heap, bin) == 0);
    hak_bin_set(heap, bin, NULL, 0, policy->bins[bin].cap_min);
    heap->classes[bin].batch = policy->bins[bin].batch_min;
}

void hak_bin_drop_current(struct hak_heap *heap, unsigned bin) {
    struct hak_slab *slab = heap->classes[bin].current;
    if (slab == NULL) return;
    heap->classes[bin].current = NULL;
    slab->state = HAK_SLAB_FULL;
    struct hak_heap *owner = hak_heap_of_home(slab->home);
    if (slab->used == 0)
        hak_heap_drop_slab(owner, slab, hak_os_now_ms());
    else if (slab->used < slab->capacity)
        hak_heap_partial_push(owner, slab);
}

void hak_bin_empty(struct hak_heap *heap, unsigned bin, const struct hak_policy *policy) {
    if (hak_bin_count(heap, bin) > 0) hak_flush(heap, bin, 0);
    hak_bin_drop_current(heap, bin);
    hak_bin_reset(heap, bin, policy);
}

void hak_flush_all(struct hak_heap *heap) {
    const struct hak_policy *policy = hak_policy();
    for (unsigned bin = 0; bin < HAK_BINS; bin++)
        hak_bin_empty(heap, bin, policy);
    hak_collect(heap);
}

void hak_free_without_heap(struct hak_block *block, unsigned bin) {
    struct hak_slab *slab = hak_slab_find(block);
    if (slab == NULL || slab->bin != bin || !hak_slab_owns(slab, block))
        hak_report_bad_pointer("free", block);
    hak_hook_free(block);
    hak_header_set(block, HAK_BIN_HEADER_FREE(bin));
    struct run run = {.slab = slab, .head = block, .tail = block, .count = 1};
    send_home(&run, hak_policy());
}
