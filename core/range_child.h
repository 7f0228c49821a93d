/* The range in a child of fork. */
#ifndef HAK_RANGE_CHILD_H
#define HAK_RANGE_CHILD_H

#include "core/spans.h"

/* Once, before the range's lock is first taken. */
void hak_range_child_init(void);

/* Finds all free spans anew, from the spans in use. For a child of fork: spans that threads of the
 * parent were just taking or giving back become free, and so do the spans of the cache, if its
 * lock is lost. Takes the range's lock. */
void hak_range_rebuild(void);

#endif
