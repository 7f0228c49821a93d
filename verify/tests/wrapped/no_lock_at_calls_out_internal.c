/* This program takes over each function of libc that the allocator calls (docs/architecture.md,
 * "Calls out"). At each of these calls no lock of the allocator is held, and blocks of all tiers
 * can be allocated and freed. This also holds in the report of an error that is found under a
 * lock. Each function must have been called.
 *
 * usage: no_lock_at_calls_out_internal            ordinary work
 *        no_lock_at_calls_out_internal RANK       a check fails under the lock of this rank */
#define TEST_LINKED
#include "../threads/threads.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/wait.h>

#include "core/lock.h"
#include "verify/clock.h"

#define FUNCTIONS(OF)                                                                              \
    OF(memcpy)                                                                                     \
    OF(memset)                                                                                     \
    OF(__errno_location)                                                                           \
    OF(getauxval)                                                                                  \
    OF(pthread_atfork)                                                                             \
    OF(pthread_key_create)                                                                         \
    OF(pthread_setspecific)                                                                        \
    OF(pthread_setcancelstate)                                                                     \
    OF(fprintf)                                                                                    \
    OF(fwrite)
#define ENUM(name) CALL_##name,
enum { FUNCTIONS(ENUM) CALLS };
#define NAME(name) #name,
static const char *const names[] = {FUNCTIONS(NAME)};
static _Atomic size_t calls[CALLS];

/* This function may not allocate. */
static _Noreturn void held_at(const char *name) {
    (void)!write(STDERR_FILENO, "a lock is held at a call of ", 28);
    (void)!write(STDERR_FILENO, name, strlen(name));
    (void)!write(STDERR_FILENO, "\n", 1);
    _exit(1);
}

static void watch(unsigned call) {
    static _Thread_local unsigned depth; /* the first allocation of all calls libc again */
    static const size_t sizes[] = {40, 3000, 20000, (size_t)4 << 20};
    for (unsigned rank = 0; rank < HAK_RANK_COUNT; rank++)
        if (hak_lock_is_mine(&hak_locks[rank])) held_at(names[call]);
    calls[call]++;
    if (depth == 2) return;
    depth++;
    char *blocks[TEST_COUNT(sizes)];
    for (unsigned i = 0; i < TEST_COUNT(sizes); i++) {
        blocks[i] = hak_malloc(sizes[i]);
        CHECK(blocks[i] != NULL, "%zu bytes in %s", sizes[i], names[call]);
        blocks[i][0] = blocks[i][sizes[i] - 1] = (char)i;
    }
    for (unsigned i = 0; i < TEST_COUNT(sizes); i++)
        hak_free(blocks[i]);
    depth--;
}

/* ---- the functions --------------------------------------------------------------------------- */

void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
    watch(CALL_memcpy);
    for (size_t i = 0; i < bytes; i++)
        ((char *)to)[i] = ((const char *)from)[i];
    return to;
}

void *memset(void *start, int value, size_t bytes) {
    watch(CALL_memset);
    for (size_t i = 0; i < bytes; i++)
        ((char *)start)[i] = (char)value;
    return start;
}

/* Looks the real function up, once, and watches the call. */
#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (real == NULL) real = (__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name);                \
    watch(CALL_##name)

int *__errno_location(void) {
    REAL(__errno_location);
    return real();
}

unsigned long getauxval(unsigned long type) {
    REAL(getauxval);
    return real(type);
}

int pthread_key_create(pthread_key_t *key, void (*destructor)(void *)) {
    REAL(pthread_key_create);
    return real(key, destructor);
}

int pthread_setspecific(pthread_key_t key, const void *value) {
    REAL(pthread_setspecific);
    return real(key, value);
}

int pthread_setcancelstate(int state, int *old) {
    REAL(pthread_setcancelstate);
    return real(state, old);
}

size_t fwrite(const void *restrict from, size_t size, size_t count, FILE *restrict stream) {
    REAL(fwrite);
    return real(from, size, count, stream);
}

int fprintf(FILE *restrict stream, const char *restrict format, ...) {
    va_list values;
    watch(CALL_fprintf);
    va_start(values, format);
    int written = vfprintf(stream, format, values);
    va_end(values);
    return written;
}

extern int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *);
int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void)) {
    watch(CALL_pthread_atfork);
    return __register_atfork(prepare, parent, child, NULL);
}

/* ---- the work -------------------------------------------------------------------------------- */

static void *work(void *seed) {
    uint64_t state = (uintptr_t)seed;
    void *blocks[100] = {NULL};
    for (int i = 0; i < 20000; i++) {
        void **block = &blocks[test_random_below(&state, TEST_COUNT(blocks))];
        size_t size = test_random_below(&state, 8) == 0 ? test_random_below(&state, 300000)
                                                        : test_random_below(&state, 3000);
        if (i % 3 == 0)
            *block = hak_realloc(*block, size + 1);
        else
            hak_free(*block),
                *block = i % 3 == 1 ? hak_calloc(1, size + 1) : hak_aligned_alloc(64, size + 1);
        CHECK(*block != NULL, "%zu bytes", size);
        if (i % 5000 == 0) hak_malloc_trim(0);
        hak_clock_passes(1);
    }
    CHECK(hak_malloc(test_opaque(SIZE_MAX)) == NULL && errno == ENOMEM, "errno is %d", errno);
    for (unsigned i = 0; i < TEST_COUNT(blocks); i++)
        hak_free(blocks[i]);
    return NULL;
}

static void ordinary_work(void) {
    pthread_t threads[3];
    for (size_t i = 0; i < TEST_COUNT(threads); i++)
        threads[i] = thread_start(work, (void *)(i + 1));
    work((void *)99);
    for (size_t i = 0; i < TEST_COUNT(threads); i++)
        thread_join(threads[i]);
    FILE *nowhere = fopen("/dev/null", "w");
    CHECK(nowhere != NULL && hak_malloc_info(0, nowhere) == 0, "errno %d", errno);
    fclose(nowhere);
    pid_t child = fork();
    if (child == 0) {
        work((void *)7);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0, "the child ended with %#x",
          (unsigned)status);
}

/* Runs in a thread without a heap, so the report sets a key for the end of the thread. */
static void *fail_under_lock(void *rank) {
    hak_lock_take(&hak_locks[(uintptr_t)rank]);
    HAK_CHECK(rank == NULL && rank != NULL);
    return NULL;
}

static _Noreturn void handle_abort(int number) {
    (void)number;
    CHECK(calls[CALL_pthread_setcancelstate] > 0, "pthread_setcancelstate was not called");
    CHECK(calls[CALL_pthread_setspecific] > 1, "pthread_setspecific was not called");
    test_ok("no lock was held");
    _exit(0);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        _Static_assert(HAK_RANK_COUNT == 4, "wrapped.bats gives each rank");
        const int rank = atoi(argv[1]);
        CHECK(rank >= 0 && rank < HAK_RANK_COUNT, "no lock has rank %d", rank);
        signal(SIGABRT, handle_abort);
        thread_join(thread_start(fail_under_lock, (void *)(uintptr_t)rank));
        return 1;
    }
    ordinary_work();
    for (unsigned i = 0; i < CALLS; i++)
        CHECK(calls[i] > 0 || i == CALL_pthread_setcancelstate, "%s was not called", names[i]);
    return test_ok("no lock was held at %zu calls of memcpy", (size_t)calls[CALL_memcpy]);
}
