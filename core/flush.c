#include "core/flush.h"

#include "core/batch_log.h"
#include "core/collect.h"
#include "core/heap_slabs.h"
#include "core/hooks.h"
#include "core/remote.h"
#include "core/report.h"

/* Blocks of one slab on their way home, in the order in which they were freed. */
struct chain {
    struct hak_slab *slab;
    struct hak_block *head, *tail;
    uint32_t count;
    bool own;
};

#define SETS_LOG2 4
#define WAYS      4u /* chains in a set */
#define ALL_TAKEN ((1u << WAYS) - 1)
#define CHAINS    (WAYS << SETS_LOG2)
/* 2^32 divided by the golden ratio. A multiplication by it gives different sets to neighbouring
 * slabs, and to slabs whose distance is a power of two. */
#define SPREAD 0x9e3779b1u

/* Chains of several slabs are gathered at the same time, so that each slab is written once and
 * one compare-and-swap carries many blocks. */
struct chains {
    /* A bit for each chain in use: the first chains of each set. The others have no meaning. */
    uint64_t open;
    uint32_t now;                /* milliseconds; 0: the clock was not read yet */
    const struct hak_heap *heap; /* the heap whose bin is flushed */
    struct chain chain[CHAINS];
};

static void send_home(const struct chain *chain, const struct hak_policy *policy) {
    struct hak_slab *slab = chain->slab;
    hak_hook_batch(HAK_BATCH_SEND, slab, chain->head, chain->count);
    if (hak_remote_push(slab, chain->head, chain->tail, chain->count))
        hak_home_notify(slab->home, slab);
    /* From here on the slab may not exist: its owner may have collected these blocks. */
    if (HAK_UNLIKELY(policy->p0_log)) hak_log_remote(chain->count);
}

static void put_own(struct chains *chains, const struct chain *chain,
                    const struct hak_policy *policy) {
    struct hak_slab *slab = chain->slab;
    HAK_ASSERT(hak_home_owned_by(slab->home, chains->heap));
    struct hak_counters before = {0};
    if (HAK_UNLIKELY(policy->p0_log)) before = hak_counters_of(slab);
    hak_slab_put(slab, chain->head, chain->tail, chain->count);
    hak_used_shown_add(slab, -chain->count);
    hak_hook_batch(HAK_BATCH_PUT, slab, chain->head, chain->count);
    if (HAK_UNLIKELY(policy->p0_log)) hak_log_batch("flush", slab, chain->count, before);
    struct hak_heap *home_heap = hak_heap_of_home(slab->home);
    if (slab->used == 0 && slab->state != HAK_SLAB_CURRENT) {
        if (slab->state == HAK_SLAB_PARTIAL) hak_heap_partial_remove(home_heap, slab);
        if (chains->now == 0) chains->now = hak_os_now_ms();
        hak_heap_drop_slab(home_heap, slab, chains->now);
    } else if (slab->state == HAK_SLAB_UNLISTED) {
        hak_heap_partial_push(home_heap, slab);
    }
}

static void chain_end(struct chains *chains, const struct chain *chain,
                      const struct hak_policy *policy) {
    HAK_ASSERT(chain->count > 0);
    if (chain->own)
        put_own(chains, chain, policy);
    else
        send_home(chain, policy);
}

static inline void chain_add(struct chain *chain, struct hak_block *block) {
    /* The bin is last in, first out: links in front restore the order of the frees. */
    block->next = chain->head;
    chain->head = block;
    chain->count++;
}

/* Adds a block to the chain of its slab, and returns that chain. If all chains of the set are in
 * use, the last one is sent home or put back first. */
static struct chain *chains_add(struct chains *chains, struct hak_slab *slab, bool own,
                                struct hak_block *block, const struct hak_policy *policy) {
    const unsigned set = hak_slab_first_granule(slab) * SPREAD >> (32 - SETS_LOG2);
    const unsigned taken = chains->open >> set * WAYS & ALL_TAKEN;
    struct chain *chain = &chains->chain[set * WAYS];
    HAK_ASSERT((taken & (taken + 1)) == 0);
    for (unsigned left = taken; left != 0; left >>= 1, chain++)
        if (chain->slab == slab) {
            chain_add(chain, block);
            return chain;
        }
    if (taken == ALL_TAKEN)
        chain_end(chains, --chain, policy);
    else
        chains->open |= (uint64_t)(taken + 1) << set * WAYS;
    /* The block's link stays as it is. If the list is a circle that comes back to this block
     * while the chain is open, the walk goes on until it has seen too many blocks. */
    *chain = (struct chain){.slab = slab, .head = block, .tail = block, .count = 1, .own = own};
    return chain;
}

static void chains_end(struct chains *chains, const struct hak_policy *policy) {
    for (; chains->open != 0; chains->open &= chains->open - 1)
        chain_end(chains, &chains->chain[__builtin_ctzll(chains->open)], policy);
}

/* The slab of a block in a bin's list. The list lies in memory that the program can write to, so
 * each block is checked. */
