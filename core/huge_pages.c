/* Transparent huge pages: where they are wanted, and how those that were given back stay away. */
#include "core/range_parts.h"

/* So much of the range has no huge pages. Where the system gives them to all, each SuperSlab that a thread touches would be
 * 2 MiB resident at once; a large heap gains speed by that, a small one only size. */
#define SMALL_PAGES_BYTES ((size_t)256 << 20)

#define REGION_GRANULES   32u   /* a huge page of 2 MiB */
#define SMALL_REGIONS_MAX 8192u /* each costs the kernel two mappings */

/* Huge pages may come where the memory of this region is. */
static bool region_is_huge(uint32_t region) {
    if (range->advice == HAK_ADVICE_HUGE_PAGES) return region >= HAK_GRANULE_FIRST;
    if (range->advice == HAK_ADVICE_SMALL_PAGES) return false;
    return (uintptr_t)hak_granule_address(region) >= range->heap.start + SMALL_PAGES_BYTES &&
           hak_os_huge_pages_for_all();
}

static void region_set_small(uint32_t region) {
    if (!region_is_huge(region) ||
        atomic_load_explicit(&range->small_regions, memory_order_relaxed) >= SMALL_REGIONS_MAX ||
        atomic_exchange_explicit(hak_region_is_small(region), 1, memory_order_relaxed) != 0)
        return;
    atomic_fetch_add_explicit(&range->small_regions, 1, memory_order_relaxed);
    hak_os.huge_pages(hak_granule_address(region), REGION_GRANULES * HAK_GRANULE, false);
}

/* Those of the regions in [first, end) that have small pages have not any more; `tell`: the kernel does not know. */
static void regions_forget(uint32_t first, uint32_t end, bool tell) {
    if (atomic_load_explicit(&range->small_regions, memory_order_relaxed) == 0) return;
    first = (uint32_t)hak_round_up(first, REGION_GRANULES);
    for (uint32_t region = first; region + REGION_GRANULES <= end; region += REGION_GRANULES) {
        if (atomic_load_explicit(hak_region_is_small(region), memory_order_relaxed) == 0 ||
            atomic_exchange_explicit(hak_region_is_small(region), 0, memory_order_relaxed) == 0)
            continue;
        atomic_fetch_sub_explicit(&range->small_regions, 1, memory_order_relaxed);
        if (tell)
            hak_os.huge_pages(hak_granule_address(region), REGION_GRANULES * HAK_GRANULE, true);
    }
}

void hak_range_used(uint32_t first, uint32_t count) {
    HAK_CHECK(first > 0 && count > 0);
    if (range->advice == HAK_ADVICE_HUGE_PAGES) regions_forget(first, first + count, true);
}

/* What is mapped there next has no advice. */
void hak_huge_pages_unmapped(uint32_t first, uint32_t end) {
    regions_forget(first, end, false);
}

bool hak_range_purge_part(void *start, size_t bytes) {
    if (!hak_os.purge(start, bytes)) return false;
    if (range->advice == HAK_ADVICE_SMALL_PAGES) return true;
    const uintptr_t end = (uintptr_t)start + bytes;
    uint32_t first = hak_granule_of(start), last = hak_granule_of((void *)(end - 1));
    uint32_t low = first & ~(REGION_GRANULES - 1), high = last & ~(REGION_GRANULES - 1);
    if ((uintptr_t)start != (uintptr_t)hak_granule_address(low)) region_set_small(low);
    if (end != (uintptr_t)hak_granule_address(high + REGION_GRANULES)) region_set_small(high);
    return true;
}

/* Fresh mappings know nothing of what the rest of the range was advised, and would be mappings
 * of their own for ever. No loss if the system refuses. The first SuperSlab waits until it is
 * whole: before that no huge page has room there, and a small program makes no such call. */
void hak_huge_pages_advise(uintptr_t start, size_t bytes) {
    uintptr_t end = start + bytes, border = range->heap.start + SMALL_PAGES_BYTES;
    const uintptr_t whole = (uintptr_t)hak_granule_address(HAK_GRANULE_FIRST + HAK_UNITS_MAX);
    HAK_ASSERT(start >= range->heap.start && start < end);
    hak_huge_pages_unmapped(hak_granule_of((void *)start), hak_granule_of((void *)end));
    if (end < whole) return;
    if (start < whole) start = range->heap.start;
    if (range->advice == HAK_ADVICE_DEFAULT && end > border) end = border;
    if (start < end)
        hak_os.huge_pages((void *)start, end - start, range->advice == HAK_ADVICE_HUGE_PAGES);
}
