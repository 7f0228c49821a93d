#include "core/abort.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "core/hooks.h"
#include "core/seize.h"
#include "core/stderr.h"
#include "core/syscall.h"
#include "core/text.h"
#include "core/thread_key.h"

#define SIGNAL(number) ((uint64_t)1 << ((number)-1))
#define SIGNAL_CANCEL  SIGNAL(32) /* glibc: pthread_cancel(3); blocked for the handler, too */
#define SIGNAL_SETID   SIGNAL(33) /* glibc: setuid(3) in another thread waits for it */
#define SIGNALS_OF_FAULTS                                                                          \
    (SIGNAL(SIGSEGV) | SIGNAL(SIGBUS) | SIGNAL(SIGILL) | SIGNAL(SIGFPE) | SIGNAL(SIGTRAP) |        \
     SIGNAL(SIGSYS))
/* Blocked while a message is written. */
#define SIGNALS_HELD (~(SIGNALS_OF_FAULTS | SIGNAL_SETID))

#define WAIT_MS   10 /* a second thread waits so long, WAIT_MOST times: 5 seconds */
#define WAIT_MOST 500
#define TRIES     3 /* attempts: other threads may change the action of SIGABRT meanwhile */

#define MARK                                                                                       \
    0x68616b6d656d2100u /* in call_handler's frame: unchanged while the handler runs below it */
#define MARK_WORDS 32
#define DEEP       ((uintptr_t)8 << 20) /* bytes; no handler uses so much of a stack */

static struct {
    /* The number of the process, and in the lower half that of the thread, that found the first
     * error; 0: none. Atomic, but the explorer need not schedule here: what happens after an
     * error is no part of a schedule. */
    uint64_t reporter;
    /* Written only by that thread. */
    uint64_t signals; /* the signals that the program had blocked */
    const volatile uint64_t
        *mark;         /* in call_handler's frame while the handler runs; NULL: it does not run */
    bool on_alternate; /* call_handler's frame is on the alternate signal stack */
} failure;

/* The kernel's structure for rt_sigaction. It differs between machines, but the default action
 * is all zeroes, and only its size matters. */
struct action {
    uintptr_t handler, flags, restorer, mask;
};

/* Replaces the number of a process or thread that a filter of system calls hides; nobody has
 * this number. Such a filter answers -1, which kill(2) takes for all processes. */
#define SECRET 0x7fffffff

static uint32_t number_or_secret(long call) {
    long number = hak_syscall3(call, 0, 0, 0);
    return number > 0 ? (uint32_t)number : SECRET;
}

static uint64_t own_number(void) {
    return (uint64_t)number_or_secret(SYS_getpid) << 32 | number_or_secret(SYS_gettid);
}

static uint64_t reporter(void) {
    return __atomic_load_n(&failure.reporter, __ATOMIC_RELAXED);
}

static uint64_t signals_set(uint64_t blocked) {
    uint64_t before = 0;
    hak_syscall4(SYS_rt_sigprocmask, SIG_SETMASK, hak_syscall_pointer(&blocked),
                 hak_syscall_pointer(&before), sizeof blocked);
    return before;
}

/* ---- the message ----------------------------------------------------------------------------- */

/* True if this is the first error that is found in this process. In a child of fork, `reporter`
 * may still be the parent's. */
