# A bash pipeline of five programs: pipes with content in them, six processes in one group.
prepare() { make_text 650000 3 | gzip -1 >text.gz; }
start() {
    exec bash -c 'gzip -dc text.gz | tr a-z n-za-m | sed -E "s/([a-z])([a-z])/\2\1/g" |
        awk "{ n[length(\$1)]++; print NR, n[length(\$1)], \$0 }" | gzip -9 >result.gz; echo "${PIPESTATUS[*]}" >ends'
}
check() { same result.gz ends; }
