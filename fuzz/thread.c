#include "fuzz/thread.h"

struct hak_thread *fuzz_virtual_thread;
