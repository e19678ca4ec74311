# make -j4 over 120 C files: a tree of short-lived processes, with make's own job server pipe, and pipes from compilers to
# assemblers (temporary files are the subject of gcc.sh).
needs="make gcc"
prepare() {
    local i
    for i in {1..120}; do
        cat >"part$i.c" <<END
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
static double table$i[64];
static int compare$i(const void *a, const void *b) { double x = *(const double *)a, y = *(const double *)b; return (x > y) - (x < y); }
double part$i(double x)
{
    for (int k = 0; k < 64; k++) table$i[k] = fmod(x * (k + $i) * 1.6180339887, 97.0);
    qsort(table$i, 64, sizeof table$i[0], compare$i);
    double sum = 0;
    for (int k = 0; k < 64; k++) for (int j = 0; j <= k; j++) sum += table$i[k] * table$i[j] / (1 + k + j + $i);
    char text[64];
    snprintf(text, sizeof text, "%.6f", sum);
    return strtod(text, 0) + strlen(text);
}
END
    done
    {
        echo '#include <stdio.h>'
        for i in {1..120}; do echo "double part$i(double);"; done
        echo 'int main(void) { double x = 1;'
        for i in {1..120}; do echo "x += part$i(x / $i);"; done
        echo 'printf("%.9e\n", x); return 0; }'
    } >main.c
    {
        echo 'objects = main.o $(patsubst %,part%.o,$(shell seq 120))'
        echo 'program: $(objects)'
        printf '\tgcc -o $@ $(objects) -lm\n'
        echo '%.o: %.c'
        printf '\tgcc -O2 -pipe -c -o $@ $<\n'
    } >Makefile
}
start() { export TMPDIR=$PWD; exec make -j4 program; }
check() {
    local i
    for i in {1..120}; do same "part$i.o" || return; done
    same program main.o && [[ $(./program) == "$(../reference/program)" ]] &&
        none_left cc* || return
    # Objects that the original finished while files were remembered are there already: make rightly skips them.
    [[ ${files_put_back:-no} == yes ]] || cmp <(sort stdout.txt) <(sort ../reference/stdout.txt)
}
