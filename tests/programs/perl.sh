# perl: one process, hashes and regular expressions, an alarm that ticks all the while.
needs=perl
prepare() {
    make_text 30000 4 >text
    cat >words.pl <<'END'
use strict; use warnings; use Time::HiRes qw(setitimer ITIMER_REAL);
my ($ticks, %pairs, %count) = (0);
$SIG{ALRM} = sub { $ticks++ };
setitimer(ITIMER_REAL, 0.01, 0.01);
for my $turn (1 .. 11) {
    open my $in, '<', 'text' or die $!;
    my $last = '';
    while (my $line = <$in>) {
        for my $word ($line =~ /(\w+)/g) {
            $count{$word} += $turn;
            $pairs{substr($last, 0, 2) . substr($word, 0, 2)}++;
            $last = $word;
        }
    }
    print "turn $turn: ", scalar(keys %count), " words, ", scalar(keys %pairs), " pairs\n";
}
setitimer(ITIMER_REAL, 0);
print "$_ $count{$_}\n" for sort keys %count;
print "$_ $pairs{$_}\n" for sort keys %pairs;
print STDERR "the alarm never rang\n" if $ticks < 10;
END
}
start() { exec perl words.pl; }
check() { same stdout.txt stderr.txt; }
