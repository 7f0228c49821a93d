/* The main thread ends by pthread_exit. Its blocks live on; another thread frees them and then
 * ends the program. */
#include "threads.h"

enum { BLOCKS = 2000 };

static struct letter *letters[BLOCKS];
static pthread_t main_thread;

static void *go_on(void *argument) {
    thread_join(main_thread);
    for (size_t i = 0; i < BLOCKS; i++)
        letter_free(letters[i]);
    uint64_t seed = (uint64_t)(size_t)argument;
    for (size_t i = 0; i < BLOCKS; i++)
        letter_free(letter_new(letter_size(&seed), i));
    exit(test_ok("%d blocks of the main thread", BLOCKS));
}

int main(void) {
    test_needs_hakmem();
    uint64_t seed = 1;
    for (size_t i = 0; i < BLOCKS; i++)
        letters[i] = letter_new(letter_size(&seed), i);
    main_thread = pthread_self();
    thread_start(go_on, NULL);
    pthread_exit(NULL);
}
