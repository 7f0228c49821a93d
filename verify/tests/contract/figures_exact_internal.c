/* Every figure of malloc_info, malloc_stats and mallinfo2 is exactly what the heap holds: blocks of
 * every class that are live, in a bin, or on another thread's remote list; large blocks, live and
 * cached; SuperSlabs. The heap checker walks the heap and must count the same.
 *
 * usage: figures_exact_internal FILE      XML and text are written to FILE */
#define TEST_LINKED
#include "../test.h"

#include <fcntl.h>
#include <pthread.h>

#include "core/cache.h"
#include "core/flush.h"
#include "core/stats.h"
#include "core/superslab.h"
#include "verify/heap_check.h"

#define MOST  400
#define LARGE 3

static const size_t large_sizes[LARGE] = {60000, 300001, 5000000};
static void *others[HAK_CLASSES][MOST];
static pthread_barrier_t step;

static size_t count_of(unsigned bin) {
    return hak_tier_of_class(bin) == HAK_TIER_POOL ? 9 : 61 + bin;
}

static void blocks_take(void *blocks[][MOST]) {
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        for (size_t i = 0; i < count_of(bin); i++)
            blocks[bin][i] = hak_malloc(hak_classes[bin].stride - 1);
}

static void flush_all(void) {
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        hak_flush(hak_thread_heap(), bin, 0);
}

/* The thread lives until the figures are read, so nobody collects its remote lists. Its bins are
 * counted as they were after their last batch, so the thread leaves them empty. */
static void *other_thread(void *unused) {
    hak_free(hak_malloc(1));
    flush_all();
    pthread_barrier_wait(&step);
    pthread_barrier_wait(&step);
    blocks_take(others);
    flush_all();
    pthread_barrier_wait(&step);
    pthread_barrier_wait(&step);
    return unused;
}

/* The bytes of the window that the kernel lists as writable: committed memory can be written. */
static size_t writable_bytes(void) {
    static char buffer[8192];
    char line[400];
    size_t bytes = 0;
    uintptr_t end = hak_range.start + ((uintptr_t)hak_range.granules << HAK_GRANULE_SHIFT);
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL && setvbuf(maps, buffer, _IOFBF, sizeof buffer) == 0,
          "cannot read the mappings");
    while (fgets(line, sizeof line, maps) != NULL) {
        uintptr_t from, until;
        char rights[5];
        CHECK(sscanf(line, "%lx-%lx %4s", &from, &until, rights) == 3, "strange mapping: %s", line);
        if (from >= hak_range.map && until <= end && rights[1] == 'w') bytes += until - from;
    }
    fclose(maps);
    return bytes;
}

/* Reads the figures and compares them with those of the heap checker, which finds each block where
 * it is. */
static void as_checked(struct hak_stats *stats, size_t threads) {
    struct hak_heap_check found;
    size_t writable = writable_bytes(); /* read first, because reading allocates */
    hak_stats_read(stats);
    CHECK(hak_check_heap(&found), "%zu equations do not hold", found.faults);
    CHECK(stats->live_blocks == found.live, "%zu live blocks, %zu are there", stats->live_blocks,
          found.live);
    CHECK(stats->free_blocks == found.in_bins + found.in_remote_lists,
          "%zu free blocks, %zu in bins and %zu on remote lists", stats->free_blocks, found.in_bins,
          found.in_remote_lists);
    CHECK(stats->large.live_blocks == found.large, "%zu large blocks, %zu are there",
          stats->large.live_blocks, found.large);
    CHECK(stats->heaps == found.heaps, "%zu heaps, %zu are there", stats->heaps, found.heaps);
    CHECK(stats->superslabs == found.superslabs, "%zu SuperSlabs, %zu are there", stats->superslabs,
          found.superslabs);
    CHECK(stats->threads == threads, "%zu threads, not %zu", stats->threads, threads);
    CHECK(stats->cached_bytes == hak_cache_bytes(), "%zu bytes cached", stats->cached_bytes);
    size_t free_bytes = 0;
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        free_bytes += stats->waiting[bin] * hak_classes[bin].stride;
    CHECK(stats->free_bytes == free_bytes, "%zu bytes in free blocks, not %zu", stats->free_bytes,
          free_bytes);
    CHECK(stats->superslab_bytes == hak_footprint_superslabs(),
          "%zu bytes of SuperSlabs, %zu are counted", stats->superslab_bytes,
          hak_footprint_superslabs());
    CHECK(stats->heap_bytes == stats->superslab_bytes + hak_cache_bytes() && stats->kept_bytes == 0,
          "%zu bytes in all, %zu of them kept", stats->heap_bytes, stats->kept_bytes);
    CHECK(stats->live_bytes + stats->free_bytes + stats->rest_bytes == stats->heap_bytes,
          "%zu live, %zu free and %zu other bytes are not %zu", stats->live_bytes,
          stats->free_bytes, stats->rest_bytes, stats->heap_bytes);
    CHECK(stats->heap_peak >= stats->heap_bytes, "%zu bytes now, %zu at most", stats->heap_bytes,
          stats->heap_peak);
    CHECK(stats->committed_bytes == writable, "%zu bytes committed, %zu can be written",
          stats->committed_bytes, writable);
}

