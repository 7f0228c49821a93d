/* bench_sizes cpython|gcc|git|redis|sqlite3 [cycles] [ws] [seed]
 *
 * Random malloc and free with the sizes that a real program requests, as often as it requests them
 * (bench/histograms.def). The slots of the working set are drawn independently of the sizes. */
#include "bench/bench.h"

struct band {
    const char *program;
    uint32_t least;
    uint32_t most;
    uint32_t weight;
};

#define SIZES(program, least, most, weight) {#program, least, most, weight},
static const struct band recorded[] = {
#include "bench/histograms.def"
};
#undef SIZES

enum { RECORDED = sizeof recorded / sizeof recorded[0] };

/* A band is drawn without a search (Walker's alias method). One random number chooses a cell. A
 * second one chooses between the cell's own band, up to `own`, and the band of the cell `other`. */
struct cell {
    uint32_t own; /* share of 2^32 */
    uint32_t other;
    uint32_t least;
    uint32_t sizes;
};

static struct cell cells[RECORDED];
static uint32_t cell_count;

/* Each round fills up one cell that has less than its share from one that has more. */
static void level(double *shares) {
    uint32_t poor = 0, rich = 0;
    for (uint32_t round = 0; round < cell_count; round++) {
        for (uint32_t i = 0; i < cell_count; i++) {
            if (shares[i] >= 0 && (shares[poor] < 0 || shares[i] < shares[poor])) poor = i;
            if (shares[i] > shares[rich]) rich = i;
        }
        cells[poor].own = shares[poor] >= 1 ? UINT32_MAX : (uint32_t)(shares[poor] * 0x1p32);
        cells[poor].other = rich;
        if (rich != poor) shares[rich] -= 1 - shares[poor];
        shares[poor] = -1; /* done */
    }
}

static void choose(const char *program) {
    double shares[RECORDED], total = 0;
    for (size_t i = 0; i < RECORDED; i++) {
        const struct band *band = &recorded[i];
        if (strcmp(program, band->program) != 0) continue;
        cells[cell_count].least = band->least;
        cells[cell_count].sizes = band->most - band->least + 1;
        shares[cell_count++] = band->weight;
        total += band->weight;
    }
    if (cell_count == 0) bench_die("no sizes are recorded of such a program");
    for (uint32_t i = 0; i < cell_count; i++) {
        shares[i] *= cell_count / total;
    }
    level(shares);
}

static size_t draw_size(struct bench_rng *rng) {
    const struct cell *cell = &cells[bench_rng_below(rng, cell_count)];
    if (bench_rng_next(rng) > cell->own) cell = &cells[cell->other];
    return cell->least + bench_rng_below(rng, cell->sizes);
}

static char *block_as_recorded(size_t unused, struct bench_rng *rng) {
    (void)unused;
    return bench_block(draw_size(rng));
}

int main(int argc, char **argv) {
    choose(argc > 1 ? argv[1] : "");
    struct bench_mixed mixed = {
        .cycles = bench_arg(argc, argv, 2, 10000000, 1, UINT64_MAX),
        .slots = (uint32_t)bench_arg(argc, argv, 3, 16384, 1, UINT32_MAX),
        .min = 1,
        .max = 1,
        .rng = bench_rng_start(bench_arg(argc, argv, 4, 42, 0, UINT64_MAX)),
    };
    return bench_mixed_main_with(mixed, block_as_recorded);
}
