/* Lists the blocks that are still live when the program ends, summed by the site that allocated
 * them. */
#include <sys/mman.h>

#include "core/large_record.h"
#include "core/slab_pages.h"
#include "core/text.h"
#include "verify/audit_block.h"
#include "verify/audit_site.h"
#include "verify/audit_symbolize.h"

struct leak {
    uint64_t blocks, bytes;
};

#define SHOWN 20 /* sites that are listed, largest first */

static void add_slab(struct leak *leaks, const struct hak_slab *slab) {
    const uint32_t end = hak_slab_carved_end(slab);
    for (uint32_t i = 0; i < end; i++) {
        const struct hak_audit_block *record = hak_audit_block_of(slab, hak_slab_block(slab, i));
        if (record == NULL || record->state != HAK_AUDIT_LIVE) continue;
        leaks[record->alloc_site].blocks++;
        leaks[record->alloc_site].bytes += record->size;
    }
}

static void add_large(struct leak *leaks, const struct hak_large *large) {
    const struct hak_audit_block *record = hak_audit_large_of(large->user);
    if (record == NULL || record->state != HAK_AUDIT_LIVE) return;
    leaks[record->alloc_site].blocks++;
    leaks[record->alloc_site].bytes += large->size;
}

static void print_leak(const struct leak *leak, uint32_t site) {
    struct hak_text line = {.length = 0};
    hak_text_add(&line, "hakmem: audit: still live: ");
    hak_text_add_number(&line, leak->bytes);
    hak_text_add(&line, " bytes in ");
    hak_text_add_number(&line, leak->blocks);
    hak_text_add(&line, " blocks");
    hak_audit_print(&line);
    hak_audit_print_site("allocated by", site);
}

static void print_largest(struct leak *leaks) {
    for (int shown = 0; shown < SHOWN; shown++) {
        uint32_t most = 0;
        for (uint32_t site = 1; site <= HAK_AUDIT_SITES; site++)
            if (leaks[site].bytes > leaks[most].bytes) most = site;
        if (leaks[most].blocks == 0) return;
        print_leak(&leaks[most], most);
        leaks[most] = (struct leak){0};
    }
}

void hak_audit_leaks(void) {
    size_t bytes = (HAK_AUDIT_SITES + 1) * sizeof(struct leak);
    struct leak *leaks =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (leaks == MAP_FAILED || !hak_range_is_there()) return;
    uint32_t top = hak_range_top();
    for (uint32_t granule = HAK_GRANULE_FIRST; granule < top; granule++) {
        enum hak_kind kind = hak_kind_of(granule);
        if (kind == HAK_KIND_SLAB) add_slab(leaks, hak_map_entry(granule));
        if (kind == HAK_KIND_LARGE) add_large(leaks, hak_large_at(granule));
    }
    print_largest(leaks);
    hak_audit_symbolize_end();
    munmap(leaks, bytes);
}
