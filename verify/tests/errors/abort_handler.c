/* Frees a block twice in a program that does something about SIGABRT or about the thread. The
 * process must end by SIGABRT all the same. Handlers print on stdout what they have done.
 *
 * usage: abort_handler KIND */
#include "../test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

static void free_twice(void) {
    char *block = test_opaque_pointer(malloc(40));
    free(block);
    free(test_opaque_pointer(block));
}

static void said(const char *text) {
    (void)!write(STDOUT_FILENO, text, strlen(text));
}

static void handle(void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(SIGABRT, &action, NULL);
}

/* Runs a function in a new thread. The process must not go on after the thread. */
static void in_thread(void *(*function)(void *)) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, function, NULL) == 0, "no thread");
    pthread_join(thread, NULL);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void *with_cancel_pending(void *type) {
    pthread_setcanceltype(type == NULL ? PTHREAD_CANCEL_DEFERRED : PTHREAD_CANCEL_ASYNCHRONOUS,
                          NULL);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cancel(pthread_self());
    free(test_opaque_pointer(malloc(40)));
    char *block = test_opaque_pointer(malloc(40));
    free(block);
    /* With asynchronous cancellation, the thread would end here. */
    if (type == NULL) pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    free(test_opaque_pointer(block));
    return NULL;
}

static void cancel_pending(void) {
    in_thread(with_cancel_pending);
}

static void say_more(int number) {
    (void)number;
    said("handled\n"); /* a cancellation point */
}

static void cancel_pending_in_handler(void) {
    handle(say_more, 0);
    in_thread(with_cancel_pending);
}

/* stderr is a full pipe, so this thread waits in the middle of its message. */
static _Atomic int writer;

static void *free_twice_in_thread(void *unused) {
    (void)unused;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    writer = gettid();
    free_twice();
    return NULL;
}

static void wait_until_it_sleeps(void) {
    char name[64], text[256] = "";
    while (writer == 0)
        sched_yield();
    snprintf(name, sizeof name, "/proc/self/task/%d/stat", writer);
    while (strstr(text, ") S ") == NULL) {
        int file = open(name, O_RDONLY);
        ssize_t length = read(file, text, sizeof text - 1);
        CHECK(length > 0, "cannot read %s: errno %d", name, errno);
        text[length] = '\0';
        close(file);
    }
}

/* Runs in the child, whose stderr takes nothing. */
static void be_cancelled_while_writing(int message, int cancelled) {
    pthread_t thread;
    dup2(message, STDERR_FILENO);
    close(message);
    CHECK(pthread_create(&thread, NULL, free_twice_in_thread, NULL) == 0, "no thread");
    wait_until_it_sleeps();
    pthread_cancel(thread);
    (void)!write(cancelled, "", 1);
    pthread_join(thread, NULL);
    _exit(0);
}

static void cancel_asynchronous(void) {
    int message[2], cancelled[2], status;
    char bytes[4096] = {0};
    CHECK(pipe(message) == 0 && pipe(cancelled) == 0, "no pipe");
    fcntl(message[1], F_SETFL, O_NONBLOCK);
    while (write(message[1], bytes, sizeof bytes) > 0) {
    }
    fcntl(message[1], F_SETFL, 0);
    pid_t child = fork();
    if (child == 0) be_cancelled_while_writing(message[1], cancelled[1]);
    close(message[1]);
    close(cancelled[1]);
    CHECK(read(cancelled[0], bytes, 1) == 1, "the child is gone");
    for (ssize_t got; (got = read(message[0], bytes, sizeof bytes)) > 0;)
        if (bytes[0] != 0) (void)!write(STDERR_FILENO, bytes, (size_t)got);
    CHECK(waitpid(child, &status, 0) == child, "no child");
    if (WIFSIGNALED(status)) kill(getpid(), WTERMSIG(status));
}

/* ---- the signal's action --------------------------------------------------------------------- */

static void blocked(void) {
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    free_twice();
}

static void ignored(void) {
    signal(SIGABRT, SIG_IGN);
    free_twice();
}

static void blocked_and_handled(void) {
    handle(say_more, 0);
    blocked();
}

/* ---- handlers -------------------------------------------------------------------------------- */

/* Allocates blocks of all kinds: more than any bin holds, and of the class whose list the flush
 * works on. */
