using Xunit;

namespace Stasis.ProcessTests;

/// <summary>Connections to programs that are not checkpointed: closed on request, and those of the C library, which connects again.</summary>
public sealed class OutsideSocketTests
{
    [Fact]
    public void They_are_refused_by_name_or_closed_on_request() => Cage.Script("outside-closed", """
        start_victim unix_outside_closed
        tool checkpoint $pid -o image
        expect_code 69
        expect_says 'its other end is held by outside \(pid [0-9]+\)'
        expect_says 'outside-sockets close'
        tool checkpoint $pid -o image --outside-sockets perhaps
        expect_code 64
        tool checkpoint $pid -o image --outside-sockets close
        expect_code 0
        expect_says 'Not as it was: unix_outside'
        await_end $pid 30
        tool restart image --detach
        expect_code 0
        verify_victim
        """);

    // A socket at /dev/log of the cage's own, and a daemon that writes down what it hears.
    private const string Syslog = """
        mkdir dev
        mount -t tmpfs tmpfs dev
        cp -a /dev/null /dev/zero /dev/full /dev/urandom /dev/random /dev/tty dev/
        mount --bind dev /dev
        cat >daemon.py <<'END'
        import os, socket, sys
        if os.path.exists('/dev/log'): os.unlink('/dev/log')
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM if sys.argv[1] == 'dgram' else socket.SOCK_STREAM)
        s.bind('/dev/log')
        open(sys.argv[2], 'wb').close()
        if sys.argv[1] == 'stream':
            s.listen(5)
            s, _ = s.accept()
        while True:
            text = s.recv(4096)
            if not text: s.close(); sys.exit()
            with open(sys.argv[2], 'ab') as log: log.write(text + b'\n')
        END
        daemon() { # TYPE LOG
          setsid python3 daemon.py "$1" "$2" </dev/null >daemon.txt 2>&1 &
          daemon=$!
          disown
          local tries=1500
          until [ -e "$2" ]; do tries=$((tries - 1)); [ $tries -gt 0 ] || failed "no daemon: $(cat daemon.txt)"; sleep 0.02; done
        }
        heard() { # LOG WORD
          local tries=1500
          until grep -q "$2" "$1"; do tries=$((tries - 1)); [ $tries -gt 0 ] || failed "the daemon has not heard '$2'"; sleep 0.02; done
        }
        finish() {
          echo verify >cwd/verify
          heard "$1" after
          touch cwd/heard
          await_file cwd/result 30 || failed "no result"
          [ "$(cat cwd/result)" = ok ] || failed "$(cat cwd/result)"
        }
        """;

    [Theory]
    [InlineData("dgram")]
    [InlineData("stream")]
    public void Syslog_goes_on_with_the_same_daemon(string type) => Cage.Script($"syslog-{type}", Syslog + "\n" + $"""
        daemon {type} first
        start_victim syslog
        heard first before
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30
        [ {type} = dgram ] || {"{ sleep 0.2; daemon stream second; }"}
        tool restart image --detach
        expect_code 0
        finish $([ {type} = dgram ] && echo first || echo second)
        """);

    [Fact]
    public void Syslog_goes_on_when_its_daemon_was_away() => Cage.Script("syslog-away", Syslog + "\n" + """
        daemon dgram first
        start_victim syslog
        heard first before
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30
        kill -9 $daemon
        sleep 0.1
        tool restart image --detach
        expect_code 0
        sleep 0.2
        daemon dgram second
        finish second
        """);

    [Theory]
    [InlineData("there")]
    [InlineData("away")]
    [InlineData("anew")]
    public void Users_are_found_whatever_has_become_of_nscd(string nscd) => Cage.Script($"nscd-{nscd}", $"""
        for place in /var/cache/nscd /var/run/nscd; do mkdir -p $place; mount -t tmpfs tmpfs $place; done
        # Its socket has a name before it listens; a program whose first question is refused never maps the table.
        start_nscd() {"{"}
          setsid nscd -F </dev/null >nscd.txt 2>&1 &
          nscd=$!
          disown
          local tries=1500
          until nscd -g >/dev/null 2>&1; do tries=$((tries - 1)); [ $tries -gt 0 ] || failed "no nscd: $(cat nscd.txt)"; sleep 0.02; done
        {"}"}
        start_nscd
        getent passwd root >/dev/null
        start_victim nscd
        tool checkpoint $pid -o image
        expect_code 0
        await_end $pid 30
        if [ {nscd} != there ]; then
          kill -9 $nscd
          sleep 0.1
          rm -f /var/cache/nscd/* /var/run/nscd/*
        fi
        [ {nscd} != anew ] || start_nscd
        tool restart image --detach
        expect_code 0
        verify_victim
        """);
}
