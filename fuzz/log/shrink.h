/* Shrinking: a row of units, of which as few and as simple ones are left as a program needs to fail in the same way. */
#ifndef HAK_FUZZ_LOG_SHRINK_H
#define HAK_FUZZ_LOG_SHRINK_H

#include "fuzz/log/file.h"

/* ---- how a program ends (shrink_run.c) ------------------------------------------------------- */

#define WAY_TEXT 160u

/* Two runs that end alike have the same status, and the same first line of their report but for its numbers. */
struct way {
    int status; /* wait's; of a program that took too long, SIGKILL's */
    char text[WAY_TEXT];
    char masked[WAY_TEXT];
};

/* The program and its arguments; `file` is the last one. */
struct shrink_command {
    const char *arguments[8];
    int count;
};

/* Runs the command on a file, for so many seconds at most. */
void way_of(const struct shrink_command *command, const char *file, double seconds,
            struct way *way);
double seconds_now(void);
bool way_is_failure(const struct way *way);
bool way_is_same(const struct way *a, const struct way *b);

/* ---- what is shrunk -------------------------------------------------------------------------- */

struct shrink_units {
    uint8_t *bytes; /* count units */
    size_t count;
};

struct shrink_form {
    size_t unit;  /* bytes of one */
    size_t fixed; /* so many at the beginning are never dropped */
    /* Drops what has no sense without what was dropped before, so that the row means something. NULL: it always does. */
    void (*repair)(struct shrink_units *units);
    /* The `step`th simpler form of all units, and of one; false: there are no more. It may be the same as before. */
    bool (*simplify_all)(struct shrink_units *units, unsigned step);
    bool (*simplify)(uint8_t *unit, unsigned step);
    void (*write)(const struct shrink_units *units, const char *path);
};

/* The `step`th of the numbers below n: 0, then from its half up to n - 1. */
uint64_t shrink_number(uint64_t n, unsigned step);
#define SHRINK_NUMBER_STEPS 65u

extern const struct shrink_form shrink_log_form;
void shrink_log_read(const char *path, struct shrink_units *units);
/* The same operations as a program of its own. */
void shrink_log_write_program(const struct shrink_units *units, const char *path, const char *why);

/* An input of a fuzz target: `header` bytes, then units of `unit` bytes. */
extern struct shrink_form shrink_input_form;
void shrink_input_read(const char *path, size_t header, size_t unit, struct shrink_units *units);

/* ---- the search (shrink_search.c) ------------------------------------------------------------ */

/* Makes the row smaller for as long as the command fails on it as `wanted`. The smallest row so far is always in the file
 * `out`. False: it does not fail so to begin with. */
bool shrink_search(const struct shrink_form *form, struct shrink_units *units,
                   const struct shrink_command *command, const struct way *wanted, double seconds,
                   const char *out);

/* Writes a file whole. */
void shrink_write_file(const char *path, const void *bytes, size_t length);

#endif
