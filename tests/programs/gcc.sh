# One large compilation: the gcc driver, its compiler and assembler, a temporary file between them.
needs=gcc
prepare() {
    local i
    {
        echo '#include <string.h>'
        for i in {1..550}; do
            cat <<END
struct s$i { int a[$((i % 13 + 2))]; double d; char c[$((i % 7 + 1))]; };
double f$i(struct s$i *s, const char *text, int n)
{
    double x = s->d; int hash = $i;
    for (int k = 0; k < n; k++) { hash = hash * 33 + text[k]; s->a[k % $((i % 13 + 2))] += hash; x += s->a[(k + 1) % $((i % 13 + 2))] / (k + $i.5); }
    switch (hash & 7) { case 0: x *= 2; break; case 1: x -= hash; break; case 2: memset(s->c, hash, sizeof s->c); break; case 5: x = -x; break; default: x += strlen(text); }
    return x > n ? x - n : x + hash;
}
END
        done
    } >large.c
}
start() { export TMPDIR=$PWD; exec gcc -O2 -o large.o -c large.c; }
check() { same large.o stdout.txt stderr.txt && none_left cc*; }