static void use_allocator(int number) {
    static const size_t sizes[] = {40, 40, 900, 5000, 30000, 500000};
    (void)number;
    void *blocks[TEST_COUNT(sizes)][200];
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        for (size_t k = 0; k < 200; k++) {
            blocks[i][k] = malloc(sizes[i]);
            CHECK(blocks[i][k] != NULL, "no block of %zu bytes", sizes[i]);
            memset(blocks[i][k], (int)k, sizes[i]);
        }
    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        for (size_t k = 0; k < 200; k++) {
            CHECK(((unsigned char *)blocks[i][k])[sizes[i] - 1] == k, "a block was written to");
            free(blocks[i][k]);
        }
    said("allocated\n");
}

static void allocates(void) {
    handle(use_allocator, 0);
    free_twice();
}

/* The list of a bin is a circle. The flush of this bin finds the error. */
static void allocates_in_flush(void) {
    handle(use_allocator, 0);
    char **first = malloc(40);
    free(first);
    *(char **)test_opaque_pointer(first) = (char *)first;
    malloc_trim(0);
}

static void fork_twice(int number) {
    (void)number;
    int status, child = fork();
    if (child == 0) {
        use_allocator(0);
        exit(7);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
              WEXITSTATUS(status) == 7,
          "the first child ends with %#x", (unsigned)status);
    child = fork();
    if (child == 0) return; /* returns into the report, which ends this child by SIGABRT */
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
              WTERMSIG(status) == SIGABRT,
          "the second child ends with %#x", (unsigned)status);
    said("forked\n");
}

static void forks(void) {
    handle(fork_twice, 0);
    free_twice();
}

static void fail_again(int number) {
    (void)number;
    said("handled\n");
    free_twice();
    said("went on\n");
}

static void fails_again(void) {
    handle(fail_again, SA_NODEFER);
    free_twice();
}

static sigjmp_buf before;

static void leave(int number) {
    (void)number;
    siglongjmp(before, 1);
}

static void leaves_by(int flags) {
    handle(leave, flags);
    if (sigsetjmp(before, 1) == 0) free_twice();
    said("left\n");
}

static void leaves_and_allocates(void) {
    leaves_by(0);
    free(test_opaque_pointer(malloc(40)));
    said("went on\n");
}

static void leaves_and_frees(void) {
    char *block = test_opaque_pointer(malloc(40));
    leaves_by(0);
    free(block);
    said("went on\n");
}

static void leaves_and_frees_large(void) {
    char *block = test_opaque_pointer(malloc(1000000));
    leaves_by(0);
    free(block);
    said("went on\n");
}

static void leaves_alternate_stack(void) {
    stack_t stack = {.ss_size = 65536};
    stack.ss_sp =
        mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(sigaltstack(&stack, NULL) == 0, "no alternate stack: errno %d", errno);
    leaves_by(SA_ONSTACK);
    free(test_opaque_pointer(malloc(40)));
    said("went on\n");
}

static void leaves_and_exits(void) {
    leaves_by(0);
    exit(0);
}

static void leave_by_exit(int number) {
    (void)number;
    exit(0);
}

static void exits(void) {
    handle(leave_by_exit, 0);
    free_twice();
}

static void leave_by_thread_exit(int number) {
    (void)number;
    pthread_exit(NULL);
}

static void *first_act(void *block) {
    free(block);
    return NULL;
}

static void thread_exits(void) {
    handle(leave_by_thread_exit, 0);
    in_thread(free_twice_in_thread);
    said("went on\n");
}

static void thread_exits_without_heap(void) {
    static char no_block[64] __attribute__((aligned(64)));
    pthread_t thread;
    handle(leave_by_thread_exit, 0);
    CHECK(pthread_create(&thread, NULL, first_act, no_block + 16) == 0, "no thread");
    pthread_join(thread, NULL);
    said("went on\n");
}

/* A handler on the alternate stack, however deep it is, must not be taken for a handler that has
 * left. */
static void allocates_on_alternate_stack(void) {
    stack_t stack = {.ss_size = 1 << 20};
    stack.ss_sp =
        mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(sigaltstack(&stack, NULL) == 0, "no alternate stack: errno %d", errno);
    handle(use_allocator, SA_ONSTACK);
    free_twice();
}

/* ---- other threads --------------------------------------------------------------------------- */

/* Another thread sleeps, and the list of one of its bins is a circle. The thread that seizes its
 * heap finds this error, while it holds a lock. The handler of SIGABRT needs the other thread,
 * which allocates. */
static int question[2], answer[2];

static void pipes_open(void) {
    CHECK(pipe(question) == 0 && pipe(answer) == 0, "no pipe");
}

static void wait_for(const int *ends) {
    char byte;
    CHECK(read(ends[0], &byte, 1) == 1, "no byte comes");
}

