/* Options and reports of the audit. A report uses neither malloc nor stdio. */
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/abort.h"
#include "core/hakmem.h"
#include "core/heap.h"
#include "core/large.h"
#include "core/os_process.h"
#include "core/text.h"
#include "verify/audit_block.h"
#include "verify/audit_site.h"
#include "verify/audit_symbolize.h"
#include "verify/hakmem_audit.h"
#include "verify/heap_check.h"
#include "verify/log_file.h"

struct hak_audit_options hak_audit_options = {.level = HAK_ASAN || HAK_VALGRIND ? 2 : 1};

/* X(field, name after HAKMEM_AUDIT_, least, most, text) */
#define AUDIT_OPTION_TABLE(X)                                                                      \
    X(level, "LEVEL", 0, 3,                                                                        \
      "0 nothing, 1 counters and lists, 2 also every block, 3 the whole heap each time")           \
    X(summary, "SUMMARY", 0, 1, "1: say at exit what was checked")                                 \
    X(leaks, "LEAKS", 0, 1,                                                                        \
      "1: list at exit what is still live, by the place that allocated it; level 2")               \
    X(signal, "SIGNAL", 0, 64, "the signal that proves the whole heap; 0: none")                   \
    X(unwind, "UNWIND", 0, 1,                                                                      \
      "1: stacks by unwind tables, for code without frame pointers; level 2")

#define PREFIX "HAKMEM_AUDIT_"

/* Says once why there is no log, and gives the log up. */
static void log_is_refused(int failed) {
    struct hak_text line = {.length = 0};
    hak_text_add(&line, "hakmem: audit: log ");
    hak_text_add(&line, hak_audit_options.log);
    hak_text_add(&line, ": ");
    hak_text_add(&line, hak_log_problem(failed));
    hak_text_add(&line, "; reports go to stderr alone");
    hak_audit_options.log[0] = '\0';
    hak_text_print(&line);
}

void hak_audit_print(struct hak_text *line) {
    size_t length = line->length;
    hak_text_print(line);
    if (hak_audit_options.log[0] == '\0') return;
    int log = hak_log_open(hak_audit_options.log, O_WRONLY | O_CREAT | O_APPEND);
    if (log < 0) {
        log_is_refused(log);
        return;
    }
    line->bytes[length] = '\n';
    hak_syscall3(SYS_write, log, hak_syscall_pointer(line->bytes),
                 (long)(length + 1)); /* may fail, because stderr has the line, too */
    hak_syscall3(SYS_close, log, 0, 0);
}

/* Refuses an existing file at the start if it cannot be the log. The first report makes a new
 * one. */
static void log_check(void) {
    if (hak_audit_options.log[0] == '\0') return;
    int log = hak_log_open(hak_audit_options.log, O_WRONLY | O_APPEND);
    if (log >= 0)
        hak_syscall3(SYS_close, log, 0, 0);
    else if (log != -ENOENT)
        log_is_refused(log);
}

static bool options_read; /* errors in the options have been reported */

/* Reads a number in least..most. If it is none, reports the error once and keeps the default. */
static void option_number(uint32_t *field, const char *setting, const char *value, uint32_t least,
                          uint32_t most) {
    uint64_t number = 0;
    const char *digit = value;
    for (; *digit >= '0' && *digit <= '9' && number <= most; digit++)
        number = number * 10 + (uint64_t)(*digit - '0');
    if (digit != value && *digit == '\0' && number >= least && number <= most) {
        *field = (uint32_t)number;
        return;
    }
    if (options_read) return;
    struct hak_text line = {.length = 0};
    hak_text_add(&line, "hakmem: option ");
    for (const char *c = setting; *c != '\0' && *c != '=' && line.length < 100; c++) {
        char one[2] = {*c, '\0'};
        hak_text_add(&line, one);
    }
    hak_text_add(&line, ": not a number in ");
    hak_text_add_number(&line, least);
    hak_text_add(&line, "..");
    hak_text_add_number(&line, most);
    hak_text_add(&line, "; using ");
    hak_text_add_number(&line, *field);
    hak_audit_print(&line);
}

/* Copies a path; false if it is too long. */
static bool option_path(char (*field)[256], const char *value) {
    size_t length = 0;
    while (length < sizeof *field && value[length] != '\0')
        length++;
    if (length == sizeof *field) return false;
    hak_os_copy(*field, value, length + 1);
    return true;
}

/* Runs in the middle of the first malloc: calls no string function of libc, which may be
 * wrapped. */
bool hak_audit_option(const char *setting) {
    const char *value, *name = hak_string_after(setting, PREFIX);
    if (name == NULL) return false;
#define OPTION(field, name_, least, most, text)                                                    \
    if ((value = hak_string_after(name, name_ "=")) != NULL) {                                     \
        option_number(&hak_audit_options.field, setting, value, least, most);                      \
        return true;                                                                               \
    }
    AUDIT_OPTION_TABLE(OPTION)
    if ((value = hak_string_after(name, "LOG=")) != NULL)
        return option_path(&hak_audit_options.log, value);
    value = hak_string_after(name, "SYMBOLIZER=");
    return value != NULL && option_path(&hak_audit_options.symbolizer, value);
}

