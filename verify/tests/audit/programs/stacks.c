/* Takes a block, which stays live, on a stack that is not the thread's own, or whose outermost
 * frame is wrong. The audit's walk of the stack must not read memory that cannot be read.
 *
 * usage: stacks KIND */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define PAGE ((size_t)4096)
#define SIZE (16 * PAGE)

static void *kept[4];

__attribute__((noinline)) static void take(void) {
    static int count;
    kept[count++] = malloc(40);
}

/* A new stack of SIZE bytes, between two pages that cannot be accessed. */
static char *stack_new(void) {
    char *start = mmap(NULL, SIZE + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED || mprotect(start + PAGE, SIZE, PROT_READ | PROT_WRITE) != 0) exit(2);
    return start + PAGE;
}

/* ---- a stack made by hand -------------------------------------------------------------------- */

/* entry() begins with these registers, as after a call, and leaves by switch_back(). */
void switch_to(void *sp, void *fp, void (*entry)(void));
void switch_back(void);
__asm__(".text\n"
        "switch_to:\n"
        "    push %rbp\n    push %rbx\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
        "    mov %rsp, before(%rip)\n"
        "    mov %rdi, %rsp\n    mov %rsi, %rbp\n"
        "    jmp *%rdx\n"
        "switch_back:\n"
        "    mov before(%rip), %rsp\n"
        "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbx\n    pop %rbp\n"
        "    ret\n"
        ".local before\n.comm before,8,8\n");

static void entry(void) {
    take();
    switch_back();
}

/* Runs entry() on `stack`, with the frame pointer `fp`. The last word of the stack is the return
 * address `back`. */
static void run(char *stack, void *fp, uintptr_t back) {
    uintptr_t *top = (uintptr_t *)(stack + SIZE);
    top[-1] = back;
    switch_to(top - 1, fp, entry);
}

static void fp_behind_the_end(void) {
    char *stack = stack_new();
    run(stack, stack + SIZE, 0);
}

static void fp_at_the_last_word(void) {
    char *stack = stack_new();
    run(stack, stack + SIZE - 8, 0);
}

static void fp_at_the_last_two_words(void) {
    char *stack = stack_new();
    memset(stack, 0x41, SIZE);
    run(stack, stack + SIZE - 16, 0);
}

static void fp_far_above(void) {
    char *hole = mmap(NULL, 4 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *stack = stack_new();
    run(stack, hole > stack ? hole + SIZE : stack + SIZE + PAGE / 2, 0);
}

/* A walk has found the upper stack readable. Then that stack is unmapped, and the frame pointer of
 * the next walk still leads there. */
static void fp_on_a_stack_that_is_gone(void) {
    char *start = mmap(NULL, 4 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    run(start + 3 * SIZE, NULL, 0);
    run(start, start + 3 * SIZE + 64, 0);
    munmap(start + 3 * SIZE, SIZE);
    run(start, start + 3 * SIZE + 64, 0);
}

static void back_to_nowhere(void) {
    run(stack_new(), NULL, 0x4141414141414141);
}

static void back_to_data(void) {
    run(stack_new(), NULL, (uintptr_t)kept);
}

/* A frame of this function would reach far beyond the end of the stack. */
__attribute__((noinline)) static void wide(void) {
    volatile char bytes[20000];
    bytes[0] = 0;
    take();
    bytes[1] = bytes[0];
}

static void back_into_a_wide_frame(void) {
    run(stack_new(), NULL, (uintptr_t)wide + 32);
}

/* ---- stacks that the system's libraries switch to -------------------------------------------- */

static void coroutine(void) {
    take();
}

static void context(void) {
    static ucontext_t own, other;
    getcontext(&other);
    other.uc_stack = (stack_t){.ss_sp = stack_new(), .ss_size = SIZE};
    other.uc_link = &own;
    makecontext(&other, coroutine, 0);
    swapcontext(&own, &other);
}

static void *in_thread(void *kind) {
    ((void (*)(void))kind)();
    return NULL;
}

static void context_in_thread(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, in_thread, (void *)context);
    pthread_join(thread, NULL);
}

static void thread_on_given_stack(void) {
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack_new(), SIZE);
    pthread_create(&thread, &attributes, in_thread, (void *)take);
    pthread_join(thread, NULL);
}

static void on_signal(int number) {
    (void)number;
    take();
}

static void handle(int flags) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
    sigaction(SIGTRAP, &action, NULL);
}

/* The signal comes while the frame pointer register has another value. */
__attribute__((noinline)) static void interrupted(uintptr_t fp) {
    __asm__ volatile("push %%rbp\n\tmov %0, %%rbp\n\tint3\n\tpop %%rbp" : : "r"(fp) : "memory");
}

static void signal_here(void) {
    handle(0);
    interrupted(0x1234);
}

static void signal_on_alternate_stack(void) {
    char *stack = stack_new();
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = SIZE}, NULL);
    handle(SA_ONSTACK);
    interrupted((uintptr_t)stack + SIZE);
}

static const struct {
    const char *name;
    void (*run)(void);
} kinds[] = {
#define KIND(function)                                                                             \
    { #function, function }
    KIND(fp_behind_the_end),
    KIND(fp_at_the_last_word),
    KIND(fp_at_the_last_two_words),
    KIND(fp_far_above),
    KIND(fp_on_a_stack_that_is_gone),
    KIND(back_to_nowhere),
    KIND(back_to_data),
    KIND(back_into_a_wide_frame),
    KIND(context),
    KIND(context_in_thread),
    KIND(thread_on_given_stack),
    KIND(signal_here),
    KIND(signal_on_alternate_stack),
};

int main(int count, char **arguments) {
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (count == 2 && strcmp(arguments[1], kinds[i].name) == 0) {
            kinds[i].run();
            return kept[0] == NULL;
        }
    return 3;
}
