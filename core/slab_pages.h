/* Whole free pages inside of slabs that have blocks in use. A trim gives their memory back: the
 * free blocks on these pages leave the freelist and are uncarved again. They are carved anew, a
 * page at a time, when the freelist is empty; only then the uncarved end of the slab is carved
 * further.
 *
 * Only the thread of the home's owner calls these functions, except for hak_slab_is_carved and
 * hak_slab_carved_end. */
#ifndef HAK_SLAB_PAGES_H
#define HAK_SLAB_PAGES_H

#include "core/slab.h"

/* Uncarves the free blocks of the slab's free pages, and gives the pages' memory to the system.
 * Returns the bytes; 0: there is no further such page. What stays in the freelist is in address
 * order. Takes time in proportion to the slab's blocks, 4095 at most. */
size_t hak_slab_pages_purge(struct hak_slab *slab);

/* Carves blocks of purged pages into the empty freelist. False: the slab has no purged page. */
bool hak_slab_pages_carve(struct hak_slab *slab);

/* Has the system give memory to the slab's purged pages. They stay uncarved. */
void hak_slab_pages_populate(const struct hak_slab *slab);

/* Any thread, as a hint: the number of the first block at the end of the slab that was never carved
 * since the slab began; and whether block `index` is carved: it is before that end, and no byte of
 * it on a purged page. */
uint32_t hak_slab_carved_end(const struct hak_slab *slab);
bool hak_slab_is_carved(const struct hak_slab *slab, uint32_t index);

#endif
