/* Included before each file of core/ in the fuzz variants: its variables, those of functions too, lie in two sections
 * that fuzz/state.c can save and restore as a whole. */
#pragma clang section bss = "hak_bss" data = "hak_data"
