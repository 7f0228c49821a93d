#include "core/collect.h"

#include "core/announced.h"
#include "core/batch_log.h"
#include "core/heap_slabs.h"
#include "core/hooks.h"
#include "core/remote.h"

static struct hak_block *list_tail(struct hak_block *head, uint32_t count) {
    HAK_ASSERT(count > 0);
    for (uint32_t i = 1; i < count; i++) {
        head = hak_block_next(head);
        HAK_CHECK(head != NULL);
    }
    return head;
}

/* Joins the taken remote list with the freelist. Walks the shorter of the two. */
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

/* Takes back the remote list of a slab whose notification has arrived. */
static void collect_slab(struct hak_heap *home_heap, struct hak_slab *slab,
                         const struct hak_policy *policy) {
    uint64_t word = hak_remote_take(slab);
    uint32_t count = hak_remote_word_count(word);
    HAK_CHECK(count > 0 && count <= slab->used);
    hak_used_shown_add(slab, -count);
    struct hak_counters before = hak_counters_of(slab);
    if (count == slab->used) {
        /* Every block is back: the slab is reset without a look at any block, and is carved
         * again in address order. */
        hak_hook_batch(HAK_BATCH_RESET, slab, hak_remote_word_head(word), count);
        hak_slab_reset(slab);
        if (HAK_UNLIKELY(policy->p0_log)) hak_log_batch("collect-all", slab, count, before);
        if (slab->state == HAK_SLAB_CURRENT) return;
        if (slab->state == HAK_SLAB_PARTIAL) hak_heap_partial_remove(home_heap, slab);
        hak_heap_drop_slab(home_heap, slab, hak_os_now_ms());
        return;
    }
    collect_join(slab, hak_remote_word_head(word), count);
    hak_hook_batch(HAK_BATCH_COLLECT, slab, hak_remote_word_head(word), count);
    if (HAK_UNLIKELY(policy->p0_log)) hak_log_batch("collect", slab, count, before);
    if (slab->state == HAK_SLAB_UNLISTED) hak_heap_partial_push(home_heap, slab);
}

void hak_collect_home(struct hak_heap *heap, const struct hak_policy *policy) {
    struct hak_slab *slab = hak_home_take_notified(&heap->home);
    while (slab != NULL) {
        /* read first: the collect may destroy the slab */
        struct hak_slab *next = slab->notify_next;
        HAK_CHECK(slab->home == &heap->home);
        collect_slab(heap, slab, policy);
        slab = next;
    }
}

void hak_collect(struct hak_heap *heap) {
    const struct hak_policy *policy = hak_policy();
    for (struct hak_heap *each = heap; each != NULL; each = each->next_reclaimed) {
        HAK_ASSERT(hak_home_owned_by(&each->home, heap));
        hak_collect_home(each, policy);
    }
}

void hak_collect_seized(struct hak_heap *heap) {
    const struct hak_policy *policy = hak_policy();
    for (struct hak_heap *each = heap; each != NULL; each = each->next_reclaimed) {
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
