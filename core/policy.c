#include "core/policy.h"

#include "core/hooks.h"
#include "core/os_process.h"
#include "core/text.h"

/* Bounds of each bin, in bytes and in blocks: the most that the bin of a busy thread may hold, and
 * what the bin of a new or idle thread begins with. */
#define LIMIT_MAX_BYTES      (256u << 10)
#define LIMIT_MAX_BYTES_POOL (1u << 20)
#define LIMIT_OWN_BYTES      (128u << 10)
#define LIMIT_OWN_BLOCKS     2048u
#define LIMIT_MAX_BLOCKS                                                                           \
    3072u /* one and a half slabs of the smallest classes: docs/decisions/0011 */
#define LIMIT_MIN_BYTES  (8u << 10)
#define LIMIT_MIN_BLOCKS 64u
#define CARVE_MAX_BYTES  (64u << 10)
#define CARVE_MIN_BYTES  (4u << 10)

#define CLAMP(n, least, most) ((n) < (least) ? (least) : (n) > (most) ? (most) : (n))
#define IS_POOL_TINY          0
#define IS_POOL_MID           0
#define IS_POOL_POOL          1

#define BIN_POLICY(tier, index, previous, stride, units)                                           \
    [HAK_CLASS_OF(tier, index)] = {                                                                \
        .limit_min = CLAMP(LIMIT_MIN_BYTES / (stride), 4, LIMIT_MIN_BLOCKS),                       \
        .limit_max = CLAMP((IS_POOL_##tier ? LIMIT_MAX_BYTES_POOL : LIMIT_MAX_BYTES) / (stride),   \
                           16, LIMIT_MAX_BLOCKS),                                                  \
        .limit_own = CLAMP((IS_POOL_##tier ? LIMIT_MAX_BYTES_POOL : LIMIT_OWN_BYTES) / (stride),   \
                           16, LIMIT_OWN_BLOCKS),                                                  \
        .carve_min = CLAMP(CARVE_MIN_BYTES / (stride), 1, LIMIT_MIN_BLOCKS / 2),                   \
        .carve_max = CLAMP(CARVE_MAX_BYTES / (stride), 4, LIMIT_MAX_BLOCKS / 2),                   \
    },

#define OPTION_DEFAULT(field, name, type, standard, least, most, text) .field = (standard),

static const struct hak_policy defaults = {HAK_OPTION_TABLE(OPTION_DEFAULT).uncached_from =
                                               UINT32_MAX,
                                           .bins = {HAK_CLASS_TABLE(BIN_POLICY)}};

static _Atomic(const struct hak_policy *) current = &defaults;

const struct hak_policy *hak_policy(void) {
    /* acquire: this thread sees the snapshot's contents */
    const struct hak_policy *policy = atomic_load_explicit(&current, memory_order_acquire);
    hak_hook_acquire(&current);
    return policy;
}

static bool bounds_hold(const struct hak_bin_bounds *bounds) {
    return bounds->limit_max >= 2 && bounds->limit_min > 0 &&
           bounds->limit_min <= bounds->limit_max && bounds->limit_own > 0 &&
           bounds->limit_own <= bounds->limit_max && bounds->carve_max <= bounds->limit_max;
}

/* Tells the range whether memory is kept; the range is in a lower layer and cannot ask. If two
 * threads change the policy at once, either the later one tells the range last, or the other one
 * sees that the current snapshot is another one, and tells the range again. */
static void range_follows(void) {
    const struct hak_policy *told;
    do {
        told = hak_policy();
        hak_range_keep(hak_policy_keeps(told));
    } while (told != atomic_load_explicit(&current, memory_order_seq_cst));
}

void hak_policy_fork_child(void) {
    range_follows();
}

static void policy_check(const struct hak_policy *policy) {
    HAK_CHECK(policy->arena_mb_init > 0 && policy->arena_mb_max > 0);
    for (unsigned bin = 0; bin < HAK_CLASSES; bin++)
        HAK_CHECK(bounds_hold(&policy->bins[bin]));
}

void hak_policy_replace(const struct hak_policy *policy) {
    policy_check(policy);
    hak_hook_atomic(&current, sizeof current);
    hak_hook_release(&current);
    atomic_store_explicit(&current, policy, memory_order_seq_cst);
    range_follows();
}

/* Snapshots that hak_policy_change has made. They are never freed: other threads may still read any
 * of them. */
struct made_snapshot {
    struct hak_policy policy;
    struct made_snapshot *next;
};
static _Atomic(struct made_snapshot *) made;

static bool is_equal(const struct hak_policy *a, const struct hak_policy *b) {
    const char *left = (const char *)a, *right = (const char *)b;
    for (size_t i = 0; i < sizeof *a; i++)
        if (left[i] != right[i]) return false;
    return true;
}

/* The snapshot that is equal to `wanted`; made if there is none. NULL: no memory. */
static const struct hak_policy *snapshot_of(const struct hak_policy *wanted) {
    struct made_snapshot *first = atomic_load_explicit(&made, memory_order_acquire);
    hak_hook_acquire(&made);
    struct made_snapshot *same = first;
    while (same != NULL && !is_equal(&same->policy, wanted))
        same = same->next;
    if (same == NULL) {
        same = hak_metadata_alloc(sizeof *same);
        if (same == NULL) return NULL;
        hak_os_copy(&same->policy, wanted, sizeof *wanted);
        same->next = first;
        hak_hook_release(&made);
        while (!atomic_compare_exchange_weak_explicit(&made, &same->next, same,
                                                      memory_order_acq_rel, memory_order_acquire)) {
        }
    }
    return &same->policy;
}

/* Replaces the snapshot `old` by `wanted`. False: another thread has replaced `old` first. */
static bool policy_swap(const struct hak_policy *old, const struct hak_policy *wanted) {
    policy_check(wanted);
    hak_hook_atomic(&current, sizeof current);
    hak_hook_release(&current);
    if (!atomic_compare_exchange_strong_explicit(&current, &old, wanted, memory_order_seq_cst,
                                                 memory_order_relaxed))
        return false;
    range_follows();
    return true;
}

bool hak_policy_change(void (*change)(struct hak_policy *policy, int value), int value) {
    const struct hak_policy *old, *new;
    do {
        struct hak_policy wanted;
        old = hak_policy();
        hak_os_copy(&wanted, old, sizeof wanted);
        change(&wanted, value);
        new = snapshot_of(&wanted);
        if (new == NULL) return false;
    } while (!policy_swap(old, new));
    return true;
}

struct option {
    const char *name, *type;
    size_t offset;
    uint32_t standard, least, most;
};

#define OPTION_ROW(field, name_, type_, standard_, least_, most_, text)                            \
    {.name = (name_),                                                                              \
     .type = (type_),                                                                              \
     .offset = offsetof(struct hak_policy, field),                                                 \
     .standard = (standard_),                                                                      \
     .least = (least_),                                                                            \
     .most = (most_)},

static const struct option options[] = {HAK_OPTION_TABLE(OPTION_ROW)};
#define OPTION_COUNT (sizeof options / sizeof options[0])
#define PREFIX       "HAKMEM_"

/* False if `text` is not a decimal number, has other characters, or is above UINT32_MAX. */
static bool number_parse(const char *text, uint32_t *number) {
    uint64_t value = 0;
    if (*text == '\0') return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') return false;
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > UINT32_MAX) return false;
    }
    *number = (uint32_t)value;
    return true;
}

