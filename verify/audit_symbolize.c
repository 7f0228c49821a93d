/* The helper process that finds names. The program may be in any state here: nothing below
 * allocates, waits without a limit, or trusts the helper's answer. */
#include "verify/audit_symbolize.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/os_process.h"
#include "core/text.h"
#include "verify/audit.h"

#define LIMIT_MS    20000u /* for all answers together: debug information may be large */
#define LIMIT_END   500    /* times 10 ms, for a killed process to end */
#define HELPER_NAME "hakmem-symbolize"

static struct {
    _Atomic int owner; /* thread that uses the helper; 0: none. It alone writes what is below */
    bool failed;       /* the helper is not asked again */
    pid_t pid;
    int socket; /* -1: there is no helper */
    uint32_t begun_ms;
    sigset_t signals; /* the owner's signal mask, to be restored */
    char path[PATH_MAX];
    char answer[1 << 14];
} helper = {.socket = -1};

/* Finds the helper: the path of the option, or HELPER_NAME beside the library's file. False if
 * neither is known: a program that the library is linked into has no library file. */
static bool path_find(void) {
    if (hak_audit_options.symbolizer[0] != '\0') {
        strcpy(helper.path, hak_audit_options.symbolizer);
        return true;
    }
    struct dl_find_object own;
    if (_dl_find_object((void *)(uintptr_t)&hak_audit_symbolize, &own) != 0) return false;
    const char *library = own.dlfo_link_map->l_name;
    const char *slash = strrchr(library, '/');
    if (slash == NULL) return false;
    size_t length = (size_t)(slash + 1 - library);
    if (length + sizeof HELPER_NAME > sizeof helper.path) return false;
    memcpy(helper.path, library, length);
    memcpy(helper.path + length, HELPER_NAME, sizeof HELPER_NAME);
    return true;
}

/* posix_spawn runs no fork handlers and does not copy the address space. Its file actions would
 * allocate, so the helper inherits its end of the socket and closes all other descriptors itself.
 * The environment is empty, so LD_PRELOAD does not load the allocator into the helper. */
static bool spawn(int its_end) {
    struct hak_text socket = {.length = 0}, pid = {.length = 0};
    hak_text_add_number(&socket, (uint64_t)its_end);
    hak_text_add_number(&pid, (uint64_t)getpid());
    socket.bytes[socket.length] = pid.bytes[pid.length] = '\0';
    char *arguments[] = {helper.path, socket.bytes, pid.bytes, NULL}, *environment[] = {NULL};
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    return fcntl(its_end, F_SETFD, 0) == 0 &&
           posix_spawn(&helper.pid, helper.path, NULL, &attributes, arguments, environment) == 0;
}

static bool start(void) {
    int ends[2];
    if (hak_os_is_secure() || !path_find()) return false;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return false;
    helper.begun_ms = hak_os_now_ms();
    bool started = spawn(ends[1]);
    close(ends[1]);
    if (started)
        helper.socket = ends[0];
    else
        close(ends[0]);
    return started;
}

/* Kills the helper and waits for it: the program must not find a child that it did not start. The
 * helper may be gone already, if the program waits for all its children. */
static void stop(void) {
    if (helper.socket < 0) return;
    close(helper.socket);
    helper.socket = -1;
    kill(helper.pid, SIGKILL);
    for (int n = 0; n < LIMIT_END && waitpid(helper.pid, NULL, WNOHANG) == 0; n++)
        poll(NULL, 0, 10);
}

static bool ask(const void *const *frames, size_t count) {
    struct hak_text line = {.length = 0};
    for (size_t i = 0; i < count; i++) {
        if (i > 0) hak_text_add(&line, " ");
        hak_text_add_base(&line, (uintptr_t)frames[i], 16);
    }
    hak_text_add(&line, "\n");
    return send(helper.socket, line.bytes, line.length, MSG_NOSIGNAL | MSG_DONTWAIT) ==
           (ssize_t)line.length;
}

/* Appends received bytes to the answer. False: time is up, the answer is too long, or the helper
 * has ended. */
static bool receive(size_t *length) {
    uint32_t spent = hak_os_now_ms() - helper.begun_ms;
    size_t room = sizeof helper.answer - 1 - *length;
    if (spent >= LIMIT_MS || room == 0) return false;
    struct pollfd wait = {.fd = helper.socket, .events = POLLIN};
    int ready = poll(&wait, 1, (int)(LIMIT_MS - spent));
    if (ready < 0 && errno == EINTR) return true;
    if (ready <= 0) return false;
    ssize_t got = recv(helper.socket, helper.answer + *length, room, MSG_DONTWAIT);
    if (got <= 0) return false;
    *length += (size_t)got;
    return true;
}

static bool is_whole(size_t length) {
    return length > 0 && helper.answer[length - 1] == '\n' &&
           (length == 1 || helper.answer[length - 2] == '\n');
}

/* Makes strings of the lines. False if they do not begin with "#0 ", "#1 " and so on, or contain
 * control characters, which a terminal would act on. */
static bool split(char *text) {
    for (uint64_t n = 0; *text != '\0'; n++) {
        struct hak_text begin = {.length = 0};
        hak_text_add(&begin, "#");
        hak_text_add_number(&begin, n);
        hak_text_add(&begin, " ");
        if (strncmp(text, begin.bytes, begin.length) != 0) return false;
        for (; *text != '\n'; text++)
            if ((unsigned char)*text < ' ' || *text == 0x7f) return false;
        *text++ = '\0';
    }
    return true;
}

static bool answered(const void *const *frames, size_t count) {
    size_t length = 0;
    if (!ask(frames, count)) return false;
    while (!is_whole(length))
        if (!receive(&length)) return false;
    helper.answer[length - 1] = '\0';
    return split(helper.answer);
}

/* One thread at a time uses the helper, from its first stack to its last. All signals are blocked
 * meanwhile, because their handlers may allocate. */
static bool own(void) {
    int nobody = 0, self = hak_os_thread_id();
    if (!atomic_compare_exchange_strong(&helper.owner, &nobody, self)) return nobody == self;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &helper.signals);
    return true;
}

const char *hak_audit_symbolize(const void *const *frames, size_t count) {
    if (!own() || helper.failed) return NULL;
    if ((helper.socket < 0 && !start()) || !answered(frames, count)) {
        helper.failed = true;
        stop();
        return NULL;
    }
    return helper.answer;
}

void hak_audit_symbolize_end(void) {
    if (atomic_load(&helper.owner) != hak_os_thread_id()) return;
    stop();
    pthread_sigmask(SIG_SETMASK, &helper.signals, NULL);
    atomic_store(&helper.owner, 0);
}
