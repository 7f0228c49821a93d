/* Makes the k-th call to the operating system fail, alone or with all later calls. For test
 * programs that are linked with the static library. Not thread-safe against other users of the OS
 * table. */
#ifndef HAK_VERIFY_OS_FAULTS_H
#define HAK_VERIFY_OS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

struct hak_os_table;

/* Overwrites hak_os with another table. */
void hak_os_table_write(const struct hak_os_table *table);

/* Counts calls from here on. Call number `first` fails (0 is the next call); if `for_ever`, all
 * later calls fail, too. */
void hak_os_faults_begin(size_t first, bool for_ever);

/* Ends the failures; returns the number of calls since begin. */
size_t hak_os_faults_end(void);

#endif
