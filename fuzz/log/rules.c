#include "fuzz/log/rules.h"

enum { SLOT_NEW, SLOT_FULL, SLOT_EMPTY };

/* The state of the slot after the operation. */
static uint8_t slot_after(uint8_t slot, const struct oplog_op *op) {
    if (op->failed) return slot;
    if (op->kind == OPLOG_REALLOC)
        return slot == SLOT_FULL && op->size == 0 ? SLOT_EMPTY : SLOT_FULL;
    if (op->kind == OPLOG_FREE) return SLOT_EMPTY;
    return oplog_returns_block(op->kind) ? SLOT_FULL : slot;
}

static const char *slot_refuses(uint8_t slot, const struct oplog_op *op) {
    if (op->kind == OPLOG_FREE_AGAIN)
        return slot == SLOT_EMPTY ? NULL : "the slot has no freed block";
    if (op->kind == OPLOG_REALLOC || op->failed) return NULL;
    if (oplog_returns_block(op->kind))
        return slot == SLOT_FULL ? "the slot holds a block already" : NULL;
    return slot == SLOT_FULL ? NULL : "the slot holds no block";
}

const char *rules_refuse(struct rules *rules, const struct oplog_op *op) {
    bool lives = rules->threads[op->thread];
    if (op->kind == OPLOG_SWITCH)
        return "a switch within an operation: only the explorer can replay that";
    if (op->kind == OPLOG_THREAD_BEGIN && lives) return "the thread lives already";
    if (op->kind == OPLOG_THREAD_EXIT && !lives) return "the thread does not live";
    if (oplog_has(op->kind, 's')) {
        uint8_t *slot = &rules->slots[op->slot];
        const char *refused = slot_refuses(*slot, op);
        if (refused != NULL) return refused;
        *slot = slot_after(*slot, op);
    }
    rules->threads[op->thread] = op->kind != OPLOG_THREAD_EXIT;
    return NULL;
}
