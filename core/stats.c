#include "core/stats.h"

#include "core/cache.h"
#include "core/collect.h"
#include "core/enter.h"
#include "core/hooks.h"
#include "core/remote.h"
#include "core/retire.h"
#include "core/text.h"

static void add_heap(struct hak_heap *heap, void *context) {
    struct hak_stats *stats = context;
    bool own = heap == hak_thread_heap();
    stats->heaps++;
    stats->threads += hak_home_owned_by(&heap->home, heap);
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++) {
        const struct hak_heap_class *class = &heap->classes[bin];
        size_t cached = own ? hak_bin_count(heap, bin)
                            : atomic_load_explicit(&class->count_shown, memory_order_relaxed);
        stats->blocks[bin] += atomic_load_explicit(&class->used_shown, memory_order_relaxed);
        stats->blocks[bin] -= cached;
        stats->waiting[bin] += cached;
    }
}

/* Blocks on remote lists are counted in `used`, but are no longer live. */
static void add_slabs(struct hak_stats *stats, uint32_t top) {
    for (uint32_t granule = HAK_GRANULE_FIRST; granule < top; granule++) {
        if (hak_kind_of(granule) != HAK_KIND_SLAB) continue;
        const struct hak_slab *slab = hak_map_entry(granule);
        hak_hook_acquire(&slab->kind);
        uint32_t waiting = hak_remote_count(slab);
        stats->blocks[slab->class] -= waiting;
        stats->waiting[slab->class] += waiting;
    }
}

static void add_superslabs(struct hak_stats *stats, uint32_t top) {
    for (uint32_t granule = 0; granule < top; granule += 16) {
        const struct hak_superslab *ss = hak_superslab_record(granule);
        if (!hak_superslab_is_used(ss)) continue;
        stats->superslabs++;
        stats->superslab_bytes += hak_superslab_bytes(ss);
    }
}

static void add_bytes(struct hak_stats *stats) {
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++) {
        /* The sums are of different moments and may disagree, because other threads run
         * meanwhile. No figure falls below zero. */
        if ((ptrdiff_t)stats->blocks[bin] < 0) stats->blocks[bin] = 0;
        stats->live_blocks += stats->blocks[bin];
        stats->live_bytes += stats->blocks[bin] * hak_classes[bin].stride;
        stats->free_blocks += stats->waiting[bin];
        stats->free_bytes += stats->waiting[bin] * hak_classes[bin].stride;
    }
    stats->heap_bytes = stats->superslab_bytes + hak_cache_bytes() + stats->kept_bytes;
    size_t used = stats->live_bytes + stats->free_bytes;
    if (stats->heap_bytes < used) stats->heap_bytes = used; /* as above */
    stats->rest_bytes = stats->heap_bytes - used;
    hak_footprint_peak_update();
    stats->heap_peak = atomic_load_explicit(&hak_footprint.peak, memory_order_relaxed);
    if (stats->heap_peak < stats->heap_bytes) stats->heap_peak = stats->heap_bytes;
}

void hak_stats_read(struct hak_stats *stats) {
    hak_os_zero(stats, sizeof *stats);
    if (!hak_range_is_there()) return;
    hak_hook_enter();
    struct hak_heap *heap = hak_slow_enter(0);
    if (hak_heap_is_real(heap)) hak_collect(heap);
    hak_heap_retire_all_ended();
    hak_heap_each(add_heap, stats);
    hak_slow_leave();
    hak_hook_leave();
    uint32_t top = hak_range_top();
    add_slabs(stats, top);
    add_superslabs(stats, top);
    stats->large = hak_large_stats();
    stats->cached_bytes = hak_cache_bytes();
    stats->cached_spans = hak_cache_entries();
    stats->kept_bytes = hak_range_kept();
    add_bytes(stats);
    stats->committed_bytes = hak_range_committed();
}

struct figure {
    const char *name, *text;
    size_t offset;
};

/* One table for the text and the XML. */
static const struct figure figures[] = {
    {"live_blocks", "live blocks up to 52 KiB", offsetof(struct hak_stats, live_blocks)},
    {"live_bytes", "bytes of these", offsetof(struct hak_stats, live_bytes)},
    {"free_blocks", "free blocks cached by threads", offsetof(struct hak_stats, free_blocks)},
    {"large_blocks", "live large blocks", offsetof(struct hak_stats, large.live_blocks)},
    {"large_bytes", "bytes asked for in these", offsetof(struct hak_stats, large.requested_bytes)},
    {"large_mapped", "bytes of their mappings", offsetof(struct hak_stats, large.mapped_bytes)},
    {"large_peak", "peak of that", offsetof(struct hak_stats, large.peak_mapped_bytes)},
    {"superslabs", "SuperSlabs", offsetof(struct hak_stats, superslabs)},
    {"slab_bytes", "bytes of these", offsetof(struct hak_stats, superslab_bytes)},
    {"cached_bytes", "bytes that wait in the cache", offsetof(struct hak_stats, cached_bytes)},
    {"committed", "bytes of address space committed", offsetof(struct hak_stats, committed_bytes)},
    {"heaps", "thread heaps made", offsetof(struct hak_stats, heaps)},
    {"threads", "threads that have one", offsetof(struct hak_stats, threads)},
};
#define FIGURES (sizeof figures / sizeof figures[0])

