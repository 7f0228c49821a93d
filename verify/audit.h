/* The audit: a second set of books.
 *
 * The hooks report every batch to the audit. The audit counts the blocks that were really moved,
 * one by one, on the slab that each address lies in. It keeps its own carved, used and freelist
 * length of each slab, and after the batch the allocator's counters must equal them. A batch that
 * is counted twice, not at all, or on the wrong slab is therefore found in the batch in which this
 * happens.
 *
 *   level 1   the books, header and bounds of every block moved, the list of every bin refilled or
 *             flushed
 *   level 2   also a state of each block, a canary behind the requested size, filled free memory
 *   level 3   the whole heap after every refill and flush (one thread at a time: for fuzzers) */
#ifndef HAK_VERIFY_AUDIT_H
#define HAK_VERIFY_AUDIT_H

#include "core/hooks.h"
#include "core/slab.h"

/* Reads the options from the environment. Called before the first batch, which may precede the
 * library's constructor: level 2 must see a block from its carve on, or it reports false errors. */
void hak_audit_options_read(void);

/* How much was proved so far, for the summary. */
struct hak_audit_figures {
    _Atomic uint64_t batches, blocks, equations, heap_checks;
};
extern struct hak_audit_figures hak_audit_figures;

/* The last batches of a slab, newest at `next - 1`. */
#define HAK_AUDIT_RING 6u
struct hak_audit_entry {
    uint64_t number; /* of the batch; all slabs share the numbering */
    uint16_t count, used, carved;
    uint8_t batch; /* enum hak_batch */
    uint8_t unused;
};

/* The audit's books of a slab. Only the owner of the slab's home writes them. */
struct hak_audit_slab {
    uint32_t carved, used, free_length;
    uint32_t next; /* batches of the slab so far */
    struct hak_audit_entry ring[HAK_AUDIT_RING];
};

/* The books of a slab; NULL if there is no address space for the books. Opens the books first. */
struct hak_audit_slab *hak_audit_slab_of(const struct hak_slab *slab);

/* Maps zeroed memory for the audit's own records, touched on use; NULL: no address space. */
void *hak_audit_map(size_t bytes);

/* Ends the program with a report: the equation, both sides, and what is known of the block and of
 * the slab (class, owner, last batches). `slab` and `block` may be NULL. */
_Noreturn void hak_audit_report(const char *equation, uint64_t left, uint64_t right,
                                const struct hak_slab *slab, const void *block);

#endif
