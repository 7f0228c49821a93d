/* Filters of system calls (seccomp): what becomes of a call, by its number and one argument.
 * They stay through exec. */
#ifndef HAK_VERIFY_FILTER_H
#define HAK_VERIFY_FILTER_H

#include "test.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define FILTER_ANY       (-1) /* no argument is asked for */
#define FILTER_RULES_MAX 40

/* Of a call with this number of which (argument & mask) == value, if an argument is named: the
 * action, SECCOMP_RET_*. */
struct filter_rule {
    int call, argument;
    uint32_t mask, value, action;
};

/* The first rule that holds decides; all else is allowed. */
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
