/* A window of addresses that the kernel does not choose by itself. Nothing of it is mapped but what
 * is in use: areas, each from its start on, in order, so that the kernel sees one mapping an area.
 *
 * What a program does not use costs it nothing: no limit counts it, no dump holds it, no lock keeps
 * it. Where the kernel gives no addresses by name, or a sanitizer has plans for them, the window is
 * a reservation: mapped at once, without access, and made accessible by area.
 *
 * Nothing here is safe for threads: the range's lock is its caller's. */
#ifndef HAK_WINDOW_H
#define HAK_WINDOW_H

#include "core/os.h"

/* One stretch of the window that is committed from its start on. Bytes, multiples of the page size. */
struct hak_area {
    uintptr_t start;
    size_t most, committed;
    size_t changing; /* a thread is about to commit, or to give back, what lies between */
};

/* True if the window is a reservation: what is unmapped there is gone for good. */
bool hak_window_is_reserved(void);

/* The longest window that there is room for, so that chance has a choice. */
size_t hak_window_most(void);

/* Opens a window of `bytes`, at a multiple of a SuperSlab, with the area `first` at its start,
 * committed to its most; false: not here. Once, unless it was closed. */
bool hak_window_open(size_t bytes, struct hak_area *first);

/* The same by a reservation, at any page. */
bool hak_window_reserve(size_t bytes, struct hak_area *first);

/* True if address space for as much could be reserved just now. */
bool hak_window_fits(size_t bytes);

/* The areas lose what they have committed. */
void hak_window_close(struct hak_area *const *areas, size_t count);

/* Commits pages of the window, where nothing is committed. They are zero. Any thread whose these
 * addresses are. */
enum hak_placed hak_window_commit(uintptr_t start, size_t bytes);

/* Commits an area up to `bytes`, rounded up to pages. What comes is zero. */
enum hak_placed hak_area_grow(struct hak_area *area, size_t bytes);

/* Gives back pages that are committed, addresses included; false: nothing has changed, as in a
 * reservation. */
bool hak_window_release(uintptr_t start, size_t bytes);

/* The area goes on behind `bytes` that are not committed. */
void hak_area_skip(struct hak_area *area, size_t bytes);

/* The area ends before what is not committed behind `bytes`. */
void hak_area_leave(struct hak_area *area, size_t bytes);

/* In a child of fork, whose parent's thread may have been about to: what the kernel has done counts.
 * (If it was not done, and at that moment somebody else put a mapping there, that would be taken for
 * ours: of all that is random here, both would have to hit the same instant and the same pages.) */
void hak_area_mend(struct hak_area *area);

/* Gives back what is committed behind `bytes`, addresses included. A reservation keeps both. */
void hak_area_shrink(struct hak_area *area, size_t bytes);

#endif
