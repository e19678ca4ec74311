using Stasis.Linux.Proc;

namespace Stasis.UnitTests.Linux;

public sealed class ProcSysvIpcTests
{
    private const string Header = "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n";

    [Fact]
    public void Every_field_has_the_name_of_its_column()
    {
        SysvIpcLine line = Assert.Single(ProcSysvIpc.Parse(Header + "-559038737     123457  1640                 12293    17    18      3  1000   100  4294967294    5 1795362698          0 1795362698                  4096                     0\n"));
        Assert.Equal((-559038737, 123457, Convert.ToInt32("1640", 8), 12293), (line.Key, line["shmid"], line.Mode, line["size"]));
        Assert.Equal((1000u, 100u, 4294967294u, 5u), (line.Uid, line.Gid, line.CreatorUid, line.CreatorGid));
        Assert.Equal((17, 18, 3), (line["cpid"], line["lpid"], line["nattch"]));
        Assert.Equal(0, line["msqid"]);
    }

    [Theory]
    [InlineData("")]
    [InlineData(Header)]
    public void Nothing_there_is_an_empty_list(string text) => Assert.Empty(ProcSysvIpc.Parse(text));

    [Fact]
    public void What_is_no_number_harms_nothing()
    {
        SysvIpcLine line = Assert.Single(ProcSysvIpc.Parse(Header + "x 5 999 18446744073709551615\n"));
        Assert.Equal((5, 0, long.MaxValue, 0), (line["shmid"], line.Mode, line["size"], line["nattch"]));
    }
}
