/* dlopen and dlmopen, which open libraries without RTLD_DEEPBIND.
 *
 * With this flag the loader looks up a library's names in the library and in what it needs, libc
 * among them, before it looks in the program. So the library would call libc's free for HAKMEM's
 * blocks. Without the flag it finds HAKMEM's functions, as all other libraries do.
 *
 * The caller of dlopen must stay the caller: from the return address the loader knows whose
 * RUNPATH, $ORIGIN and namespace count. So these functions end with a jump to the next functions
 * of their names. No C compiler promises a jump, so they are assembly, around a C function that
 * says where to jump, and with which flags.
 *
 * No lock is held here, and no function of the allocator calls these functions. Any thread may
 * call them, also before the constructor has run. */
#include <dlfcn.h>
#include <errno.h>

#include "core/hooks.h"
#include "core/policy.h"

typedef void function(void);
enum { DLOPEN, DLMOPEN, FUNCTIONS };

/* ---- where to jump --------------------------------------------------------------------------- */

#if HAK_STATIC_LIB

/* Only a static libc has these names. Weak, because only a static program has such a libc. */
__attribute__((weak)) function ___dlopen, ___dlmopen;
/* Weak: before glibc 2.34 not every program had dlsym. */
__attribute__((weak)) void *dlsym(void *handle, const char *name);

static function *in_static_libc(unsigned which) {
    return which == DLOPEN ? ___dlopen : ___dlmopen;
}

static bool has_dlsym(void) {
    return dlsym != NULL;
}

#else

static function *in_static_libc(unsigned which) {
    (void)which;
    return NULL;
}

static bool has_dlsym(void) {
    return true;
}

#endif

/* The next function of the name in the order of loading: libc's, or that of another library that
 * wraps libc's. NULL: there is none. */
static function *look_up(unsigned which) {
    static const char *const names[FUNCTIONS] = {[DLOPEN] = "dlopen", [DLMOPEN] = "dlmopen"};
    if (!has_dlsym()) return NULL;
    int saved = errno;
    void *found = dlsym(RTLD_NEXT, names[which]);
    errno = saved;
    return (function *)(uintptr_t)found;
}

/* Looked up at the first call, because constructors of other libraries may call before ours has
 * run. Threads that call at the same time find the same function. */
static function *next_function(unsigned which) {
    static _Atomic(function *) known[FUNCTIONS];
    /* relaxed, here and below: the function existed before its address was stored */
    function *next = atomic_load_explicit(&known[which], memory_order_relaxed);
    if (next != NULL) return next;
    next = look_up(which);
    hak_hook_atomic(&known[which], sizeof known[which]);
    atomic_store_explicit(&known[which], next, memory_order_relaxed);
    return next;
}

/* ---- the call -------------------------------------------------------------------------------- */

/* Two words, which x86-64 and aarch64 return in registers. */
struct jump {
    function *to;
    long mode;
};

/* Only the assembly calls them, with the arguments of dlopen and of dlmopen. */
HAK_HIDDEN struct jump hak_deepbind_dlopen(const char *file, int mode);
HAK_HIDDEN struct jump hak_deepbind_dlmopen(Lmid_t space, const char *file, int mode);

static void *opens_nothing(void) {
    return NULL;
}

/* A library that a static program opens brings its own libc, and uses the malloc of that libc.
 * So the flag stays. */
static struct jump jump_to(unsigned which, int mode, bool shares_malloc) {
    function *next = in_static_libc(which);
    if (next != NULL) return (struct jump){.to = next, .mode = mode};
    next = next_function(which);
    if (next == NULL) next = (function *)(uintptr_t)opens_nothing;
    if (shares_malloc && hak_policy()->deepbind == 0) mode &= ~RTLD_DEEPBIND;
    return (struct jump){.to = next, .mode = mode};
}

struct jump hak_deepbind_dlopen(const char *file, int mode) {
    (void)file;
    return jump_to(DLOPEN, mode, true);
}

