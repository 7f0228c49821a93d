/* While memory is kept, freed memory lies in the range as dirty free spans. It is taken before free
 * spans without memory, and is not taken for zero. The caches are empty. When memory is no longer
 * kept, it goes back to the system, and reads as zero then. A child of fork goes on with kept
 * memory. Holes stay holes meanwhile, and no more holes are made. */
#define TEST_LINKED
#include "../process.h"

#include <sys/mman.h>
#include <sys/wait.h>

#include "core/cache.h"
#include "core/large.h"
#include "core/superslab.h"
#include "verify/heap_check.h"

#define BLOCK (16 * MIB)

static void whole(const char *when) {
    struct hak_heap_check check;
    CHECK(hak_check_heap(&check), "%s: %zu equations do not hold", when, check.faults);
}

static void keep(bool keeps) {
    CHECK(hak_mallopt(M_TRIM_THRESHOLD, -1) == 1 &&
              hak_mallopt(M_MMAP_MAX, keeps ? 0 : 1 << 16) == 1,
          "mallopt");
    CHECK(hak_range_keeps() == keeps, "the range keeps its memory: %d", hak_range_keeps());
}

static char *written(size_t size) {
    char *block = hak_malloc(size);
    CHECK(block != NULL, "no block of %zu bytes", size);
    return memset(block, 1, size);
}

static bool reads_zero(const char *from, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (from[i] != 0) return false;
    return true;
}

static void lies_in_the_range(void) {
    char *block = written(BLOCK), *behind = written(MIB);
    uint32_t first = hak_granule_of(block);
    size_t before = hak_range_kept(), resident = process_resident();
    hak_free(block);
    CHECK(process_resident() + MIB > resident, "resident %zu before a free, %zu after", resident,
          process_resident());
    CHECK(hak_range_kept() >= before + BLOCK, "%zu bytes kept, %zu before", hak_range_kept(),
          before);
    CHECK(hak_cache_bytes() == 0, "%zu bytes are in the cache", hak_cache_bytes());
    CHECK(hak_kind_of(first) == HAK_KIND_FREE_SPAN, "kind %d", (int)hak_kind_of(first));
    whole("freed");
    uint32_t run = hak_span_alloc(BLOCK >> HAK_GRANULE_SHIFT, 1);
    CHECK(run == first && hak_span_is_dirty(run), "run %u, not %u", run, first);
    hak_span_free(run, BLOCK >> HAK_GRANULE_SHIFT, false);
    hak_free(behind);
    whole("and what was behind it");
}

/* A free span without memory is taken only if no span with memory is long enough. */
static void goes_first(void) {
    char *block = written(BLOCK), *behind = written(MIB);
    const uint32_t units = BLOCK >> HAK_GRANULE_SHIFT;
    hak_free(block);
    for (uint32_t count = 1; count <= units; count *= 2) {
        uint32_t run = hak_span_alloc(count, count <= 32 ? count : 1);
        CHECK(run != 0 && hak_span_is_dirty(run), "run %u of %u holds no memory", run, count);
        hak_span_free(run, count, false);
    }
    CHECK(!hak_span_is_kept(1 << 14, 1), "a GiB is kept");
    hak_free(behind);
}

static void serves_all_sizes(void) {
    static char *few[1000];
    for (size_t i = 0; i < TEST_COUNT(few); i++)
        few[i] = written(1 + i * 97);
    whole("blocks of all tiers");
    for (size_t i = 0; i < TEST_COUNT(few); i++) {
        few[i] = hak_realloc(few[i], 1 + (TEST_COUNT(few) - i) * 97);
        CHECK(few[i] != NULL && few[i][0] == 1, "block %zu", i);
    }
    whole("resized");
    for (size_t i = 0; i < TEST_COUNT(few); i++)
        hak_free(few[i]);
    whole("freed");
}

static void is_not_zero(void) {
    hak_free(written(BLOCK));
    char *block = hak_calloc(1, BLOCK - 100000);
    CHECK(block != NULL && reads_zero(block, BLOCK - 100000), "calloc");
    hak_free(block);
}

/* Pages that the program has made inaccessible are not kept: fresh pages replace them. */
static void replaces_what_is_marked(void) {
    char *block = written(BLOCK), *page = block - HAK_ALIGNMENT + HAK_GRANULE;
    const uint32_t first = hak_granule_of(block);
    CHECK(mprotect(page, HAK_GRANULE, PROT_NONE) == 0, "mprotect: errno %d", errno);
    hak_large_mark_pages(page, HAK_GRANULE);
    const size_t before = hak_range_kept();
    hak_free(block);
    CHECK(hak_range_kept() >= before + BLOCK, "%zu bytes kept, %zu before", hak_range_kept(),
          before);
    whole("a marked block is freed");
    block = written(BLOCK);
    CHECK(hak_granule_of(block) == first, "granule %u, not %u", hak_granule_of(block), first);
    hak_free(block);
}

