/* A random tenth of many blocks stays live. malloc_trim gives back the pages between them, in the
 * heap of the calling thread, of a thread that sleeps, and of one that has ended; live blocks keep
 * their contents, and the program goes on with the memory.
 *
 * usage: holes_go_back own|sleeps|ended */
#include "../process.h"
#include "../threads/threads.h"

enum { BLOCKS = 200000 };

static unsigned char *blocks[BLOCKS];
static size_t live_bytes, all_bytes;
static pthread_barrier_t over;
static bool sleeps;

/* 16 to 1000 bytes, and as many bytes in blocks of 40 000. */
static size_t size_of(size_t i) {
    return i % 80 == 0 ? 40000 : 16 + i * 7919 % 985;
}

static void fill_and_free(void) {
    uint64_t seed = 3;
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(size_of(i));
        CHECK(blocks[i] != NULL, "no block %zu", i);
        memset(blocks[i], (int)(i % 255 + 1), size_of(i));
        all_bytes += size_of(i);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        if (test_random(&seed) % 10 != 0) {
            free(blocks[i]);
            blocks[i] = NULL;
        } else {
            live_bytes += size_of(i);
        }
    }
}

static void *in_a_thread(void *unused) {
    fill_and_free();
    pthread_barrier_wait(&over);
    if (sleeps) pthread_barrier_wait(&over);
    return unused;
}

static void check_live(void) {
    for (size_t i = 0; i < BLOCKS; i++)
        for (size_t at = 0; blocks[i] != NULL && at < size_of(i); at++)
            CHECK(blocks[i][at] == i % 255 + 1, "byte %zu of block %zu is %d", at, i,
                  blocks[i][at]);
}

int main(int argc, char **argv) {
    test_needs_hakmem();
    CHECK(argc == 2, "usage: holes_go_back own|sleeps|ended");
    sleeps = strcmp(argv[1], "sleeps") == 0;
    const bool own = strcmp(argv[1], "own") == 0;
    pthread_t thread = 0;
    pthread_barrier_init(&over, NULL, 2);
    memset(blocks, 1, sizeof blocks);
    const size_t empty = process_resident();
    if (own) {
        fill_and_free();
    } else {
        thread = thread_start(in_a_thread, NULL);
        pthread_barrier_wait(&over);
        if (!sleeps) thread_join(thread);
    }
    const size_t before = process_resident() - empty;
    CHECK(malloc_trim(0) == 1, "the trim gave nothing back");
    const size_t after = process_resident() - empty;
    check_live();
    CHECK(after * 10 < all_bytes * 4, "%zu MiB are resident of %zu, %zu before the trim, %zu live",
          after / MIB, all_bytes / MIB, before / MIB, live_bytes / MIB);
    for (size_t i = 0; i < BLOCKS; i++) {
        if (blocks[i] != NULL) continue;
        blocks[i] = malloc(size_of(i));
        CHECK(blocks[i] != NULL, "no block %zu", i);
        memset(blocks[i], (int)(i % 255 + 1), size_of(i));
    }
    check_live();
    CHECK(!own || process_resident() - empty < before + before / 10 + 4 * MIB,
          "%zu MiB, %zu before", (process_resident() - empty) / MIB, before / MIB);
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    if (sleeps) {
        pthread_barrier_wait(&over);
        thread_join(thread);
    }
    return test_ok("%zu of %zu MiB after the trim, %zu live", after / MIB, before / MIB,
                   live_bytes / MIB);
}
