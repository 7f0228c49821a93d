/* Valgrind's client requests, behind names of our own; nothing in every build but the valgrind one. */
#ifndef HAK_VERIFY_AUDIT_VALGRIND_H
#define HAK_VERIFY_AUDIT_VALGRIND_H

#include "core/types.h"

bool hak_valgrind_is_memcheck(void);
/* A block of `size` bytes, all zero or undefined; the rest of its `room` is nobody's. */
void hak_valgrind_begun(void *user, size_t size, size_t room, bool zero);
void hak_valgrind_ended(void *user);
/* How much of a live block's `room` the program may use. */
size_t hak_valgrind_usable(const void *user, size_t room);
/* Memory of the audit: the search for leaks need not walk it, and it holds no reference that counts. */
void hak_valgrind_hide(void *start, size_t bytes);
/* A live block is about to be resized, and has been: in the first place, or in another if it has ended in the old one. */
void hak_valgrind_resizing(void *user, size_t old_size, size_t size);
void hak_valgrind_resized(void *old, void *user, size_t old_size, size_t size, size_t room);

#endif
