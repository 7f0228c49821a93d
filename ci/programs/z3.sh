# shellcheck shell=bash disable=SC2034
# z3, a theorem prover in C++. Its search takes the same steps on every malloc; its statistics count
# them.

needs=(z3)
subjects=(z3)

# Each string contains the previous one twice.
strings() {
    local number
    for ((number = 0; number <= $1; number++)); do echo "(declare-const s$number String)"; done
    for ((number = 0; number < $1; number++)); do
        echo "(assert (= s$((number + 1)) (str.++ s$number \"ab\" s$number)))"
    done
    echo '(assert (str.in_re s0 (re.+ (re.union (str.to_re "x") (str.to_re "yz")))))'
    echo "(assert (= (str.len s0) 5)) (assert (str.contains s$1 \"zxab\")) (check-sat)"
}

# Group theory without an end: quantifiers make terms by the million until the step limit ends the
# search.
group() {
    echo "(set-option :rlimit $1)"
    cat <<'SMT'
(declare-sort S 0) (declare-fun f (S S) S) (declare-fun inv (S) S) (declare-const e S) (declare-const a S)
(assert (forall ((x S) (y S) (z S)) (! (= (f x (f y z)) (f (f x y) z)) :pattern ((f x (f y z))))))
(assert (forall ((x S)) (! (= (f e x) x) :pattern ((f e x)))))
(assert (forall ((x S)) (! (= (f (inv x) x) e) :pattern ((inv x)))))
(assert (not (= (f a e) a))) (check-sat)
SMT
}

# factors BITS PRODUCT: finds the factors of a product of two numbers of so many bits.
factors() {
    cat <<SMT
(declare-const a (_ BitVec $((2 * $1)))) (declare-const b (_ BitVec $((2 * $1))))
(assert (= (bvmul a b) (_ bv$2 $((2 * $1)))))
(assert (bvult (_ bv1 $((2 * $1))) a)) (assert (bvult a b)) (assert (bvult b (_ bv$((1 << $1)) $((2 * $1)))))
(check-sat)
SMT
}

prepare() {
    local size=7 steps=5000000 bits=17 product=8589082633
    if [[ $quick == 1 ]]; then size=4 steps=300000 bits=10 product=1022117; fi
    strings "$size" >strings.smt2
    group "$steps" >group.smt2
    factors "$bits" "$product" >factors.smt2
}

workload() {
    local problem
    for problem in strings group factors; do
        z3 -st "$input/$problem.smt2" | grep -vE ':(time|total-time|memory|max-memory) '
    done
    # With several threads only the common result is always the same.
    z3 smt.threads=3 tactic.default_tactic=smt "$input/factors.smt2"
}