static size_t live_bytes_of(const struct hak_stats *stats) {
    size_t bytes = 0;
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        bytes += stats->blocks[bin] * hak_classes[bin].stride;
    return bytes;
}

/* Each class has more live blocks than before, by `times` the number in one of the two tables. */
static void rise_is(const struct hak_stats *before, const struct hak_stats *now, size_t times) {
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        CHECK(now->blocks[bin] == before->blocks[bin] + times * count_of(bin),
              "%zu blocks of %u bytes, then %zu; not %zu more", before->blocks[bin],
              hak_classes[bin].stride, now->blocks[bin], times * count_of(bin));
    CHECK(now->live_bytes == live_bytes_of(now), "%zu live bytes, not %zu", now->live_bytes,
          live_bytes_of(now));
}

/* ---- what is printed ------------------------------------------------------------------------- */

struct line {
    const char *xml, *text;
    size_t value;
};

static void lines_of(const struct hak_stats *stats, struct line lines[13]) {
    const struct line all[13] = {
        {"live_blocks", "live blocks up to 52 KiB", stats->live_blocks},
        {"live_bytes", "bytes of these", stats->live_bytes},
        {"free_blocks", "free blocks cached by threads", stats->free_blocks},
        {"large_blocks", "live large blocks", stats->large.live_blocks},
        {"large_bytes", "bytes asked for in these", stats->large.requested_bytes},
        {"large_mapped", "bytes of their mappings", stats->large.mapped_bytes},
        {"large_peak", "peak of that", stats->large.peak_mapped_bytes},
        {"superslabs", "SuperSlabs", stats->superslabs},
        {"slab_bytes", "bytes of these", stats->superslab_bytes},
        {"cached_bytes", "bytes that wait in the cache", stats->cached_bytes},
        {"committed", "bytes of address space committed", stats->committed_bytes},
        {"heaps", "thread heaps made", stats->heaps},
        {"threads", "threads that have one", stats->threads},
    };
    memcpy(lines, all, sizeof all);
}

static void next_line_is(FILE *file, const char *wanted) {
    char line[1200];
    CHECK(fgets(line, sizeof line, file) != NULL, "the file ends before '%s'", wanted);
    CHECK(strcmp(line, wanted) == 0, "'%s' is there, not '%s'", line, wanted);
}

#define NEXT_LINE_IS(file, ...)                                                                    \
    do {                                                                                           \
        char wanted[1200];                                                                         \
        snprintf(wanted, sizeof wanted, __VA_ARGS__);                                              \
        next_line_is(file, wanted);                                                                \
    } while (0)

static void file_ends(FILE *file) {
    CHECK(fgetc(file) == EOF, "the file goes on");
    fclose(file);
}

static void xml_has_free(FILE *file, const struct hak_stats *stats) {
    NEXT_LINE_IS(file, "<total type=\"fast\" count=\"%zu\" size=\"%zu\"/>\n", stats->free_blocks,
                 stats->free_bytes);
    NEXT_LINE_IS(file, "<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n",
                 stats->superslabs + stats->cached_spans, stats->rest_bytes);
}

