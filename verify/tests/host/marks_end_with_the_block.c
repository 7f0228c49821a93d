/* The properties that a program gives to the pages of a block, by mlock, madvise or mprotect, end
 * with the block. Later blocks at these addresses are in memory only where they are used, are there
 * in a child of fork and in a dump, can be written, and cannot be executed.
 *
 * usage: marks_end_with_the_block lock|lock2|fork|wipe|dump|protect|execute BYTES */
#include "../pattern.h"
#include "../process.h"

#include <sys/mman.h>
#include <sys/wait.h>

enum { BLOCKS = 8 };

static const char *kind;
static size_t size;

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

static bool is(const char *name) {
    return strcmp(kind, name) == 0;
}

/* Gives the property `kind` to the whole pages in the middle of the block. */
static void mark(char *block) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    char *start = (char *)(((uintptr_t)block + page) & ~(page - 1));
    const size_t bytes = (size - page) & ~(page - 1);
    int bad = 0;
    if (is("lock")) bad = mlock(start, bytes);
    if (is("lock2")) bad = mlock2(start, bytes, MLOCK_ONFAULT);
    if (is("fork")) bad = madvise(start, bytes, MADV_DONTFORK);
    if (is("wipe")) bad = madvise(start, bytes, MADV_WIPEONFORK);
    if (is("dump")) bad = madvise(start, bytes, MADV_DONTDUMP);
    if (is("protect")) bad = mprotect(start, bytes, PROT_READ);
    if (is("execute")) bad = mprotect(start, bytes, PROT_READ | PROT_WRITE | PROT_EXEC);
    CHECK(bad == 0, "%s: errno %d", kind, errno);
}

/* True if each mapping of the block can be read and written but not executed, and is in a dump. */
static bool is_plain(const char *block) {
    char line[4096];
    bool inside = false, plain = true;
    FILE *maps = fopen("/proc/self/smaps", "r");
    CHECK(maps != NULL, "no /proc/self/smaps");
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, until;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &until, rights) == 3) {
            inside = from < (uintptr_t)block + size && until > (uintptr_t)block;
            if (inside && strcmp(rights, "rw-p") != 0) plain = false;
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " dd") != NULL) {
            plain = false;
        }
    }
    fclose(maps);
    return plain;
}

static void use(char *blocks[], size_t count, uint64_t seed) {
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL, "no block");
        pattern_fill(blocks[i], size, seed + i);
        CHECK(is_plain(blocks[i]), "block %zu is not dumped, or may be executed", i);
    }
    pid_t child = fork();
    CHECK(child >= 0, "fork: errno %d", errno);
    if (child == 0) {
        for (size_t i = 0; i < count; i++)
            PATTERN_CHECK(blocks[i], size, seed + i);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0, "the child ends with status %#x",
          status);
    CHECK(locked() == 0, "%zu KiB are locked", locked() >> 10);
}

int main(int argc, char **argv) {
    static char *blocks[BLOCKS];
    CHECK(argc == 3,
          "usage: marks_end_with_the_block lock|lock2|fork|wipe|dump|protect|execute BYTES");
    kind = argv[1];
    size = strtoul(argv[2], NULL, 10);
    for (uint64_t round = 0; round < 4; round++) {
        use(blocks, BLOCKS, round);
        for (size_t i = 0; i < BLOCKS; i++)
            if ((i + round) % 2 == 0) mark(blocks[i]);
        if (!is("protect")) { /* realloc keeps the contents of a marked block */
            blocks[0] = realloc(blocks[0], 2 * size);
            CHECK(blocks[0] != NULL, "no longer block");
            PATTERN_CHECK(blocks[0], size, round);
        }
        for (size_t i = 0; i < BLOCKS; i++)
            free(blocks[i]);
    }
    use(blocks, BLOCKS, 99);
    return test_ok("%s of blocks of %zu bytes", kind, size);
}
