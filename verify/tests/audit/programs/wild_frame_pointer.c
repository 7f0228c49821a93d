/* Takes a block in code whose frame pointer register points elsewhere, as in code built without
 * frame pointers. Where return addresses would be, there are an address of data and then one of
 * code. */
#include <stdint.h>
#include <stdlib.h>

int main(void);

static int data = 1;

static void *take(void) {
    uintptr_t words[4] = {(uintptr_t)&words[2], (uintptr_t)&data, 0, (uintptr_t)&main + 8};
    void *block;
    __asm__ volatile("mov %%rsp, %%r12\n\t"
                     "mov %%rbp, %%r13\n\t"
                     "and $-16, %%rsp\n\t"
                     "mov %[words], %%rbp\n\t"
                     "call malloc@PLT\n\t"
                     "mov %%r13, %%rbp\n\t"
                     "mov %%r12, %%rsp"
                     : "=a"(block)
                     : "D"((size_t)40), [words] "r"(words)
                     : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "cc", "memory");
    return block;
}

int main(void) {
    return take() == NULL;
}
