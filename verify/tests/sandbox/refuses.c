/* Runs a program without some of the system calls, as on an old kernel or in a sandbox: the
 * kernel answers each of them with the error. A kill(2) that names many processes, such as -1 for
 * all, ends the program by SIGSYS.
 *
 * usage: refuses ERROR CALL... -- PROGRAM ARGS...
 *   CALL    as in docs/using.md: "madvise", "madvise MADV_DONTNEED"
 *   ERROR   a name, such as EPERM; NOTHING: the call reports success and does nothing */
#include <elf.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "../filter.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#define ALL           UINT32_MAX
#define NO_VDSO       "vDSO"
#define FUTEX_PRIVATE FUTEX_PRIVATE_FLAG

static const struct {
    const char *name;
    int call, argument;
    uint32_t mask, value;
} calls[] = {
    {"membarrier", SYS_membarrier, FILTER_ANY, 0, 0},
    {"madvise", SYS_madvise, FILTER_ANY, 0, 0},
    {"madvise MADV_DONTNEED", SYS_madvise, 2, ALL, MADV_DONTNEED},
    {"madvise MADV_NOHUGEPAGE", SYS_madvise, 2, ALL, MADV_NOHUGEPAGE},
    {"madvise MADV_HUGEPAGE", SYS_madvise, 2, ALL, MADV_HUGEPAGE},
    {"madvise MADV_WIPEONFORK", SYS_madvise, 2, ALL, MADV_WIPEONFORK},
    {"mremap", SYS_mremap, FILTER_ANY, 0, 0},
    {"mincore", SYS_mincore, FILTER_ANY, 0, 0},
    {"prlimit64", SYS_prlimit64, FILTER_ANY, 0, 0},
    /* does not match the loader's calls, which have no MAP_NORESERVE */
    {"mmap MAP_FIXED", SYS_mmap, 3, MAP_FIXED | MAP_NORESERVE, MAP_FIXED | MAP_NORESERVE},
    {"mmap MAP_FIXED_NOREPLACE", SYS_mmap, 3, MAP_FIXED_NOREPLACE, MAP_FIXED_NOREPLACE},
    {"mmap", SYS_mmap, 3, MAP_NORESERVE, MAP_NORESERVE},
    {"munmap", SYS_munmap, FILTER_ANY, 0, 0},
    /* does not match the loader's calls, which only take rights away */
    {"mprotect", SYS_mprotect, 2, ALL, PROT_READ | PROT_WRITE},
    {"sysinfo", SYS_sysinfo, FILTER_ANY, 0, 0},
    {"clock_gettime", SYS_clock_gettime, FILTER_ANY, 0, 0},
    {"futex FUTEX_WAIT", SYS_futex, 1, ALL,
     FUTEX_WAIT | FUTEX_PRIVATE}, /* pthread_join uses other operations */
    {"futex FUTEX_CMP_REQUEUE", SYS_futex, 1, ALL, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE},
    {"gettid", SYS_gettid, FILTER_ANY, 0, 0},
    {"getpid", SYS_getpid, FILTER_ANY, 0, 0},
    {"tgkill", SYS_tgkill, FILTER_ANY, 0, 0},
    {"tkill", SYS_tkill, FILTER_ANY, 0, 0},
    {"kill", SYS_kill, FILTER_ANY, 0, 0},
    {"rt_sigaction", SYS_rt_sigaction, FILTER_ANY, 0, 0},
    {"rt_sigprocmask", SYS_rt_sigprocmask, FILTER_ANY, 0, 0},
    {"sigaltstack", SYS_sigaltstack, FILTER_ANY, 0, 0},
    {"nanosleep", SYS_nanosleep, FILTER_ANY, 0, 0},
    {"write", SYS_write, 0, ALL, STDERR_FILENO},
    {"ppoll", SYS_ppoll, FILTER_ANY, 0, 0},
    {"fstat", SYS_fstat, FILTER_ANY, 0, 0},
    {"fcntl F_DUPFD_CLOEXEC", SYS_fcntl, 1, ALL, F_DUPFD_CLOEXEC},
    {"socketpair", SYS_socketpair, FILTER_ANY, 0, 0}, /* only the audit calls it */
};

static struct filter_rule rules[FILTER_RULES_MAX] = {
    {SYS_kill, 0, 0x80000000, 0x80000000,
     SECCOMP_RET_KILL_PROCESS}, /* a negative number names many processes */
    {SYS_kill, 0, ALL, 0, SECCOMP_RET_KILL_PROCESS},
};
static size_t rule_count = 2;
static bool without_vdso;

static uint32_t error_of(const char *name) {
    if (strcmp(name, "NOTHING") == 0) return 0; /* reports success */
    for (int error = 1; error < 134; error++) {
        const char *known = strerrorname_np(error);
        if (known != NULL && strcmp(known, name) == 0) return (uint32_t)error;
    }
    CHECK(false, "no error %s", name);
    return 0;
}

static void refuse(const char *name, uint32_t error) {
    if (strcmp(name, NO_VDSO) == 0) {
        without_vdso = true;
        return;
    }
    for (size_t i = 0; i < TEST_COUNT(calls); i++)
        if (strcmp(calls[i].name, name) == 0) {
            CHECK(rule_count < FILTER_RULES_MAX, "too many calls");
            rules[rule_count++] =
                (struct filter_rule){calls[i].call, calls[i].argument, calls[i].mask,
                                     calls[i].value, SECCOMP_RET_ERRNO | error};
            return;
        }
    CHECK(false, "no call %s", name);
}

/* Hides the kernel's own functions (the vDSO) from a process that has just begun: changes the
 * entry of the auxiliary vector that has their address. */
static void take_vdso(pid_t child) {
    struct user_regs_struct registers;
    CHECK(ptrace(PTRACE_GETREGS, child, NULL, &registers) == 0, "no registers: errno %d", errno);
    /* The stack has the number of arguments, the arguments, the environment, the vector. */
    uintptr_t at = registers.rsp + 8;
    for (int ends = 0; ends < 2; at += 8)
        ends += ptrace(PTRACE_PEEKDATA, child, at, NULL) == 0;
    for (long type; (type = ptrace(PTRACE_PEEKDATA, child, at, NULL)) != AT_NULL; at += 16)
        if (type == AT_SYSINFO_EHDR)
            CHECK(ptrace(PTRACE_POKEDATA, child, at, AT_IGNORE) == 0, "errno %d", errno);
}

static int run_without_vdso(char **program) {
    int status;
    pid_t child = fork();
    CHECK(child >= 0, "fork: errno %d", errno);
    if (child == 0) {
        CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0, "errno %d", errno);
        filter_install(rules, rule_count);
        execvp(program[0], program);
        CHECK(false, "cannot run %s", program[0]);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP,
          "status %#x", status);
    take_vdso(child);
    CHECK(ptrace(PTRACE_DETACH, child, NULL, NULL) == 0, "errno %d", errno);
    CHECK(waitpid(child, &status, 0) == child, "waitpid: errno %d", errno);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv) {
    int at = 2;
    CHECK(argc > 3, "usage: refuses ERROR CALL... -- PROGRAM ARGS...");
    uint32_t error = error_of(argv[1]);
    for (; argv[at] != NULL && strcmp(argv[at], "--") != 0; at++)
        refuse(argv[at], error);
    CHECK(at + 1 < argc, "which program?");
    if (without_vdso) return run_without_vdso(&argv[at + 1]);
    filter_install(rules, rule_count);
    execvp(argv[at + 1], &argv[at + 1]);
    CHECK(false, "cannot run %s", argv[at + 1]);
}
