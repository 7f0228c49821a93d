# shellcheck shell=bash disable=SC2034
# perl: large hashes, sorts, regular expressions, forked children.

needs=(perl)
subjects=(perl)

workload() {
    local keys=80000
    if [[ $quick == 1 ]]; then keys=5000; fi
    # Without these settings the order of Perl's hashes differs from process to process.
    PERL_HASH_SEED=0 PERL_PERTURB_KEYS=0 perl "$root/ci/programs/perl.pl" "$keys"
}
