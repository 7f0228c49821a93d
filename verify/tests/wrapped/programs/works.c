/* A program that does a little of everything with memory, and calls each function that
 * wrapped.bats wraps.
 *
 * usage: works            prints one line, "ok"
 *        works fault      frees a block twice
 *        works returns    the memory of a burst goes back to the system */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "process.h"

#define SLOTS 200
#define MOST  300000

/* ---- memory ---------------------------------------------------------------------------------- */

struct slot {
    unsigned char *bytes;
    size_t size;
};

static void slot_fill(struct slot *slot, uint64_t *state) {
    slot->bytes[0] = slot->bytes[slot->size - 1] = (unsigned char)(slot->size * 7);
    if (test_random_below(state, 16) == 0)
        memset(slot->bytes, (int)(slot->size * 7) & 255, slot->size);
}

static void slot_check(const struct slot *slot) {
    unsigned char mark = (unsigned char)(slot->size * 7);
    if (slot->bytes == NULL) return;
    CHECK(slot->bytes[0] == mark && slot->bytes[slot->size - 1] == mark, "block of %zu bytes",
          slot->size);
}

static size_t any_size(uint64_t *state) {
    static const size_t tiers[] = {900, 8000, 52000, MOST};
    size_t tier = test_random_below(state, 40);
    return 1 + test_random_below(state, tiers[tier < 28 ? 0 : tier < 35 ? 1 : tier < 39 ? 2 : 3]);
}

static void slot_change(struct slot *slot, uint64_t *state) {
    size_t size = any_size(state);
    slot_check(slot);
    if (test_random_below(state, 4) == 0) {
        unsigned char first = slot->bytes == NULL ? 0 : slot->bytes[0];
        slot->bytes = realloc(slot->bytes, size);
        CHECK(slot->bytes != NULL && (slot->size == 0 || slot->bytes[0] == first), "realloc to %zu",
              size);
    } else {
        free(slot->bytes);
        unsigned kind = (unsigned)test_random_below(state, 6);
        slot->bytes = kind == 0   ? calloc(1, size)
                      : kind == 1 ? aligned_alloc(256, size)
                                  : malloc(size);
        CHECK(slot->bytes != NULL && (kind != 0 || slot->bytes[size - 1] == 0), "%zu bytes", size);
    }
    slot->size = size;
    slot_fill(slot, state);
}

/* Each thread leaves its blocks here, and frees those of the thread before. */
static struct slot given[SLOTS];
static pthread_mutex_t giving = PTHREAD_MUTEX_INITIALIZER;

static void churn(struct slot *slots, uint64_t state) {
    for (int i = 0; i < 3000; i++)
        slot_change(&slots[test_random_below(&state, SLOTS)], &state);
}

static void *churn_and_give(void *seed) {
    struct slot slots[SLOTS] = {{NULL, 0}};
    churn(slots, (uintptr_t)seed);
    pthread_mutex_lock(&giving);
    for (int i = 0; i < SLOTS; i++) {
        slot_check(&given[i]);
        free(given[i].bytes);
        given[i] = slots[i];
    }
    pthread_mutex_unlock(&giving);
    return NULL;
}

static void in_child(void) {
    pid_t child = fork();
    if (child == 0) {
        struct slot slots[SLOTS] = {{NULL, 0}};
        churn(slots, 3); /* new slots: another thread may have held the lock of `given` */
        _exit(0);
    }
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0, "a child ended with %#x",
          (unsigned)status);
}

static void *fork_in_thread(void *unused) {
    in_child();
    return unused;
}

static void threads(void) {
    for (size_t round = 0; round < 4; round++) {
        pthread_t id[4];
        for (size_t i = 0; i < 4; i++)
            CHECK(pthread_create(&id[i], NULL,
                                 i == 3 && round % 2 == 0 ? fork_in_thread : churn_and_give,
                                 (void *)(round * 4 + i)) == 0,
                  "no thread");
        if (round == 1) in_child();
        for (size_t i = 0; i < 4; i++)
            pthread_join(id[i], NULL);
    }
}

/* If new finds no memory, HAKMEM asks the loader for the C++ runtime. */
static void without_memory(void) {
    static const char tag;
    void *(*new_nothrow)(size_t, const void *) =
        (void *(*)(size_t, const void *))(uintptr_t)test_symbol("_ZnwmRKSt9nothrow_t");
    CHECK(new_nothrow(SIZE_MAX / 2, &tag) == NULL, "half of the address space");
    CHECK(malloc(test_opaque(SIZE_MAX)) == NULL && errno == ENOMEM, "errno is %d", errno);
}

static void figures(void) {
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    CHECK(malloc_info(0, stream) == 0 && fclose(stream) == 0, "errno %d", errno);
    CHECK(length > 100 && strstr(text, "hakmem") != NULL, "malloc_info says %s", text);
    free(text);
    malloc_trim(0);
    CHECK(mallinfo2().arena > 0, "no memory");
}

/* ---- each function --------------------------------------------------------------------------- */

static void nothing(int number) {
    (void)number;
}

static void nothing_once(void) {}

static void each_of_memory(void) {
    char *pages = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && madvise(pages, 8192, MADV_DONTNEED) == 0, "errno %d", errno);
    CHECK(mprotect(pages, 4096, PROT_READ) == 0 &&
              mprotect(pages, 4096, PROT_READ | PROT_WRITE) == 0,
          "errno %d", errno);
    pages = mremap(pages, 16384, 8192, MREMAP_MAYMOVE);
    CHECK(pages != MAP_FAILED && munmap(pages, 8192) == 0, "errno %d", errno);
    CHECK(sbrk(0) != NULL, "sbrk");
}

