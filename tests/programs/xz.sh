# xz -9 with two threads: threads that hand large blocks to each other, hundreds of megabytes of memory.
needs=xz
prepare() { make_text 190000 1 >text; }
start() { exec xz -9 -T2 --block-size=2MiB --keep --stdout text >text.xz; }
check() { same text.xz; }
