using Stasis.Linux.Proc;

namespace Stasis.UnitTests.Linux;

public sealed class ProcFdInfoTests
{
    [Fact]
    public void The_lines_of_every_kind_are_read()
    {
        ProcFdInfo information = ProcFdInfo.Parse("pos:\t4096\nflags:\t02104002\nmnt_id:\t29\nino:\t1062\nlock:\t1: POSIX  ADVISORY  WRITE 7 08:01:1234 0 EOF\nlock:\t2: FLOCK  ADVISORY  READ 7 08:01:1234 0 EOF\n");
        Assert.Equal((4096L, 0x88802, 29), (information.Position, information.Flags, information.MountId));
        Assert.Equal(["1: POSIX  ADVISORY  WRITE 7 08:01:1234 0 EOF", "2: FLOCK  ADVISORY  READ 7 08:01:1234 0 EOF"], information.All("lock"));
        Assert.Equal(1062, information.Decimal("ino"));
    }

    [Fact]
    public void Fields_special_to_a_kind_are_read()
    {
        ProcFdInfo information = ProcFdInfo.Parse("pos:\t0\nflags:\t02\neventfd-count:                3\nsigmask:\tfffffffe7ffbfeff\nclockid: -6\nit_value: (0, 499999999)\n");
        Assert.Equal(3u, information.Hex("eventfd-count"));
        Assert.Equal(0xfffffffe7ffbfeff, information.Hex("sigmask"));
        Assert.Equal(-6, information.Decimal("clockid"));
        Assert.Equal("(0, 499999999)", information.Field("it_value"));
    }

    [Fact]
    public void A_name_is_matched_whole()
    {
        ProcFdInfo information = ProcFdInfo.Parse("position:\t5\nposi\npos\n pos:\t7\nlocks:\t1\n");
        Assert.Equal("", information.Field("pos"));
        Assert.Equal(0, information.Position);
        Assert.Empty(information.All("lock"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("\n\n\n")]
    [InlineData("pos:\nflags:\nmnt_id:\n")]
    [InlineData("pos:\t99999999999999999999\nflags:\txyz\nmnt_id:\t99999999999\n")]
    public void What_is_not_there_or_does_not_fit_is_zero(string text)
    {
        ProcFdInfo information = ProcFdInfo.Parse(text);
        Assert.Equal((0L, 0, 0), (information.Position, information.Flags, information.MountId));
    }

    [Fact]
    public void The_largest_position_is_kept() => Assert.Equal(long.MaxValue, ProcFdInfo.Parse("pos:\t9223372036854775807\n").Position);

    [Fact]
    public void Every_cut_of_it_is_read_without_an_error()
    {
        const string Text = "pos:\t4096\nflags:\t02104002\nmnt_id:\t29\ntfd:        5 events:       19 data: ffffffffffffffff  pos:0 ino:3d sdev:d\n";
        for (int length = 0; length <= Text.Length; length++) Assert.InRange(ProcFdInfo.Parse(Text[..length]).Position, 0, 4096);
    }
}
