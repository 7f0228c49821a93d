#include "verify/audit_unwind.h"

#include <dlfcn.h>
#include <string.h>

/* The register numbers of the tables, by enum hak_unwind_register. That of PC is the column of the
 * return address. */
#if defined(__x86_64__)
static const uint64_t numbers[] = {[HAK_UNWIND_SP] = 7, [HAK_UNWIND_FP] = 6, [HAK_UNWIND_PC] = 16};
#elif defined(__aarch64__)
static const uint64_t numbers[] = {
    [HAK_UNWIND_SP] = 31, [HAK_UNWIND_FP] = 29, [HAK_UNWIND_PC] = 30};
#endif

/* ---- bytes of the tables --------------------------------------------------------------------- */

struct bytes {
    const uint8_t *at, *end;
};

static uint64_t take(struct bytes *bytes, size_t size) {
    uint64_t value = 0;
    if ((size_t)(bytes->end - bytes->at) < size) {
        bytes->at = bytes->end;
        return 0;
    }
    memcpy(&value, bytes->at, size); /* little-endian */
    bytes->at += size;
    return value;
}

static uint64_t take_leb(struct bytes *bytes, bool is_signed) {
    uint64_t value = 0;
    for (unsigned shift = 0; bytes->at < bytes->end; shift += 7) {
        uint8_t byte = *bytes->at++;
        if (shift < 64) value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) != 0) continue;
        if (is_signed && (byte & 0x40) != 0 && shift + 7 < 64) value |= ~(uint64_t)0 << (shift + 7);
        break;
    }
    return value;
}

static uint64_t take_unsigned(struct bytes *bytes) {
    return take_leb(bytes, false);
}

static int64_t take_signed(struct bytes *bytes) {
    return (int64_t)take_leb(bytes, true);
}

static struct bytes take_block(struct bytes *bytes) {
    uint64_t size = take_unsigned(bytes);
    if (size > (uint64_t)(bytes->end - bytes->at)) size = (uint64_t)(bytes->end - bytes->at);
    struct bytes block = {.at = bytes->at, .end = bytes->at + size};
    bytes->at += size;
    return block;
}

/* The size in bytes of an encoded pointer (DW_EH_PE_*); 0: not supported. */
static size_t encoded_size(uint8_t encoding) {
    static const uint8_t sizes[] = {8, 0, 2, 4, 8, 0, 0, 0};
    return sizes[encoding & 7];
}

/* ---- the function's entry in the tables ------------------------------------------------------ */

struct entry {
    uintptr_t start, range;
    uint64_t code_factor;
    int64_t data_factor;
    bool is_signal;               /* the frame that the kernel makes to call a signal handler */
    struct bytes common, program; /* instructions of the CIE, and of the FDE */
};

/* The contents of an entry, which follow its length. */
static struct bytes entry_bytes(const uint8_t *at) {
    uint32_t length;
    memcpy(&length, at, sizeof length);
    if (length >= 0xfffffff0) length = 0;
    return (struct bytes){.at = at + sizeof length, .end = at + sizeof length + length};
}

/* Parses a CIE. Returns the encoding of the function's start; -1: the form of the entry is not
 * supported. */
static int common_parse(struct entry *entry, struct bytes bytes) {
    int encoding = 0;
    take(&bytes, 4); /* 0: a CIE */
    uint64_t version = take(&bytes, 1);
    const char *letters = (const char *)bytes.at;
    bytes.at += strnlen(letters, (size_t)(bytes.end - bytes.at));
    take(&bytes, 1);
    entry->code_factor = take_unsigned(&bytes);
    entry->data_factor = take_signed(&bytes);
    uint64_t column = version == 1 ? take(&bytes, 1) : take_unsigned(&bytes);
    if (letters[0] != 'z' || column != numbers[HAK_UNWIND_PC]) return -1;
    struct bytes details = take_block(&bytes);
    for (const char *letter = letters + 1; *letter != '\0'; letter++) {
        if (*letter == 'R')
            encoding = (int)take(&details, 1);
        else if (*letter == 'L')
            take(&details, 1);
        else if (*letter == 'P')
            take(&details, encoded_size((uint8_t)take(&details, 1)));
        else if (*letter == 'S')
            entry->is_signal = true;
        else
            return -1;
    }
    entry->common = bytes;
    return encoding;
}

