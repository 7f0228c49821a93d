# The valgrind build: HAKMEM's code runs under Memcheck, and Memcheck sees HAKMEM's blocks.

setup_file() {
    env -u MAKEFLAGS make -s -C "$HAK_ROOT" VARIANT=valgrind lib >&2
    cat >"$BATS_FILE_TMPDIR/faults.c" <<'C'
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv) {
    char *volatile small = malloc(40), *volatile large = malloc(100000), *volatile aligned = aligned_alloc(64, 100);
    memset(small, 1, 40);
    memset(large, 1, 100000);
    memset(aligned, 1, 100);
    switch (argc > 1 ? atoi(argv[1]) : 0) {
    case 1: return small[40];            // over-read
    case 2: if (((char *)malloc(40))[3]) return 7; break; // uninitialised, and a leak
    case 3: free(small); return small[0]; // use after free
    case 4: large[100000] = 1; break;    // overflow
    case 5: free(large); return large[5];
    case 6: return aligned[100];
    case 7: free(small + 16); break;
    case 9: small[40] = 1; break;
    case 8: // all that usable_size tells may be written, also after a realloc in place
        for (size_t size = 0; size < 200000; size += size < 3000 ? 7 : 9999) {
            char *p = size % 2 == 0 ? malloc(size) : aligned_alloc(128, size);
            memset(p, 2, malloc_usable_size(p));
            p = realloc(p, size + 1);
            memset(p, 2, malloc_usable_size(p));
            if (malloc_usable_size(p) > size + 1) return 7;
            free(p);
            p = calloc(1, size + 1);
            if (p[size] != 0) return 7;
            free(p);
        }
        break;
    }
    small = realloc(small, 45);
    small = realloc(small, 3000);
    large = realloc(large, 4000000);
    int wrong = small[39] != 1 || large[99999] != 1;
    free(small);
    free(large);
    free(aligned);
    return wrong;
}
C
    "${CC:-gcc}" -g -O0 -w -fno-builtin "$BATS_FILE_TMPDIR/faults.c" -o "$BATS_FILE_TMPDIR/faults"
}

# memcheck ARGS...: runs the program under Memcheck; status 99 if Memcheck reported an error.
memcheck() {
    run "$HAK_ROOT/build.sh" valgrind -- --error-exitcode=99 --leak-check=full -q "$BATS_FILE_TMPDIR/faults" "$@"
    printf '%s\n' "$output" | head -n 40
}

@test "a clean program gives no error" {
    memcheck 0
    [ "$status" -eq 0 ]
    [[ $output != *"=="* ]]
}

@test "what malloc_usable_size tells may be written, what calloc gives read, at every level of the audit" {
    for level in 0 1 2; do
        HAKMEM_AUDIT_LEVEL=$level memcheck 8
        [ "$status" -eq 0 ]
        [[ $output != *"=="* ]]
    done
}

@test "an over-read is reported at its line, with the allocating one" {
    memcheck 1
    [ "$status" -eq 99 ]
    [[ $output == *"Invalid read of size 1"*"main (faults.c:10)"*"0 bytes after a block of size 40 alloc'd"*"main (faults.c:5)"* ]]
}

@test "an uninitialised read and a leak" {
    memcheck 2
    [ "$status" -eq 99 ]
    [[ $output == *"Conditional jump or move depends on uninitialised value(s)"*"main (faults.c:11)"* ]]
    [[ $output == *"40 bytes in 1 blocks are definitely lost"*"main (faults.c:11)"* ]]
}

@test "a use after free, small and large" {
    memcheck 3
    [ "$status" -eq 99 ]
    [[ $output == *"Invalid read of size 1"*"main (faults.c:12)"*"0 bytes inside a block of size 40 free'd"*"main (faults.c:12)"* ]]
    memcheck 5
    [[ $output == *"Invalid read of size 1"*"main (faults.c:14)"*"5 bytes inside a block of size 100,000 free'd"* ]]
}

@test "an overflow, large and small: Memcheck names the write, then the audit the block" {
    memcheck 4
    [ "$status" -eq 134 ]
    [[ $output == *"Invalid write of size 1"*"main (faults.c:13)"*"0 bytes after a block of size 100,000 alloc'd"*"main (faults.c:5)"* ]]
    [[ $output == *"hakmem: audit: broken: nothing is written behind the requested size "*": 100000 against 100000"* ]]
    memcheck 9
    [ "$status" -eq 134 ]
    [[ $output == *"Invalid write of size 1"*"main (faults.c:17)"*"0 bytes after a block of size 40 alloc'd"*"main (faults.c:5)"* ]]
    [[ $output == *"hakmem: audit: broken: nothing is written behind the requested size "*": 40 against 40"* ]]
    HAKMEM_AUDIT_LEVEL=1 memcheck 4
    [ "$status" -eq 99 ]
}

@test "an over-read of an aligned block" {
    memcheck 6
    [[ $output == *"Invalid read of size 1"*"main (faults.c:15)"* ]]
}

@test "an invalid free is HAKMEM's message" {
    memcheck 7
    [[ $output == *"hakmem: free(): pointer inside a block"* ]]
}
