/* The variant `record`: the libc names. Each calls the allocator's prefixed function and writes the
 * request to the log HAKMEM_RECORD=FILE (fuzz/oplog.h). `%p` in FILE stands for the process id.
 *
 * One lock orders the requests of all threads. An allocation is recorded after the allocator's
 * call, a free before it, and a realloc after it, while no other thread knows the block. So the log
 * never frees a block that it has not allocated. The allocator is never called under the lock. A
 * child of fork records nothing. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/hakmem.h"
#include "core/hooks.h"
#include "core/os.h"
#include "core/os_process.h"
#include "core/text.h"
#include "fuzz/oplog.h"
#include "verify/log_file.h"
#include "verify/record_slots.h"

#define VARIABLE   "HAKMEM_RECORD"
#define FD_LEAST   500 /* programs expect and close low descriptor numbers */
#define HAK_EXPORT __attribute__((visibility("default")))

static struct {
    pthread_mutex_t lock;
    bool active; /* changes under the lock; a read without it only saves taking it */
    struct oplog_writer writer;
    const char *path;
    pthread_key_t key; /* its destructor sees a thread's end */
    uint32_t free_threads[OPLOG_THREADS];
    uint32_t free_count, thread_count;
} record = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* The thread's number in the log + 1; 0: none yet. */
static __thread uint32_t thread_number;

/* ---- the log --------------------------------------------------------------------------------- */

/* Says why recording ends. With or without the lock. */
static void complain(const char *path, const char *reason) {
    struct hak_text line = {.length = 0};
    hak_text_add(&line, "hakmem: record: ");
    hak_text_add(&line, path);
    hak_text_add(&line, ": ");
    hak_text_add(&line, reason);
    hak_text_add(&line, "; nothing more is recorded");
    hak_text_print(&line);
}

/* Ends recording. Under the lock. */
static void stop(const char *reason) {
    __atomic_store_n(&record.active, false, __ATOMIC_RELAXED);
    complain(record.path, reason);
}

static void add(const struct oplog_op *op) {
    if (!oplog_add(&record.writer, op)) stop(strerrorname_np(record.writer.error));
}

static bool take_thread(void) {
    if (record.free_count > 0) {
        thread_number = record.free_threads[--record.free_count] + 1;
        return true;
    }
    if (record.thread_count == OPLOG_THREADS) {
        stop("too many threads at once");
        return false;
    }
    thread_number = ++record.thread_count;
    return true;
}

/* Before the thread's first operation. pthread_setspecific may allocate, which is recorded: so it
 * is called without the lock. */
static void begin_thread(void) {
    pthread_mutex_lock(&record.lock);
    bool begun = record.active && take_thread();
    if (begun) add(&(struct oplog_op){.kind = OPLOG_THREAD_BEGIN, .thread = thread_number - 1});
    pthread_mutex_unlock(&record.lock);
    if (begun) pthread_setspecific(record.key, (void *)1);
}

/* Takes the lock; false, without the lock, if nothing is recorded. */
static bool enter(void) {
    if (!__atomic_load_n(&record.active, __ATOMIC_RELAXED)) return false;
    if (thread_number == 0) begin_thread();
    pthread_mutex_lock(&record.lock);
    if (record.active) return true;
    pthread_mutex_unlock(&record.lock);
    return false;
}

static void leave(void) {
    pthread_mutex_unlock(&record.lock);
}

static struct oplog_op operation(enum oplog_kind kind) {
    return (struct oplog_op){.kind = kind, .thread = thread_number - 1};
}

/* Destructors of other keys may still allocate, so the thread's end is recorded in the last round
 * of destructors. */
static void end_thread(void *round) {
    if ((uintptr_t)round < PTHREAD_DESTRUCTOR_ITERATIONS) {
        pthread_setspecific(record.key, (void *)((uintptr_t)round + 1));
        return;
    }
    if (!enter()) return;
    struct oplog_op op = operation(OPLOG_THREAD_EXIT);
    add(&op);
    record.free_threads[record.free_count++] = op.thread;
    thread_number = 0;
    leave();
}

/* ---- what is recorded ------------------------------------------------------------------------ */

/* Records an operation that returned `block`, and puts the block into the operation's slot. */
static void add_block(const struct oplog_op *op, const void *block) {
    if (op->slot == RECORD_NO_SLOT || !record_slot_fill(op->slot, block))
        stop("no memory for its slots");
    else
        add(op);
}

