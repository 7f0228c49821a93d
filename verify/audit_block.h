/* Level 2: what the audit knows of each block, 16 bytes. The records of a slab's blocks lie side by side, from the place
 * of the slab's first granule on, so that they take few cache lines; there is address space for as many as can be. */
#ifndef HAK_VERIFY_AUDIT_BLOCK_H
#define HAK_VERIFY_AUDIT_BLOCK_H

#include "verify/audit.h"

/* The one place where a block is (types.h). */
enum hak_audit_state {
    HAK_AUDIT_UNCARVED = 0,
    HAK_AUDIT_IN_SLAB,
    HAK_AUDIT_REMOTE,
    HAK_AUDIT_IN_BIN,
    HAK_AUDIT_LIVE
};

struct hak_audit_block {
    uint32_t size;       /* asked for; kept after the free */
    uint32_t alloc_site; /* see hak_audit_site */
    uint32_t free_site;
    uint16_t thread; /* in a bin: whose, see thread_mark() */
    uint8_t state;   /* enum hak_audit_state */
    uint8_t filled;  /* 1: freed memory was filled and nobody may write it */
};

/* Address space for the records; false if there is none. */
bool hak_audit_blocks_open(void);

/* The records of the slab's blocks, by their number; NULL while there are none, and below level 2. */
struct hak_audit_block *hak_audit_records_of(const struct hak_slab *slab);

/* The record of one of the slab's blocks; NULL if `block` is no block's place, and as above. */
struct hak_audit_block *hak_audit_block_of(const struct hak_slab *slab, const void *block);

/* The record of the large block at this address, or of the last one that was; NULL as above. It knows sites only: size and
 * state are the allocator's own. */
struct hak_audit_block *hak_audit_large_of(const void *user);

/* A batch moves a block: its state must be the one that this batch starts from. */
void hak_audit_block_moved(enum hak_batch batch, struct hak_audit_block *record,
                           const struct hak_slab *slab, const struct hak_block *block);

/* A block that is in a bin's list must be known to be there. */
void hak_audit_block_listed(const struct hak_audit_block *record, const struct hak_slab *slab,
                            const struct hak_block *block);

/* All blocks of the slab are uncarved from here on; none may be live or in a bin. */
void hak_audit_blocks_reset(const struct hak_slab *slab);

const char *hak_audit_state_name(unsigned state);

struct hak_text;
/* Writes a line to stderr and to HAKMEM_AUDIT_LOG. */
void hak_audit_print(struct hak_text *line);
void hak_audit_print_site(const char *what, uint32_t site);

/* Lists what is still live (level 2). */
void hak_audit_leaks(void);

#endif
