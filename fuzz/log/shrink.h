/* Shrinking: reduces a sequence of units to the fewest and simplest with which a program still
 * fails in the same way. */
#ifndef HAK_FUZZ_LOG_SHRINK_H
#define HAK_FUZZ_LOG_SHRINK_H

#include "fuzz/log/file.h"

/* ---- how a program ends (shrink_run.c) ------------------------------------------------------- */

#define WAY_TEXT 160u

/* How a run ended. Two runs ended in the same way if they have the same status and the same first
 * line of their reports, except for the numbers in it. */
struct way {
    int status; /* of waitpid; a program that took too long was killed by SIGKILL */
    char text[WAY_TEXT];
    char masked[WAY_TEXT];
};

/* The program and its arguments; the file to test is added as the last argument. */
struct shrink_command {
    const char *arguments[8];
    int count;
};

/* Runs the command on a file, for at most `seconds`. */
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
    size_t unit;  /* bytes of one unit */
    size_t fixed; /* the first units, so many, are never dropped */
    /* Drops the units that are invalid without the units that were dropped before, so that the
     * sequence is valid. NULL: every sequence is valid. */
    void (*repair)(struct shrink_units *units);
    /* Makes the `step`th simpler form of all units, or of one unit; it may be the same as before.
     * False: there is no further step. */
    bool (*simplify_all)(struct shrink_units *units, unsigned step);
    bool (*simplify)(uint8_t *unit, unsigned step);
    void (*write)(const struct shrink_units *units, const char *path);
};

/* The `step`th number to try instead of n: 0, then n - n/2, n - n/4 and so on up to n - 1; n if
 * there is no more. */
uint64_t shrink_number(uint64_t n, unsigned step);
#define SHRINK_NUMBER_STEPS 65u

extern const struct shrink_form shrink_log_form;
void shrink_log_read(const char *path, struct shrink_units *units);
/* Writes the same operations as a stand-alone C program. */
void shrink_log_write_program(const struct shrink_units *units, const char *path, const char *why);

/* An input of a fuzz target: `header` bytes, then units of `unit` bytes. */
extern struct shrink_form shrink_input_form;
void shrink_input_read(const char *path, size_t header, size_t unit, struct shrink_units *units);

/* ---- the search (shrink_search.c) ------------------------------------------------------------ */

/* Makes the sequence smaller while the command still fails on it as `wanted`; `seconds` is the
 * limit of one run. The file `out` always has the smallest sequence so far. False: the command does
 * not fail in this way on the first sequence. */
bool shrink_search(const struct shrink_form *form, struct shrink_units *units,
                   const struct shrink_command *command, const struct way *wanted, double seconds,
                   const char *out);

/* Writes a whole file; an error ends the program. */
void shrink_write_file(const char *path, const void *bytes, size_t length);

#endif
