/* Phases of the seeded driver: one thread. */
#ifndef HAK_VERIFY_SEEDED_ONE_THREAD_H
#define HAK_VERIFY_SEEDED_ONE_THREAD_H

#include "driver.h"

static void phase_single(void) {
    static struct slot slots[SLOTS];
    uint64_t random = seed;
    for (int round = 0; round < 24000; round++) {
        struct slot *slot = &slots[test_random_below(&random, SLOTS)];
        size_t size = any_size(&random, SIZE_MAX);
        switch (test_random_below(&random, 8)) {
        case 0:
            slot_give(slot);
            slot_take_zeroed(slot, size);
            break;
        case 1:
            slot_give(slot);
            slot_take_aligned(slot, (size_t)16 << test_random_below(&random, 13), size);
            break;
        case 2:
            if (slot->block != NULL) slot_resize(slot, size);
            break;
        default:
            if (slot->block == NULL)
                slot_take(slot, size);
            else
                slot_give(slot);
        }
        if (round % 4000 == 100) prove_running();
    }
    for (size_t i = 0; i < SLOTS; i++)
        slot_give(&slots[i]);
}

/* Fills and empties several slabs of each class, in several orders. */
static void phase_batch(void) {
    uint64_t random = seed;
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++) {
        size_t size = hak_classes[bin].stride - 1;
        size_t count =
            batch_count(bin, hak_tier_of_class(bin) == HAK_TIER_POOL ? 1200 << 10 : 200 << 10);
        for (int order = 0; order < 3; order++) {
            for (size_t i = 0; i < count; i++)
                slot_take(&batch[i], size);
            for (size_t i = 0; i < count; i++) {
                size_t other = test_random_below(&random, count);
                if (order == 0) slot_give(&batch[i]);
                if (order == 1) slot_give(&batch[count - 1 - i]);
                if (order == 2) slot_give(&batch[other]);
                if (order == 2 && i % 3 == 0 && batch[other].block == NULL)
                    slot_take(&batch[other], size);
            }
            for (size_t i = 0; i < count; i++)
                slot_give(&batch[i]);
            if (bin % 4 == 0) prove_running();
        }
    }
}

/* Blocks of other classes use the memory of one class again. */
static void phase_recycle(void) {
    static const unsigned bins[] = {4, 9, 40, 1, 15, 33, 20, 12, 42, 17, 2, 31, 47, 0};
    for (size_t round = 0; round < 2 * TEST_COUNT(bins); round++) {
        unsigned bin = bins[round % TEST_COUNT(bins)];
        size_t count = batch_count(bin, 5 << 20);
        for (size_t i = 0; i < count; i++)
            slot_take(&batch[i], hak_classes[bin].stride - 1);
        for (size_t i = 0; i < count; i++)
            slot_give(&batch[i]);
        if (round % 5 == 4) prove_running();
        if (round % 5 == 1) hak_malloc_trim(0);
    }
}

static void phase_zero(void) {
    struct slot slot;
    for (size_t size = 1; size < 6000000; size = size * 9 / 8 + 1)
        for (int round = 0; round < 3; round++) {
            slot_take(&slot, size);
            slot_give(&slot);
            slot_take_zeroed(&slot, size);
            slot_give(&slot);
        }
}

static void phase_resize(void) {
    uint64_t random = seed;
    struct slot slot, other;
    slot_take(&slot, 1);
    for (size_t size = 1; size < 24000000; size = size * 5 / 4 + 1)
        slot_resize(&slot, size);
    for (size_t size = 24000000; size > 1; size = size * 3 / 4)
        slot_resize(&slot, size);
    slot_give(&slot);
    for (int round = 0; round < 40; round++) { /* `other` is in the way: pages are moved */
        slot_take_aligned(&slot, (size_t)16 << test_random_below(&random, 13), 200000);
        slot_take(&other, 300000);
        slot_resize(&slot, 700000 + test_random_below(&random, 2000000));
        slot_resize(&other, 100000);
        slot_give(&slot);
        slot_give(&other);
    }
    for (int round = 0; round < 3000; round++) {
        slot_take(&slot, any_size(&random, 100000));
        slot_resize(&slot, any_size(&random, 100000));
        slot_give(&slot);
    }
}

