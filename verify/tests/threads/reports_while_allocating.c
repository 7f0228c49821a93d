/* malloc_trim, mallinfo2, malloc_info and mallopt run all the time, while other threads allocate,
 * resize and free each other's blocks. Contents stay, the figures are possible, and at the end no
 * more is live than before. */
#include "threads.h"

enum { THREADS = 4, CELLS = 512 };

static struct letter *_Atomic cells[CELLS];
static _Atomic size_t running;
static size_t exchanges;

static void *exchange(void *argument) {
    uint64_t seed = (uint64_t)(size_t)argument;
    for (size_t i = 0; i < exchanges; i++) {
        struct letter *mine = letter_new(letter_size(&seed), i);
        if (i % 4 == 0) mine = letter_resize(mine, letter_size(&seed));
        struct letter *theirs = atomic_exchange(&cells[test_random_below(&seed, CELLS)], mine);
        if (theirs != NULL) letter_free(theirs);
    }
    running--;
    return NULL;
}

int main(void) {
    test_needs_hakmem();
    exchanges = test_quick() ? 10000 : 100000;
    FILE *nowhere = fopen("/dev/null", "w");
    CHECK(nowhere != NULL && malloc_info(0, nowhere) == 0, "cannot write: errno %d", errno);
    size_t before = process_live_bytes(), reports = 0;
    pthread_t threads[THREADS];
    running = THREADS;
    for (size_t i = 0; i < THREADS; i++)
        threads[i] = thread_start(exchange, (void *)i);
    for (; running > 0; reports++) {
        malloc_trim(reports % 3 * MIB);
        struct mallinfo2 info = mallinfo2();
        CHECK(info.uordblks <= info.arena, "uordblks %zu, arena %zu", info.uordblks, info.arena);
        CHECK(malloc_info(0, nowhere) == 0, "malloc_info fails with errno %d", errno);
        mallopt(M_TRIM_THRESHOLD, reports % 2 == 0 ? 1 << 20 : reports % 3 == 0 ? 1 << 27 : -1);
        mallopt(M_MMAP_MAX, reports % 5 == 0 ? 1 << 16 : 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        thread_join(threads[i]);
    for (size_t i = 0; i < CELLS; i++)
        if (cells[i] != NULL) letter_free(cells[i]);
    size_t after = process_live_bytes();
    CHECK(after < before + MIB / 4, "live bytes grow from %zu to %zu", before, after);
    return test_ok("%zu reports", reports);
}
