/* Which slot of the log stands for which address. The caller has the recorder's lock; memory comes from the system. */
#ifndef HAK_VERIFY_RECORD_SLOTS_H
#define HAK_VERIFY_RECORD_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#define RECORD_NO_SLOT UINT32_MAX

/* A slot that is free; the one that became free last. None: no memory, or too many. */
uint32_t record_slot_take(void);
/* The slot holds this block from here on. False: no memory. */
bool record_slot_fill(uint32_t slot, const void *block);
/* The slot that holds the block; none: no slot does. */
uint32_t record_slot_of(const void *block);
/* The slot holds no block, and is not free yet. */
void record_slot_empty(uint32_t slot);
/* The empty slot is free. */
void record_slot_drop(uint32_t slot);
/* A free slot that held this address last; none: no such slot. */
uint32_t record_slot_that_held(const void *block);

#endif