static bool entry_parse(struct entry *entry, const uint8_t *at) {
    struct bytes bytes = entry_bytes(at);
    const uint8_t *field = bytes.at;
    uint32_t distance = (uint32_t)take(&bytes, 4);
    if (distance == 0) return false;
    int encoding = common_parse(entry, entry_bytes(field - distance));
    size_t size = encoding < 0 ? 0 : encoded_size((uint8_t)encoding);
    if (size == 0) return false;
    take(&bytes, size); /* the function's start: known from the search */
    entry->range = take(&bytes, size);
    take_block(&bytes);
    entry->program = bytes;
    return true;
}

/* Searches the sorted table of PT_GNU_EH_FRAME: pairs of a function's start and its entry, relative
 * to the table. */
static bool entry_find(struct entry *entry, uintptr_t pc) {
    struct dl_find_object object;
    if (_dl_find_object((void *)pc, &object) != 0 || object.dlfo_eh_frame == NULL) return false;
    const uint8_t *header = object.dlfo_eh_frame;
    if (header[0] != 1 || encoded_size(header[1]) != 4 || header[2] != 0x03 || header[3] != 0x3b)
        return false;
    uint32_t count;
    int32_t pair[2];
    memcpy(&count, header + 8, sizeof count);
    const uint8_t *table = header + 12;
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        memcpy(pair, table + (size_t)middle * sizeof pair, sizeof pair);
        if ((uintptr_t)header + (uintptr_t)(intptr_t)pair[0] <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return false;
    memcpy(pair, table + (size_t)(low - 1) * sizeof pair, sizeof pair);
    entry->start = (uintptr_t)header + (uintptr_t)(intptr_t)pair[0];
    return entry_parse(entry, header + pair[1]) && pc - entry->start < entry->range;
}

/* ---- the codes of DWARF 5, section 7, that compilers use for this, and GNU's ----------------- */

enum {
    OP_DEREF = 0x06,
    OP_CONST1U = 0x08,
    OP_CONST1S = 0x09,
    OP_CONST2U = 0x0a,
    OP_CONST2S = 0x0b,
    OP_CONSTU = 0x10,
    OP_CONSTS = 0x11,
    OP_AND = 0x1a,
    OP_MINUS = 0x1c,
    OP_OR = 0x21,
    OP_PLUS = 0x22,
    OP_PLUS_UCONST = 0x23,
    OP_SHL = 0x24,
    OP_SHR = 0x25,
    OP_GE = 0x2a,
    OP_LIT0 = 0x30,
    OP_LIT31 = 0x4f,
    OP_BREG0 = 0x70,
    OP_BREG31 = 0x8f,
    OP_BREGX = 0x92
};

enum {
    CFA_NOP = 0x00,
    CFA_ADVANCE_LOC1 = 0x02,
    CFA_ADVANCE_LOC2 = 0x03,
    CFA_ADVANCE_LOC4 = 0x04,
    CFA_OFFSET_EXTENDED = 0x05,
    CFA_RESTORE_EXTENDED = 0x06,
    CFA_UNDEFINED = 0x07,
    CFA_SAME_VALUE = 0x08,
    CFA_REGISTER = 0x09,
    CFA_REMEMBER_STATE = 0x0a,
    CFA_RESTORE_STATE = 0x0b,
    CFA_DEF_CFA = 0x0c,
    CFA_DEF_CFA_REGISTER = 0x0d,
    CFA_DEF_CFA_OFFSET = 0x0e,
    CFA_DEF_CFA_EXPRESSION = 0x0f,
    CFA_EXPRESSION = 0x10,
    CFA_OFFSET_EXTENDED_SF = 0x11,
    CFA_DEF_CFA_SF = 0x12,
    CFA_DEF_CFA_OFFSET_SF = 0x13,
    CFA_VAL_OFFSET = 0x14,
    CFA_VAL_EXPRESSION = 0x16,
    CFA_GNU_ARGS_SIZE = 0x2e,
    /* These have an operand in the lower six bits. */
    CFA_ADVANCE_LOC = 0x40,
    CFA_OFFSET = 0x80,
    CFA_RESTORE = 0xc0,
    CFA_WITH_OPERAND = 0xc0
};

/* ---- expressions ----------------------------------------------------------------------------- */

enum { DEPTH = 16 };

struct values {
    uint64_t value[DEPTH];
    unsigned count;
};

static bool push(struct values *values, uint64_t value) {
    if (values->count == DEPTH) return false;
    values->value[values->count++] = value;
    return true;
}

static bool register_of(uint64_t number, enum hak_unwind_register *found) {
    for (unsigned i = 0; i < HAK_UNWIND_REGISTERS; i++)
        if (numbers[i] == number) {
            *found = (enum hak_unwind_register)i;
            return true;
        }
    return false;
}

/* Takes the upper of two values off the stack and combines it with the lower one. */
static bool combine(struct values *values, uint8_t operation) {
    if (values->count < 2) return false;
    uint64_t right = values->value[--values->count], *left = &values->value[values->count - 1];
    switch (operation) {
    case OP_AND:
        *left &= right;
        return true;
    case OP_MINUS:
        *left -= right;
        return true;
    case OP_OR:
        *left |= right;
        return true;
    case OP_PLUS:
        *left += right;
        return true;
    case OP_SHL:
        *left = right < 64 ? *left << right : 0;
        return true;
    case OP_SHR:
        *left = right < 64 ? *left >> right : 0;
        return true;
    case OP_GE:
        *left = (int64_t)*left >= (int64_t)right;
        return true;
    default:
        return false;
    }
}

static bool push_register(struct values *values, const struct hak_unwind *unwind, uint64_t number,
                          struct bytes *bytes) {
    enum hak_unwind_register known;
    int64_t offset = take_signed(bytes);
    return register_of(number, &known) && push(values, unwind->registers[known] + (uint64_t)offset);
}

static bool dereference(struct values *values, struct hak_unwind *unwind) {
    if (values->count == 0) return false;
    uint64_t *top = &values->value[values->count - 1];
    return hak_audit_read(&unwind->proof, *top, top);
}

static bool operate(struct values *values, struct hak_unwind *unwind, struct bytes *bytes) {
    uint8_t operation = *bytes->at++;
    if (operation >= OP_LIT0 && operation <= OP_LIT31)
        return push(values, (uint64_t)(operation - OP_LIT0));
    if (operation >= OP_BREG0 && operation <= OP_BREG31)
        return push_register(values, unwind, (uint64_t)(operation - OP_BREG0), bytes);
    switch (operation) {
    case OP_DEREF:
        return dereference(values, unwind);
    case OP_CONST1U:
        return push(values, take(bytes, 1));
    case OP_CONST1S:
        return push(values, (uint64_t)(int8_t)take(bytes, 1));
    case OP_CONST2U:
        return push(values, take(bytes, 2));
    case OP_CONST2S:
        return push(values, (uint64_t)(int16_t)take(bytes, 2));
    case OP_CONSTU:
        return push(values, take_unsigned(bytes));
    case OP_CONSTS:
        return push(values, (uint64_t)take_signed(bytes));
    case OP_PLUS_UCONST:
        if (values->count == 0) return false;
        values->value[values->count - 1] += take_unsigned(bytes);
        return true;
    case OP_BREGX:
        return push_register(values, unwind, take_unsigned(bytes), bytes);
    default:
        return combine(values, operation);
    }
}

static bool evaluate(struct hak_unwind *unwind, struct bytes bytes, struct values values,
                     uintptr_t *result) {
    while (bytes.at < bytes.end)
        if (!operate(&values, unwind, &bytes)) return false;
    if (values.count == 0) return false;
    *result = values.value[values.count - 1];
    return true;
}

/* ---- instructions ---------------------------------------------------------------------------- */

enum how { SAME, UNDEFINED, AT_OFFSET, AT_EXPRESSION, UNKNOWN };

struct rule {
    enum how how;
    int64_t offset; /* from the CFA, which is the caller's stack pointer */
    struct bytes expression;
};

struct rules {
    struct rule cfa; /* AT_OFFSET: the offset is from the register `base` */
    enum hak_unwind_register base;
    bool has_base;
    struct rule registers[HAK_UNWIND_REGISTERS];
};

enum { REMEMBERED = 8 };

struct machine {
    const struct entry *entry;
    uintptr_t location;
    struct rules now, first,
        remembered[REMEMBERED]; /* `first`: the rules after the CIE's instructions */
    unsigned depth;
};

static void set_rule(struct machine *machine, uint64_t number, struct rule rule) {
    enum hak_unwind_register known;
    if (register_of(number, &known)) machine->now.registers[known] = rule;
}

static void set_offset(struct machine *machine, uint64_t number, int64_t factored) {
    set_rule(machine, number,
             (struct rule){.how = AT_OFFSET, .offset = factored * machine->entry->data_factor});
}

static void restore(struct machine *machine, uint64_t number) {
    enum hak_unwind_register known;
    if (register_of(number, &known))
        machine->now.registers[known] = machine->first.registers[known];
}

static void set_base(struct machine *machine, uint64_t number) {
    machine->now.has_base = register_of(number, &machine->now.base);
}

static void set_cfa(struct machine *machine, int64_t offset) {
    machine->now.cfa = (struct rule){.how = AT_OFFSET, .offset = offset};
}

static bool remember(struct machine *machine) {
    if (machine->depth == REMEMBERED) return false;
    machine->remembered[machine->depth++] = machine->now;
    return true;
}

static bool recall(struct machine *machine) {
    if (machine->depth == 0) return false;
    machine->now = machine->remembered[--machine->depth];
    return true;
}

static void advance(struct machine *machine, uint64_t units) {
    machine->location += units * machine->entry->code_factor;
}

/* Instructions for the rule of the CFA; false if the instruction is none of them. */
static bool execute_cfa(struct machine *machine, uint8_t code, struct bytes *bytes) {
    switch (code) {
    case CFA_DEF_CFA:
        set_base(machine, take_unsigned(bytes));
        set_cfa(machine, (int64_t)take_unsigned(bytes));
        return true;
    case CFA_DEF_CFA_SF:
        set_base(machine, take_unsigned(bytes));
        set_cfa(machine, take_signed(bytes) * machine->entry->data_factor);
        return true;
    case CFA_DEF_CFA_REGISTER:
        set_base(machine, take_unsigned(bytes));
        return true;
    case CFA_DEF_CFA_OFFSET:
        set_cfa(machine, (int64_t)take_unsigned(bytes));
        return true;
    case CFA_DEF_CFA_OFFSET_SF:
        set_cfa(machine, take_signed(bytes) * machine->entry->data_factor);
        return true;
    case CFA_DEF_CFA_EXPRESSION:
        machine->now.cfa = (struct rule){.how = AT_EXPRESSION, .expression = take_block(bytes)};
        return true;
    default:
        return false;
    }
}

/* Instructions for the rule of a register, which the operand names. */
static bool execute_rule(struct machine *machine, uint8_t code, struct bytes *bytes) {
    uint64_t number = take_unsigned(bytes);
    switch (code) {
    case CFA_OFFSET_EXTENDED:
        set_offset(machine, number, (int64_t)take_unsigned(bytes));
        return true;
    case CFA_RESTORE_EXTENDED:
        restore(machine, number);
        return true;
    case CFA_UNDEFINED:
        set_rule(machine, number, (struct rule){.how = UNDEFINED});
        return true;
    case CFA_SAME_VALUE:
        set_rule(machine, number, (struct rule){.how = SAME});
        return true;
    case CFA_OFFSET_EXTENDED_SF:
        set_offset(machine, number, take_signed(bytes));
        return true;
    case CFA_EXPRESSION:
        set_rule(machine, number,
                 (struct rule){.how = AT_EXPRESSION, .expression = take_block(bytes)});
        return true;
    case CFA_REGISTER:
    case CFA_VAL_OFFSET:
        take_unsigned(bytes);
        set_rule(machine, number, (struct rule){.how = UNKNOWN});
        return true;
    case CFA_VAL_EXPRESSION:
        take_block(bytes);
        set_rule(machine, number, (struct rule){.how = UNKNOWN});
        return true;
    case CFA_GNU_ARGS_SIZE:
        return true; /* the operand, taken above, is no register */
    default:
        return false;
    }
}

static bool execute_one(struct machine *machine, struct bytes *bytes) {
    uint8_t code = *bytes->at++, operand = code & (uint8_t)~CFA_WITH_OPERAND;
    switch (code & CFA_WITH_OPERAND) {
    case CFA_ADVANCE_LOC:
        advance(machine, operand);
        return true;
    case CFA_OFFSET:
        set_offset(machine, operand, (int64_t)take_unsigned(bytes));
        return true;
    case CFA_RESTORE:
        restore(machine, operand);
        return true;
    default:
        break;
    }
    switch (code) {
    case CFA_NOP:
        return true;
    case CFA_ADVANCE_LOC1:
        advance(machine, take(bytes, 1));
        return true;
    case CFA_ADVANCE_LOC2:
        advance(machine, take(bytes, 2));
        return true;
    case CFA_ADVANCE_LOC4:
        advance(machine, take(bytes, 4));
        return true;
    case CFA_REMEMBER_STATE:
        return remember(machine);
    case CFA_RESTORE_STATE:
        return recall(machine);
    default:
        return execute_cfa(machine, code, bytes) || execute_rule(machine, code, bytes);
    }
}

/* Executes the instructions up to the first for a location behind `pc`. */
static bool execute(struct machine *machine, struct bytes bytes, uintptr_t pc) {
    while (bytes.at < bytes.end) {
        if (!execute_one(machine, &bytes)) return false;
        if (machine->location > pc) return true;
    }
    return true;
}

static bool rules_at(const struct entry *entry, uintptr_t pc, struct rules *rules) {
    struct machine machine = {.entry = entry, .location = entry->start};
    if (!execute(&machine, entry->common, UINTPTR_MAX)) return false;
    machine.first = machine.now;
    machine.location = entry->start;
    if (!execute(&machine, entry->program, pc)) return false;
    *rules = machine.now;
    return true;
}

/* ---- one step -------------------------------------------------------------------------------- */

static bool cfa_of(struct hak_unwind *unwind, const struct rules *rules, uintptr_t *cfa) {
    if (rules->cfa.how == AT_EXPRESSION)
        return evaluate(unwind, rules->cfa.expression, (struct values){.count = 0}, cfa);
    if (!rules->has_base || rules->cfa.how != AT_OFFSET) return false;
    *cfa = unwind->registers[rules->base] + (uintptr_t)rules->cfa.offset;
    return true;
}

static bool caller_value(struct hak_unwind *unwind, const struct rule *rule, uintptr_t cfa,
                         uintptr_t *value) {
    uintptr_t address = cfa + (uintptr_t)rule->offset;
    struct values given = {.value = {cfa}, .count = 1};
    switch (rule->how) {
    case SAME:
        return true;
    case AT_EXPRESSION:
        if (!evaluate(unwind, rule->expression, given, &address)) return false;
        return hak_audit_read(&unwind->proof, address, value);
    case AT_OFFSET:
        return hak_audit_read(&unwind->proof, address, value);
    default:
        return false;
    }
}

bool hak_unwind_step(struct hak_unwind *unwind) {
    struct entry entry = {.is_signal = false};
    struct rules rules;
    uintptr_t pc = unwind->registers[HAK_UNWIND_PC] - !unwind->is_interrupted, cfa;
    if (!entry_find(&entry, pc) || !rules_at(&entry, pc, &rules) || !cfa_of(unwind, &rules, &cfa))
        return false;
    if (cfa <= unwind->registers[HAK_UNWIND_SP] && !entry.is_signal) return false;
    uintptr_t fp = unwind->registers[HAK_UNWIND_FP], next = unwind->registers[HAK_UNWIND_PC];
    if (!caller_value(unwind, &rules.registers[HAK_UNWIND_PC], cfa, &next) || next == 0)
        return false;
    if (!caller_value(unwind, &rules.registers[HAK_UNWIND_FP], cfa, &fp)) fp = 0;
    unwind->registers[HAK_UNWIND_SP] = cfa;
    unwind->registers[HAK_UNWIND_FP] = fp;
    unwind->registers[HAK_UNWIND_PC] = next;
    unwind->is_interrupted = entry.is_signal;
    return true;
}
