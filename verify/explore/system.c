#include "verify/explore/system.h"

#include <sys/mman.h>

#include "core/os.h"
#include "verify/explore/yields.h"
#include "verify/os_faults.h"

static struct hak_os_table original;
static void *reserved; /* last */
static size_t reserved_bytes;
static bool reserved_is_free;

/* One word for all calls: what the system does for two of them may depend on their order. */
static void system_step(void) {
    explore_yield(EXPLORE_SYSTEM, NULL, &original, sizeof original, memory_order_seq_cst);
}

/* Not here: what a schedule has placed would have to go before the next. */
static enum hak_placed step_place(void *start, size_t bytes) {
    (void)start;
    (void)bytes;
    return HAK_PLACE_REFUSED;
}
static void *step_reserve(size_t bytes) {
    system_step();
    if (!reserved_is_free || bytes != reserved_bytes) {
        void *start = original.reserve(bytes);
        if (reserved_is_free) return start; /* a probe */
        reserved = start;
        reserved_bytes = bytes;
    }
    reserved_is_free = false;
    return reserved;
}
static bool step_release(void *start, size_t bytes) {
    system_step();
    return original.release(start, bytes);
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
static enum hak_moved step_move(void *from, void *to, size_t bytes) {
    system_step();
    return original.move(from, to, bytes);
}
static bool step_huge_pages(void *start, size_t bytes, bool wanted) {
    system_step();
    return original.huge_pages(start, bytes, wanted);
}

void explore_system_begin(void) {
    static const struct hak_os_table steps = {
        .place = step_place,
        .reserve = step_reserve,
        .release = step_release,
        .commit = step_commit,
        .purge = step_purge,
        .renew = step_renew,
        .move = step_move,
        .huge_pages = step_huge_pages,
    };
    original = hak_os;
    hak_os_table_write(&steps);
}

void explore_system_unreserve(void) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    reserved_is_free = mmap(reserved, reserved_bytes, PROT_NONE, flags, -1, 0) == reserved;
    HAK_CHECK(reserved_is_free);
}
