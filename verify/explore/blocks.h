/* Blocks that the threads of a scenario hold, by number. Both ends of a block are filled when it is
 * taken and proved when it is given back. This finds memory that was handed out twice, or that lost
 * its contents. */
#ifndef HAK_EXPLORE_BLOCKS_H
#define HAK_EXPLORE_BLOCKS_H

#include "verify/virtual/scheduler.h"

#define BLOCKS     32u
#define BLOCK_ENDS 32u /* the most bytes that are filled at either end */

struct block {
    unsigned char *start; /* NULL: there is no block of this number */
    size_t size;
};

void block_take(unsigned number, size_t size);
void block_give(unsigned number);
struct block *block_at(unsigned number);

void blocks_give_all(void);
/* Forgets all blocks without freeing them: their heap is gone. */
void blocks_forget(void);

#endif
