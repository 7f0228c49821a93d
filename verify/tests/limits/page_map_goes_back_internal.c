/* The page map has an entry of 64 bytes for each 64 KiB, which is 1 MiB for each GiB. The memory of
 * the entries that a burst has used goes back with the burst, in whatever order the burst is freed.
 * The entries of spans in use stay as they were. */
#define TEST_LINKED
#include "../test.h"

#include <sys/mman.h>

#include "core/spans.h"
#include "verify/heap_check.h"

#define RUNS     300
#define GRANULES 32

static uint32_t runs[RUNS];

/* The number of resident pages that have page map entries of [first, until). */
static size_t slot_pages(uint32_t first, uint32_t until) {
    static unsigned char resident[4096];
    size_t page = hak_os_page_size(), count = 0;
    uintptr_t from = (uintptr_t)hak_map_entry(first) & ~(page - 1);
    size_t pages = ((uintptr_t)hak_map_entry(until) - from + page - 1) / page;
    CHECK(pages <= TEST_COUNT(resident), "%zu pages", pages);
    CHECK(mincore((void *)from, pages * page, resident) == 0, "mincore");
    for (size_t i = 0; i < pages; i++)
        count += resident[i] & 1;
    return count;
}

/* Takes spans and fills their page map entries, as slabs do, but touches no block's memory. */
static void take(void) {
    for (size_t i = 0; i < RUNS; i++) {
        runs[i] = hak_span_alloc(GRANULES, GRANULES);
        CHECK(runs[i] != 0, "no run");
        for (uint32_t granule = runs[i]; granule < runs[i] + GRANULES; granule++)
            memset(hak_map_entry(granule), 7, HAK_MAP_ENTRY_SIZE - 1);
    }
}

static void give(size_t i) {
    hak_span_free(runs[i], GRANULES, false);
    runs[i] = 0;
}

static void goes_back(uint64_t order) {
    struct hak_heap_check check;
    uint32_t low = UINT32_MAX, high = 0;
    take();
    for (size_t i = 0; i < RUNS; i++) {
        if (runs[i] < low) low = runs[i];
        if (runs[i] > high) high = runs[i];
    }
    size_t before = slot_pages(low, high + GRANULES);
    for (size_t i = RUNS - 1; i > 0 && order > 1; i--) {
        size_t other = test_random_below(&order, i + 1);
        uint32_t run = runs[i];
        runs[i] = runs[other];
        runs[other] = run;
    }
    for (size_t i = 0; i < RUNS; i++)
        give(order == 1 ? RUNS - 1 - i : i);
    size_t after = slot_pages(low, high + GRANULES);
    CHECK(before >= (size_t)RUNS * GRANULES * HAK_MAP_ENTRY_SIZE / hak_os_page_size(),
          "%zu pages were used", before);
    CHECK(after <= 3, "%zu of %zu pages of slots stay", after, before);
    CHECK(hak_check_heap(&check), "%zu equations do not hold", check.faults);
}

/* One span in ten stays in use. Its page map entries keep their contents. */
static void some_stay(void) {
    struct hak_heap_check check;
    take();
    for (size_t i = 0; i < RUNS; i++)
        if (i % 10 != 0) give(i);
    for (size_t i = 0; i < RUNS; i += 10) {
        CHECK(runs[i] != 0, "run %zu", i);
        for (uint32_t granule = runs[i]; granule < runs[i] + GRANULES; granule++) {
            const unsigned char *slot = hak_map_entry(granule);
            for (size_t byte = 0; byte < HAK_MAP_ENTRY_SIZE - 1; byte++)
                CHECK(slot[byte] == 7, "slot %u, byte %zu is %d", granule, byte, slot[byte]);
        }
    }
    for (size_t i = 0; i < RUNS; i += 10)
        give(i);
    CHECK(hak_check_heap(&check), "%zu equations do not hold", check.faults);
}

int main(void) {
    hak_free(hak_malloc(test_opaque(100)));
    void *live = hak_malloc(test_opaque(100000));
    goes_back(0);
    goes_back(1);
    goes_back(12345);
    some_stay();
    hak_free(live);
    return test_ok("slots go back with their memory");
}
