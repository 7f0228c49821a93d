/* The audit: a second set of books.
 *
 * The hooks tell it of every batch. It counts the blocks that really moved, one by one, by the slab that each
 * address lies in, and keeps its own carved, used and freelist length of each slab. After the batch the
 * allocator's counters must equal its own. So a batch that is counted twice, not at all, or on another slab than
 * the one it came from is found in the batch in which it happens.
 *
 *   level 1   the books, headers and bounds of every block moved, the list of every bin filled or flushed
 *   level 2   also a state of each block, a canary behind the requested size, freed memory that nobody may write
 *   level 3   the whole heap after every batch (one thread at a time: for fuzzers) */
#ifndef HAK_VERIFY_AUDIT_H
#define HAK_VERIFY_AUDIT_H

#include "core/hooks.h"
#include "core/slab.h"

/* Before the first batch, which may come before the library's constructor: of a block that level 2 has not seen from
 * its beginning it would report what is not so. */
void hak_audit_options_read(void);

/* What was proved so far. */
struct hak_audit_figures {
    _Atomic uint64_t batches, blocks, equations, heap_checks;
};
extern struct hak_audit_figures hak_audit_figures;

/* The last batches of a slab, newest at `next - 1`. */
#define HAK_AUDIT_RING 6u
struct hak_audit_entry {
    uint64_t number; /* of the batch, over all slabs */
    uint16_t count, used, carved;
    uint8_t batch; /* enum hak_batch */
    uint8_t unused;
};

/* The audit's books of a slab. Only the thread that rules the slab's home writes them. */
struct hak_audit_slab {
    uint32_t carved, used, free_length;
    uint32_t next; /* batches so far */
    struct hak_audit_entry ring[HAK_AUDIT_RING];
};

/* The books of a slab, or NULL while the audit has no memory for them or is off. */
struct hak_audit_slab *hak_audit_slab_of(const struct hak_slab *slab);

/* Address space for the audit's own records, zero; NULL: there is none. */
void *hak_audit_map(size_t bytes);

/* Ends the program with a report: the equation, both sides, slab, class, owner, its last batches. */
_Noreturn void hak_audit_report(const char *equation, uint64_t left, uint64_t right,
                                const struct hak_slab *slab, const void *block);

#endif
