#!/usr/bin/perl
# The computation of the demo: among the numbers below LIMIT, which takes the most steps of "halve it if even, else triple
# it and add one" until it is 1? A coordinator and four workers, connected by pipes. Knows nothing of checkpoints.
use strict;
use warnings;
use integer;

my ($limit, $workers, $portion) = ($ARGV[0], 4, $ARGV[0] / 40);
my @results;
for my $worker (0 .. $workers - 1) {
    pipe my $from, my $to or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    work($to, $worker) if $pid == 0;
    close $to;
    $results[$worker] = $from;
}

$| = 1;
my ($most, $champion) = (0, 0);
for my $turn (0 .. $limit / $portion - 1) {
    my $line = readline $results[$turn % $workers];
    die "worker ended early\n" unless defined $line;
    my ($number, $steps, $sum) = split ' ', $line;
    ($most, $champion) = ($steps, $number) if $steps > $most;
    printf "below %7d: %7d with %d steps   (here %7d with %d, checksum %d)\n",
        ($turn + 1) * $portion, $champion, $most, $number, $steps, $sum;
}
1 while wait != -1;

sub work {
    my ($to, $worker) = @_;
    select $to;
    $| = 1;
    for (my $turn = $worker; $turn < $limit / $portion; $turn += $workers) {
        my ($best, $number, $sum) = (0, 0, 0);
        for my $start ($turn * $portion + 1 .. ($turn + 1) * $portion) {
            my ($n, $steps) = ($start, 0);
            while ($n != 1) { $n = $n & 1 ? 3 * $n + 1 : $n / 2; $steps++; }
            ($best, $number) = ($steps, $start) if $steps > $best;
            $sum = ($sum * 31 + $steps) % 1000003;
        }
        print "$number $best $sum\n";
    }
    exit 0;
}
