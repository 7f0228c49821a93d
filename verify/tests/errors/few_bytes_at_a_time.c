/* A child frees a block twice. Its stderr takes seven bytes at a time, and is interrupted in
 * between: the parent changes the calls of write(2) of the child. The parent ends as the child
 * does. */
#include "../test.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

static void free_twice(void) {
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    char *block = test_opaque_pointer(malloc(40));
    free(block);
    free(test_opaque_pointer(block));
    _exit(test_ok("not noticed"));
}

#ifdef __x86_64__
static struct user_regs_struct registers_of(pid_t child) {
    struct user_regs_struct registers;
    CHECK(ptrace(PTRACE_GETREGS, child, NULL, &registers) == 0, "no registers: errno %d", errno);
    return registers;
}

/* Lets the child run to its next entry into a system call, or exit from one, and returns 0. Returns
 * the wait status if something else happened. */
static int go_on(pid_t child, int signal) {
    int status;
    ptrace(PTRACE_SYSCALL, child, NULL, (void *)(intptr_t)signal);
    CHECK(waitpid(child, &status, 0) == child, "no child");
    return WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : status;
}

/* Called when the child is at the entry into write(2). */
static void change_write(pid_t child, struct user_regs_struct registers) {
    static unsigned calls;
    bool interrupted = ++calls % 3 == 0;
    if (interrupted) registers.orig_rax = (unsigned long long)-1;
    if (registers.rdx > 7) registers.rdx = 7;
    ptrace(PTRACE_SETREGS, child, NULL, &registers);
    CHECK(go_on(child, 0) == 0, "write(2) does not return");
    if (!interrupted) return;
    registers = registers_of(child);
    registers.rax = (unsigned long long)-EINTR;
    ptrace(PTRACE_SETREGS, child, NULL, &registers);
}

static int change_writes(pid_t child) {
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFSTOPPED(status), "the child does not stop");
    ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
    for (status = go_on(child, 0);; status = go_on(child, status == 0 ? 0 : WSTOPSIG(status))) {
        if (status != 0 && !WIFSTOPPED(status)) return status;
        if (status != 0) continue;
        struct user_regs_struct registers = registers_of(child);
        if (registers.orig_rax == SYS_write && registers.rdi == STDERR_FILENO &&
            registers.rax == (unsigned long long)-ENOSYS)
            change_write(child, registers);
    }
}
#else
static int change_writes(pid_t child) {
    CHECK(child < 0, "has registers of x86-64");
    return 0;
}
#endif

int main(void) {
    test_needs_hakmem();
    pid_t child = fork();
    if (child == 0) free_twice();
    int status = change_writes(child);
    if (WIFSIGNALED(status)) kill(getpid(), WTERMSIG(status));
    return WEXITSTATUS(status);
}