static void xml_has_system(FILE *file, const struct hak_stats *stats) {
    NEXT_LINE_IS(file, "<system type=\"current\" size=\"%zu\"/>\n", stats->heap_bytes);
    NEXT_LINE_IS(file, "<system type=\"max\" size=\"%zu\"/>\n", stats->heap_peak);
    NEXT_LINE_IS(file, "<aspace type=\"total\" size=\"%zu\"/>\n", stats->committed_bytes);
    NEXT_LINE_IS(file, "<aspace type=\"mprotect\" size=\"%zu\"/>\n", stats->committed_bytes);
}

/* The element <heap> as glibc writes it. */
static void xml_has_heap(FILE *file, const struct hak_stats *stats) {
    next_line_is(file, "<heap nr=\"0\">\n");
    next_line_is(file, "<sizes>\n");
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        if (stats->waiting[bin] != 0)
            NEXT_LINE_IS(file, "<size from=\"%u\" to=\"%u\" total=\"%zu\" count=\"%zu\"/>\n",
                         hak_classes[bin].stride, hak_classes[bin].stride,
                         stats->waiting[bin] * hak_classes[bin].stride, stats->waiting[bin]);
    next_line_is(file, "</sizes>\n");
    xml_has_free(file, stats);
    xml_has_system(file, stats);
    next_line_is(file, "</heap>\n");
    xml_has_free(file, stats);
    NEXT_LINE_IS(file, "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n",
                 stats->large.live_blocks, stats->large.mapped_bytes);
    xml_has_system(file, stats);
}

static void xml_is(const char *name) {
    static char buffer[8192];
    struct hak_stats read_before, *stats = &read_before;
    struct line lines[13];
    FILE *file = fopen(name, "w");
    CHECK(file != NULL && setvbuf(file, buffer, _IOFBF, sizeof buffer) == 0, "cannot write %s",
          name);
    hak_stats_read(stats); /* stdio has allocated what it needs by now */
    CHECK(hak_malloc_info(0, file) == 0 && fclose(file) == 0, "malloc_info");
    file = fopen(name, "r");
    lines_of(stats, lines);
    next_line_is(file, "<malloc version=\"1\" allocator=\"hakmem\">\n");
    xml_has_heap(file, stats);
    next_line_is(file, "<sizes>\n");
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        if (stats->blocks[bin] != 0)
            NEXT_LINE_IS(file, "<size tier=\"%s\" stride=\"%u\" count=\"%zu\"/>\n",
                         hak_tier_name(hak_tier_of_class(bin)), hak_classes[bin].stride,
                         stats->blocks[bin]);
    next_line_is(file, "</sizes>\n");
    for (size_t i = 0; i < TEST_COUNT(lines); i++)
        NEXT_LINE_IS(file, "<total type=\"%s\" value=\"%zu\"/>\n", lines[i].xml, lines[i].value);
    next_line_is(file, "</malloc>\n");
    file_ends(file);
}

static void text_is(const char *name) {
    struct hak_stats read_before, *stats = &read_before;
    struct line lines[13];
    int to = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600), kept = dup(STDERR_FILENO);
    CHECK(to >= 0 && kept >= 0 && dup2(to, STDERR_FILENO) >= 0, "cannot open %s", name);
    hak_stats_read(stats);
    hak_malloc_stats();
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(to);
    FILE *file = fopen(name, "r");
    lines_of(stats, lines);
    NEXT_LINE_IS(file, "hakmem: %s\n", hak_build_id);
    for (size_t i = 0; i < TEST_COUNT(lines); i++)
        NEXT_LINE_IS(file, "hakmem: %s: %zu\n", lines[i].text, lines[i].value);
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        if (stats->blocks[bin] != 0)
            NEXT_LINE_IS(file, "hakmem: %s blocks of %u: %zu\n",
                         hak_tier_name(hak_tier_of_class(bin)), hak_classes[bin].stride,
                         stats->blocks[bin]);
    const size_t mapped = stats->large.mapped_bytes;
    next_line_is(file, "Arena 0:\n");
    NEXT_LINE_IS(file, "system bytes     = %10zu\n", stats->heap_bytes);
    NEXT_LINE_IS(file, "in use bytes     = %10zu\n", stats->live_bytes);
    next_line_is(file, "Total (incl. mmap):\n");
    NEXT_LINE_IS(file, "system bytes     = %10zu\n", stats->heap_bytes + mapped);
    NEXT_LINE_IS(file, "in use bytes     = %10zu\n", stats->live_bytes + mapped);
    NEXT_LINE_IS(file, "max mmap regions = %10zu\n", stats->large.peak_blocks);
    NEXT_LINE_IS(file, "max mmap bytes   = %10zu\n", stats->large.peak_mapped_bytes);
    file_ends(file);
}

