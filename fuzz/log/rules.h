/* What makes a row of operations a program: no slot is filled twice, none is freed that is empty. */
#ifndef HAK_FUZZ_LOG_RULES_H
#define HAK_FUZZ_LOG_RULES_H

#include "fuzz/oplog.h"

struct rules {
    uint8_t *slots;   /* enum in rules.c; one for each slot, and 0 at the beginning */
    uint8_t *threads; /* true: lives; the same */
};

/* NULL: the operation may come next, and the rules go on behind it. Else why it may not; nothing has changed. */
const char *rules_refuse(struct rules *rules, const struct oplog_op *op);

#endif