static size_t figure_value(const struct hak_stats *stats, const struct figure *figure) {
    return *(const size_t *)(const void *)((const char *)stats + figure->offset);
}

static void print_bytes(struct hak_text *line, const char *name, size_t value) {
    hak_text_add(line, name);
    hak_text_add(line, " = ");
    hak_text_add_padded(line, value, 10);
    hak_text_print(line);
}

/* The lines that programs look for which read the output of glibc's malloc_stats. All heaps are
 * one arena in them. */
static void print_arena(struct hak_text *line, const struct hak_stats *stats) {
    hak_text_add(line, "Arena 0:");
    hak_text_print(line);
    print_bytes(line, "system bytes    ", stats->heap_bytes);
    print_bytes(line, "in use bytes    ", stats->live_bytes);
    hak_text_add(line, "Total (incl. mmap):");
    hak_text_print(line);
    print_bytes(line, "system bytes    ", stats->heap_bytes + stats->large.mapped_bytes);
    print_bytes(line, "in use bytes    ", stats->live_bytes + stats->large.mapped_bytes);
    print_bytes(line, "max mmap regions", stats->large.peak_blocks);
    print_bytes(line, "max mmap bytes  ", stats->large.peak_mapped_bytes);
}

void hak_stats_print(bool with_glibc_lines) {
    struct hak_stats stats;
    struct hak_text line;
    line.length = 0;
    hak_stats_read(&stats);
    hak_text_add(&line, "hakmem: ");
    hak_text_add(&line, hak_build_id);
    hak_text_print(&line);
    for (size_t i = 0; i < FIGURES; i++) {
        hak_text_add(&line, "hakmem: ");
        hak_text_add(&line, figures[i].text);
        hak_text_add(&line, ": ");
        hak_text_add_number(&line, figure_value(&stats, &figures[i]));
        hak_text_print(&line);
    }
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++) {
        if (stats.blocks[bin] == 0) continue;
        hak_text_add(&line, "hakmem: ");
        hak_text_add(&line, hak_tier_name(hak_tier_of_class(bin)));
        hak_text_add(&line, " blocks of ");
        hak_text_add_number(&line, hak_classes[bin].stride);
        hak_text_add(&line, ": ");
        hak_text_add_number(&line, stats.blocks[bin]);
        hak_text_print(&line);
    }
    if (with_glibc_lines) print_arena(&line, &stats);
}

/* The free blocks of each class. */
static void write_free_sizes(FILE *stream, const struct hak_stats *stats) {
    fputs("<sizes>\n", stream);
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        if (stats->waiting[bin] != 0)
            fprintf(stream, "<size from=\"%u\" to=\"%u\" total=\"%zu\" count=\"%zu\"/>\n",
                    hak_classes[bin].stride, hak_classes[bin].stride,
                    stats->waiting[bin] * hak_classes[bin].stride, stats->waiting[bin]);
    fputs("</sizes>\n", stream);
}

static void write_free(FILE *stream, const struct hak_stats *stats) {
    fprintf(stream, "<total type=\"fast\" count=\"%zu\" size=\"%zu\"/>\n", stats->free_blocks,
            stats->free_bytes);
    fprintf(stream, "<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n",
            hak_stats_rest_count(stats), stats->rest_bytes);
}

static void write_system(FILE *stream, const struct hak_stats *stats) {
    fprintf(stream, "<system type=\"current\" size=\"%zu\"/>\n", stats->heap_bytes);
    fprintf(stream, "<system type=\"max\" size=\"%zu\"/>\n", stats->heap_peak);
    fprintf(stream, "<aspace type=\"total\" size=\"%zu\"/>\n", stats->committed_bytes);
    fprintf(stream, "<aspace type=\"mprotect\" size=\"%zu\"/>\n", stats->committed_bytes);
}

/* The elements that programs look for which read the output of glibc's malloc_info. All heaps
 * are one in them. */
static void write_heap(FILE *stream, const struct hak_stats *stats) {
    fputs("<heap nr=\"0\">\n", stream);
    write_free_sizes(stream, stats);
    write_free(stream, stats);
    write_system(stream, stats);
    fputs("</heap>\n", stream);
    write_free(stream, stats);
    fprintf(stream, "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n", stats->large.live_blocks,
            stats->large.mapped_bytes);
    write_system(stream, stats);
}

/* The only function that uses stdio, because the stream is the caller's. No lock is held. */
void hak_stats_write_xml(FILE *stream) {
    struct hak_stats stats;
    hak_stats_read(&stats);
    fputs("<malloc version=\"1\" allocator=\"hakmem\">\n", stream);
    write_heap(stream, &stats);
    fputs("<sizes>\n", stream);
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        if (stats.blocks[bin] != 0)
            fprintf(stream, "<size tier=\"%s\" stride=\"%u\" count=\"%zu\"/>\n",
                    hak_tier_name(hak_tier_of_class(bin)), hak_classes[bin].stride,
                    stats.blocks[bin]);
    fputs("</sizes>\n", stream);
    for (size_t i = 0; i < FIGURES; i++)
        fprintf(stream, "<total type=\"%s\" value=\"%zu\"/>\n", figures[i].name,
                figure_value(&stats, &figures[i]));
    fputs("</malloc>\n", stream);
}
