/* A preloaded library that wraps functions of libc, as tracers, hooks of MPI and injectors of
 * faults do. NAMES is a list of WRAP(name). RARE is a list of those that the program need not
 * call. Each wrapper allocates and frees blocks of all sizes, keeps some for a while, and then
 * calls the real function. The wrapper looks the real function up at its first call, and
 * allocates for that, too. If the allocator calls the same wrapper meanwhile in the same thread,
 * real libraries hang; this one ends the process. When the program ends, it must have called each
 * function of NAMES.
 *
 * Arguments are passed on as seven words: none of these functions has more. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef long function(long, long, long, long, long, long, long);

struct wrapped {
    const char *name;
    _Atomic(function *) real;
    _Atomic unsigned long calls;
};

#define OWN  static __thread __attribute__((tls_model("initial-exec")))
#define KEPT 16
OWN struct block {
    unsigned char *bytes;
    size_t size;
} kept[KEPT];
OWN unsigned turn;
OWN bool inside;
OWN const struct wrapped *looked_for;

static __attribute__((noreturn)) void bad(const struct wrapped *wrapped, const char *what) {
    dprintf(STDERR_FILENO, "wrapper of %s: %s\n", wrapped->name, what);
    _exit(99);
}

/* Frees the blocks that were kept for the longest, which must be unchanged, and keeps new ones. */
static void allocate_and_free(const struct wrapped *wrapped) {
    static const size_t sizes[] = {1, 100, 900, 20480, 4 << 20};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct block *block = &kept[turn++ % KEPT];
        unsigned char mark = (unsigned char)(block->size % 251);
        if (block->bytes != NULL &&
            (block->bytes[0] != mark || block->bytes[block->size - 1] != mark))
            bad(wrapped, "a block has changed");
        free(block->bytes);
        block->size = sizes[i] + turn % 50;
        block->bytes = malloc(block->size);
        if (block->bytes == NULL) bad(wrapped, "no memory");
        block->bytes[0] = block->bytes[block->size - 1] = (unsigned char)(block->size % 251);
    }
}

/* Asks dlvsym for dlsym, because dlsym may be wrapped, too. */
static function *look_up(const char *name) {
    void *(*look)(void *, const char *) =
        (void *(*)(void *, const char *))(uintptr_t)dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
    if (look == NULL)
        look =
            (void *(*)(void *, const char *))(uintptr_t)dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    return look == NULL ? NULL : (function *)(uintptr_t)look(RTLD_NEXT, name);
}

static function *real_of(struct wrapped *wrapped) {
    const struct wrapped *outer = looked_for;
    if (wrapped->real != NULL) return wrapped->real;
    if (outer == wrapped) bad(wrapped, "called again while it looks for the real function");
    looked_for = wrapped;
    free(malloc(3000));
    if (look_up("there is no such function") != NULL) bad(wrapped, "found what is not there");
    function *real = look_up(wrapped->name);
    if (real == NULL) bad(wrapped, "there is no such function");
    looked_for = outer;
    return wrapped->real = real;
}

static function *enter(struct wrapped *wrapped) {
    function *real = real_of(wrapped);
    wrapped->calls++;
    if (inside) return real;
    inside = true;
    allocate_and_free(wrapped);
    inside = false;
    return real;
}

/* At -O2 the call of the real function is a jump, so the wrapper's caller stays the caller: dlsym
 * knows by its return address for whom it looks the next function up. */
#define WRAP(which)                                                                                \
    static struct wrapped state_of_##which = {.name = #which};                                     \
    long wrapper_of_##which(long, long, long, long, long, long, long) __asm__(#which);             \
    long wrapper_of_##which(long a, long b, long c, long d, long e, long f, long g) {              \
        return enter(&state_of_##which)(a, b, c, d, e, f, g);                                      \
    }
NAMES
RARE
#undef WRAP
#define WRAP(which) &state_of_##which,
    static struct wrapped *const all[] = {NAMES};

__attribute__((destructor)) static void end(void) {
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i]->calls == 0) bad(all[i], "never called");
}
