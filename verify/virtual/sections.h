/* Included before each file of core/ in the fuzz variants. It puts the variables of core/, static
 * variables of functions too, into two sections, which virtual/state.c saves and restores as a
 * whole. */
#pragma clang section bss = "hak_bss" data = "hak_data"
