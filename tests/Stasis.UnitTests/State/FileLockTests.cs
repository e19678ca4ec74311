using System.Buffers.Binary;
using Stasis.Linux.Proc;
using Stasis.State.Descriptors;

namespace Stasis.UnitTests.State;

public sealed class FileLockTests
{
    private static List<FileLock> Parse(params string[] lines) => [.. FileLock.Of(ProcFdInfo.Parse(string.Concat(lines.Select(line => $"lock:\t{line}\n"))))];

    [Fact]
    public void Locks_of_all_kinds_are_read() => Assert.Equal(
        [
            new FileLock("POSIX", true, 4711, 0, -1),
            new FileLock("FLOCK", false, 4711, 0, -1),
            new FileLock("OFDLCK", true, -1, 10, 19),
            new FileLock("POSIX", false, 4711, long.MaxValue - 1, long.MaxValue),
        ],
        Parse("1: POSIX  ADVISORY  WRITE 4711 08:01:1234 0 EOF", "2: FLOCK  ADVISORY  READ 4711 08:01:1234 0 EOF",
            "3: OFDLCK ADVISORY  WRITE -1 08:01:1234 10 19", $"4: POSIX  ADVISORY  READ 4711 08:01:1234 {long.MaxValue - 1} {long.MaxValue}"));

    [Fact]
    public void Who_waits_for_a_lock_has_none() => Assert.Single(Parse("1: POSIX  ADVISORY  WRITE 4711 08:01:1234 0 EOF", "1: -> POSIX  ADVISORY  WRITE 4712 08:01:1234 0 EOF"));

    [Theory]
    [InlineData("")]
    [InlineData("1:")]
    [InlineData("1: POSIX  ADVISORY  WRITE 4711 08:01:1234 0")]
    [InlineData("1: POSIX  ADVISORY  WRITE 4711 08:01:1234 0 E")]
    [InlineData("1: POSIX  ADVISORY  WRITE 4711 08:01:1234 0 99999999999999999999")]
    [InlineData("1: POSIX  ADVISORY  WRITE 4711 08:01:1234 x 5")]
    public void What_is_no_lock_is_left_out(string line) => Assert.Empty(Parse(line));

    [Theory]
    [InlineData(false, 0, -1, 0, 0, 0)]
    [InlineData(true, 5, -1, 1, 5, 0)]
    [InlineData(true, 5, 5, 1, 5, 1)]
    [InlineData(false, 10, 19, 0, 10, 10)]
    [InlineData(true, long.MaxValue, long.MaxValue, 1, long.MaxValue, 1)]
    public void The_struct_for_fcntl(bool write, long start, long end, short type, long l_start, long l_len)
    {
        byte[] flock = FileLock.Bytes(write, start, end);
        Assert.Equal(32, flock.Length);
        Assert.Equal((type, (short)0), (BinaryPrimitives.ReadInt16LittleEndian(flock), BinaryPrimitives.ReadInt16LittleEndian(flock.AsSpan(2))));
        Assert.Equal((l_start, l_len), (BinaryPrimitives.ReadInt64LittleEndian(flock.AsSpan(8)), BinaryPrimitives.ReadInt64LittleEndian(flock.AsSpan(16))));
    }
}
