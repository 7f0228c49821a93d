# shellcheck shell=bash disable=SC2034
# PHP: XML, SQLite, regular expressions, ICU, serialised data and forked children. PHP opens its
# extensions with RTLD_DEEPBIND. Twice: with PHP's own allocator, on mmap, and with each block from
# malloc.

needs=(php)
subjects=(php)

workload() {
    local rows=20000
    if [[ $quick == 1 ]]; then rows=1000; fi
    php "$root/ci/programs/php.php" "$rows"
    USE_ZEND_ALLOC=0 php "$root/ci/programs/php.php" "$rows"
}
