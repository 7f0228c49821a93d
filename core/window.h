/* A window of addresses that HAKMEM chooses, and not the kernel. Only the used part of it is
 * mapped. The window consists of areas, and each area is committed in order from its start on, so
 * that the kernel sees one mapping an area.
 *
 * The unused part costs a program nothing: no limit counts it, no core dump contains it, mlockall
 * does not lock it. Where the kernel lets nobody choose an address, or a sanitizer has plans for
 * the addresses, the window is a reservation: it is mapped as a whole, without access, and each
 * area is made accessible as it grows.
 *
 * Under the range's lock, unless a comment says otherwise. Under the heaps' lock while the range
 * begins. */
#ifndef HAK_WINDOW_H
#define HAK_WINDOW_H

#include "core/os.h"

/* A part of the window that is committed from its start on. All sizes are bytes, multiples of the
 * page size. */
struct hak_area {
    uintptr_t start;
    size_t most, committed; /* `committed` grows to `most` at most */
    size_t changing; /* a thread is changing the pages from `committed` up to here; 0: none is */
};

/* True if the window is a reservation: addresses that are unmapped there are lost. Any thread. */
bool hak_window_is_reserved(void);

/* Bytes of the longest window to open: half of the addresses that windows lie in, so that there are
 * many places for it. Any thread. */
size_t hak_window_max_bytes(void);

/* Opens a window of `bytes` at a multiple of a SuperSlab's size. The area `first` is at its start
 * and is committed to its `most`. False: there can be no such window, but perhaps a reservation.
 * Once, unless it was closed. */
bool hak_window_open(size_t bytes, struct hak_area *first);

/* The same for a reservation, at any page. False: there is not so much address space, or no
 * memory. */
bool hak_window_reserve(size_t bytes, struct hak_area *first);

/* True if `bytes` of address space could be reserved at this moment. */
bool hak_window_fits(size_t bytes);

/* Unmaps all that the areas have committed, and the reservation if there is one. */
void hak_window_close(struct hak_area *const *areas, size_t count);

/* Commits pages of the window where nothing is committed. The pages are zero. No lock is needed:
 * the addresses belong to the calling thread. */
enum hak_placed hak_window_commit(uintptr_t start, size_t bytes);

/* Commits an area up to `bytes`, rounded up to pages. The new pages are zero. */
enum hak_placed hak_area_grow(struct hak_area *area, size_t bytes);

/* Gives back committed pages and their addresses. False: nothing has changed, as in a reservation.
 * No lock is needed: the pages belong to the calling thread. */
bool hak_window_unmap(uintptr_t start, size_t bytes);

/* Counts `bytes` behind the area's end as committed, though they are not: the area goes on behind
 * them. */
void hak_area_count_unmapped(struct hak_area *area, size_t bytes);

/* Ends the area at `bytes`. The pages behind are unmapped already, so nothing is given back. */
void hak_area_end_at(struct hak_area *area, size_t bytes);

/* In a child of fork: a thread of the parent may have been changing the area. Sets `committed` to
 * what the kernel has done. (If the kernel had not mapped the pages, and another mapping came to
 * lie there at that moment, the area would take that mapping for its own. The window's place is
 * random, so this needs a coincidence of time and place.) */
void hak_area_look_again(struct hak_area *area);

/* Gives back the memory and the addresses behind `bytes`. A reservation keeps both. */
void hak_area_shrink(struct hak_area *area, size_t bytes);

#endif