/* Ages are right at any time. The clock wraps each 49 days. */
static void phase_clock(void) {
    const uint32_t hour = 3600000, month = 30u * 24 * 3600000;
    uint64_t random = seed;
    for (int round = 0; round < 1000; round++) {
        uint32_t now = (uint32_t)test_random(&random);
        EXPECT(hak_is_older(now, now, 0) && !hak_is_older(now, now, 1), "now, at %u", now);
        EXPECT(!hak_is_older(now + 1, now, 0), "a time to come is old at %u", now);
        EXPECT(hak_is_older(now - hour, now, hour) && !hak_is_older(now - hour + 1, now, hour),
               "an hour, at %u", now);
        EXPECT(hak_is_older(now - month, now, hour), "a month is no hour at %u", now);
    }
}

/* Free units hold their memory for the purge delay, whether or not slabs come and go beside them,
 * and for twice the purge delay at most. */
static void phase_wait(void) {
    struct hak_slab *slabs[32] = {0};
    struct hak_superslab *ss =
        hak_superslab_create_from_range(&hak_thread_heap()->home, HAK_SUPERSLAB_SHIFT, false);
    EXPECT(ss != NULL && ss->units == TEST_COUNT(slabs), "no SuperSlab");
    const uint32_t delay = 100;
    /* Whenever the SuperSlab was looked at before, that is long ago from here on. */
    hak_clock_passes(2 * delay);
    const uint32_t began = hak_os_now_ms();
    for (unsigned i = 0; i < ss->units; i++)
        slabs[i] = hak_slab_create(ss, 3, 1u << i);
    EXPECT(hak_superslab_purge(ss, began, delay, NULL, NULL) == 0, "a unit in use is purged");
    for (unsigned i = 1; i < ss->units; i++)
        hak_slab_destroy(slabs[i], began);
    for (uint32_t now = began, steps = 0; steps < 12; steps++, now += delay / 4) {
        count_operation();
        hak_slab_destroy(slabs[0], now);
        hak_superslab_purge(ss, now, delay, NULL, NULL);
        EXPECT((ss->dirty_mask & 1) != 0, "one that was just given up holds no memory");
        if (steps < 4) EXPECT(ss->dirty_mask == UINT32_MAX, "only %#x wait", ss->dirty_mask);
        slabs[0] = hak_slab_create(ss, 3, 1);
        EXPECT(hak_superslab_purge(ss, now, delay, NULL, NULL) == 0, "looked at twice at one time");
    }
    EXPECT(ss->dirty_mask == 0, "%#x still hold memory", ss->dirty_mask);
    hak_slab_destroy(slabs[0], began);
    hak_superslab_destroy(ss, 0);
}

/* Blocks in slabs, for whose SuperSlabs the cache cuts aligned granules out of freed large
 * blocks. */
static void slabs_out_of_the_cache(void) {
    static void *blocks[40000];
    struct hak_superslab *ss =
        hak_superslab_create(&hak_thread_heap()->home, HAK_SUPERSLAB_SHIFT, false);
    EXPECT(ss != NULL && ss->dirty_mask == ss->usable_mask, "units %#x were large blocks' memory",
           ss->dirty_mask);
    hak_superslab_destroy(ss, 0);
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        blocks[i] = hak_malloc(test_opaque(100));
    prove_running();
    for (size_t i = 0; i < TEST_COUNT(blocks); i++)
        hak_free(blocks[i]);
    prove_running();
}