static void tell(const int *ends) {
    CHECK(write(ends[1], "", 1) == 1, "no byte goes");
}

static void ask(int number) {
    tell(question);
    wait_for(answer);
    use_allocator(number);
}

static void *sleep_with_circle(void *unused) {
    char **first = malloc(40);
    free(first);
    *(char **)test_opaque_pointer(first) = (char *)first;
    tell(answer);
    wait_for(question);
    use_allocator(0);
    tell(answer);
    pause();
    return unused;
}

static void found_by_another_thread(void) {
    pthread_t thread;
    handle(ask, 0);
    pipes_open();
    CHECK(pthread_create(&thread, NULL, sleep_with_circle, NULL) == 0, "no thread");
    wait_for(answer);
    malloc_trim(0);
}

enum { TOGETHER = 8 };
static pthread_barrier_t start;

/* Waits until the line of each thread is there, among the lines of the audit. The handler runs
 * once. */
static void wait_for_lines(int number) {
    (void)number;
    static const char mark[] = "double free";
    char bytes[16384];
    for (int lines = 0; lines < TOGETHER;) {
        ssize_t length = pread(STDERR_FILENO, bytes, sizeof bytes, 0);
        const char *at = bytes, *end = bytes + (length > 0 ? length : 0);
        for (lines = 0; (at = memmem(at, (size_t)(end - at), mark, sizeof mark - 1)) != NULL;
             lines++)
            at += sizeof mark - 1;
        usleep(1000);
    }
    said("all\n");
}

static void *free_twice_together(void *unused) {
    pthread_barrier_wait(&start);
    free_twice();
    return unused;
}

static void together(void) {
    pthread_t threads[TOGETHER];
    handle(wait_for_lines, 0);
    pthread_barrier_init(&start, NULL, TOGETHER);
    for (int i = 0; i < TOGETHER; i++)
        CHECK(pthread_create(&threads[i], NULL, free_twice_together, NULL) == 0, "no thread");
    for (int i = 0; i < TOGETHER; i++)
        pthread_join(threads[i], NULL);
}

/* The second thread holds this mutex and finds an error, while the first thread's handler waits for
 * the mutex. */
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static void lock(int number) {
    (void)number;
    said("handled\n");
    tell(question);
    pthread_mutex_lock(&held);
}

static void *free_twice_with_lock(void *unused) {
    pthread_mutex_lock(&held);
    tell(answer);
    wait_for(question);
    free_twice();
    return unused;
}

static void wait_for_each_other(void) {
    pthread_t thread;
    handle(lock, 0);
    pipes_open();
    CHECK(pthread_create(&thread, NULL, free_twice_with_lock, NULL) == 0, "no thread");
    wait_for(answer);
    free_twice();
}

/* exit() in another thread does not save the process. */
static void ask_for_exit(int number) {
    (void)number;
    said("handled\n");
    tell(question);
    pause();
}

static void *exit_when_asked(void *unused) {
    (void)unused;
    wait_for(question);
    exit(0);
}

static void another_exits(void) {
    pthread_t thread;
    handle(ask_for_exit, 0);
    pipes_open();
    CHECK(pthread_create(&thread, NULL, exit_when_asked, NULL) == 0, "no thread");
    free_twice();
}

static const struct {
    const char *name;
    void (*commit)(void);
} kinds[] = {
#define CASE(function)                                                                             \
    { #function, function }
    CASE(cancel_pending),
    CASE(cancel_pending_in_handler),
    CASE(cancel_asynchronous),
    CASE(blocked),
    CASE(ignored),
    CASE(blocked_and_handled),
    CASE(allocates),
    CASE(allocates_in_flush),
    CASE(allocates_on_alternate_stack),
    CASE(forks),
    CASE(fails_again),
    CASE(leaves_and_allocates),
    CASE(leaves_and_frees),
    CASE(leaves_and_frees_large),
    CASE(leaves_alternate_stack),
    CASE(leaves_and_exits),
    CASE(exits),
    CASE(thread_exits),
    CASE(thread_exits_without_heap),
    CASE(found_by_another_thread),
    CASE(together),
    CASE(wait_for_each_other),
    CASE(another_exits),
};

int main(int count, char **arguments) {
    test_needs_hakmem();
    CHECK(count == 2, "usage: abort_handler KIND");
    for (size_t i = 0; i < TEST_COUNT(kinds); i++)
        if (strcmp(arguments[1], kinds[i].name) == 0) {
            kinds[i].commit();
            return test_ok("the process is still there");
        }
    CHECK(false, "no kind %s", arguments[1]);
}