void hak_audit_options_read(void) {
    if (options_read || environ == NULL || hak_os_is_secure()) return;
    for (char *const *setting = environ; *setting != NULL; setting++)
        (void)hak_audit_option(*setting); /* the allocator reports unknown options */
    options_read = true;
}

/* Adds "program+0x123", which addr2line and debuggers accept. _dl_find_object needs no lock and no
 * memory. */
static void add_frame(struct hak_text *line, const void *address) {
    struct dl_find_object object;
    if (_dl_find_object((void *)(uintptr_t)address, &object) != 0) {
        hak_text_add_pointer(line, " ", address);
        return;
    }
    hak_text_add(line, " ");
    const char *name = object.dlfo_link_map->l_name;
    const char *slash = strrchr(name, '/');
    hak_text_add(line, name[0] == '\0' ? "program" : slash != NULL ? slash + 1 : name);
    hak_text_add(line, "+");
    hak_text_add_hex(line, (uintptr_t)address - object.dlfo_link_map->l_addr);
}

/* Prints one line a frame. The first line begins with `what`, the others with as many blanks. */
static void print_named(const char *what, const char *frame) {
    bool first = true;
    for (; *frame != '\0'; frame += strlen(frame) + 1) {
        struct hak_text line = {.length = 0};
        hak_text_add(&line, "hakmem: audit:   ");
        for (const char *c = what; *c != '\0'; c++)
            hak_text_add(&line, (char[]){first ? *c : ' ', '\0'});
        hak_text_add(&line, " ");
        hak_text_add(&line, frame);
        hak_audit_print(&line);
        first = false;
    }
}

static void print_addresses(const char *what, const void *const *frames, size_t count) {
    struct hak_text line = {.length = 0};
    hak_text_add(&line, "hakmem: audit:   ");
    hak_text_add(&line, what);
    for (size_t i = 0; i < count; i++)
        add_frame(&line, frames[i]);
    hak_audit_print(&line);
}

void hak_audit_print_site(const char *what, uint32_t site) {
    const void *const *frames;
    size_t count = hak_audit_site_frames(site, &frames);
    if (count == 0) return;
    const char *named = hak_audit_symbolize(frames, count);
    if (named != NULL && *named != '\0')
        print_named(what, named);
    else
        print_addresses(what, frames, count);
}

/* The record of `block`, which may be no block's address; NULL: there is none. */
static const struct hak_audit_block *record_of(const void *block) {
    if (!hak_range_has(block)) return NULL;
    const struct hak_slab *slab = hak_slab_find(block);
    return slab != NULL ? hak_audit_block_of(slab, block) : hak_audit_large_of(block);
}

static void print_block(const void *block) {
    struct hak_text line = {.length = 0};
    hak_text_add(&line, "hakmem: audit:   block");
    hak_text_add_pointer(&line, " ", block);
    const struct hak_audit_block *record = record_of(block);
    if (record != NULL) {
        hak_text_add(&line, ", ");
        hak_text_add(&line, hak_audit_state_name(record->state));
        hak_text_add(&line, ", size ");
        const struct hak_large *large = hak_large_find(block);
        hak_text_add_number(&line, large != NULL ? large->size : record->size);
    }
    if (hak_range_has(block)) {
        hak_text_add(&line, ", header ");
        hak_text_add_hex(&line, hak_header_of(block));
    }
    hak_audit_print(&line);
}

/* Printed last, because the names come from another process. */
static void print_sites(const void *block) {
    const struct hak_audit_block *record = record_of(block);
    if (record == NULL) return;
    hak_audit_print_site("allocated by", record->alloc_site);
    hak_audit_print_site("freed by", record->free_site);
    hak_audit_symbolize_end();
}

void hak_audit_explain(const void *block) {
    print_sites(block);
}

static void print_slab(const struct hak_slab *slab) {
    struct hak_text line = {.length = 0};
    hak_text_add(&line, "hakmem: audit:   slab");
    hak_text_add_address(&line, " ", hak_slab_start(slab));
    hak_text_add(&line, ", ");
    hak_text_add(&line, hak_tier_name(hak_tier_of_class(slab->class)));
    hak_text_add(&line, " class ");
    hak_text_add_number(&line, slab->class % HAK_TIER_CLASSES);
    hak_text_add(&line, ", stride ");
    hak_text_add_number(&line, hak_classes[slab->class].stride);
    hak_text_add(&line, ", owner thread ");
    const struct hak_heap *owner = hak_heap_of_home(slab->home);
    hak_text_add_number(&line,
                        (uint64_t)atomic_load_explicit(&owner->thread_id, memory_order_relaxed));
    hak_text_add(&line, ", used ");
    hak_text_add_number(&line, slab->used);
    hak_text_add(&line, ", carved ");
    hak_text_add_number(&line, slab->carved);
    hak_text_add(&line, " of ");
    hak_text_add_number(&line, slab->capacity);
    hak_text_add(&line, ", remote ");
    hak_text_add_number(&line, hak_remote_count(slab));
    hak_audit_print(&line);
}

