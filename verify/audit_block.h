/* Level 2: a record of 16 bytes for each block. The records of a slab's blocks lie side by side and
 * begin at the records of the slab's first granule, so they take few cache lines. Address space is
 * reserved for the most blocks that the range can hold. */
#ifndef HAK_VERIFY_AUDIT_BLOCK_H
#define HAK_VERIFY_AUDIT_BLOCK_H

#include "verify/audit.h"

/* Each block is in exactly one of these places (types.h). */
enum hak_audit_state {
    HAK_AUDIT_UNCARVED = 0,
    HAK_AUDIT_IN_SLAB,
    HAK_AUDIT_REMOTE,
    HAK_AUDIT_IN_BIN,
    HAK_AUDIT_LIVE
};

struct hak_audit_block {
    uint32_t size;       /* requested bytes; kept after the free */
    uint32_t alloc_site; /* see hak_audit_site */
    uint32_t free_site;
    uint16_t thread; /* of a block in a bin: the bin's thread, see thread_mark() */
    uint8_t state;   /* enum hak_audit_state */
    uint8_t filled;  /* 1: the freed block is filled and must not change */
};

/* Reserves the address space of the records; false if there is none. */
bool hak_audit_blocks_open(void);

/* The records of the slab's blocks, by block number; NULL below level 2 or without records. */
struct hak_audit_block *hak_audit_records_of(const struct hak_slab *slab);

/* The record of one of the slab's blocks; NULL if no block begins at `block`, and as above. */
struct hak_audit_block *hak_audit_block_of(const struct hak_slab *slab, const void *block);

/* The record of the large block at this address, or of the last one there; NULL as above. Its
 * `size` is not used: the allocator keeps the size of a large block. */
struct hak_audit_block *hak_audit_large_of(const void *user);

/* Proves that a block is in the state that this batch takes blocks from, and sets the next
 * state. */
void hak_audit_block_moved(enum hak_batch batch, struct hak_audit_block *record,
                           const struct hak_slab *slab, const struct hak_block *block);

/* Proves that a block found in a bin's list has the state HAK_AUDIT_IN_BIN. */
void hak_audit_block_listed(const struct hak_audit_block *record, const struct hak_slab *slab,
                            const struct hak_block *block);

/* Proves that no block of the slab is live or in a bin, and makes all of them uncarved. */
void hak_audit_blocks_reset(const struct hak_slab *slab);

const char *hak_audit_state_name(unsigned state);

struct hak_text;
/* Writes a line to stderr and to HAKMEM_AUDIT_LOG. */
void hak_audit_print(struct hak_text *line);
void hak_audit_print_site(const char *what, uint32_t site);

/* Lists the blocks that are still live (level 2). */
void hak_audit_leaks(void);

#endif
