namespace Stasis.ProcessTests;

/// <summary>What every other test here stands on.</summary>
public sealed class CageTests
{
    [Fact]
    public void What_hangs_is_ended_with_its_cage_and_its_state_is_told()
    {
        string name = $"hangs-{Environment.ProcessId}";
        TestFailedException failure = Assert.Throws<TestFailedException>(() => Cage.Script(name, "setsid sleep 54321 & echo started; sleep 54321", limitSeconds: 2));
        Assert.Contains("started", failure.Message);
        Assert.Contains("did not end within 2 s", failure.Message);
        Assert.Contains("sleep 54321", failure.Message);
        Assert.Contains("wchan", failure.Message);
        // Killed processes may take a moment to go.
        for (int tries = 0; tries < 1500 && Remaining(); tries++)
            Thread.Sleep(20);
        Assert.False(Remaining(), "a process of the cage is left");

        bool Remaining() => Directory.GetDirectories("/proc").Any(process => Text(Path.Combine(process, "cmdline")).Contains("sleep\0" + "54321", StringComparison.Ordinal));
    }

    [Fact]
    public void What_fails_keeps_its_files_and_says_where()
    {
        TestFailedException failure = Assert.Throws<TestFailedException>(() => Cage.Script("fails", "echo kept >file; failed 'on purpose'"));
        Assert.Contains("FAILED: on purpose", failure.Message);
        string files = failure.Message.Split('\n').Single(line => line.StartsWith("files:", StringComparison.Ordinal))["files:".Length..].Trim();
        Assert.Equal("kept\n", File.ReadAllText(Path.Combine(files, "file")));
        Directory.Delete(Path.GetDirectoryName(files)!, recursive: true);
    }

    [Fact]
    public void What_can_not_be_tested_here_is_skipped()
    {
        TestSkippedException skipped = Assert.Throws<TestSkippedException>(() => Cage.Script("skips", "needs no-such-program"));
        Assert.Equal("no-such-program is not installed", skipped.Message);
    }

    [Fact]
    public void Nothing_is_inherited_and_nobody_else_is_seen() => Cage.Script("bare", """
        # Into a file: a pipe to read from would be a descriptor of the shell. The script itself is one.
        ls -l /proc/$$/fd >descriptors
        ! grep -E ' ([3-9]|[0-9]{2,}) -> ' descriptors | grep -v ' -> /tmp/script$' || failed "a descriptor was inherited"
        [ "$(readlink /proc/self/fd/0)" = /dev/null ] || failed "the input is $(readlink /proc/self/fd/0)"
        # The C library's posix_spawn ignores its two internal signals, 32 and 33, and nobody can undo that.
        grep -qE '^SigIgn:[[:space:]](0{16}|0000000180000000)$' /proc/self/status || failed "signals are ignored: $(grep SigIgn /proc/self/status)"
        grep -qE '^SigBlk:[[:space:]]0+$' /proc/self/status || failed "signals are blocked: $(grep SigBlk /proc/self/status)"
        [ "$(umask)" = 0022 ] || failed "the umask is $(umask)"
        [ "$$" = 1 ] || failed "this is process $$"
        [ "$PWD" = /tmp/work ] || failed "the working directory is $PWD"
        [ -w "$HOME" ] && [ "${HOME#/tmp/}" != "$HOME" ] || failed "HOME is $HOME"
        [ "$(cut -d' ' -f7 /proc/$$/stat)" = 0 ] || failed "there is a terminal"
        timeout 10 bash -c 'exec 3<>/dev/tcp/127.0.0.1/1' 2>&1 | grep -q refused || failed "the loopback is not up"
        expect_processes 1
        """);

    private static string Text(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
