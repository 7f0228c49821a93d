/* The rules that make a sequence of operations a program: a full slot is not filled again, an empty
 * slot is not freed. */
#ifndef HAK_FUZZ_LOG_RULES_H
#define HAK_FUZZ_LOG_RULES_H

#include "fuzz/oplog.h"

struct rules {
    uint8_t *slots;   /* one for each slot, an enum of rules.c; all 0 at the beginning */
    uint8_t *threads; /* one for each thread, true: alive; all 0 at the beginning */
};

/* Returns NULL, and updates `rules`, if the operation may come next. Otherwise returns the reason
 * why not, and changes nothing. */
const char *rules_refuse(struct rules *rules, const struct oplog_op *op);

#endif
