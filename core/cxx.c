/* The C++ operators new and delete in all forms, under their mangled names ([new.delete]).
 *
 * A program may replace any of them. So a form that the standard defines by another form calls
 * that form by its public name, as the last thing that it does. The four base forms (new and
 * delete, plain and aligned) call malloc, aligned_alloc and free in the same way, so a tool that
 * interposes these sees the blocks of C++, too. Where the public name is ours, a base form has
 * the fast path inside. */
#include <stdint.h>
#include <stdlib.h>

#include "core/api.h"
#include "core/cxx.h"
#include "core/report.h"

/* A program that links the static library may replace some operators. Its own take precedence,
 * as over those of libstdc++. */
#if HAK_STATIC_LIB
#define EXPORT __attribute__((visibility("default"), weak))
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* Declares an operator, and a second name for our definition, to compare the public name with.
 * Valgrind needs the second name, too: it does not replace a function that has only a weak name. */
#define OPERATOR(type, name, ...)                                                                  \
    EXPORT type name(__VA_ARGS__);                                                                 \
    HAK_HIDDEN __attribute__((alias(#name))) type hak_own_##name(__VA_ARGS__)

/* An address in the code that called the exported function. 1 is subtracted because the call may
 * be the last instruction of its object. */
#define CALLER ((const char *)__builtin_return_address(0) - 1)

/* ---- blocks ---------------------------------------------------------------------------------- */

/* A malloc that is not ours may return NULL for size 0. */
HAK_INLINE void *allocate_plain(size_t size) {
    return HAK_IS_OURS(malloc) ? hak_fast_malloc(size) : malloc(size + (size == 0));
}

/* An aligned_alloc that is not ours may refuse a size that is no multiple of the alignment,
 * which C11 did not allow. */
static void *allocate_foreign(size_t size, size_t align) {
    size_t least = align < sizeof(void *) ? sizeof(void *) : align;
    if (size > HAK_REQUEST_MAX || least > HAK_REQUEST_MAX) return NULL;
    return aligned_alloc(least, hak_round_up(size + (size == 0), least));
}

HAK_INLINE void *allocate_aligned(size_t size, size_t align) {
    if (!hak_is_power_of_two(align)) return NULL;
    return HAK_IS_OURS(aligned_alloc) ? hak_alloc_aligned(align, size)
                                      : allocate_foreign(size, align);
}

HAK_INLINE void release(void *ptr) {
    if (HAK_IS_OURS(free))
        hak_fast_free(ptr);
    else
        free(ptr);
}

/* ---- no memory ------------------------------------------------------------------------------- */

/* Calls the new-handler until there is memory. The handler may free memory, throw, or end the
 * program. NULL: there is no handler. */
static void *ask_handler(const struct hak_new *request) {
    hak_new_handler handler;
    while ((handler = hak_cxx_new_handler(request->caller)) != NULL) {
        handler();
        void *user = request->align == 0 ? allocate_plain(request->size)
                                         : allocate_aligned(request->size, request->align);
        if (user != NULL) return user;
    }
    return NULL;
}

static HAK_NOINLINE void *new_slow(size_t size, size_t align, const void *caller) {
    struct hak_new request = {.size = size, .align = align, .caller = caller};
    void *user = ask_handler(&request);
    if (user != NULL) return user;
    hak_cxx_throw_bad_alloc(caller);
    hak_report_no_memory("operator new", size);
}

static HAK_NOINLINE void *new_slow_nothrow(size_t size, size_t align, const void *caller) {
    struct hak_new request = {.size = size, .align = align, .caller = caller};
    return hak_null_if_thrown(ask_handler, &request);
}

/* ---- new ------------------------------------------------------------------------------------- */

OPERATOR(void *, _Znwm, size_t size);
void *_Znwm(size_t size) {
    void *user = allocate_plain(size);
    return HAK_LIKELY(user != NULL) ? user : new_slow(size, 0, CALLER);
}
OPERATOR(void *, _Znam, size_t size);
void *_Znam(size_t size) {
    return _Znwm(size);
}
OPERATOR(void *, _ZnwmSt11align_val_t, size_t size, size_t align);
void *_ZnwmSt11align_val_t(size_t size, size_t align) {
    void *user = allocate_aligned(size, align);
    return HAK_LIKELY(user != NULL) ? user : new_slow(size, align, CALLER);
}
OPERATOR(void *, _ZnamSt11align_val_t, size_t size, size_t align);
void *_ZnamSt11align_val_t(size_t size, size_t align) {
    return _ZnwmSt11align_val_t(size, align);
}

/* ---- new that returns NULL ------------------------------------------------------------------- */

/* Each form calls the form of its name without `nothrow`, and catches what that form throws.
 * Where that form is ours, nothing needs to be thrown, and no C++ runtime is needed. The tag
 * comes by reference, that is as a pointer. */

static void *call_new(const struct hak_new *request) {
    return _Znwm(request->size);
}
static void *call_new_array(const struct hak_new *request) {
    return _Znam(request->size);
}
static void *call_new_aligned(const struct hak_new *request) {
    return _ZnwmSt11align_val_t(request->size, request->align);
}
static void *call_new_array_aligned(const struct hak_new *request) {
    return _ZnamSt11align_val_t(request->size, request->align);
}

/* `replaced` calls the form that the program has replaced; NULL: all forms are ours. */
static void *new_nothrow(size_t size, const void *caller, hak_new_function *replaced) {
    if (replaced != NULL) return hak_null_if_thrown(replaced, &(struct hak_new){.size = size});
    void *user = allocate_plain(size);
    return HAK_LIKELY(user != NULL) ? user : new_slow_nothrow(size, 0, caller);
}

static void *new_aligned_nothrow(size_t size, size_t align, const void *caller,
                                 hak_new_function *replaced) {
    if (replaced != NULL)
        return hak_null_if_thrown(replaced, &(struct hak_new){.size = size, .align = align});
    void *user = allocate_aligned(size, align);
    return HAK_LIKELY(user != NULL) ? user : new_slow_nothrow(size, align, caller);
}

OPERATOR(void *, _ZnwmRKSt9nothrow_t, size_t size, const void *tag);
void *_ZnwmRKSt9nothrow_t(size_t size, const void *tag) {
    (void)tag;
    return new_nothrow(size, CALLER, HAK_IS_OURS(_Znwm) ? NULL : call_new);
}
OPERATOR(void *, _ZnamRKSt9nothrow_t, size_t size, const void *tag);
void *_ZnamRKSt9nothrow_t(size_t size, const void *tag) {
    (void)tag;
    return new_nothrow(size, CALLER,
                       HAK_IS_OURS(_Znam) && HAK_IS_OURS(_Znwm) ? NULL : call_new_array);
}
OPERATOR(void *, _ZnwmSt11align_val_tRKSt9nothrow_t, size_t size, size_t align, const void *tag);
void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag) {
    (void)tag;
    return new_aligned_nothrow(size, align, CALLER,
                               HAK_IS_OURS(_ZnwmSt11align_val_t) ? NULL : call_new_aligned);
}
OPERATOR(void *, _ZnamSt11align_val_tRKSt9nothrow_t, size_t size, size_t align, const void *tag);
void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t align, const void *tag) {
    (void)tag;
    bool ours = HAK_IS_OURS(_ZnamSt11align_val_t) && HAK_IS_OURS(_ZnwmSt11align_val_t);
    return new_aligned_nothrow(size, align, CALLER, ours ? NULL : call_new_array_aligned);
}

/* ---- delete ---------------------------------------------------------------------------------- */

OPERATOR(void, _ZdlPv, void *ptr);
void _ZdlPv(void *ptr) {
    release(ptr);
}
OPERATOR(void, _ZdlPvSt11align_val_t, void *ptr, size_t align);
void _ZdlPvSt11align_val_t(void *ptr, size_t align) {
    (void)align;
    release(ptr);
}

/* The other forms, each with its call of another form. */
#define UNUSED __attribute__((unused))
#define DELETE(name, call, ...)                                                                    \
    OPERATOR(void, name, __VA_ARGS__);                                                             \
    void name(__VA_ARGS__) {                                                                       \
        call;                                                                                      \
    }

DELETE(_ZdaPv, _ZdlPv(ptr), void *ptr)
DELETE(_ZdlPvm, _ZdlPv(ptr), void *ptr, UNUSED size_t size)
DELETE(_ZdaPvm, _ZdaPv(ptr), void *ptr, UNUSED size_t size)
DELETE(_ZdlPvRKSt9nothrow_t, _ZdlPv(ptr), void *ptr, UNUSED const void *tag)
DELETE(_ZdaPvRKSt9nothrow_t, _ZdaPv(ptr), void *ptr, UNUSED const void *tag)
DELETE(_ZdaPvSt11align_val_t, _ZdlPvSt11align_val_t(ptr, align), void *ptr, size_t align)
DELETE(_ZdlPvmSt11align_val_t, _ZdlPvSt11align_val_t(ptr, align), void *ptr, UNUSED size_t size,
       size_t align)
DELETE(_ZdaPvmSt11align_val_t, _ZdaPvSt11align_val_t(ptr, align), void *ptr, UNUSED size_t size,
       size_t align)
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, _ZdlPvSt11align_val_t(ptr, align), void *ptr,
       size_t align, UNUSED const void *tag)
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, _ZdaPvSt11align_val_t(ptr, align), void *ptr,
       size_t align, UNUSED const void *tag)
