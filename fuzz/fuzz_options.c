/* The option parser, including the audit's options. Each line of the input is a setting. The parser
 * must accept exactly the valid settings, change only the field of the option, and report each
 * other setting in one printable line. */
#include <string.h>

#include "verify/virtual/state.h"
#include "verify/audit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PREFIX     "HAKMEM_"
#define LINE_BYTES 300u

struct known {
    const char *name;
    size_t offset;
    uint32_t standard, least, most;
};

#define KNOWN(field, name_, type, standard_, least_, most_, text)                                  \
    {.name = (name_),                                                                              \
     .offset = offsetof(struct hak_policy, field),                                                 \
     .standard = (standard_),                                                                      \
     .least = (least_),                                                                            \
     .most = (most_)},

static const struct known options[] = {HAK_OPTION_TABLE(KNOWN)};
#define OPTIONS (sizeof options / sizeof options[0])

static const struct known *find(const char *name, size_t length) {
    for (size_t i = 0; i < OPTIONS; i++)
        if (strlen(options[i].name) == length && strncmp(options[i].name, name, length) == 0)
            return &options[i];
    return NULL;
}

/* Reads a number; false if the text is no number, or the number is not in least..most. */
static bool number_of(const char *digits, const struct known *option, uint32_t *number) {
    size_t length = strlen(digits);
    if (length == 0 || strspn(digits, "0123456789") != length) return false;
    digits += strspn(digits, "0");
    if (strlen(digits) > 10) return false;
    uint64_t value = 0;
    for (; *digits != '\0'; digits++)
        value = value * 10 + (uint64_t)(*digits - '0');
    *number = (uint32_t)value;
    return value >= option->least && value <= option->most;
}

static bool is_one_line(const char *text, size_t length) {
    for (size_t i = 0; i + 1 < length; i++)
        if (text[i] < ' ' || text[i] > '~') return false;
    return length > 1 && length <= 1000 && text[length - 1] == '\n';
}

/* Checks what the parser did with a setting of the allocator, which is not one of the audit's. */
static void expect(const struct hak_policy *before, const struct hak_policy *after,
                   const char *setting, bool taken) {
    const char *name = setting + strlen(PREFIX), *equals = strchr(name, '=');
    struct hak_policy wanted = *before;
    bool valid = equals == NULL;
    const struct known *option = equals == NULL ? NULL : find(name, (size_t)(equals - name));
    if (option != NULL) {
        uint32_t number = option->standard;
        valid = number_of(equals + 1, option, &number);
        *(uint32_t *)(void *)((char *)&wanted + option->offset) = valid ? number : option->standard;
    }
    FUZZ_CHECK(taken == valid, "the setting \"%s\" is %s", setting, taken ? "taken" : "not taken");
    FUZZ_CHECK(memcmp(&wanted, after, sizeof wanted) == 0, "the setting \"%s\" did something else",
               setting);
}

/* The audit's options must stay within their bounds, whatever the setting says. They are restored
 * afterwards, because the option LOG names a file. */
static void expect_audit(const struct hak_audit_options *before, const char *setting, bool taken) {
    const struct hak_audit_options *now = &hak_audit_options;
    FUZZ_CHECK(now->level <= 3 && now->summary <= 1 && now->leaks <= 1 && now->signal <= 64,
               "the setting \"%s\" leads out of bounds", setting);
    FUZZ_CHECK(taken || memcmp(before, now, sizeof *now) == 0,
               "\"%s\" is not taken, and did something", setting);
    hak_audit_options = *before;
}

static void try_setting(struct hak_policy *policy, const char *setting) {
    const struct hak_policy before = *policy;
    const struct hak_audit_options audit_before = hak_audit_options;
    fuzz_lines_begin(is_one_line);
    bool taken = hak_policy_parse(policy, setting);
    size_t lines = fuzz_lines_end();
    if (strncmp(setting, "HAKMEM_AUDIT_", strlen("HAKMEM_AUDIT_")) == 0) {
        FUZZ_CHECK(lines <= 1, "%zu lines about \"%s\"", lines, setting);
        expect_audit(&audit_before, setting, taken);
        return;
    }
    FUZZ_CHECK(lines == !taken, "%zu lines about \"%s\"", lines, setting);
    expect(&before, policy, setting, taken);
}

/* Passes all settings at once, as the environment. The audit's settings are left out, because its
 * log is a file that would be written. */
static void try_environment(char *const *settings) {
    fuzz_lines_begin(is_one_line);
    hak_policy_init(settings);
    fuzz_lines_end();
    for (size_t i = 0; i < OPTIONS; i++) {
        uint32_t value =
            *(const uint32_t *)(const void *)((const char *)hak_policy() + options[i].offset);
        FUZZ_CHECK(value >= options[i].least && value <= options[i].most, "%s became %u",
                   options[i].name, value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char lines[16][sizeof PREFIX + LINE_BYTES];
    char *environment[16 + 1] = {NULL};
    size_t count = 0;
    fuzz_state_init();
    struct hak_policy policy = *hak_policy();
    for (size_t n = 0; n < 16 && size > 0; n++) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end != NULL ? (size_t)(end - data) : size;
        size_t used = length < LINE_BYTES ? length : LINE_BYTES;
        memcpy(lines[n], PREFIX, strlen(PREFIX));
        memcpy(lines[n] + strlen(PREFIX), data, used);
        lines[n][strlen(PREFIX) + used] = '\0';
        try_setting(&policy, lines[n]);
        if (strncmp(lines[n], "HAKMEM_AUDIT_", strlen("HAKMEM_AUDIT_")) != 0)
            environment[count++] = lines[n];
        length += end != NULL;
        data += length;
        size -= length;
    }
    try_environment(environment);
    fuzz_state_end(false);
    return 0;
}
