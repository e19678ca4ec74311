# tar with gzip: tar walks a tree and writes into a pipe to gzip.
needs="tar gzip"
untouched=tree # tar complains when a ctime changes while it reads
prepare() {
    local i
    mkdir tree
    for i in {1..90}; do
        mkdir -p "tree/$((i % 7))/$i"
        make_text 20000 "$i" | split -l 1000 - "tree/$((i % 7))/$i/file"
    done
}
start() { exec tar --create --sort=name --use-compress-program="gzip -9" --file=tree.tgz tree; }
check() { same tree.tgz stdout.txt stderr.txt; }
