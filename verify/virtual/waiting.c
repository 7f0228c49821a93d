#include "verify/virtual/waiting.h"

#include "core/os.h"
#include "verify/virtual/yields.h"
#include "verify/os_faults.h"

static struct hak_os_table original;

/* All calls are steps on one word, so they conflict: their results may depend on their order. */
static void system_step(void) {
    explore_yield(EXPLORE_SYSTEM, NULL, &original, sizeof original, memory_order_seq_cst);
}

static enum hak_placed step_place(void *start, size_t bytes) {
    system_step();
    return original.place(start, bytes);
}
static void *step_reserve(size_t bytes) {
    system_step();
    return original.reserve(bytes);
}
static bool step_unmap(void *start, size_t bytes) {
    system_step();
    return original.unmap(start, bytes);
}
static bool step_commit(void *start, size_t bytes) {
    system_step();
    return original.commit(start, bytes);
}
static bool step_purge(void *start, size_t bytes) {
    system_step();
    return original.purge(start, bytes);
}
static bool step_renew(void *start, size_t bytes) {
    system_step();
    return original.renew(start, bytes);
}
static enum hak_moved step_move(void *from, size_t bytes, void *to, size_t longer) {
    system_step();
    return original.move(from, bytes, to, longer);
}
static enum hak_moved step_stretch(void *start, size_t bytes, size_t longer) {
    system_step();
    return original.stretch(start, bytes, longer);
}
static bool step_huge_pages(void *start, size_t bytes, bool wanted) {
    system_step();
    return original.huge_pages(start, bytes, wanted);
}

void explore_system_begin(void) {
    static const struct hak_os_table steps = {
        .place = step_place,
        .reserve = step_reserve,
        .unmap = step_unmap,
        .commit = step_commit,
        .purge = step_purge,
        .renew = step_renew,
        .move = step_move,
        .stretch = step_stretch,
        .huge_pages = step_huge_pages,
    };
    original = hak_os;
    hak_os_table_write(&steps);
}
