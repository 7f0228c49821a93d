/* A program locks all memory that it has (current) or will get (future). No more memory is locked
 * than the program uses, and freed memory is no longer locked.
 *
 * usage: memory_locked BYTES current|future, where BYTES is the size of a block */
#include "../process.h"

#include <sys/mman.h>

#define MOST (64 * MIB)
/* A SuperSlab that is used a little, and a SuperSlab that the next blocks may come from. */
#define SPARE (4 * MIB)

static size_t locked(void) {
    char text[4096];
    int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t length = read(file, text, sizeof text - 1);
    CHECK(length > 0, "cannot read /proc/self/status: errno %d", errno);
    close(file);
    text[length] = '\0';
    const char *found = strstr(text, "VmLck:");
    CHECK(found != NULL, "no VmLck");
    return strtoul(found + 6, NULL, 10) << 10;
}

/* The blocks; one byte of each was written. NULL: freed. */
static void **blocks;
static size_t count, size;

static void take(void) {
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL, "no block");
        *(char *)blocks[i] = 1;
    }
}

static void give(bool all) {
    for (size_t i = 0; i < count; i++) {
        if (!all && i % 10 == 0) continue;
        free(blocks[i]);
        blocks[i] = NULL;
    }
    malloc_trim(0);
}

int main(int argc, char **argv) {
    struct rlimit limit;
    CHECK(argc == 3, "usage: memory_locked BYTES current|future");
    const bool later = strcmp(argv[2], "future") == 0;
    getrlimit(RLIMIT_MEMLOCK, &limit);
    const size_t most = geteuid() == 0 || limit.rlim_cur / 2 > MOST ? MOST : limit.rlim_cur / 2;
    size = strtoul(argv[1], NULL, 10);
    count = most / size;
    blocks = mmap(NULL, count * sizeof *blocks, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                  -1, 0);
    if (!later) {
        take();
        give(true);
        take();
    }
    CHECK(mlockall(later ? MCL_FUTURE : MCL_CURRENT) == 0, "mlockall of %zu MiB: errno %d",
          most / MIB, errno);
    const size_t before = later ? 0 : locked() - count * size;
    for (int round = 0; round < 3; round++) {
        if (later || round > 0) take();
        CHECK(!later || locked() <= count * size / 10 * 12 + SPARE, "%zu KiB are locked for %zu",
              locked() >> 10, count * size >> 10);
        give(false);
        if (size >= MIB / 8)
            CHECK(locked() <= before + count * size / 8 + SPARE,
                  "round %d: %zu KiB are locked where a tenth is left", round, locked() >> 10);
        give(true);
        CHECK(locked() <= before + SPARE, "round %d: %zu KiB are locked where nothing is left",
              round, locked() >> 10);
    }
    return test_ok("%zu blocks of %zu bytes", count, size);
}
