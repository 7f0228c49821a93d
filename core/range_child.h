/* The range in a child of fork. */
#ifndef HAK_RANGE_CHILD_H
#define HAK_RANGE_CHILD_H

#include "core/runs.h"

/* Once, before the range's lock is first taken. */
void hak_range_child_begin(void);

/* For whoever finds that the runs in use are not what the free runs say: in a child of fork, the runs that were on their way
 * between the parent's other threads, and those of the BigCache, if that is lost. Finds all free runs anew. */
void hak_range_rebuild(void);

#endif
