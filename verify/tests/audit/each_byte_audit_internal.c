/* The guards of blocks, byte by byte, at level 2. A write to any byte behind the requested size, or
 * to any guarded byte of a freed block, is reported with its place. No byte of the program is ever
 * changed or looked at. The linker leads the report to the function here. */
#define TEST_LINKED
#include "verify/tests/test.h"

#include <setjmp.h>

#include "core/announced.h"
#include "core/heap.h"
#include "verify/audit.h"

#define GUARDED 64u /* guarded bytes behind the requested size, and at each end of a freed block */
#define LINK    8u  /* bytes of the link, at the beginning of a freed block */

static sigjmp_buf before;
static unsigned cases;
static struct {
    const char *equation;
    uint64_t left, right;
} reported;

_Noreturn void __wrap_hak_audit_report(const char *equation, uint64_t left, uint64_t right,
                                       const struct hak_slab *slab, const void *block);

_Noreturn void __wrap_hak_audit_report(const char *equation, uint64_t left, uint64_t right,
                                       const struct hak_slab *slab, const void *block) {
    CHECK(slab != NULL && hak_slab_has(slab, block), "the report of '%s' names no block", equation);
    reported.equation = equation;
    reported.left = left;
    reported.right = right;
    siglongjmp(before, 1);
}

/* True if the call was reported, with this equation and these figures. False if there was no
 * report. Fails at any other report. */
static bool was_reported(void (*call)(void *), void *argument, const char *equation, uint64_t left,
                         uint64_t right) {
    reported.equation = NULL;
    if (sigsetjmp(before, 0) == 0) call(argument);
    if (reported.equation == NULL) return false;
    cases++;
    CHECK(strstr(reported.equation, equation) != NULL && reported.left == left &&
              reported.right == right,
          "'%s' with %lu and %lu, not '%s' with %lu and %lu", reported.equation, reported.left,
          reported.right, equation, left, right);
    return true;
}

static size_t room_of(const void *block) {
    return hak_classes[hak_slab_find(block)->class].stride - 1;
}

static void free_it(void *block) {
    hak_free(block);
}

/* The block stays live. So the count of the audit for its bin, and what the free has announced, are
 * taken back. */
static void free_is_reported(void *block, uint64_t at, uint64_t size) {
    CHECK(was_reported(free_it, block, "behind the requested size", at, size), "byte %lu of %lu",
          at, size);
    hak_audit_bin_length_add(hak_slab_find(block)->class, -1u);
    hak_announce(+1);
}

static size_t wanted;
static void *got;

static void allocate_it(void *block) {
    (void)block;
    got = hak_malloc(wanted);
}

static uint8_t content(size_t at) {
    return (uint8_t)(at * 7 + 3);
}

static void write_content(uint8_t *block, size_t size) {
    for (size_t i = 0; i < size; i++)
        block[i] = content(i);
}

static void has_content(const uint8_t *block, size_t size) {
    for (size_t i = 0; i < size; i++)
        CHECK(block[i] == content(i), "byte %zu of %zu has changed", i, size);
}

static void each_byte_behind(size_t size) {
    uint8_t *block = hak_malloc(size);
    CHECK(block != NULL, "%zu bytes", size);
    const size_t room = room_of(block);
    write_content(block, size);
    for (size_t at = size; at < room && at < size + GUARDED; at++) {
        block[at] ^= 1;
        free_is_reported(block, at, size);
        block[at] ^= 1;
    }
    /* The block gets other sizes in the same place. */
    for (size_t other = size; other <= room && other < size + 3; other++) {
        CHECK(hak_realloc(block, other) == block, "%zu bytes became %zu", size, other);
        has_content(block, size);
        write_content(block, other);
        if (other < room) {
            block[other] ^= 1;
            free_is_reported(block, other, other);
            block[other] ^= 1;
        }
    }
    hak_free(block);
}

/* A block with a broken fill is lost: the report comes after the malloc has taken the block from
 * its bin, and before the malloc has changed the free capacity. So that change is made here. */
static void each_byte_freed(size_t size) {
    uint8_t *block = hak_malloc(size);
    const size_t room = room_of(block);
    hak_free(block);
    for (size_t at = LINK; at < room; at++) {
        if (at == GUARDED && room > 2 * GUARDED) at = room - GUARDED;
        block = hak_malloc(size);
        hak_free(block);
        block[at] ^= 1;
        wanted = size;
        CHECK(was_reported(allocate_it, NULL, "a freed block is not written to", at, room),
              "byte %zu of %zu", at, room);
        hak_bin_popped(hak_thread_heap(), HAK_CLASS_HEADER(hak_slab_find(block)->class));
    }
}

int main(void) {
    CHECK(hak_audit_options.level == 2, "not level 2");
    for (size_t size = 1; size <= 1100; size++)
        each_byte_behind(size);
    for (size_t size = 1101; size < 52000; size += size / 11)
        each_byte_behind(size);
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        each_byte_freed(hak_classes[bin].stride - 1);
    return test_ok("%u bytes", cases);
}