/* A new namespace has its own libc, and so its own malloc. */
struct jump hak_deepbind_dlmopen(Lmid_t space, const char *file, int mode) {
    (void)file;
    return jump_to(DLMOPEN, mode, space == LM_ID_BASE);
}

/* NAME calls HELPER with its own arguments, puts the new mode into the register of that
 * argument, restores the others, and jumps. The stack is then as the caller left it, so the
 * unwinder, too, sees the caller as the caller. */
#if defined(__x86_64__)

/* endbr64: the functions may be called through pointers, and the processor may check such calls. */
#define OPENS(name, helper, set_mode)                                                              \
    __asm__(".pushsection .text\n"                                                                 \
            ".p2align 4\n"                                                                         \
            ".globl " name "\n"                                                                    \
            ".type " name ", @function\n" name ":\n"                                               \
            ".cfi_startproc\n"                                                                     \
            "endbr64\n"                                                                            \
            "pushq %rdi\n"                                                                         \
            ".cfi_adjust_cfa_offset 8\n"                                                           \
            "pushq %rsi\n"                                                                         \
            ".cfi_adjust_cfa_offset 8\n"                                                           \
            "subq $8, %rsp\n" /* with the return address, a multiple of 16 */                      \
            ".cfi_adjust_cfa_offset 8\n"                                                           \
            "call " helper "\n"                                                                    \
            "addq $8, %rsp\n"                                                                      \
            ".cfi_adjust_cfa_offset -8\n"                                                          \
            "popq %rsi\n"                                                                          \
            ".cfi_adjust_cfa_offset -8\n"                                                          \
            "popq %rdi\n"                                                                          \
            ".cfi_adjust_cfa_offset -8\n" set_mode "\n"                                            \
            "jmp *%rax\n"                                                                          \
            ".cfi_endproc\n"                                                                       \
            ".size " name ", .-" name "\n"                                                         \
            ".popsection\n")

OPENS("dlopen", "hak_deepbind_dlopen", "movl %edx, %esi");
OPENS("dlmopen", "hak_deepbind_dlmopen",
      ""); /* the mode is in the third argument's register already */

#elif defined(__aarch64__)

/* hint 34 is bti c, for the same purpose as endbr64 above. A jump through x16 may arrive at such
 * an instruction. */
#define OPENS(name, helper, set_mode)                                                              \
    __asm__(".pushsection .text\n"                                                                 \
            ".p2align 4\n"                                                                         \
            ".globl " name "\n"                                                                    \
            ".type " name ", %function\n" name ":\n"                                               \
            ".cfi_startproc\n"                                                                     \
            "hint #34\n"                                                                           \
            "stp x29, x30, [sp, #-32]!\n"                                                          \
            ".cfi_def_cfa_offset 32\n"                                                             \
            ".cfi_offset x29, -32\n"                                                               \
            ".cfi_offset x30, -24\n"                                                               \
            "mov x29, sp\n"                                                                        \
            "stp x0, x1, [sp, #16]\n"                                                              \
            "bl " helper "\n"                                                                      \
            "mov x16, x0\n" set_mode "\n"                                                          \
            "ldp x29, x30, [sp], #32\n"                                                            \
            ".cfi_restore x29\n"                                                                   \
            ".cfi_restore x30\n"                                                                   \
            ".cfi_def_cfa_offset 0\n"                                                              \
            "br x16\n"                                                                             \
            ".cfi_endproc\n"                                                                       \
            ".size " name ", .-" name "\n"                                                         \
            ".popsection\n")

OPENS("dlopen", "hak_deepbind_dlopen", "ldr x0, [sp, #16]"); /* the mode is in x1 already */
OPENS("dlmopen", "hak_deepbind_dlmopen", "mov x2, x1\nldp x0, x1, [sp, #16]");

#else
#error "dlopen is written for x86-64 and aarch64"
#endif
