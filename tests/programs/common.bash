# What the scenarios share. Sourced, never executed.

needs=
untouched=

# The system's python, not a shim of a version manager that would start it by way of a shell script.
if [[ -x /usr/bin/python3 ]]; then
    python=/usr/bin/python3
else
    python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null || echo python3)
fi

# Text that looks like words, always the same for the same seed: LINES lines of about 60 characters.
make_text() { # LINES SEED
    perl -e '
        my ($lines, $state) = @ARGV;
        sub draw { $state = ($state * 1103515245 + 12345) & 0x7fffffff; return ($state >> 8) % $_[0]; }
        my @words = map { join "", map { chr(97 + draw(26)) } 1 .. 2 + draw(9) } 1 .. 4000;
        for (1 .. $lines) { print join(" ", map { $words[draw(4000)] } 1 .. 9), "\n"; }
    ' "$1" "$2"
}

same() { # FILE...: each the same, byte for byte, as in ../reference
    local file
    for file in "$@"; do cmp "$file" "../reference/$file" || return; done
}

# Succeeds if no file of these names is left. Files that were put back for a restart may be some more than there were at the
# moment (those that came or went while they were remembered), so there nothing can be said.
none_left() { # FILE...
    [[ ${files_put_back:-no} == yes ]] && return
    local file
    for file in "$@"; do [[ ! -e $file ]] || return; done
}

# Programs that need a terminal are driven by a program of keys (typist), which is part of the tree: so both ends of their terminal are inside.
typist() { # FILE: a program in python with tests/tools/terminal.py at hand
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$(dirname "${BASH_SOURCE[0]}")/../tools exec "$python" "$1"
}
