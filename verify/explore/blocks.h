/* Blocks that the threads of a scenario hold, by number. Both ends of each are filled, and proved when it is given back, so
 * that memory that was handed out twice, or lost its contents, is seen. */
#ifndef HAK_EXPLORE_BLOCKS_H
#define HAK_EXPLORE_BLOCKS_H

#include "verify/explore/scheduler.h"

#define BLOCKS     32u
#define BLOCK_ENDS 32u /* bytes, at most, at either end */

struct block {
    unsigned char *start; /* NULL: there is none */
    size_t size;
};

void block_take(unsigned number, size_t size);
void block_give(unsigned number);
struct block *block_at(unsigned number);

void blocks_give_all(void);
/* They are gone with the heap that they were in. */
void blocks_forget(void);

#endif
