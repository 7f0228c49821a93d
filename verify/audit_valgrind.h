/* Valgrind's client requests, under names of our own. Only the valgrind build has these
 * functions. */
#ifndef HAK_VERIFY_AUDIT_VALGRIND_H
#define HAK_VERIFY_AUDIT_VALGRIND_H

#include "core/types.h"

bool hak_valgrind_is_memcheck(void);
/* A block of `size` bytes begins, all zero or undefined. The rest of its `room` is inaccessible. */
void hak_valgrind_begun(void *user, size_t size, size_t room, bool zero);
void hak_valgrind_ended(void *user);
/* How many bytes of a live block's `room` the program may use. */
size_t hak_valgrind_usable(const void *user, size_t room);
/* Hides memory of the audit: the leak search must not walk it, nor take its words for
 * references. */
void hak_valgrind_hide(void *start, size_t bytes);
/* Before and after a live block is resized. If `user` is not `old`, the block has moved, and
 * hak_valgrind_ended was called for `old`. */
void hak_valgrind_resizing(void *user, size_t old_size, size_t size);
void hak_valgrind_resized(void *old, void *user, size_t old_size, size_t size, size_t room);

#endif
