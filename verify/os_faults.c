#include "verify/os_faults.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/os.h"

static struct hak_os_table original;
static _Atomic size_t calls;
static size_t fail_first;
static bool fail_for_ever;
static size_t failed_moves, failed_places;

static bool fails(void) {
    size_t call = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    return call == fail_first || (fail_for_ever && call > fail_first);
}

/* The two kinds of failure take turns. */
static enum hak_placed faulty_place(void *start, size_t bytes) {
    if (!fails()) return original.place(start, bytes);
    return failed_places++ % 2 == 0 ? HAK_PLACE_REFUSED : HAK_PLACE_OCCUPIED;
}
static void *faulty_reserve(size_t bytes) {
    return fails() ? NULL : original.reserve(bytes);
}
static bool faulty_unmap(void *start, size_t bytes) {
    return !fails() && original.unmap(start, bytes);
}
static bool faulty_commit(void *start, size_t bytes) {
    return !fails() && original.commit(start, bytes);
}
static bool faulty_purge(void *start, size_t bytes) {
    return !fails() && original.purge(start, bytes);
}
/* Loses memory as the kernel may, which unmaps before it maps. The range becomes inaccessible, but
 * stays reserved: nothing else can be mapped there, so the test can go on. */
static void lose(void *start, size_t bytes) {
    void *lost = mmap(start, bytes, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    HAK_CHECK(lost == start);
}

static bool faulty_renew(void *start, size_t bytes) {
    if (!fails()) return original.renew(start, bytes);
    lose(start, bytes);
    return false;
}

/* The kinds of failed moves take turns. */
static enum hak_moved faulty_move(void *from, size_t bytes, void *to, size_t longer) {
    static const enum hak_moved kinds[] = {HAK_NOT_MOVED, HAK_NOT_MOVED_TO_LOST, HAK_MOVE_REFUSED};
    if (!fails()) return original.move(from, bytes, to, longer);
    enum hak_moved kind = kinds[failed_moves++ % (sizeof kinds / sizeof kinds[0])];
    if (kind == HAK_NOT_MOVED_TO_LOST) lose(to, longer);
    return kind;
}

static enum hak_moved faulty_stretch(void *start, size_t bytes, size_t longer) {
    if (!fails()) return original.stretch(start, bytes, longer);
    if (failed_moves++ % 2 == 0) return HAK_NOT_MOVED;
    lose((char *)start + bytes, longer - bytes);
    return HAK_NOT_MOVED_TO_LOST;
}

static bool faulty_huge_pages(void *start, size_t bytes, bool wanted) {
    return !fails() && original.huge_pages(start, bytes, wanted);
}

/* The table is constant, and its page was made read-only after relocation. */
void hak_os_table_write(const struct hak_os_table *table) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)&hak_os & ~(page - 1);
    uintptr_t end = ((uintptr_t)(&hak_os + 1) + page - 1) & ~(page - 1);
    int bad = mprotect((void *)start, end - start, PROT_READ | PROT_WRITE);
    HAK_CHECK(bad == 0);
    struct hak_os_table *written = (struct hak_os_table *)(uintptr_t)&hak_os;
    __asm__("" : "+r"(written)); /* clang would drop stores to a constant */
    *written = *table;
    HAK_CHECK(((const volatile struct hak_os_table *)&hak_os)->reserve == table->reserve);
}

void hak_os_faults_begin(size_t first, bool for_ever) {
    static const struct hak_os_table faulty = {
        .place = faulty_place,
        .reserve = faulty_reserve,
        .unmap = faulty_unmap,
        .commit = faulty_commit,
        .purge = faulty_purge,
        .renew = faulty_renew,
        .move = faulty_move,
        .stretch = faulty_stretch,
        .huge_pages = faulty_huge_pages,
    };
    if (original.reserve == NULL) original = hak_os;
    fail_first = first;
    fail_for_ever = for_ever;
    failed_moves = failed_places = first; /* so the kind of the first failure varies with `first` */
    atomic_store_explicit(&calls, 0, memory_order_relaxed);
    hak_os_table_write(&faulty);
}

size_t hak_os_faults_end(void) {
    hak_os_table_write(&original);
    return atomic_load_explicit(&calls, memory_order_relaxed);
}
