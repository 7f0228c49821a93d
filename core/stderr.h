/* The file that lines for the user go to. */
#ifndef HAK_STDERR_H
#define HAK_STDERR_H

#include "core/types.h"

/* Writes the whole text to stderr, in as many calls as it takes. Not a cancellation point. */
void hak_os_write_error(const char *text, size_t length);

/* A program may close stderr before the last lines are written, and its number may become another
 * file's.
 * keep: a process that will write at its end calls it at its start. It remembers which file stderr
 * is, and duplicates stderr under a high number that exec closes.
 * find: the process calls it at its end. From then on lines go to stderr if stderr is still that
 * file, else to the duplicate if the duplicate is that file, else nowhere. */
void hak_stderr_keep(void);
void hak_stderr_find(void);

/* For the report of an error: if lines go nowhere, they go to stderr again. */
void hak_stderr_insist(void);

#endif