static inline struct hak_slab *list_block_slab(struct hak_block *block, unsigned bin) {
    if (HAK_LIKELY(hak_range_has(block)) &&
        HAK_LIKELY(hak_header_of(block) == HAK_CLASS_HEADER_FREE(bin))) {
        struct hak_slab *slab = hak_slab_find(block);
        if (HAK_LIKELY(slab != NULL && slab->class == bin && hak_slab_has(slab, block)))
            return slab;
    }
    hak_report_bad_list("free", block, bin);
}

uint32_t hak_flush(struct hak_heap *heap, unsigned bin, uint32_t keep) {
    const struct hak_policy *policy = hak_policy();
    const uint32_t count = hak_bin_count(heap, bin);
    struct chains chains;
    chains.open = 0;
    chains.now = 0;
    chains.heap = heap;
    /* These are of the last block, and most often of the next one, too. The slab cannot be
     * destroyed while the last block is in a chain or is kept. */
    struct hak_slab *slab = NULL;
    struct hak_places places = {.capacity = 0};
    bool own = false;
    struct chain *chain = NULL; /* NULL: not looked for yet */
    struct hak_block *kept_head = NULL, **kept_link = &kept_head;
    uint32_t kept = 0, others = 0, seen = 0;
    for (struct hak_block *block = hak_bin_first(heap, bin), *next; block != NULL;
         block = next, seen++) {
        if (!hak_places_has(&places, block) || hak_header_of(block) != HAK_CLASS_HEADER_FREE(bin)) {
            slab = list_block_slab(block, bin);
            places = hak_slab_places(slab);
            own = hak_home_owned_by(slab->home, heap);
            chain = NULL;
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
        if (HAK_LIKELY(chain != NULL))
            chain_add(chain, block);
        else
            chain = chains_add(&chains, slab, own, block, policy);
    }
    HAK_CHECK(seen == count);
    *kept_link = NULL;
    hak_bin_set(heap, bin, kept_head, kept, heap->classes[bin].limit);
    chains_end(&chains, policy);
    atomic_store_explicit(&heap->classes[bin].count_shown, kept, memory_order_relaxed);
    hak_hook_bin(heap, bin);
    return others;
}

/* a quarter of the blocks went home to others: the limit may rise to limit_max */
#define REMOTE_SHARE_FOR_LIMIT_MAX 4u

void hak_flush_full(struct hak_heap *heap, unsigned bin) {
    const struct hak_bin_bounds *bounds = &hak_policy()->bins[bin];
    struct hak_heap_class *class = &heap->classes[bin];
    HAK_ASSERT(hak_bin_free_capacity(heap, HAK_CLASS_HEADER(bin)) == 0);
    const uint32_t count = class->limit; /* maybe set by an earlier policy */
    uint32_t others = hak_flush(heap, bin, hak_min_u32(count, bounds->limit_own) / 2);
    uint32_t most =
        others >= count / REMOTE_SHARE_FOR_LIMIT_MAX ? bounds->limit_max : bounds->limit_own;
    HAK_ASSERT(hak_bin_count(heap, bin) < most);
    hak_bin_set(heap, bin, hak_bin_first(heap, bin), hak_bin_count(heap, bin),
                hak_min_u32(2 * count, most));
    class->batches++;
}

void hak_bin_reset(struct hak_heap *heap, unsigned bin, const struct hak_policy *policy) {
    HAK_CHECK(hak_bin_first(heap, bin) == NULL && hak_bin_count(heap, bin) == 0);
    hak_bin_set(heap, bin, NULL, 0, policy->bins[bin].limit_min);
    heap->classes[bin].carve_next = policy->bins[bin].carve_min;
}

void hak_bin_drop_current(struct hak_heap *heap, unsigned bin) {
    struct hak_slab *slab = heap->classes[bin].current;
    if (slab == NULL) return;
    heap->classes[bin].current = NULL;
    slab->state = HAK_SLAB_UNLISTED;
    struct hak_heap *home_heap = hak_heap_of_home(slab->home);
    if (slab->used == 0)
        hak_heap_drop_slab(home_heap, slab, hak_os_now_ms());
    else if (slab->used < slab->capacity)
        hak_heap_partial_push(home_heap, slab);
}

void hak_bin_trim(struct hak_heap *heap, unsigned bin, const struct hak_policy *policy) {
    if (hak_bin_count(heap, bin) > 0) hak_flush(heap, bin, 0);
    hak_bin_drop_current(heap, bin);
    hak_bin_reset(heap, bin, policy);
}

void hak_flush_all(struct hak_heap *heap) {
    const struct hak_policy *policy = hak_policy();
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        hak_bin_trim(heap, bin, policy);
    hak_collect(heap);
}

void hak_flush_for_kept_span(struct hak_heap *heap, uint32_t granules, uint32_t align) {
    if (!hak_span_is_kept(granules, align)) hak_flush_all(heap);
}

void hak_free_without_heap(struct hak_block *block, unsigned bin) {
    struct hak_slab *slab = hak_slab_find(block);
    if (slab == NULL || slab->class != bin || !hak_slab_has(slab, block))
        hak_report_bad_pointer("free", block);
    hak_hook_free(block);
    hak_header_set(block, HAK_CLASS_HEADER_FREE(bin));
    struct chain chain = {.slab = slab, .head = block, .tail = block, .count = 1};
    send_home(&chain, hak_policy());
}
