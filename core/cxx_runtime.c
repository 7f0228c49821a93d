/* Finds the C++ runtime (libstdc++ or libc++) of the code that called operator new.
 *
 * Most programs have no runtime. A C program may load one with a plugin, for this plugin alone
 * (RTLD_LOCAL), and several plugins may bring several runtimes. So the shared library refers to
 * no runtime, and looks for one when it needs it. That is rare: no block is on its way then, and
 * no lock of ours is held. The static library refers to the runtime by its names. */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <unwind.h>

#include "core/cxx.h"
#include "core/types.h"

typedef hak_new_handler get_new_handler(void);

#if HAK_STATIC_LIB

/* Weak, because a C program may use these operators, too. The Makefile has the linker bring the
 * runtime in by other means. */
__attribute__((weak)) get_new_handler _ZSt15get_new_handlerv;        /* std::get_new_handler() */
__attribute__((weak)) _Noreturn void _ZSt17__throw_bad_allocv(void); /* std::__throw_bad_alloc() */

hak_new_handler hak_cxx_new_handler(const void *caller) {
    (void)caller;
    return _ZSt15get_new_handlerv != NULL ? _ZSt15get_new_handlerv() : NULL;
}

void hak_cxx_throw_bad_alloc(const void *caller) {
    (void)caller;
    if (_ZSt17__throw_bad_allocv != NULL) _ZSt17__throw_bad_allocv();
}

#else

/* ---- looking --------------------------------------------------------------------------------- */

/* Looks for something in the names that a loaded object sees; false if it is not there. */
typedef bool look_function(void *scope, void *result);

/* A handle for the object that `address` is in, and for what it was linked with. For the
 * program, that is all that every object sees. */
static void *scope_of(const void *address) {
    Dl_info file;
    struct link_map *object = NULL;
    if (dladdr1(address, &file, (void **)&object, RTLD_DL_LINKMAP) == 0 || object == NULL)
        return NULL;
    return dlopen(object->l_name[0] == '\0' ? NULL : object->l_name, RTLD_LAZY | RTLD_NOLOAD);
}

static bool look_in(void *scope, look_function *look, void *result) {
    if (scope == NULL) return false;
    bool found = look(scope, result);
    dlclose(scope);
    return found;
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
            place->address =
                (const void *)(uintptr_t)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
    return 1;
}

/* An address in the loaded object with this number; NULL: there are not so many objects. */
static const void *address_in(size_t number) {
    struct place place = {.objects_before = number, .address = NULL};
    dl_iterate_phdr(count_down, &place);
    return place.address;
}

/* Looks in the order in which the loader resolves the names of `caller`: first in what every
 * object sees, then in what the caller's object sees. Then looks in each object: code may use a
 * runtime that it was not linked with, and a caller whose call was the last thing in its
 * function does not appear in the return address. */
static bool look_from(const void *caller, look_function *look, void *result) {
    int saved = errno;
    const void *other;
    bool found =
        look_in(dlopen(NULL, RTLD_LAZY), look, result) || look_in(scope_of(caller), look, result);
    for (size_t i = 0; !found && (other = address_in(i)) != NULL; i++)
        found = look_in(scope_of(other), look, result);
    errno = saved;
    return found;
}

static bool look_for_handler(void *scope, void *result) {
    get_new_handler *get = (get_new_handler *)(uintptr_t)dlsym(scope, "_ZSt15get_new_handlerv");
    if (get != NULL) *(hak_new_handler *)result = get();
    return get != NULL;
}

hak_new_handler hak_cxx_new_handler(const void *caller) {
    hak_new_handler handler = NULL;
    look_from(caller, look_for_handler, &handler);
    return handler;
}

/* What is needed to throw std::bad_alloc. Each runtime has it, also one of which the linker took
 * only the needed parts. */
struct thrower {
    void *(*allocate)(size_t size);
    void (*throw)(void *object, void *type, void (*destroy)(void *object));
    void (*destroy)(void *object);
    void *type;
    const void *const *functions; /* the virtual table; its first function is the third word */
};

static bool look_for_thrower(void *scope, void *result) {
    struct thrower *thrower = result;
    thrower->allocate = (void *(*)(size_t))(uintptr_t)dlsym(scope, "__cxa_allocate_exception");
    thrower->throw =
        (void (*)(void *, void *, void (*)(void *)))(uintptr_t)dlsym(scope, "__cxa_throw");
    thrower->destroy = (void (*)(void *))(uintptr_t)dlsym(scope, "_ZNSt9bad_allocD1Ev");
    thrower->type = dlsym(scope, "_ZTISt9bad_alloc");
    thrower->functions = dlsym(scope, "_ZTVSt9bad_alloc");
    return thrower->allocate != NULL && thrower->throw != NULL && thrower->destroy != NULL &&
           thrower->type != NULL && thrower->functions != NULL;
}

void hak_cxx_throw_bad_alloc(const void *caller) {
    struct thrower thrower;
    if (!look_from(caller, look_for_thrower, &thrower)) return;
    const void *const **object = thrower.allocate(sizeof *object);
    *object = thrower.functions + 2;
    thrower.throw(object, thrower.type, thrower.destroy);
}

/* ---- catching -------------------------------------------------------------------------------- */

/* The compiler's code for `catch (...)` in cxx_nothrow.cc calls the three functions below, by
 * the names that they have in each runtime. These are the library's own, and hidden: they pass
 * the call on to the runtime that threw. */

typedef struct _Unwind_Exception exception;
typedef _Unwind_Reason_Code personality(int version, _Unwind_Action actions,
                                        _Unwind_Exception_Class kind, exception *thrown,
                                        struct _Unwind_Context *context);
HAK_HIDDEN personality __gxx_personality_v0;
HAK_HIDDEN void *__cxa_begin_catch(void *thrown);
HAK_HIDDEN void __cxa_end_catch(void);

/* A symbol of the runtime that threw: each exception names the function there that destroys it.
 * NULL if the exception is none of C++, such as the one with which libc ends a thread. */
static void *thrower_symbol(const exception *thrown, const char *name) {
    if (thrown->exception_cleanup == NULL) return NULL;
    void *scope = scope_of((const void *)(uintptr_t)thrown->exception_cleanup);
    if (scope == NULL) return NULL;
    void *symbol = dlsym(scope, name);
    dlclose(scope);
    return symbol;
}

_Unwind_Reason_Code __gxx_personality_v0(int version, _Unwind_Action actions,
                                         _Unwind_Exception_Class kind, exception *thrown,
                                         struct _Unwind_Context *context) {
    personality *function =
        (personality *)(uintptr_t)thrower_symbol(thrown, "__gxx_personality_v0");
    return function == NULL ? _URC_CONTINUE_UNWIND
                            : function(version, actions, kind, thrown, context);
}

/* A call of __cxa_end_catch does not say which runtime is meant. The catch block does nothing,
 * so the catch ends here. */
void *__cxa_begin_catch(void *thrown) {
    void *(*begin)(void *) =
        (void *(*)(void *))(uintptr_t)thrower_symbol(thrown, "__cxa_begin_catch");
    void (*end)(void) = (void (*)(void))(uintptr_t)thrower_symbol(thrown, "__cxa_end_catch");
    HAK_CHECK(begin != NULL && end != NULL);
    begin(thrown);
    end();
    return NULL;
}

void __cxa_end_catch(void) {}

#endif
