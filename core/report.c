#include "core/report.h"

#include "core/abort.h"
#include "core/heap.h"
#include "core/hooks.h"
#include "core/large.h"
#include "core/slab_pages.h"
#include "core/text.h"

static void begin(struct hak_text *line, const char *operation, const char *what) {
    line->length = 0;
    hak_text_add(line, "hakmem: ");
    hak_text_add(line, operation);
    hak_text_add(line, "(): ");
    hak_text_add(line, what);
}

static void add_pointer(struct hak_text *line, const void *ptr) {
    hak_text_add_pointer(line, ": pointer ", ptr);
}

/* `block`: the audit may know its history; NULL: none. */
_Noreturn static void end(struct hak_text *line, const void *block) {
    hak_text_print(line);
    if (block != NULL && !hak_abort_is_nested()) hak_hook_report(block);
    hak_abort();
}

static void add_block(struct hak_text *line, const void *block, size_t size, const char *tier,
                      int class_index) {
    hak_text_add_pointer(line, ", block ", block);
    hak_text_add(line, ", size ");
    hak_text_add_number(line, size);
    hak_text_add(line, ", ");
    hak_text_add(line, tier);
    if (class_index < 0) return;
    hak_text_add(line, " class ");
    hak_text_add_number(line, (uint64_t)class_index);
}

static void add_state(struct hak_text *line, const char *state) {
    hak_text_add(line, ", state ");
    hak_text_add(line, state);
}

/* True if the block lies on a page whose memory went back, so that its header is gone. */
static bool is_uncarved_by_trim(const struct hak_slab *slab, uint32_t index) {
    return index < hak_slab_carved_end(slab) && !hak_slab_is_carved(slab, index);
}

static const char *slab_block_state(const struct hak_slab *slab, const void *block) {
    uint8_t header = hak_header_of(block);
    if (header == HAK_CLASS_HEADER(slab->class) || header == HAK_HEADER_CONTAINER) return "live";
    if (header == HAK_CLASS_HEADER_FREE(slab->class)) return "free";
    return is_uncarved_by_trim(slab, hak_slab_index(slab, block)) ? "free" : "unknown";
}

static void add_slab_block(struct hak_text *line, const struct hak_slab *slab, const void *block) {
    unsigned bin = slab->class;
    add_block(line, block, hak_classes[bin].stride - 1, hak_tier_name(hak_tier_of_class(bin)),
              (int)(bin % HAK_TIER_CLASSES));
    add_state(line, slab_block_state(slab, block));
    hak_text_add(line, ", owner thread ");
    const struct hak_heap *home_heap = hak_heap_of_home(slab->home);
    hak_text_add_number(
        line, (uint64_t)atomic_load_explicit(&home_heap->thread_id, memory_order_relaxed));
}

/* For a block that is not live: it was freed twice, or is used after it was freed. */
static const char *freed_problem(const char *operation) {
    return hak_string_is(operation, "free") ? "double free" : "freed block";
}

static const char *header_problem(struct hak_text *what, uint8_t header) {
    what->length = 0;
    hak_text_add(what, "overwritten header ");
    hak_text_add_hex(what, header);
    what->bytes[what->length] = '\0';
    return what->bytes;
}

/* The block that ptr points into, or the slab's last block. The first block if the slab no
 * longer exists, because another thread has just given it up. */
static uint32_t index_in_slab(const struct hak_slab *slab, const void *ptr) {
    uint32_t index = hak_slab_index(slab, ptr), capacity = slab->capacity;
    if (index < capacity) return index;
    return capacity > 0 ? capacity - 1 : 0;
}

