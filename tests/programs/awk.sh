# awk: arrays, floating point, printf; reads one file and appends to several.
needs=awk
prepare() { make_text 900000 5 >text; }
start() {
    exec awk '
        { for (i = 1; i <= NF; i++) { count[$i]++; weight[$i] += sin(NR) / i; print $i >> ("part" (length($i) % 4)) } }
        NR % 20000 == 0 { printf "%d lines\n", NR }
        END { for (word in count) printf "%s %d %.12g\n", word, count[word], weight[word] | "sort" }' text
}
check() { same stdout.txt part0 part1 part2 part3; }
