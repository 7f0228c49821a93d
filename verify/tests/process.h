/* What the kernel says about this process, read without allocating. */
#ifndef HAK_VERIFY_PROCESS_H
#define HAK_VERIFY_PROCESS_H

#include "test.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define MIB ((size_t)1 << 20)

/* The bytes that field `number` of /proc/self/statm stands for: 0 is the address space, 1 is
 * resident memory. */
TEST_UNUSED static size_t process_memory(unsigned number) {
    char text[128], *at = text;
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0, "cannot open /proc/self/statm: errno %d", errno);
    ssize_t length = read(file, text, sizeof text - 1);
    CHECK(length > 0, "cannot read /proc/self/statm: errno %d", errno);
    close(file);
    text[length] = '\0';
    for (; number > 0; number--)
        strtoul(at, &at, 10);
    return strtoul(at, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

TEST_UNUSED static size_t process_address_space(void) {
    return process_memory(0);
}
TEST_UNUSED static size_t process_resident(void) {
    return process_memory(1);
}

/* The number of the process's mappings: lines of /proc/self/maps. */
TEST_UNUSED static size_t process_mappings(void) {
    char text[4096];
    size_t lines = 0;
    ssize_t length;
    int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0, "cannot open /proc/self/maps: errno %d", errno);
    while ((length = read(file, text, sizeof text)) > 0)
        for (ssize_t i = 0; i < length; i++)
            lines += text[i] == '\n';
    close(file);
    return lines;
}

/* The number of threads, including threads that are just ending: /proc has a folder for each. */
TEST_UNUSED static size_t process_threads(void) {
    struct stat tasks;
    CHECK(stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink > 2,
          "no /proc/self/task: errno %d", errno);
    return (size_t)tasks.st_nlink - 2;
}

/* The page faults so far that needed no input or output. */
TEST_UNUSED static size_t process_minor_faults(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (size_t)usage.ru_minflt;
}

/* The bytes of live blocks: mallinfo2 counts small blocks and large blocks separately. */
TEST_UNUSED static size_t process_live_bytes(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* Zeroed memory that does not come from the allocator under test, for a test's own tables. */
TEST_UNUSED static void *process_map(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED, "mmap of %zu bytes: errno %d", bytes, errno);
    return memory;
}

/* Allocates and frees a few blocks of each tier, as a nearly idle program does. */
TEST_UNUSED static void process_work_a_little(void) {
    static const size_t sizes[] = {20, 100, 800, 3000, 20000, 100000};
    void *few[TEST_COUNT(sizes)][40];
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        for (size_t k = 0; k < 40; k++)
            few[i][k] = malloc(sizes[i]);
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        for (size_t k = 0; k < 40; k++)
            free(few[i][k]);
}

/* Calls process_work_a_little until less than `limit` bytes are resident; gives up after a minute
 * or more.
 * Returns the bytes that are resident then. */
TEST_UNUSED static size_t process_resident_falls_below(size_t limit) {
    size_t after = SIZE_MAX;
    for (int tenth = 0; tenth < 600 && after >= limit; tenth++) {
        if (tenth > 0) usleep(100000);
        process_work_a_little();
        after = process_resident();
    }
    return after;
}

#endif
