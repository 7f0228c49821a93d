/* Transparent huge pages: where they are wanted, and how a purge keeps the kernel from making a
 * huge page again of what is left. */
#include "core/range_parts.h"

/* This many bytes at the range's start have no huge pages by default. Where the system gives huge
 * pages to all memory, a thread's first touch of a SuperSlab would make 2 MiB resident. A large
 * heap becomes faster by that, a small heap only larger. See docs/decisions/0013. */
#define SMALL_PAGES_BYTES ((size_t)256 << 20)

#define REGION_GRANULES   32u   /* a huge page of 2 MiB */
#define SMALL_REGIONS_MAX 8192u /* each may cost the kernel two mappings */

/* True if the kernel may use a huge page in this region. */
static bool region_is_huge(uint32_t region) {
    if (range->advice == HAK_ADVICE_HUGE_PAGES) return region >= HAK_GRANULE_FIRST;
    if (range->advice == HAK_ADVICE_SMALL_PAGES) return false;
    return (uintptr_t)hak_granule_address(region) >= range->blocks.start + SMALL_PAGES_BYTES &&
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

/* No region in [first, end) counts as advised against huge pages from here on. `tell`: the kernel
 * still has that advice, and gets the opposite one. */
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

/* A fresh mapping lacks the advice of the rest of the range, and would stay a kernel mapping of its
 * own. If the system refuses, nothing is lost. The first SuperSlab is advised when all of it is
 * committed: before, no huge page fits there, and a small program saves the call. */
void hak_huge_pages_advise(uintptr_t start, size_t bytes) {
    uintptr_t end = start + bytes, border = range->blocks.start + SMALL_PAGES_BYTES;
    const uintptr_t whole = (uintptr_t)hak_granule_address(HAK_GRANULE_FIRST + HAK_UNITS_MAX);
    HAK_ASSERT(start >= range->blocks.start && start < end);
    hak_huge_pages_unmapped(hak_granule_of((void *)start), hak_granule_of((void *)end));
    if (end < whole) return;
    if (start < whole) start = range->blocks.start;
    if (range->advice == HAK_ADVICE_DEFAULT && end > border) end = border;
    if (start < end)
        hak_os.huge_pages((void *)start, end - start, range->advice == HAK_ADVICE_HUGE_PAGES);
}
