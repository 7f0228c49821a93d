/* Filters of system calls (seccomp). A filter decides by the number of a call and by one argument.
 * Filters stay in force after exec. */
#ifndef HAK_VERIFY_FILTER_H
#define HAK_VERIFY_FILTER_H

#include "test.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define FILTER_ANY       (-1) /* the rule does not look at an argument */
#define FILTER_RULES_MAX 40

/* `action` (SECCOMP_RET_*) is what the kernel does with a call that has this number and, unless
 * `argument` is FILTER_ANY, has (low 32 bits of the argument & mask) == value. */
struct filter_rule {
    int call, argument;
    uint32_t mask, value, action;
};

/* The first rule that fits a call decides. A call that no rule fits is allowed. */
TEST_UNUSED static void filter_install(const struct filter_rule *rules, size_t count) {
    struct sock_filter code[FILTER_RULES_MAX * 6 + 1];
    unsigned short length = 0;
    CHECK(count <= FILTER_RULES_MAX, "%zu rules", count);
    for (size_t i = 0; i < count; i++) {
        const struct filter_rule *rule = &rules[i];
        const bool asks = rule->argument != FILTER_ANY;
        code[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                      offsetof(struct seccomp_data, nr));
        code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                      (uint32_t)rule->call, 0, asks ? 4 : 1);
        if (asks) {
            uint32_t low =
                (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (size_t)rule->argument);
            code[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low);
            code[length++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, rule->mask);
            code[length++] =
                (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, rule->value, 0, 1);
        }
        code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, rule->action);
    }
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {length, code};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
              prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0,
          "no filter: errno %d", errno);
}

#endif