static void each_of_bytes(void) {
    char left[64], right[64];
    memset(left, 'a', sizeof left);
    memcpy(right, left, sizeof left);
    memmove(right + 1, right, sizeof right - 1);
    left[63] = right[63] = '\0';
    CHECK(memcmp(left, right, sizeof left) == 0 && strlen(left) == 63 && strcmp(left, right) == 0,
          "%s", right);
    CHECK(strncmp(left, right, 9) == 0 && strchr(left, 'b') == NULL, "%s", right);
}

static void each_of_files(void) {
    char byte;
    int file = open("/proc/self/statm", O_RDONLY), sink = open("/dev/null", O_WRONLY);
    CHECK(file >= 0 && sink >= 0 && read(file, &byte, 1) == 1 && write(sink, &byte, 1) == 1,
          "errno %d", errno);
    CHECK(fcntl(file, F_GETFD) == 0 && close(file) == 0, "errno %d", errno);
    FILE *stream = fdopen(sink, "w");
    CHECK(stream != NULL && fprintf(stream, "%d", 1) == 1 && fwrite("1", 1, 1, stream) == 1,
          "errno %d", errno);
    fclose(stream);
}

static void each_of_the_process(void) {
    struct timespec now, moment = {.tv_nsec = 1};
    struct timeval day;
    unsigned processor;
    CHECK(syscall(SYS_gettid) == gettid() && getpid() > 0, "no number");
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0 && gettimeofday(&day, NULL) == 0 &&
              time(NULL) != 0,
          "no time");
    CHECK(sched_yield() == 0 && nanosleep(&moment, NULL) == 0 && getcpu(&processor, NULL) == 0,
          "errno %d", errno);
    CHECK(sched_getcpu() >= 0 && sysconf(_SC_PAGESIZE) > 0 && getauxval(AT_PAGESZ) > 0, "errno %d",
          errno);
    CHECK(getenv("PATH") != NULL, "no PATH");
    struct sigaction action = {.sa_handler = nothing};
    sigset_t set;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && raise(SIGUSR1) == 0, "errno %d", errno);
    CHECK(sigprocmask(SIG_BLOCK, NULL, &set) == 0 && pthread_sigmask(SIG_BLOCK, NULL, &set) == 0,
          "errno %d", errno);
}

static void each_of_threads(void) {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct timespec past = {.tv_sec = 1};
    pthread_key_t key;
    int state;
    CHECK(pthread_mutex_trylock(&mutex) == 0 &&
              pthread_cond_timedwait(&condition, &mutex, &past) == ETIMEDOUT,
          "no lock");
    CHECK(pthread_cond_signal(&condition) == 0 && pthread_cond_broadcast(&condition) == 0,
          "no condition");
    pthread_mutex_unlock(&mutex);
    pthread_once(&once, nothing_once);
    CHECK(pthread_key_create(&key, NULL) == 0 && pthread_setspecific(key, &key) == 0, "no key");
    CHECK(pthread_getspecific(key) == &key && pthread_key_delete(key) == 0, "no key");
    CHECK(pthread_self() != 0 && pthread_atfork(nothing_once, nothing_once, nothing_once) == 0,
          "no thread");
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state) == 0, "state");
}

static int object(struct dl_phdr_info *info, size_t size, void *count) {
    (void)info;
    (void)size;
    ++*(int *)count;
    return 0;
}

static void each_of_the_loader(void) {
    int objects = 0;
    Dl_info info;
    struct link_map *map;
    dl_iterate_phdr(object, &objects);
    void *self = dlopen(NULL, RTLD_LAZY);
    CHECK(objects > 1 && self != NULL && dlsym(self, "hak_malloc") != NULL && dlclose(self) == 0,
          "%d objects", objects);
    CHECK(dlmopen(LM_ID_BASE, NULL, RTLD_LAZY) == self, "another program");
    CHECK(dladdr1((void *)(uintptr_t)malloc, &info, (void **)&map, RTLD_DL_LINKMAP) != 0,
          "malloc is nowhere");
}

/* ---- */

static void work(void) {
    each_of_memory();
    each_of_bytes();
    each_of_files();
    each_of_the_process();
    each_of_threads();
    each_of_the_loader();
    churn_and_give((void *)77);
    threads();
    without_memory();
    figures();
}

static void free_twice(void) {
    char *block = test_opaque_pointer(malloc(40));
    free(block);
    free(test_opaque_pointer(block));
}

/* The memory of blocks in SuperSlabs and of large blocks goes back. */
static void memory_returns(void) {
    enum { BLOCKS = 40000, LARGE = 64 };
    char **blocks = process_map((BLOCKS + LARGE) * sizeof *blocks);
    size_t before = process_resident();
    for (int i = 0; i < BLOCKS + LARGE; i++) {
        size_t size = i < BLOCKS ? 3000 : MIB;
        blocks[i] = malloc(size);
        memset(blocks[i], 1, size);
    }
    CHECK(process_resident() > before + 150 * MIB, "%zu MiB are resident",
          process_resident() / MIB);
    for (int i = 0; i < BLOCKS + LARGE; i++)
        free(blocks[i]);
    size_t after = process_resident_falls_below(before + 40 * MIB);
    CHECK(after < before + 40 * MIB, "%zu MiB, before it were %zu", after / MIB, before / MIB);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "work";
    test_needs_hakmem();
    if (strcmp(what, "fault") == 0) free_twice();
    if (strcmp(what, "returns") == 0) memory_returns();
    if (strcmp(what, "work") == 0) work();
    return test_ok("%s", what);
}
