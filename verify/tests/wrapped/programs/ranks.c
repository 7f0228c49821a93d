/* Two ranks of an MPI program send each other blocks, which they allocate and free for each
 * message, and compare each byte. The MPI library may have memory hooks: then the code of munmap
 * begins with a jump. The program's blocks from before and after the start of MPI are HAKMEM's; a
 * block that is not makes HAKMEM end the process. */
#include <dlfcn.h>
#include <malloc.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void check(int condition, const char *what) {
    if (condition) return;
    fprintf(stderr, "ranks: %s\n", what);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

/* A near jump, or the load of a register for a jump. */
static int is_jump(const unsigned char *code) {
    return code[0] == 0xe9 || (code[0] == 0x49 && code[1] == 0xbb);
}

static void exchange(int rank, int round) {
    static const int sizes[] = {700, 100000, 4 << 20};
    int size = sizes[round % 3], other = !rank;
    char *out = malloc(size), *in = calloc(1, size);
    memset(out, round + rank, size);
    MPI_Sendrecv(out, size, MPI_BYTE, other, 1, in, size, MPI_BYTE, other, 1, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
    memset(out, round + other, size);
    check(memcmp(in, out, size) == 0, "a message is not what was sent");
    free(out);
    free(in);
    if (round % 8 == 0) malloc_trim(0);
}

int main(int argc, char **argv) {
    int rank, ranks;
    size_t (*usable)(void *) =
        (size_t(*)(void *))(size_t)dlsym(RTLD_DEFAULT, "hak_malloc_usable_size");
    void *blocks[] = {malloc(5000), malloc(3 << 20), NULL};
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    blocks[2] = malloc(60);
    check(usable != NULL, "this is not HAKMEM");
    for (int i = 0; i < 3; i++) {
        check(usable(blocks[i]) >= 60, "usable size");
        free(blocks[i]);
    }
    for (int round = 0; round < 40; round++)
        exchange(rank, round);
    const char *hooks = is_jump((void *)(size_t)munmap) ? "has hooks" : "has none";
    MPI_Finalize();
    if (rank == 0) printf("ok: %d ranks, munmap %s\n", ranks, hooks);
    return 0;
}
