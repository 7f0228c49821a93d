#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/log/shrink.h"

#define PAIRS_TRIED_BELOW 32u /* units */

struct search {
    const struct shrink_form *form;
    const struct shrink_command *command;
    const struct way *wanted;
    const char *out;
    char *trial; /* file of the candidate */
    double seconds;
    struct shrink_units *best;
    struct shrink_units candidate; /* has space for the units of the beginning */
    size_t runs, told;             /* told: number of units in the last message */
};

uint64_t shrink_number(uint64_t n, unsigned step) {
    if (step == 0) return 0;
    return step < 64 ? n - (n >> step) : n;
}

void shrink_write_file(const char *path, const void *bytes, size_t length) {
    FILE *file = fopen(path, "w");
    bool written = file != NULL && fwrite(bytes, 1, length, file) == length;
    if (file == NULL || fclose(file) != 0 || !written)
        log_die(LOG_EXIT_USAGE, "%s: %s", path, strerror(errno));
}

static uint8_t *unit_at(const struct search *search, const struct shrink_units *units,
                        size_t index) {
    return units->bytes + index * search->form->unit;
}

/* Runs the command on the candidate, which becomes the best sequence if it fails as wanted. */
static bool candidate_runs(struct search *search) {
    struct shrink_units *candidate = &search->candidate;
    struct way way;
    search->form->write(candidate, search->trial);
    way_of(search->command, search->trial, search->seconds, &way);
    search->runs++;
    if (!way_is_same(&way, search->wanted)) return false;
    if (rename(search->trial, search->out) != 0)
        log_die(LOG_EXIT_USAGE, "%s: %s", search->out, strerror(errno));
    memcpy(search->best->bytes, candidate->bytes, candidate->count * search->form->unit);
    search->best->count = candidate->count;
    return true;
}

/* Repairs the candidate and runs it if it differs from the best sequence. False also if it was not
 * run. */
static bool candidate_fails(struct search *search) {
    struct shrink_units *candidate = &search->candidate;
    if (search->form->repair != NULL) search->form->repair(candidate);
    bool same =
        candidate->count == search->best->count &&
        memcmp(candidate->bytes, search->best->bytes, candidate->count * search->form->unit) == 0;
    return !same && candidate_runs(search);
}

static void candidate_begin(struct search *search) {
    search->candidate.count = search->best->count;
    memcpy(search->candidate.bytes, search->best->bytes, search->best->count * search->form->unit);
}

static void candidate_drop(struct search *search, size_t from, size_t count) {
    struct shrink_units *candidate = &search->candidate;
    memmove(unit_at(search, candidate, from), unit_at(search, candidate, from + count),
            (candidate->count - from - count) * search->form->unit);
    candidate->count -= count;
}

static bool try_without(struct search *search, size_t from, size_t count) {
    candidate_begin(search);
    candidate_drop(search, from, count);
    return candidate_fails(search);
}

static void tell(struct search *search) {
    if (search->told == search->best->count) return;
    search->told = search->best->count;
    fprintf(stderr, "shrink: %zu left after %zu runs\n", search->told - search->form->fixed,
            search->runs);
}

/* Tries to drop groups of `length` units, the last group first: units after the failure do not
 * matter. */
static bool drop_stretches(struct search *search, size_t length) {
    size_t fixed = search->form->fixed, end = search->best->count;
    bool dropped = false;
    while (end > fixed) {
        size_t count = end - fixed < length ? end - fixed : length;
        bool now = try_without(search, end - count, count);
        dropped |= now;
        end -= count;
        if (end > search->best->count) end = search->best->count; /* repairs drop more units */
    }
    return dropped;
}

static bool drop(struct search *search) {
    bool dropped = false, again = true;
    for (size_t length = search->best->count - search->form->fixed; length > 1 || again;) {
        if (length > 1) length = (length + 1) / 2;
        bool now = drop_stretches(search, length);
        dropped |= now;
        again = length > 1 || now;
        tell(search);
        size_t left = search->best->count - search->form->fixed;
        if (length > left) length = left;
        if (left == 0) break;
    }
    return dropped;
}

/* Tries to drop two units that can only be dropped together. */
static bool drop_pairs(struct search *search) {
    bool dropped = false;
    size_t fixed = search->form->fixed;
    for (size_t b = fixed + 1;
         b < search->best->count && search->best->count < fixed + PAIRS_TRIED_BELOW; b++)
        for (size_t a = fixed; a < b && b < search->best->count; a++) {
            candidate_begin(search);
            candidate_drop(search, b, 1);
            candidate_drop(search, a, 1);
            dropped |= candidate_fails(search);
        }
    return dropped;
}

static bool simplify_all(struct search *search) {
    bool simpler = false;
    for (unsigned step = 0;; step++) {
        candidate_begin(search);
        if (!search->form->simplify_all(&search->candidate, step)) return simpler;
        simpler |= candidate_fails(search);
    }
}

/* Repeats a step as long as it helps. */
static bool simplify_one(struct search *search, size_t index) {
    bool simpler = false;
    for (unsigned step = 0; index < search->best->count;) {
        candidate_begin(search);
        if (!search->form->simplify(unit_at(search, &search->candidate, index), step))
            return simpler;
        bool now = candidate_fails(search);
        simpler |= now;
        if (!now) step++;
    }
    return simpler;
}

static bool simplify(struct search *search) {
    bool simpler = false;
    for (size_t i = 0; i < search->best->count; i++)
        simpler |= simplify_one(search, i);
    tell(search);
    return simpler;
}

bool shrink_search(const struct shrink_form *form, struct shrink_units *units,
                   const struct shrink_command *command, const struct way *wanted, double seconds,
                   const char *out) {
    struct search search = {.form = form,
                            .command = command,
                            .wanted = wanted,
                            .out = out,
                            .seconds = seconds,
                            .best = units,
                            .candidate = {.bytes = log_memory((units->count + 1) * form->unit)}};
    if (asprintf(&search.trial, "%s.trial", out) < 0) log_die(LOG_EXIT_USAGE, "no memory");
    candidate_begin(&search);
    if (form->repair != NULL) form->repair(&search.candidate);
    bool fails = candidate_runs(&search);
    bool smaller = fails;
    while (smaller) {
        smaller = drop(&search);
        smaller |= simplify_all(&search);
        smaller |= simplify(&search);
        if (!smaller) smaller = drop_pairs(&search);
    }
    unlink(search.trial);
    free(search.trial);
    return fails;
}
