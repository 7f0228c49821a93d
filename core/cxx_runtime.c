/* Finds the C++ runtime (libstdc++ or libc++) of the code that called operator new.
 *
 * Most programs have no runtime. A C program may load one with a plugin, for this plugin alone (RTLD_LOCAL), and
 * several plugins may bring several. So the shared library refers to none and looks when it needs one: a rare
 * case, outside of the way to a block, and no lock of ours is held. The static library refers to the runtime by
 * its names, so that the linker brings the runtime in with the operators. */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <unwind.h>

#include "core/cxx.h"
#include "core/types.h"

typedef hak_new_handler get_new_handler(void);
typedef void throw_bad_alloc(void);

#if HAK_STATIC_LIB

get_new_handler _ZSt15get_new_handlerv;   /* std::get_new_handler() */
throw_bad_alloc _ZSt17__throw_bad_allocv; /* std::__throw_bad_alloc(), libstdc++ and libc++ */

hak_new_handler hak_cxx_new_handler(const void *caller) {
    (void)caller;
    return _ZSt15get_new_handlerv();
}

void hak_cxx_throw_bad_alloc(const void *caller) {
    (void)caller;
    _ZSt17__throw_bad_allocv();
}

#else

/* ---- looking --------------------------------------------------------------------------------------------- */

/* What `name` means to the loaded object that `address` is in: the object itself and what it was linked with. For
 * the program this is all that the program sees. */
static void *seen_from(const void *address, const char *name) {
    Dl_info file;
    struct link_map *object = NULL;
    if (dladdr1(address, &file, (void **)&object, RTLD_DL_LINKMAP) == 0 || object == NULL) return NULL;
    const char *path = object->l_name[0] == '\0' ? NULL : object->l_name;
    void *handle = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == NULL) return NULL;
    void *symbol = dlsym(handle, name);
    dlclose(handle);
    return symbol;
}

struct place {
    size_t objects_before;
    const void *address;
};

static int count_down(struct dl_phdr_info *object, size_t size, void *wanted) {
    struct place *place = wanted;
    (void)size;
    if (place->objects_before-- > 0) return 0;
    for (size_t i = 0; i < object->dlpi_phnum && place->address == NULL; i++)
        if (object->dlpi_phdr[i].p_type == PT_LOAD)
            place->address = (const void *)(uintptr_t)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
    return 1;
}

/* An address in the loaded object of that number; NULL: there are not so many. */
static const void *address_in(size_t number) {
    struct place place = {.objects_before = number, .address = NULL};
    dl_iterate_phdr(count_down, &place);
    return place.address;
}

/* `name` in the runtime of `caller`. Code may use a runtime that it was not linked with, and the last call of a
 * function hides the function: then in the first runtime that is loaded. */
static void *runtime_symbol(const void *caller, const char *name) {
    int saved = errno;
    void *symbol = seen_from(caller, name);
    const void *other;
    for (size_t i = 0; symbol == NULL && (other = address_in(i)) != NULL; i++)
        symbol = seen_from(other, name);
    errno = saved;
    return symbol;
}

hak_new_handler hak_cxx_new_handler(const void *caller) {
    get_new_handler *function =
        (get_new_handler *)(uintptr_t)runtime_symbol(caller, "_ZSt15get_new_handlerv");
    return function == NULL ? NULL : function();
}

void hak_cxx_throw_bad_alloc(const void *caller) {
    throw_bad_alloc *function =
        (throw_bad_alloc *)(uintptr_t)runtime_symbol(caller, "_ZSt17__throw_bad_allocv");
    if (function != NULL) function();
}

/* ---- catching -------------------------------------------------------------------------------------------- */

/* What the compiler makes of `catch (...)` in cxx_nothrow.cc calls the three functions below, by the names that they
 * have in every runtime. These are the library's own, and hidden: they pass the call on to the runtime that threw. */

typedef struct _Unwind_Exception exception;
typedef _Unwind_Reason_Code personality(int version, _Unwind_Action actions, _Unwind_Exception_Class kind,
                                        exception *thrown, struct _Unwind_Context *context);
HAK_HIDDEN personality __gxx_personality_v0;
HAK_HIDDEN void *__cxa_begin_catch(void *thrown);
HAK_HIDDEN void __cxa_end_catch(void);

/* In the runtime that threw: each exception tells the function there that destroys it. NULL if that is none of C++,
 * such as libc's, which ends a thread so. */
static void *thrower_symbol(const exception *thrown, const char *name) {
    if (thrown->exception_cleanup == NULL) return NULL;
    return seen_from((const void *)(uintptr_t)thrown->exception_cleanup, name);
}

_Unwind_Reason_Code __gxx_personality_v0(int version, _Unwind_Action actions, _Unwind_Exception_Class kind,
                                         exception *thrown, struct _Unwind_Context *context) {
    personality *function = (personality *)(uintptr_t)thrower_symbol(thrown, "__gxx_personality_v0");
    return function == NULL ? _URC_CONTINUE_UNWIND : function(version, actions, kind, thrown, context);
}

/* The runtime's __cxa_end_catch does not say which runtime is meant. The handler does nothing, so it ends here. */
void *__cxa_begin_catch(void *thrown) {
    void *(*begin)(void *) = (void *(*)(void *))(uintptr_t)thrower_symbol(thrown, "__cxa_begin_catch");
    void (*end)(void) = (void (*)(void))(uintptr_t)thrower_symbol(thrown, "__cxa_end_catch");
    HAK_CHECK(begin != NULL && end != NULL);
    begin(thrown);
    end();
    return NULL;
}

void __cxa_end_catch(void) {}

#endif