static void child_goes_on(void) {
    hak_free(written(BLOCK));
    pid_t child = fork();
    CHECK(child >= 0, "fork: errno %d", errno);
    if (child == 0) {
        whole("child");
        is_not_zero();
        serves_all_sizes();
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0, "child ends with %#x", status);
}

static void goes_back(void) {
    size_t resident = process_resident();
    hak_free(written(BLOCK));
    CHECK(hak_range_kept() >= BLOCK, "%zu bytes are kept", hak_range_kept());
    keep(false);
    CHECK(hak_malloc_trim(0) == 1 && hak_range_kept() == 0, "%zu bytes are kept", hak_range_kept());
    CHECK(process_resident() < resident + MIB, "resident %zu, %zu before", process_resident(),
          resident);
    whole("no longer kept");
    uint32_t count = BLOCK >> HAK_GRANULE_SHIFT, run = hak_span_alloc(count, 1);
    CHECK(run != 0 && !hak_span_is_dirty(run), "run %u", run);
    CHECK(reads_zero(hak_granule_address(run), BLOCK), "it is not zero");
    hak_span_free(run, count, false);
}

/* The range acts as if a limit were near, until it grows. */
static void scarce(bool is) {
    atomic_store(&hak_range.cached_most, is ? 0 : SIZE_MAX);
}

#define LONG (512 * HAK_GRANULE) /* longer than any free span that is left by then */

/* A hole that is older than keeping stays a hole. At the heap's end it must not take kept memory
 * behind it away. A block whose end is unmapped gets its end back when it is freed. When memory is
 * no longer kept, all of it goes back. */
static void beside_holes(void) {
    if (hak_window_is_reserved()) return;
    char *block = written(LONG - HAK_ALIGNMENT), *behind = written(LONG - HAK_ALIGNMENT);
    const uint32_t low = hak_granule_of(block), high = hak_granule_of(behind);
    CHECK(high == low + LONG / HAK_GRANULE, "runs %u and %u", low, high);
    CHECK(hak_range_top() == high + LONG / HAK_GRANULE, "top %u", hak_range_top());
    scarce(true);
    hak_free(block);
    CHECK(hak_kind_of(low) == HAK_KIND_HOLE, "kind %d", (int)hak_kind_of(low));
    char *cut = written(15 * HAK_GRANULE + 20000);
    CHECK(hak_granule_of(cut) == low, "granule %u, not %u", hak_granule_of(cut), low);
    CHECK(hak_large_find(cut)->cut != 0, "a block is not cut");
    keep(true);
    whole("a hole, and a block without its end");
    hak_free(cut);
    CHECK(hak_kind_of(low) == HAK_KIND_FREE_SPAN, "kind %d", (int)hak_kind_of(low));
    whole("a block without its end is freed");
    const size_t before = hak_range_kept();
    hak_free(behind);
    CHECK(hak_range_top() == high && hak_kind_of(high - 1) == HAK_KIND_HOLE, "top %u, kind %d",
          hak_range_top(), (int)hak_kind_of(high - 1));
    CHECK(hak_range_kept() >= before + LONG, "%zu bytes kept, %zu before", hak_range_kept(),
          before);
    whole("a hole at the heap's end");
    const uint32_t again = hak_span_alloc(LONG / HAK_GRANULE, 1);
    CHECK(again == high && hak_span_is_dirty(again), "run %u, not %u", again, high);
    hak_span_free(again, LONG / HAK_GRANULE, false);
    keep(false);
    CHECK(hak_malloc_trim(0) == 1 && hak_range_kept() == 0, "%zu bytes are kept", hak_range_kept());
    CHECK(hak_range_top() <= low, "the heap ends at granule %u", hak_range_top());
    scarce(false);
    whole("no hole any more");
}

int main(void) {
    hak_free(hak_malloc(test_opaque(100)));
    for (int round = 0; round < 3; round++) {
        hak_free(written(BLOCK)); /* in the cache when keeping begins */
        keep(true);
        lies_in_the_range();
        goes_first();
        serves_all_sizes();
        is_not_zero();
        replaces_what_is_marked();
        child_goes_on();
        goes_back();
        beside_holes();
    }
    return test_ok("memory is kept and goes back");
}