static void mallinfo_is(const struct hak_stats *stats) {
    struct mallinfo2 info = hak_mallinfo2();
    CHECK(info.arena == stats->heap_bytes &&
              info.ordblks == stats->superslabs + stats->cached_spans &&
              info.smblks == stats->free_blocks && info.fsmblks == stats->free_bytes &&
              info.hblks == stats->large.live_blocks && info.hblkhd == stats->large.mapped_bytes &&
              info.uordblks == stats->live_bytes &&
              info.fordblks == stats->heap_bytes - stats->live_bytes &&
              info.keepcost == stats->cached_bytes + stats->kept_bytes,
          "mallinfo2 differs from the figures");
}

/* ---- the course of it ------------------------------------------------------------------------ */

static void free_all(void *blocks[][MOST]) {
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        for (size_t i = 0; i < count_of(bin); i++)
            hak_free(blocks[bin][i]);
}

int main(int argc, char **argv) {
    static void *own[HAK_CLASSES][MOST];
    struct hak_stats before, now;
    void *large[LARGE];
    pthread_t thread;
    CHECK(argc == 2, "usage: figures_exact_internal FILE");
    CHECK(pthread_barrier_init(&step, NULL, 2) == 0, "barrier");
    CHECK(pthread_create(&thread, NULL, other_thread, NULL) == 0, "thread");
    pthread_barrier_wait(&step); /* both threads have a heap */
    as_checked(&before, 2);
    pthread_barrier_wait(&step);
    pthread_barrier_wait(&step);
    blocks_take(own);
    size_t asked = 0;
    for (size_t i = 0; i < LARGE; i++)
        asked += large_sizes[i], large[i] = hak_malloc(large_sizes[i]);
    as_checked(&now, 2);
    CHECK(now.large.requested_bytes == before.large.requested_bytes + asked,
          "%zu large bytes, not %zu", now.large.requested_bytes, asked);
    CHECK(now.large.mapped_bytes >= now.large.requested_bytes &&
              now.large.peak_mapped_bytes == now.large.mapped_bytes,
          "%zu bytes mapped for %zu, peak %zu", now.large.mapped_bytes, now.large.requested_bytes,
          now.large.peak_mapped_bytes);

    for (size_t i = 0; i < LARGE; i++)
        hak_free(large[i]); /* into the cache */
    free_all(others);
    flush_all(); /* onto remote lists that nobody collects */
    size_t peak = now.large.peak_mapped_bytes;
    as_checked(&now, 2);
    rise_is(&before, &now, 1);
    CHECK(now.large.requested_bytes == before.large.requested_bytes &&
              now.large.mapped_bytes == before.large.mapped_bytes,
          "%zu large bytes and %zu mapped after all were freed", now.large.requested_bytes,
          now.large.mapped_bytes);
    CHECK(now.large.peak_mapped_bytes == peak && now.cached_bytes > 5000000, "peak %zu, cached %zu",
          now.large.peak_mapped_bytes, now.cached_bytes);
    mallinfo_is(&now);
    xml_is(argv[1]);
    text_is(argv[1]);

    free_all(own);
    hak_stats_read(&now);
    rise_is(&before, &now, 0);
    size_t heap_peak = now.heap_peak;
    hak_malloc_trim(0);
    hak_stats_read(&now);
    CHECK(now.heap_peak == heap_peak && now.heap_bytes < heap_peak / 2 &&
              now.large.peak_blocks >= LARGE,
          "%zu bytes after a trim, at most %zu, %zu before it; %zu large blocks at most",
          now.heap_bytes, now.heap_peak, heap_peak, now.large.peak_blocks);
    pthread_barrier_wait(&step);
    pthread_join(thread, NULL);
    as_checked(&now, 1);
    return test_ok("figures of %zu blocks", now.live_blocks);
}