/* Records a request that returned `block`, or failed. Keeps the request's `errno`. */
static void *answered(enum oplog_kind kind, void *block, size_t size, size_t align) {
    int saved = errno;
    if (!enter()) return block;
    struct oplog_op op = operation(kind);
    op.size = size;
    op.align = align;
    op.failed = block == NULL;
    op.slot = block == NULL ? 0 : record_slot_take();
    if (block == NULL)
        add(&op);
    else
        add_block(&op, block);
    leave();
    errno = saved;
    return block;
}

/* Records a free that is about to begin. A block from before the recording is not in the log. */
static void ends(const void *block) {
    if (block == NULL) return;
    int saved = errno;
    if (!enter()) return;
    struct oplog_op op = operation(OPLOG_FREE);
    op.slot = record_slot_of(block);
    if (op.slot != RECORD_NO_SLOT) {
        record_slot_empty(op.slot);
        record_slot_drop(op.slot);
    } else {
        op.kind = OPLOG_FREE_AGAIN;
        op.slot = record_slot_that_held(block);
    }
    if (op.slot != RECORD_NO_SLOT) add(&op);
    leave();
    errno = saved;
}

static void asked(enum oplog_kind kind, const void *block, size_t size) {
    if (!enter()) return;
    struct oplog_op op = operation(kind);
    op.size = size;
    op.slot = block == NULL ? 0 : record_slot_of(block);
    if (op.slot != RECORD_NO_SLOT) add(&op);
    leave();
}

/* Before a realloc. Takes the block out of its slot, because another block may get its address
 * before the realloc is over. Returns the slot, or RECORD_NO_SLOT if the log does not have the
 * block. */
static uint32_t resize_begins(const void *block) {
    if (!enter()) return RECORD_NO_SLOT;
    uint32_t slot = record_slot_of(block);
    if (slot != RECORD_NO_SLOT) record_slot_empty(slot);
    leave();
    return slot;
}

static void resize_ends(uint32_t slot, const void *block, const void *again, size_t size) {
    int saved = errno;
    if (!enter()) return;
    struct oplog_op op = operation(OPLOG_REALLOC);
    op.slot = slot;
    op.size = size;
    op.failed = again == NULL && size != 0;
    if (op.failed) again = block;
    if (again != NULL) {
        add_block(&op, again);
    } else {
        add(&op);
        record_slot_drop(slot);
    }
    leave();
    errno = saved;
}

/* ---- the libc names -------------------------------------------------------------------------- */

HAK_EXPORT void *malloc(size_t size) {
    return answered(OPLOG_MALLOC, hak_malloc(size), size, 0);
}

HAK_EXPORT void free(void *ptr) {
    ends(ptr);
    hak_free(ptr);
}

HAK_EXPORT void *calloc(size_t count, size_t size) {
    return answered(OPLOG_CALLOC, hak_calloc(count, size), size, count);
}

HAK_EXPORT void *realloc(void *ptr, size_t size) {
    if (ptr == NULL) return answered(OPLOG_REALLOC, hak_realloc(NULL, size), size, 0);
    uint32_t slot = resize_begins(ptr);
    void *again = hak_realloc(ptr, size);
    if (slot != RECORD_NO_SLOT)
        resize_ends(slot, ptr, again, size);
    else if (again != NULL && again != ptr) /* the old block is from before the recording */
        answered(OPLOG_REALLOC, again, size, 0);
    return again;
}

HAK_EXPORT void *reallocarray(void *ptr, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return hak_reallocarray(ptr, count, size);
    return realloc(ptr, bytes);
}

/* C23 functions, which libc may lack. */
void free_sized(void *ptr, size_t size);
void free_aligned_sized(void *ptr, size_t alignment, size_t size);

HAK_EXPORT void free_sized(void *ptr, size_t size) {
    (void)size;
    free(ptr);
}

HAK_EXPORT void free_aligned_sized(void *ptr, size_t alignment, size_t size) {
    (void)alignment;
    (void)size;
    free(ptr);
}

HAK_EXPORT void *aligned_alloc(size_t alignment, size_t size) {
    return answered(OPLOG_ALIGNED_ALLOC, hak_aligned_alloc(alignment, size), size, alignment);
}

HAK_EXPORT int posix_memalign(void **out, size_t alignment, size_t size) {
    void *block = NULL;
    int error = hak_posix_memalign(&block, alignment, size);
    answered(OPLOG_POSIX_MEMALIGN, block, size, alignment);
    if (error == 0) *out = block;
    return error;
}

HAK_EXPORT void *memalign(size_t alignment, size_t size) {
    return answered(OPLOG_MEMALIGN, hak_memalign(alignment, size), size, alignment);
}

HAK_EXPORT void *valloc(size_t size) {
    return answered(OPLOG_MEMALIGN, hak_valloc(size), size, hak_os_page_size());
}

