/* A purge fails, as it does on locked memory before Linux 5.18. Memory that could not be purged
 * reads as zero when it is used again. After that, the kernel is still asked to move the pages of
 * large blocks, which keep their contents. */
#define TEST_LINKED
#include "../test.h"

#include "core/os.h"
#include "verify/heap_check.h"
#include "verify/os_faults.h"

#define BLOCK ((size_t)1 << 20)

static struct hak_os_table original;
static bool locked;
static unsigned moves, failed_purges;

static enum hak_moved counted_move(void *from, size_t bytes, void *to, size_t longer) {
    moves++;
    return original.move(from, bytes, to, longer);
}

static bool purge_unless_locked(void *start, size_t bytes) {
    if (!locked) return original.purge(start, bytes);
    failed_purges++;
    return false;
}

/* Grows a block that cannot grow in place; returns how often the kernel was asked to move its
 * pages. */
static unsigned moves_of_realloc(void) {
    char *block = hak_malloc(BLOCK), *behind = hak_malloc(BLOCK);
    CHECK(block != NULL && behind != NULL, "no blocks");
    memset(block, 7, BLOCK);
    moves = 0;
    char *moved = hak_realloc(block, 4 * BLOCK);
    CHECK(moved != NULL && moved != block, "%p became %p", (void *)block, (void *)moved);
    for (size_t i = 0; i < BLOCK; i++)
        CHECK(moved[i] == 7, "byte %zu is lost", i);
    hak_free(moved);
    hak_free(behind);
    return moves;
}

int main(void) {
    struct hak_heap_check check;
    original = hak_os;
    struct hak_os_table table = hak_os;
    table.move = counted_move;
    table.purge = purge_unless_locked;
    hak_os_table_write(&table);
    CHECK(moves_of_realloc() == 1, "the kernel was asked to move the block %u times", moves);

    char *block = hak_malloc(BLOCK);
    memset(block, 7, BLOCK);
    hak_free(block);
    locked = true;
    hak_malloc_trim(0);
    CHECK(failed_purges > 0, "nothing was purged");
    locked = false;
    CHECK(hak_check_heap(&check), "%zu equations do not hold", check.faults);
    block = hak_calloc(1, BLOCK);
    for (size_t i = 0; i < BLOCK; i++)
        CHECK(block[i] == 0, "byte %zu of a new block is not zero", i);
    hak_free(block);

    CHECK(moves_of_realloc() == 1, "the kernel was asked to move the block %u times", moves);
    return test_ok("%u failed purges", failed_purges);
}
