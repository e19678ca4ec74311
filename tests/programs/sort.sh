# sort with little memory: many temporary files, some open, some waiting under their names only.
prepare() { make_text 3000000 2 >text; mkdir temporary; }
start() { exec sort -S 1M --parallel=2 --batch-size=3 -T temporary text >sorted; }
check() { same sorted && none_left temporary/*; }
