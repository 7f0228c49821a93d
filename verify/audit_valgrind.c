#include "verify/audit_valgrind.h"

#include <valgrind/helgrind.h>
/* After Helgrind's header: of the macros that both define, this header replaces only those that
 * differ. */
#include <valgrind/drd.h>
#include <valgrind/memcheck.h>

#include "core/hooks.h"

bool hak_valgrind_is_memcheck(void) {
    static signed char known = -1; /* set by the first call, when there is only one thread */
    static char byte;
    if (known < 0)
        known = VALGRIND_MAKE_MEM_DEFINED(&byte, sizeof byte) != 0; /* only Memcheck answers */
    return known;
}

/* The allocator reads and writes links in blocks that Memcheck knows to be free, so Memcheck's
 * errors are switched off inside of the allocator. Helgrind and DRD are told of every order that
 * there is, and may report what they find there. */
void hak_audit_enter(void) {
    if (hak_valgrind_is_memcheck()) VALGRIND_DISABLE_ERROR_REPORTING;
}

void hak_audit_leave(void) {
    if (hak_valgrind_is_memcheck()) VALGRIND_ENABLE_ERROR_REPORTING;
}

void hak_valgrind_begun(void *user, size_t size, size_t room, bool zero) {
    VALGRIND_HG_CLEAN_MEMORY(user, room);
    VALGRIND_MALLOCLIKE_BLOCK(user, size, 0, zero);
    VALGRIND_MAKE_MEM_NOACCESS((char *)user + size, room - size);
}

void hak_valgrind_ended(void *user) {
    VALGRIND_FREELIKE_BLOCK(user, 0);
}

/* Memcheck keeps its knowledge of the contents only if the block stays in place. Shrinking is
 * announced before another thread can have the rest, growth afterwards. */
void hak_valgrind_resizing(void *user, size_t old_size, size_t size) {
    if (size < old_size) VALGRIND_RESIZEINPLACE_BLOCK(user, old_size, size, 0);
}

void hak_valgrind_resized(void *old, void *user, size_t old_size, size_t size, size_t room) {
    if (old != user) {
        hak_valgrind_begun(user, size, room, false);
        VALGRIND_MAKE_MEM_DEFINED(user, old_size < size ? old_size : size);
        return;
    }
    if (size > old_size) {
        VALGRIND_HG_CLEAN_MEMORY((char *)user + old_size, size - old_size);
        VALGRIND_RESIZEINPLACE_BLOCK(user, old_size, size, 0);
    }
    VALGRIND_MAKE_MEM_NOACCESS((char *)user + size, room - size);
}

/* Memcheck knows where the block ends even if the audit has no record of it. The caller has
 * switched errors off. */
size_t hak_valgrind_usable(const void *user, size_t room) {
    uintptr_t end = VALGRIND_CHECK_MEM_IS_ADDRESSABLE(user, room);
    return end == 0 ? room : end - (uintptr_t)user;
}

void hak_valgrind_hide(void *start, size_t bytes) {
    VALGRIND_MAKE_MEM_NOACCESS(start, bytes);
}

void hak_valgrind_release(const volatile void *word) {
    ANNOTATE_HAPPENS_BEFORE(word);
}

void hak_valgrind_acquire(const volatile void *word) {
    ANNOTATE_HAPPENS_AFTER(word);
}

void hak_valgrind_atomic(const volatile void *word, size_t bytes) {
    VALGRIND_HG_DISABLE_CHECKING(word, bytes);
    ANNOTATE_BENIGN_RACE_SIZED(word, bytes, "atomic");
}

/* Helgrind ignores memory that was reserved without access, even after it has become accessible.
 * This request makes Helgrind check it. */
void hak_valgrind_fresh(void *start, size_t bytes) {
    VALGRIND_HG_CLEAN_MEMORY(start, bytes);
}
