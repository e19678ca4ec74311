# git gc on a repository with history: many programs in turn, threads that search for deltas, packs mapped into memory,
# temporary files renamed into place, hundreds of loose objects deleted.
needs=git
quiet_git() { HOME=$PWD GIT_CONFIG_NOSYSTEM=1 git "$@"; }
prepare() {
    quiet_git init --quiet --bare --initial-branch=main repository.git
    perl -e '
        my $state = 7;
        sub draw { $state = ($state * 1103515245 + 12345) & 0x7fffffff; return ($state >> 8) % $_[0]; }
        my @words = map { join "", map { chr(97 + draw(26)) } 1 .. 2 + draw(9) } 1 .. 3000;
        sub line { return join(" ", map { $words[draw(3000)] } 1 .. 8) . "\n"; }
        my @files = map { [map { line() } 1 .. 150 + draw(200)] } 1 .. 60;
        for my $commit (1 .. 1500) {
            my $message = line();
            printf "commit refs/heads/main\nmark :%d\ncommitter A <a\@b> %d +0000\ndata %d\n%s", $commit, 1600000000 + 60 * $commit, length $message, $message;
            printf "from :%d\n", $commit - 1 if $commit > 1;
            for my $n ($commit == 1 ? 0 .. 59 : map { draw(60) } 1 .. 3) {
                my $file = $files[$n];
                splice @$file, draw(scalar @$file), draw(3), map { line() } 1 .. draw(4);
                my $text = join "", @$file;
                printf "M 100644 inline part%d/file%d\ndata %d\n%s\n", $n % 7, $n, length $text, $text;
            }
            print "\n";
        }' | quiet_git -C repository.git -c fastimport.unpackLimit=2 fast-import --quiet
    local commit
    for commit in {1490..1500}; do quiet_git -C repository.git branch "branch$commit" "main~$((1500 - commit))"; done
    # The newest part of the history as loose objects, as work leaves them.
    mv repository.git/objects/pack/*.pack all.pack
    rm -f repository.git/objects/pack/*
    quiet_git -C repository.git unpack-objects -q <all.pack
    rm all.pack
}
start() { export HOME=$PWD GIT_CONFIG_NOSYSTEM=1; exec git -C repository.git gc --aggressive --prune=now --quiet; }
check() {
    [[ $(git_objects repository.git) == "$(git_objects ../reference/repository.git)" ]] &&
        quiet_git -C repository.git fsck --full --strict &&
        [[ $(quiet_git -C repository.git count-objects -v | sed -n 's/^count: //p; s/^packs: //p; s/^garbage: //p' | xargs) == "0 1 0" ]] &&
        none_left repository.git/gc.pid
}
git_objects() { quiet_git -C "$1" cat-file --batch-all-objects --batch-check | sha256sum; quiet_git -C "$1" for-each-ref; }