_Noreturn static void report_in_slab(const char *operation, const void *ptr,
                                     const struct hak_slab *slab) {
    struct hak_text line, what;
    uint32_t index = index_in_slab(slab, ptr);
    const void *block = hak_slab_block(slab, index);
    uint8_t header = hak_header_of(ptr);
    const char *problem = "pointer inside a block";
    /* also if the slab was reset, so that the block is uncarved now */
    if (ptr == block && header == HAK_CLASS_HEADER_FREE(slab->class))
        problem = freed_problem(operation);
    else if (is_uncarved_by_trim(slab, index))
        problem = ptr == block ? freed_problem(operation) : "pointer inside a freed block";
    else if (index >= hak_slab_carved_end(slab))
        problem = "pointer to memory that was never allocated";
    else if (header == (HAK_HEADER_ALIGNED & ~HAK_HEADER_LIVE_BIT))
        problem = freed_problem(operation);
    else if (ptr == block && header != HAK_HEADER_CONTAINER)
        problem = header_problem(&what, header);
    begin(&line, operation, problem);
    add_pointer(&line, ptr);
    add_slab_block(&line, slab, block);
    end(&line, block);
}

static void add_large_block(struct hak_text *line, const struct hak_large *large) {
    bool live = atomic_load_explicit(&large->kind, memory_order_relaxed) == HAK_KIND_LARGE;
    add_block(line, large->user, large->size, "large", -1);
    add_state(line, live ? "live" : "free");
}

_Noreturn static void report_in_large(const char *operation, const void *ptr,
                                      const struct hak_large *large) {
    struct hak_text line, what;
    bool live = atomic_load_explicit(&large->kind, memory_order_relaxed) == HAK_KIND_LARGE;
    const char *problem = "pointer inside a block";
    if (ptr == large->user)
        problem = live ? header_problem(&what, hak_header_of(ptr)) : freed_problem(operation);
    else if (!live)
        problem = "pointer inside a freed block";
    begin(&line, operation, problem);
    add_pointer(&line, ptr);
    add_large_block(&line, large);
    end(&line, large->user);
}

_Noreturn static void report_outside(const char *operation, const void *ptr) {
    struct hak_text line;
    uint64_t bytes = atomic_load_explicit(&hak_range.end, memory_order_relaxed) << 4;
    uintptr_t base = atomic_load_explicit(&hak_range.base, memory_order_relaxed);
    begin(&line, operation, "pointer is not from hakmem");
    add_pointer(&line, ptr);
    hak_text_add(&line, ", not in hakmem's range");
    hak_text_add_address(&line, " ", base);
    hak_text_add_address(&line, "-", base + bytes);
    end(&line, NULL);
}

static bool was_around(const struct hak_large *large, uint32_t granule, uint32_t span) {
    if (large->first < span || granule < large->first || granule - large->first >= large->granules)
        return false;
    const void *user = *(const void *const volatile *)&large->user; /* read once: it may change */
    return hak_range_has(user) && hak_header_of(user) == (HAK_HEADER_LARGE & ~HAK_HEADER_LIVE_BIT);
}

/* The freed block around a granule of a cached span, into which several freed blocks may have
 * been joined, and memory of slabs. Mostly the record and the header of each block are as they
 * were. If another block had the same place since, and left both behind, the former block is not
 * known. NULL: none is known there. */
static const struct hak_large *freed_around(uint32_t granule, uint32_t span) {
    for (uint32_t at = granule; at > span; at--)
        if (was_around(hak_large_at(at), granule, span)) return hak_large_at(at);
    const struct hak_large *first = hak_large_at(span);
    const char *user = *(const char *const volatile *)&first->user;
    return hak_range_has(user) && granule <= hak_granule_of(user + first->size) ? first : NULL;
}

/* The large block, live or cached, whose span covers a granule; NULL: there is none. Slow: it
 * looks at each granule before. */
static const struct hak_large *large_around(uint32_t granule) {
    bool behind = hak_granule_is_below_end(granule + 1);
    for (uint32_t at = granule + behind; at > 0; at--) {
        enum hak_kind kind = hak_kind_of(at);
        if (kind == HAK_KIND_NONE) continue;
        /* only the record of an aligned block may lie in the next granule */
        if (at > granule && kind != HAK_KIND_LARGE) continue;
        if (kind != HAK_KIND_LARGE && kind != HAK_KIND_CACHED) return NULL;
        const struct hak_large *large = hak_large_at(at);
        if (kind == HAK_KIND_CACHED) {
            /* another thread may have taken the span */
            uint32_t span = HAK_HINT_LOAD(&large->span);
            if (span == 0 || span > at) return NULL;
            large = hak_large_at(span);
        }
        if (granule >= large->first && granule - large->first < large->granules)
            return kind == HAK_KIND_CACHED ? freed_around(granule, large->first) : large;
        if (at <= granule) return NULL;
    }
    return NULL;
}

