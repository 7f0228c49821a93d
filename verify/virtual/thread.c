#include "verify/virtual/thread.h"

struct hak_thread *fuzz_virtual_thread;
