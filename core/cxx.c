/* The C++ operators new and delete in all forms, under their mangled names ([new.delete]).
 *
 * new loops over the new-handler and throws std::bad_alloc, both through the C++ runtime of the program, to which it
 * refers weakly: most programs have none. */
#include <stddef.h>

#include "core/api.h"
#include "core/cxx.h"
#include "core/report.h"

#define RUNTIME            __attribute__((weak))
#define IS_THERE(function) ((function) != NULL)

typedef void (*new_handler)(void);
RUNTIME new_handler _ZSt15get_new_handlerv(void);      /* std::get_new_handler() */
RUNTIME _Noreturn void _ZSt17__throw_bad_allocv(void); /* std::__throw_bad_alloc(), libstdc++ and libc++ */

/* Weak, as the C++ runtime's own are: a program that links the archive may define any of them itself. */
#define EXPORT __attribute__((visibility("default"), weak))

/* Calls the new-handler, if there is one; it may free memory, throw, or end the program. False: there is
 * none. */
static bool handler_called(void) {
    new_handler handler = IS_THERE(_ZSt15get_new_handlerv) ? _ZSt15get_new_handlerv() : NULL;
    if (handler == NULL) return false;
    handler();
    return true;
}

void *hak_new_slow(size_t size, size_t align) {
    while (handler_called()) {
        void *user = hak_is_power_of_two(align) ? hak_alloc_aligned(align, size) : NULL;
        if (user != NULL) return user;
    }
    if (!IS_THERE(_ZSt17__throw_bad_allocv)) hak_report_no_memory("operator new", size);
    _ZSt17__throw_bad_allocv();
}

static inline void *new_or_throw(size_t size) {
    void *user = hak_fast_malloc(size);
    return HAK_LIKELY(user != NULL) ? user : hak_new_slow(size, HAK_ALIGNMENT);
}

static inline void *new_aligned(size_t size, size_t align) {
    void *user = hak_is_power_of_two(align) ? hak_alloc_aligned(align, size) : NULL;
    return HAK_LIKELY(user != NULL) ? user : hak_new_slow(size, align);
}

EXPORT void *_Znwm(size_t size);
EXPORT void *_Znwm(size_t size) {
    return new_or_throw(size);
}
EXPORT void *_Znam(size_t size);
EXPORT void *_Znam(size_t size) {
    return new_or_throw(size);
}
EXPORT void *_ZnwmSt11align_val_t(size_t size, size_t align);
EXPORT void *_ZnwmSt11align_val_t(size_t size, size_t align) {
    return new_aligned(size, align);
}
EXPORT void *_ZnamSt11align_val_t(size_t size, size_t align);
EXPORT void *_ZnamSt11align_val_t(size_t size, size_t align) {
    return new_aligned(size, align);
}

/* The nothrow forms take their tag by reference, that is a pointer, and have no use for it. */
static inline void *new_or_null(size_t size, size_t align) {
    void *user = hak_is_power_of_two(align) ? hak_alloc_aligned(align, size) : NULL;
    return HAK_LIKELY(user != NULL) ? user : hak_new_slow_nothrow(size, align);
}

#define NEW_NOTHROW(name)                                                                                    \
    EXPORT void *name(size_t size, const void *nothrow);                                                     \
    EXPORT void *name(size_t size, const void *nothrow) {                                                    \
        (void)nothrow;                                                                                       \
        return new_or_null(size, HAK_ALIGNMENT);                                                             \
    }
#define NEW_ALIGNED_NOTHROW(name)                                                                            \
    EXPORT void *name(size_t size, size_t align, const void *nothrow);                                       \
    EXPORT void *name(size_t size, size_t align, const void *nothrow) {                                      \
        (void)nothrow;                                                                                       \
        return new_or_null(size, align);                                                                     \
    }

NEW_NOTHROW(_ZnwmRKSt9nothrow_t)
NEW_NOTHROW(_ZnamRKSt9nothrow_t)
NEW_ALIGNED_NOTHROW(_ZnwmSt11align_val_tRKSt9nothrow_t)
NEW_ALIGNED_NOTHROW(_ZnamSt11align_val_tRKSt9nothrow_t)

/* delete: the header says all that size, alignment and tag could. */
#define DELETE(name)                                                                                         \
    EXPORT void name(void *ptr);                                                                             \
    EXPORT void name(void *ptr) {                                                                            \
        hak_fast_free(ptr);                                                                                  \
    }
#define DELETE_1(name)                                                                                       \
    EXPORT void name(void *ptr, size_t unused);                                                              \
    EXPORT void name(void *ptr, size_t unused) {                                                             \
        (void)unused;                                                                                        \
        hak_fast_free(ptr);                                                                                  \
    }
#define DELETE_2(name)                                                                                       \
    EXPORT void name(void *ptr, size_t unused1, size_t unused2);                                             \
    EXPORT void name(void *ptr, size_t unused1, size_t unused2) {                                            \
        (void)unused1;                                                                                       \
        (void)unused2;                                                                                       \
        hak_fast_free(ptr);                                                                                  \
    }

DELETE(_ZdlPv)
DELETE(_ZdaPv)
DELETE_1(_ZdlPvm)
DELETE_1(_ZdaPvm)
DELETE_1(_ZdlPvRKSt9nothrow_t)
DELETE_1(_ZdaPvRKSt9nothrow_t)
DELETE_1(_ZdlPvSt11align_val_t)
DELETE_1(_ZdaPvSt11align_val_t)
DELETE_2(_ZdlPvmSt11align_val_t)
DELETE_2(_ZdaPvmSt11align_val_t)
DELETE_2(_ZdlPvSt11align_val_tRKSt9nothrow_t)
DELETE_2(_ZdaPvSt11align_val_tRKSt9nothrow_t)