_Noreturn static void report_misaligned(const char *operation, const void *ptr,
                                        const struct hak_slab *slab,
                                        const struct hak_large *large) {
    struct hak_text line;
    const void *block = NULL;
    begin(&line, operation, "misaligned pointer");
    add_pointer(&line, ptr);
    if (slab != NULL) {
        block = hak_slab_block(slab, index_in_slab(slab, ptr));
        add_slab_block(&line, slab, block);
    } else if (large != NULL) {
        block = large->user;
        add_large_block(&line, large);
    }
    end(&line, block);
}

_Noreturn void hak_report_bad_pointer(const char *operation, const void *ptr) {
    struct hak_text line;
    hak_abort_begin();
    uintptr_t address = (uintptr_t)ptr;
    /* The tables reach further than the range; they still describe memory that has been given
     * back. */
    uint64_t bytes = hak_range_is_there() ? (uint64_t)(hak_range_in_tables() - HAK_GRANULE_FIRST)
                                                << HAK_GRANULE_SHIFT
                                          : 0;
    if (hak_range_distance(ptr) >= bytes) report_outside(operation, ptr);
    uint32_t granule = hak_granule_of((const char *)ptr - 1);
    const struct hak_slab *slab = hak_slab_find(ptr);
    const struct hak_large *large = NULL;
    if (slab == NULL && hak_kind_of(granule) != HAK_KIND_FREE_SPAN) large = large_around(granule);
    if (address % HAK_ALIGNMENT != 0) report_misaligned(operation, ptr, slab, large);
    if (slab != NULL) report_in_slab(operation, ptr, slab);
    if (large != NULL) report_in_large(operation, ptr, large);
    /* The memory went back to the system. A large block's pointer is known by its place: 16
     * bytes behind the start of a granule. */
    begin(&line, operation,
          address % HAK_GRANULE == HAK_ALIGNMENT ? freed_problem(operation)
                                                 : "pointer to unused memory");
    add_pointer(&line, ptr);
    hak_text_add(&line, ", in no block");
    end(&line, ptr);
}

_Noreturn void hak_report_bad_list(const char *operation, const void *block, unsigned bin) {
    struct hak_text line;
    hak_abort_begin();
    begin(&line, operation, "corrupted free list");
    add_pointer(&line, block);
    if (!hak_range_has(block)) {
        uintptr_t offset = hak_range_distance(block);
        bool inside = offset >> 4 < atomic_load_explicit(&hak_range.end, memory_order_relaxed);
        hak_text_add(&line, inside ? ", misaligned" : ", not in hakmem's range");
        block = NULL;
    } else {
        hak_text_add(&line, ", header ");
        hak_text_add_hex(&line, hak_header_of(block));
        const struct hak_slab *slab = hak_slab_find(block);
        if (slab != NULL)
            add_slab_block(&line, slab, hak_slab_block(slab, hak_slab_index(slab, block)));
    }
    hak_text_add(&line, ", list of ");
    hak_text_add(&line, hak_tier_name(hak_tier_of_class(bin)));
    hak_text_add(&line, " class ");
    hak_text_add_number(&line, bin % HAK_TIER_CLASSES);
    end(&line, block);
}

_Noreturn void hak_report_no_memory(const char *operation, size_t size) {
    struct hak_text line;
    hak_abort_begin();
    begin(&line, operation, "no memory, and no C++ runtime to throw std::bad_alloc: size ");
    hak_text_add_number(&line, size);
    end(&line, NULL);
}
