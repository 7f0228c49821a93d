/* Maps addresses of blocks to slots of the operation log. All functions: under the recorder's lock.
 * Memory comes from the system. */
#ifndef HAK_VERIFY_RECORD_SLOTS_H
#define HAK_VERIFY_RECORD_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#define RECORD_NO_SLOT UINT32_MAX

/* Takes the slot that became free last, or a new one. RECORD_NO_SLOT: no memory, or too many
 * slots. */
uint32_t record_slot_take(void);
/* Puts the block into the taken slot. False: no memory. */
bool record_slot_fill(uint32_t slot, const void *block);
/* The slot that holds the block, or RECORD_NO_SLOT. */
uint32_t record_slot_of(const void *block);
/* Takes the block out of its slot. The slot stays taken. */
void record_slot_empty(uint32_t slot);
/* Makes an empty slot free. */
void record_slot_drop(uint32_t slot);
/* The free slot that held a block at this address last, or RECORD_NO_SLOT. */
uint32_t record_slot_that_held(const void *block);

#endif
