#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include "fuzz/log/replay.h"

#define BATCH 1024u

struct player {
    pthread_t thread;
    sem_t turn;
    bool lives;
};

static struct player *players;
static size_t player_count;
static bool real_threads;
static uint32_t last_thread; /* of the last operation that was given */
static struct baton_figures figures;

/* Successive operations of one thread. The thread that has the baton reads them; only the thread
 * that reads the log writes them. */
static struct {
    struct oplog_op ops[BATCH];
    size_t count;
    bool last; /* the thread ends after them */
    sem_t done;
} batch;

static void *play(void *player_) {
    struct player *player = player_;
    bool last = false;
    while (!last) {
        while (sem_wait(&player->turn) != 0) {
        }
        for (size_t i = 0; i < batch.count; i++)
            replay_do(&batch.ops[i]);
        last = batch.last;
        if (!last) sem_post(&batch.done);
    }
    return NULL;
}

static struct player *player_of(const struct oplog_op *op) {
    return &players[real_threads ? op->thread : 0];
}

static void begin(struct player *player) {
    sem_init(&player->turn, 0, 0);
    int error = pthread_create(&player->thread, NULL, play, player);
    if (error != 0)
        log_die(LOG_EXIT_USAGE, "thread %zd cannot begin: %s", player - players, strerror(error));
    player->lives = true;
    figures.threads++;
}

/* Hands the batch to its thread, and returns when the batch is done. */
static void hand_over(bool last) {
    struct player *player = player_of(&batch.ops[0]);
    batch.last = last;
    sem_post(&player->turn);
    if (last) {
        pthread_join(player->thread, NULL);
        player->lives = false;
    } else {
        while (sem_wait(&batch.done) != 0) {
        }
    }
    batch.count = 0;
}

void baton_init(bool real, size_t threads) {
    real_threads = real;
    player_count = real ? threads : 1;
    players = log_memory(player_count * sizeof *players);
    sem_init(&batch.done, 0, 0);
}

void baton_give(const struct oplog_op *op) {
    if (batch.count > 0 && last_thread != op->thread) hand_over(false);
    figures.switches += last_thread != op->thread;
    last_thread = op->thread;
    if (!player_of(op)->lives) begin(player_of(op));
    batch.ops[batch.count++] = *op;
    if (op->kind == OPLOG_THREAD_EXIT && real_threads)
        hand_over(true);
    else if (batch.count == BATCH)
        hand_over(false);
}

void baton_end(void) {
    if (batch.count > 0) hand_over(false);
    for (size_t i = 0; i < player_count; i++) {
        if (!players[i].lives) continue;
        batch.ops[0].thread = (uint32_t)i;
        hand_over(true);
    }
}

const struct baton_figures *baton_figures(void) {
    return &figures;
}
