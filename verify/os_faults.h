/* Makes the k-th call to the operating system fail, once or from then on. For test programs that are linked
 * with the static library; not thread-safe against other users of the OS table. */
#ifndef HAK_VERIFY_OS_FAULTS_H
#define HAK_VERIFY_OS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

struct hak_os_table;

/* Puts another table in the place of hak_os. */
void hak_os_table_write(const struct hak_os_table *table);

/* From here on counts calls, and fails number `first` (0 is the next one) and, if `for_ever`, all later ones.
 */
void hak_os_faults_begin(size_t first, bool for_ever);

/* Ends the failures; returns the number of calls since begin. */
size_t hak_os_faults_end(void);

#endif