static void phase_cache(void) {
    struct slot slots[40] = {{0}};
    uint64_t random = seed;
    for (int round = 0; round < 3000; round++) {
        struct slot *slot = &slots[test_random_below(&random, TEST_COUNT(slots))];
        size_t size = 60000 + 65536 * test_random_below(&random, round % 16 == 0 ? 40 : 8);
        if (slot->block == NULL)
            slot_take(slot, size);
        else if (round % 3 == 0)
            slot_resize(slot, size);
        else
            slot_give(slot);
        if (round % 500 == 0) prove_running();
    }
    for (size_t i = 0; i < TEST_COUNT(slots); i++)
        slot_give(&slots[i]);
    prove_running();
    EXPECT(hak_cache_bytes() > 0, "freed large blocks were not kept");
    slabs_out_of_the_cache();
    hak_mallopt(M_TRIM_THRESHOLD, 4 << 20);
    for (size_t i = 0; i < TEST_COUNT(slots); i++)
        slot_take(&slots[i], 900000);
    for (size_t i = 0; i < TEST_COUNT(slots); i++)
        slot_give(&slots[i]);
    EXPECT(hak_cache_bytes() <= 4 << 20, "%zu bytes are kept of at most 4 MiB", hak_cache_bytes());
    hak_mallopt(M_TRIM_THRESHOLD, 128 << 20);
}

#define KEPT_BYTES ((size_t)32 << 20)

/* The range keeps its memory because of mallopt. The memory stays resident, serves blocks of all
 * sizes, is not taken for zero, and goes back when mallopt ends this. */
static void phase_kept(void) {
    struct slot slots[40] = {{0}};
    uint64_t random = seed;
    hak_mallopt(M_MMAP_MAX, 0);
    hak_mallopt(M_TRIM_THRESHOLD, -1);
    slot_take(&slots[0], KEPT_BYTES);
    size_t before = resident_mb();
    slot_give(&slots[0]);
    hak_clock_passes(3000);
    for (int round = 0; round < 2000; round++) {
        struct slot *slot = &slots[test_random_below(&random, TEST_COUNT(slots))];
        size_t size = any_size(&random, round % 8 == 0 ? 3000000 : 60000);
        if (slot->block != NULL && round % 3 == 0)
            slot_resize(slot, size);
        else if (slot->block != NULL)
            slot_give(slot);
        else if (round % 2 == 0)
            slot_take_zeroed(slot, size);
        else
            slot_take(slot, size);
        if (round % 500 == 0) prove_running();
    }
    for (size_t i = 0; i < TEST_COUNT(slots); i++)
        slot_give(&slots[i]);
    if (memory_is_ours())
        EXPECT(resident_mb() + 2 > before, "%zu MiB of %zu are kept", resident_mb(), before);
    hak_mallopt(M_MMAP_MAX, 1);
    hak_mallopt(M_TRIM_THRESHOLD, 128 << 20);
    hak_malloc_trim(0);
    EXPECT(hak_range_kept() == 0, "%zu bytes are kept", hak_range_kept());
    if (memory_is_ours())
        EXPECT(resident_mb() + (KEPT_BYTES >> 20) < before + 8, "%zu MiB of %zu have not gone back",
               resident_mb(), before);
}

/* Limits of an eighth, but at least 2. The bins that fill_bins used are full when the new limits
 * take effect. */
static const struct hak_policy *lower_policy(void) {
    static struct hak_policy lower;
    lower = *hak_policy();
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++) {
        struct hak_bin_bounds *bounds = &lower.bins[bin];
        bounds->limit_max = bounds->limit_max < 16 ? 2 : bounds->limit_max / 8;
        if (bounds->limit_min > bounds->limit_max) bounds->limit_min = bounds->limit_max;
        if (bounds->limit_own > bounds->limit_max) bounds->limit_own = bounds->limit_max;
        if (bounds->carve_max > bounds->limit_max) bounds->carve_max = bounds->limit_max;
        if (bounds->carve_min > bounds->carve_max) bounds->carve_min = bounds->carve_max;
    }
    return &lower;
}

