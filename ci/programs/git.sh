# shellcheck shell=bash disable=SC2034
# git: a repository with some history, cloned, merged, packed hard, searched and checked.

needs=(git awk)
subjects=(git)

# edit N: appends lines to some files and makes files that do not exist yet
edit() {
    awk -v seed="$1" 'BEGIN {
        x = seed * 7919 + 1
        for (i = 0; i < 12; i++) {
            x = (x * 16807) % 2147483647
            file = "dir" x % 7 "/file" x % 23 ".txt"
            system("mkdir -p dir" x % 7)
            for (line = 0; line < 40 + x % 50; line++) {
                x = (x * 16807) % 2147483647
                printf "%d: the %s of %d is %x, seen from %d\n", line, (x % 2 ? "value" : "weight"), seed, x, x % 97 >> file
            }
            close(file)
        }
    }'
}

workload() {
    local commits=80 number
    if [[ $quick == 1 ]]; then commits=8; fi
    export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_PAGER=cat
    export GIT_AUTHOR_NAME=Author GIT_AUTHOR_EMAIL=author@example.org
    export GIT_COMMITTER_NAME=Committer GIT_COMMITTER_EMAIL=committer@example.org

    git init -q -b main origin
    cd origin
    git config gc.auto 0
    for ((number = 1; number <= commits; number++)); do
        export GIT_AUTHOR_DATE="$((1700000000 + number * 60)) +0000" GIT_COMMITTER_DATE="$((1700000030 + number * 60)) +0000"
        if ((number == commits / 2)); then git checkout -q -b side; fi
        if ((number == commits * 3 / 4)); then git checkout -q main; fi
        edit "$number"
        git add -A
        git commit -q -m "Commit $number"
    done
    git merge -q -X ours -m "Merge side" side

    git clone -q --no-local . ../clone
    cd ../clone
    git -c pack.threads=2 gc -q --aggressive --prune=now
    git log --graph --stat --format='%H %T %an %ad %s'
    git log -p --no-merges -M -C | sha256sum
    git blame -w main -- "$(git ls-files | sed -n 1p)" | sha256sum
    git grep -c -E 'weight of [0-9]*7 ' main
    # Two packing threads may order the objects in the pack differently; the objects are the same.
    git cat-file --batch-all-objects --unordered --batch-check | sort | sha256sum
    git fsck --full --strict
    git archive main | sha256sum
}
