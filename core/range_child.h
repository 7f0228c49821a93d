/* The range in a child of fork. */
#ifndef HAK_RANGE_CHILD_H
#define HAK_RANGE_CHILD_H

#include "core/spans.h"

/* Once, before the range's lock is first taken. */
void hak_range_child_begin(void);

/* For whoever finds that the spans in use are not what the free spans say: in a child of fork, the spans that were on their way
 * between the parent's other threads, and those of the BigCache, if that is lost. Finds all free spans anew. */
void hak_range_rebuild(void);

#endif