static void print_ring(const struct hak_slab *slab) {
    static const char *const names[] = {"take",    "carve", "put",     "send",
                                        "collect", "reset", "uncarve", "recarve"};
    const struct hak_audit_slab *own = hak_audit_slab_of(slab);
    if (own == NULL) return;
    for (uint32_t back = own->next < HAK_AUDIT_RING ? own->next : HAK_AUDIT_RING; back > 0;
         back--) {
        const struct hak_audit_entry *entry = &own->ring[(own->next - back) % HAK_AUDIT_RING];
        struct hak_text line = {.length = 0};
        hak_text_add(&line, back == 1 ? "hakmem: audit:   last batch " : "hakmem: audit:   batch ");
        hak_text_add_number(&line, entry->number);
        hak_text_add(&line, ": ");
        hak_text_add(&line, names[entry->batch]);
        hak_text_add(&line, " ");
        hak_text_add_number(&line, entry->count);
        hak_text_add(&line, ", then used ");
        hak_text_add_number(&line, entry->used);
        hak_text_add(&line, ", carved ");
        hak_text_add_number(&line, entry->carved);
        hak_audit_print(&line);
    }
}

_Noreturn void hak_audit_report(const char *equation, uint64_t left, uint64_t right,
                                const struct hak_slab *slab, const void *block) {
    hak_abort_begin();
    struct hak_text line = {.length = 0};
    hak_text_add(&line, "hakmem: audit: broken: ");
    hak_text_add(&line, equation);
    hak_text_add(&line, ": ");
    hak_text_add_number(&line, left);
    hak_text_add(&line, " against ");
    hak_text_add_number(&line, right);
    hak_audit_print(&line);
    if (slab != NULL) print_slab(slab);
    if (block != NULL) print_block(block);
    if (slab != NULL) print_ring(slab);
    if (block != NULL && !hak_abort_is_nested()) print_sites(block);
    hak_abort();
}

/* ---- on demand ------------------------------------------------------------------------------- */

static void print_summary(void) {
    struct hak_text line = {.length = 0};
    hak_text_add(&line, "hakmem: audit: level ");
    hak_text_add_number(&line, hak_audit_options.level);
    hak_text_add(&line, ": checked ");
    hak_text_add_number(&line, atomic_load(&hak_audit_figures.batches));
    hak_text_add(&line, " batches, ");
    hak_text_add_number(&line, atomic_load(&hak_audit_figures.blocks));
    hak_text_add(&line, " blocks, ");
    hak_text_add_number(&line, atomic_load(&hak_audit_figures.equations));
    hak_text_add(&line, " equations, the whole heap ");
    hak_text_add_number(&line, atomic_load(&hak_audit_figures.heap_checks));
    hak_text_add(&line, " times: nothing found");
    hak_audit_print(&line);
}

size_t hak_heap_check(void) {
    struct hak_heap_check check;
    hak_hook_enter();
    hak_check_heap(&check);
    hak_hook_leave();
    atomic_fetch_add_explicit(&hak_audit_figures.heap_checks, 1, memory_order_relaxed);
    return check.faults;
}

/* For a program that stands still. The walk itself changes nothing. */
static void on_signal(int number) {
    (void)number;
    struct hak_heap_check check;
    bool sound = hak_check_heap(&check);
    struct hak_text line = {.length = 0};
    hak_text_add(&line, sound ? "hakmem: audit: the whole heap is sound: "
                              : "hakmem: audit: the heap is broken: ");
    hak_text_add_number(&line, check.equations);
    hak_text_add(&line, " equations, ");
    hak_text_add_number(&line, check.live);
    hak_text_add(&line, " live blocks, ");
    hak_text_add_number(&line, check.large);
    hak_text_add(&line, " large ones");
    hak_audit_print(&line);
}

void hak_audit_begin(void) {
    options_read = true;
    log_check();
    if (hak_audit_options.leaks || hak_audit_options.summary) hak_stderr_keep();
    hak_free(hak_malloc(1)); /* opens the books; a first block that is large would not */
    if (hak_audit_options.signal == 0) return;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction((int)hak_audit_options.signal, &action, NULL);
}

void hak_audit_end(void) {
    hak_hook_enter(); /* the list reads the books, and Memcheck must not report that */
    if (hak_audit_options.leaks) hak_audit_leaks();
    if (hak_audit_options.summary) print_summary();
    hak_hook_leave();
}