static bool claim(uint64_t own) {
    uint64_t known = reporter();
    while (known >> 32 != own >> 32)
        if (__atomic_compare_exchange_n(&failure.reporter, &known, own, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return true;
    return false;
}

/* The calling thread has found an error, and its heap may be in any state. From here on the
 * thread has no heap and holds no lock. The destructor of the key has to run at its end, even if
 * it never had a heap. */
static void heap_lose(void) {
    const struct hak_heap *own = hak_thread_heap();
    bool is_seen = hak_heap_is_real(own) && own->state != HAK_HEAP_UNTRACKED;
    hak_locks_give_up();
    hak_seize_give_up();
    if (!is_seen) hak_thread_key_arm();
}

void hak_abort_begin(void) {
    uint64_t before = signals_set(SIGNALS_HELD);
    hak_stderr_insist();
    if (++HAK_THREAD.failed > 1) return;
    if (claim(own_number())) {
        failure.signals = before;
        failure.mark = NULL;
    }
    heap_lose();
    /* A handler of SIGABRT may write, which is a cancellation point. The locks are dropped
     * first, because another library may wrap this function. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
}

bool hak_abort_is_nested(void) {
    return HAK_THREAD.failed > 1;
}

_Noreturn void hak_fail(const char *what, const char *file, int line) {
    struct hak_text text;
    text.length = 0;
    hak_abort_begin();
    hak_text_add(&text, "hakmem: internal check failed: ");
    hak_text_add(&text, what);
    hak_text_add(&text, " at ");
    hak_text_add(&text, file);
    hak_text_add(&text, ":");
    hak_text_add_number(&text, (uint64_t)line);
    hak_text_print(&text);
    hak_abort();
}

/* ---- the end --------------------------------------------------------------------------------- */

/* False: the system allows neither system call. */
static bool raise_abort(void) {
    uint64_t own = own_number();
    const long thread = (long)(uint32_t)own;
    return hak_syscall3(SYS_tgkill, (long)(own >> 32), thread, SIGABRT) == 0 ||
           hak_syscall3(SYS_tkill, thread, SIGABRT, 0) == 0;
}

/* Ends the process by the default action. A debugger, a filter of system calls, or a process
 * that is the first of its container can prevent that: then by whatever else ends a process. */
static _Noreturn void end_by_default(void) {
    const struct action standard = {.handler = (uintptr_t)SIG_DFL};
    const long process = (long)(own_number() >> 32);
    for (int n = 0; n < TRIES; n++) {
        signals_set(SIGNALS_HELD);
        hak_syscall4(SYS_rt_sigaction, SIGABRT, hak_syscall_pointer(&standard), 0,
                     sizeof standard.mask);
        if (!raise_abort()) hak_syscall3(SYS_kill, process, SIGABRT, 0);
        signals_set(SIGNALS_HELD & ~SIGNAL(SIGABRT));
    }
    hak_syscall3(SYS_kill, process, SIGKILL, 0);
    signals_set(~(uint64_t)0); /* a fault whose signal is blocked ends the process */
    __builtin_trap();
}

static void wait_for_reporter(void) {
    const struct timespec pause = {.tv_nsec = WAIT_MS * 1000000L};
    for (int n = 0; n < WAIT_MOST; n++)
        hak_syscall3(SYS_nanosleep, hak_syscall_pointer(&pause), 0, 0);
}

static bool is_on_alternate_stack(void) {
    stack_t now = {.ss_flags = 0};
    return hak_syscall3(SYS_sigaltstack, 0, hak_syscall_pointer(&now), 0) == 0 &&
           ((unsigned)now.ss_flags & SS_ONSTACK) != 0;
}

/* Runs the handler with the signals blocked that the program had blocked, except that SIGABRT is
 * not and SIGNAL_CANCEL is. */
static HAK_NOINLINE void call_handler(void) {
    volatile uint64_t mark[MARK_WORDS];
    for (int i = 0; i < MARK_WORDS; i++)
        mark[i] = MARK;
    failure.on_alternate = is_on_alternate_stack();
    failure.mark = mark;
    raise_abort();
    signals_set((failure.signals & ~SIGNAL(SIGABRT)) | SIGNAL_CANCEL);
    failure.mark = NULL;
}

_Noreturn void hak_abort(void) {
    uint64_t own = own_number(), first = reporter();
    if (!hak_abort_is_nested() && first == own) call_handler();
    if (first >> 32 == own >> 32 && first != own) wait_for_reporter();
    end_by_default();
}

/* ---- what the handler calls, and what goes on after it has left ------------------------------ */

/* True if the handler no longer runs below call_handler's frame: the frame is gone, or
 * overwritten. A frame on another stack proves nothing, unless one of the two is the alternate
 * signal stack. */
static bool handler_has_left(void) {
    const volatile uint64_t *mark = failure.mark;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if (mark == NULL) return false; /* not called yet */
    if (is_on_alternate_stack() != failure.on_alternate) return failure.on_alternate;
    if (here > (uintptr_t)mark || (uintptr_t)mark - here > DEEP) return true;
    for (int i = 0; i < MARK_WORDS; i++)
        if (mark[i] != MARK) return true;
    return false;
}

void hak_abort_look_again(void) {
    HAK_CHECK(HAK_THREAD.failed > 0);
    if (reporter() == own_number() && handler_has_left()) end_by_default();
}

void hak_abort_finish(void) {
    uint64_t first = reporter();
    if (HAK_LIKELY(first == 0)) return;
    uint64_t own = own_number();
    if (first >> 32 != own >> 32) return;
    if (first != own) wait_for_reporter();
    end_by_default();
}
