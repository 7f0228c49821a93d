/* How the C++ operators behave when there is no memory. */
#ifndef HAK_CXX_H
#define HAK_CXX_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A call of operator new that found no memory. */
struct hak_new {
    size_t size;
    size_t align;       /* 0: one of the forms without an alignment */
    const void *caller; /* an address in the code that called operator new */
};

typedef void *hak_new_function(const struct hak_new *request);

/* Returns what `function` returns; NULL if it throws. */
void *hak_null_if_thrown(hak_new_function *function, const struct hak_new *request);

/* ---- the C++ runtime that `caller` uses (cxx_runtime.c) -----------------------------------------
 *
 * The library's callers may use several runtimes. The search for one takes the loader's lock, so
 * it is done only if there is no memory. */

typedef void (*hak_new_handler)(void);

/* The handler that std::set_new_handler set last; NULL: there is no handler, or no runtime. */
hak_new_handler hak_cxx_new_handler(const void *caller);

/* Throws std::bad_alloc; returns if there is no runtime. */
void hak_cxx_throw_bad_alloc(const void *caller);

#ifdef __cplusplus
}
#endif

#endif
