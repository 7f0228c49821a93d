/* Included before api.c where api.c becomes part of libhakmem_prefixed. The public functions of
 * that library are in watched.c, and call these. */
#ifndef HAK_WATCHED_H
#define HAK_WATCHED_H

#define hak_malloc             hak_unwatched_malloc
#define hak_free               hak_unwatched_free
#define hak_calloc             hak_unwatched_calloc
#define hak_realloc            hak_unwatched_realloc
#define hak_reallocarray       hak_unwatched_reallocarray
#define hak_free_sized         hak_unwatched_free_sized
#define hak_free_aligned_sized hak_unwatched_free_aligned_sized
#define hak_aligned_alloc      hak_unwatched_aligned_alloc
#define hak_posix_memalign     hak_unwatched_posix_memalign
#define hak_memalign           hak_unwatched_memalign
#define hak_valloc             hak_unwatched_valloc
#define hak_pvalloc            hak_unwatched_pvalloc
#define hak_mallinfo           hak_unwatched_mallinfo
#define hak_mallinfo2          hak_unwatched_mallinfo2

#endif