HAK_EXPORT void *pvalloc(size_t size) {
    size_t page = hak_os_page_size(), whole = size == 0 ? page : (size + page - 1) / page * page;
    return answered(OPLOG_MEMALIGN, hak_pvalloc(size), whole < size ? size : whole, page);
}

HAK_EXPORT size_t malloc_usable_size(void *ptr) {
    if (ptr != NULL) asked(OPLOG_USABLE_SIZE, ptr, 0);
    return hak_malloc_usable_size(ptr);
}

HAK_EXPORT int malloc_trim(size_t pad) {
    asked(OPLOG_TRIM, NULL, pad);
    return hak_malloc_trim(pad);
}

HAK_EXPORT int mallopt(int parameter, int value) {
    return hak_mallopt(parameter, value);
}

HAK_EXPORT void malloc_stats(void) {
    hak_malloc_stats();
}

HAK_EXPORT int malloc_info(int options, FILE *stream) {
    return hak_malloc_info(options, stream);
}

HAK_EXPORT struct mallinfo2 mallinfo2(void) {
    return hak_mallinfo2();
}

HAK_EXPORT struct mallinfo mallinfo(void) {
    return hak_mallinfo();
}

/* ---- the process ----------------------------------------------------------------------------- */

static void fork_prepare(void) {
    pthread_mutex_lock(&record.lock);
}

static void fork_parent(void) {
    pthread_mutex_unlock(&record.lock);
}

/* The child must not write into the mapped file, which is the parent's. */
static void fork_child(void) {
    __atomic_store_n(&record.active, false, __ATOMIC_RELAXED);
    oplog_abandon(&record.writer);
    pthread_mutex_unlock(&record.lock);
}

/* FILE with the process id for each %p; NULL: too long. */
static const char *path_of(const char *file) {
    static struct hak_text path;
    for (; *file != '\0'; file++) {
        if (file[0] == '%' && file[1] == 'p') {
            hak_text_add_number(&path, (uint64_t)getpid());
            file++;
        } else {
            hak_text_add(&path, (const char[]){*file, '\0'});
        }
    }
    return path.length < sizeof path.bytes - 1 ? path.bytes : NULL;
}

/* Opens the file and moves the descriptor to a high number. Negative: the error. */
static int file_open(const char *path) {
    int low = hak_log_open(path, O_RDWR | O_CREAT);
    if (low < 0) return low;
    int high = fcntl(low, F_DUPFD_CLOEXEC, FD_LEAST);
    if (high < 0) return low;
    close(low);
    return high;
}

/* True if the file is empty or an older log. Any other file is left as it is. */
static bool file_is_ours(int fd) {
    char magic[sizeof OPLOG_MAGIC - 1];
    ssize_t length = pread(fd, magic, sizeof magic, 0);
    return length == 0 || (length == sizeof magic && memcmp(magic, OPLOG_MAGIC, sizeof magic) == 0);
}

/* False: nothing is recorded. The reason was reported, or another process is writing this file as
 * its log. */
static bool file_begin(const char *path) {
    int fd = file_open(path);
    if (fd < 0)
        complain(path, hak_log_problem(fd));
    else if (!file_is_ours(fd))
        complain(path, "is there, and no operation log");
    else if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        if (ftruncate(fd, 0) == 0 && oplog_begin(&record.writer, fd)) return true;
        complain(path, strerrorname_np(record.writer.error != 0 ? record.writer.error : errno));
    }
    if (fd >= 0) close(fd);
    return false;
}

/* Runs before the allocator's own constructor, so that the log has all of the program's blocks. */
__attribute__((constructor(101))) static void record_begin(void) {
    const char *file = getenv(VARIABLE);
    if (file == NULL || *file == '\0' || hak_os_is_secure()) return;
    record.path = path_of(file);
    if (record.path == NULL) {
        complain(VARIABLE, "the file's name is too long");
        return;
    }
    if (pthread_key_create(&record.key, end_thread) != 0) {
        complain(record.path, "no thread-specific key is left");
    } else if (pthread_atfork(fork_prepare, fork_parent, fork_child) != 0) {
        complain(
            record.path,
            "no memory for the handlers of fork"); /* a child would write into the parent's file */
    } else if (file_begin(record.path)) {
        record.active = true;
    }
}

__attribute__((destructor(101))) static void record_end(void) {
    pthread_mutex_lock(&record.lock);
    if (record.active && !oplog_end(&record.writer)) stop(strerrorname_np(record.writer.error));
    __atomic_store_n(&record.active, false, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&record.lock);
}

bool hak_record_option(const char *setting) {
    return strncmp(setting, VARIABLE "=", strlen(VARIABLE "=")) == 0;
}
