#include "verify/virtual/yields.h"

void (*explore_step_hook)(struct explore_step *step);
void (*explore_access_hook)(void *address, size_t size, bool is_write);

void explore_yield(enum explore_kind kind, const char *word, const volatile void *address,
                   size_t size, int order) {
    if (explore_step_hook == NULL) return;
    struct explore_step step = {
        .kind = kind, .word = word, .address = address, .size = size, .order = order};
    explore_step_hook(&step);
}

void explore_yield_compare(const char *word, const volatile void *address, size_t size,
                           const void *expected, int order, int failure) {
    if (explore_step_hook == NULL) return;
    struct explore_step step = {.kind = EXPLORE_CHANGE,
                                .word = word,
                                .address = address,
                                .size = size,
                                .order = order,
                                .failure = failure,
                                .expected = expected};
    explore_step_hook(&step);
}
