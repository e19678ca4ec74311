# The Erlang machine: schedulers that wait in epoll and futexes, a port program for names, hundreds of its own processes with timers.
needs="erlc erl"
prepare() {
    cat >sums.erl <<'END'
-module(sums).
-export([main/0]).

main() ->
    Self = self(),
    [spawn(fun() -> work(Self, I, 60, I) end) || I <- lists:seq(1, 200)],
    Results = lists:sort([receive {done, I, Sum} -> {I, Sum} end || _ <- lists:seq(1, 200)]),
    [io:format("~p ~p~n", [I, Sum]) || {I, Sum} <- Results].

work(To, I, 0, Sum) -> To ! {done, I, Sum};
work(To, I, N, Sum) ->
    timer:sleep(40 + I rem 7),
    work(To, I, N - 1, (Sum * 31 + N) rem 1000000007).
END
    erlc sums.erl
}
start() { export HOME=$PWD; exec erl -noshell -s sums main -s init stop; }
check() { same stdout.txt stderr.txt && [[ $(wc -l <stdout.txt) -eq 200 ]]; }