#define POLICY_BLOCKS 8000
static void fill_bins(void) {
    static void *blocks[POLICY_BLOCKS];
    static const size_t sizes[] = {40, 200, 1000, 3000, 9000};
    for (size_t kind = 0; kind < TEST_COUNT(sizes); kind++) {
        size_t count = POLICY_BLOCKS / (1 + sizes[kind] / 100);
        for (size_t i = 0; i < count; i++) {
            count_operation();
            blocks[i] = hak_malloc(sizes[kind]);
        }
        for (size_t i = 0; i < count; i++) {
            count_operation();
            hak_free(blocks[i]);
        }
    }
}

static void phase_policy(void) {
    const struct hak_policy *before = hak_policy();
    fill_bins();
    hak_policy_replace(lower_policy());
    fill_bins();
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        EXPECT(hak_bin_count(hak_thread_heap(), bin) <= before->bins[bin].limit_max,
               "a bin of class %u holds %u blocks", bin, hak_bin_count(hak_thread_heap(), bin));
    prove_running();
    hak_policy_replace(before);
    fill_bins();
}

#define TRIM_BLOCKS 48000
static void phase_trim(void) {
    static void *blocks[TRIM_BLOCKS];
    size_t before = resident_mb();
    for (size_t i = 0; i < TRIM_BLOCKS; i++) {
        count_operation();
        blocks[i] = hak_malloc(1000);
        EXPECT(blocks[i] != NULL, "1000 bytes refused");
        memset(blocks[i], 7, 1000);
    }
    size_t full = resident_mb();
    struct slot kept[20];
    for (size_t i = 0; i < TEST_COUNT(kept); i++)
        slot_take(&kept[i], 700);
    for (size_t i = 0; i < TRIM_BLOCKS; i++)
        hak_free(blocks[i]);
    hak_malloc_trim(0);
    size_t after = resident_mb();
    for (size_t i = 0; i < TEST_COUNT(kept); i++)
        slot_give(&kept[i]);
    if (memory_is_ours())
        EXPECT(full - after > (full - before) / 2, "%zu MiB, then %zu, after a trim %zu", before,
               full, after);
}

/* Of many blocks a few stay live, again and again: a trim purges the free pages between them, and
 * the blocks there come again. */
static void phase_holes(void) {
    uint64_t random = seed;
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++) {
        const size_t size = hak_classes[bin].stride - 1,
                     count = batch_count(bin, hak_tier_of_class(bin) == HAK_TIER_POOL ? 1200 << 10
                                                                                      : 200 << 10);
        for (int round = 0; round < 2; round++) {
            for (size_t i = 0; i < count; i++)
                if (batch[i].block == NULL) slot_take(&batch[i], size);
            for (size_t i = 0; i < count; i++)
                if (test_random_below(&random, 20) != 0) slot_give(&batch[i]);
            hak_malloc_trim(0);
            if (bin % 4 == 0) prove_running();
        }
        for (size_t i = 0; i < count; i++)
            if (i % 3 != 0 && batch[i].block == NULL) slot_take(&batch[i], size);
        if (bin % 4 == 0) prove_running();
        for (size_t i = 0; i < count; i++)
            slot_give(&batch[i]);
    }
}

/* Requests that no machine can serve. */
static void phase_impossible(void) {
    size_t half = test_opaque(SIZE_MAX / 2 + 2);
    void *block = hak_malloc(100);
    EXPECT(hak_malloc(test_opaque(SIZE_MAX)) == NULL, "malloc of everything");
    EXPECT(hak_malloc(test_opaque(SIZE_MAX - 15)) == NULL, "malloc of nearly everything");
    EXPECT(hak_calloc(half, 2) == NULL, "calloc of a product that overflows");
    EXPECT(hak_reallocarray(block, half, 2) == NULL, "reallocarray of a product that overflows");
    EXPECT(hak_aligned_alloc(64, test_opaque(SIZE_MAX - 30)) == NULL,
           "aligned_alloc of nearly everything");
    EXPECT(hak_pvalloc(test_opaque(SIZE_MAX - 30)) == NULL, "pvalloc of nearly everything");
    hak_free(block);
}

#endif
