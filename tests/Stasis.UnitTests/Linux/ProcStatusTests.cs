using Stasis.Linux.Proc;

namespace Stasis.UnitTests.Linux;

public sealed class ProcStatusTests
{
    private const string Text = "Name:\ta: b\\nc\nUmask:\t0022\nState:\tS (sleeping)\nUid:\t0\t1000\t4294967295\t7\nGroups:\t4 24 27 \nVmRSS:\t  123456 kB\n"
        + "CapEff:\t000001ffffffffff\nNSpid:\t4711\t12\t1\nSigQ:\t0/7650\nNoNewPrivs:\t1\nEmpty:\t\n";

    [Fact]
    public void Fields_are_read_in_their_forms()
    {
        ProcStatus status = ProcStatus.Parse(Text);
        Assert.Equal("a: b\\nc", status.Text("Name"));
        Assert.Equal(18, status.Octal("Umask"));
        Assert.Equal([0u, 1000u, uint.MaxValue, 7u], status.Numbers("Uid"));
        Assert.Equal([4u, 24u, 27u], status.Numbers("Groups"));
        Assert.Equal(0x1ffffffffffu, status.Hex("CapEff"));
        Assert.Equal([4711u, 12u, 1u], status.Numbers("NSpid"));
        Assert.Equal(4711, status.Number("NSpid"));
        Assert.Equal(123456, status.Number("VmRSS"));
        Assert.Equal(1, status.Number("NoNewPrivs"));
    }

    [Theory]
    [InlineData("Missing")]
    [InlineData("Empty")]
    [InlineData("")]
    [InlineData("name")]
    public void A_field_that_is_not_there_is_empty(string field)
    {
        ProcStatus status = ProcStatus.Parse(Text);
        Assert.Equal("", status.Text(field));
        Assert.Equal(0, status.Number(field));
        Assert.Equal(0u, status.Hex(field));
        Assert.Equal(0, status.Octal(field));
        Assert.Empty(status.Numbers(field));
    }

    [Theory]
    [InlineData("99999999999999999999999999")]
    [InlineData("-99999999999999999999999999")]
    [InlineData("nonsense")]
    [InlineData("8z")]
    public void Numbers_that_do_not_fit_are_zero(string value)
    {
        ProcStatus status = ProcStatus.Parse($"Field:\t{value}\n");
        Assert.Equal(0, status.Number("Field"));
        Assert.Equal(0u, status.Hex("Field"));
        Assert.Equal(0, status.Octal("Field"));
        Assert.Equal([0u], status.Numbers("Field"));
    }

    [Theory]
    [InlineData("")]
    [InlineData(":::\n:\n\n")]
    [InlineData("no colon at all")]
    public void Text_without_fields_has_none(string text) => Assert.Equal("", ProcStatus.Parse(text).Text(""));

    [Fact]
    public void Every_cut_of_it_is_read_without_an_error()
    {
        for (int length = 0; length <= Text.Length; length++)
        {
            ProcStatus status = ProcStatus.Parse(Text[..length]);
            Assert.True(status.Numbers("Uid").Length <= 4);
        }
    }
}