#define QUOTED_MOST 60u

/* Adds text from the environment, up to `end`, and at most QUOTED_MOST characters of it. A
 * character that is not printable ASCII becomes '?', because a terminal might obey it. */
static void add_quoted(struct hak_text *line, const char *text, char end) {
    const char *most = text + QUOTED_MOST;
    for (; *text != end && text != most; text++) {
        char shown[2] = {*text < ' ' || *text > '~' ? '?' : *text, '\0'};
        hak_text_add(line, shown);
    }
    if (*text != end) hak_text_add(line, "...");
}

/* The option whose name stands before the equals sign in `name`; NULL: none. */
static const struct option *option_find(const char *name) {
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const char *rest = hak_string_after(name, options[i].name);
        if (rest != NULL && *rest == '=') return &options[i];
    }
    return NULL;
}

/* Edit distance of two names of up to 63 characters each; 64 if one is longer. */
static unsigned name_distance(const char *a, size_t a_length, const char *b) {
    unsigned row[64];
    size_t b_length = 0;
    while (b_length < 64 && b[b_length] != '\0')
        b_length++;
    if (a_length >= 64 || b_length >= 64) return 64;
    for (size_t j = 0; j <= b_length; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned substitute = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            unsigned shorter = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = substitute < shorter ? substitute : shorter;
        }
    }
    return row[b_length];
}

static void report_unknown(const char *name, size_t length) {
    struct hak_text line;
    line.length = 0;
    hak_text_add(&line, "hakmem: option " PREFIX);
    add_quoted(&line, name, '=');
    hak_text_add(&line, " is unknown");
    size_t best = 0;
    for (size_t i = 1; i < OPTION_COUNT; i++)
        if (name_distance(name, length, options[i].name) <
            name_distance(name, length, options[best].name))
            best = i;
    if (name_distance(name, length, options[best].name) <= 4) {
        hak_text_add(&line, "; did you mean " PREFIX);
        hak_text_add(&line, options[best].name);
        hak_text_add(&line, "?");
    }
    hak_text_print(&line);
}

static void report_value(const struct option *option, const char *value, uint32_t used) {
    struct hak_text line;
    line.length = 0;
    hak_text_add(&line, "hakmem: option " PREFIX);
    hak_text_add(&line, option->name);
    hak_text_add(&line, ": \"");
    add_quoted(&line, value, '\0');
    hak_text_add(&line, "\" is not a number in ");
    hak_text_add_number(&line, option->least);
    hak_text_add(&line, "..");
    hak_text_add_number(&line, option->most);
    hak_text_add(&line, "; using ");
    hak_text_add_number(&line, used);
    hak_text_print(&line);
}

bool hak_policy_parse(struct hak_policy *policy, const char *setting) {
    const char *name = hak_string_after(setting, PREFIX), *equals = name;
    HAK_CHECK(name != NULL);
    while (*equals != '\0' && *equals != '=')
        equals++;
    if (*equals == '\0')
        return true; /* no variable: programs may put such strings into their environment */
    const struct option *option = option_find(name);
    if (option == NULL && hak_hook_option(setting)) return true;
    if (option == NULL) {
        report_unknown(name, (size_t)(equals - name));
        return false;
    }
    uint32_t *field = (uint32_t *)(void *)((char *)policy + option->offset);
    uint32_t number;
    if (!number_parse(equals + 1, &number) || number < option->least || number > option->most) {
        *field = option->standard;
        report_value(option, equals + 1, option->standard);
        return false;
    }
    *field = number;
    return true;
}

void hak_policy_init(char *const *environment) {
    static struct hak_policy from_environment;
    if (environment == NULL || hak_os_is_secure()) return;
    bool any = false;
    hak_os_copy(&from_environment, &defaults, sizeof defaults);
    for (; *environment != NULL; environment++) {
        if (hak_string_after(*environment, PREFIX) == NULL) continue;
        any = true;
        hak_policy_parse(&from_environment, *environment);
    }
    if (any) hak_policy_replace(&from_environment);
}
