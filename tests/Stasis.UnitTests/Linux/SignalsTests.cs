using Stasis.Linux;

namespace Stasis.UnitTests.Linux;

public sealed class SignalsTests
{
    [Theory]
    [InlineData(1, "SIGHUP")]
    [InlineData(7, "SIGBUS")]
    [InlineData(9, "SIGKILL")]
    [InlineData(16, "SIGSTKFLT")]
    [InlineData(17, "SIGCHLD")]
    [InlineData(29, "SIGIO")]
    [InlineData(31, "SIGSYS")]
    [InlineData(0, "signal 0")]
    [InlineData(32, "signal 32")]
    [InlineData(64, "signal 64")]
    [InlineData(-1, "signal -1")]
    [InlineData(int.MinValue, "signal -2147483648")]
    public void Names(int signal, string name) => Assert.Equal(name, Signals.Name(signal));

    [Fact]
    public void Constants_agree_with_the_names()
    {
        foreach (System.Reflection.FieldInfo field in typeof(Signals).GetFields().Where(field => field.Name.StartsWith("SIG", StringComparison.Ordinal)))
            Assert.Equal(field.Name, Signals.Name((int)field.GetRawConstantValue()!));
    }

    [Fact]
    public void Bits()
    {
        Assert.Equal(1ul, Signals.Bit(1));
        Assert.Equal(1ul << 63, Signals.Bit(64));
        Assert.Equal(1ul << 8, Signals.Bit(Signals.SIGKILL));
    }

    [Fact]
    public void Four_signals_stop() => Assert.Equal([19, 20, 21, 22], Enumerable.Range(-1, 70).Where(Signals.IsStop));

    [Theory]
    [InlineData(0, false)]
    [InlineData(-1, true)]
    [InlineData(-4095, true)]
    [InlineData(-4096, false)]
    [InlineData(long.MinValue, false)]
    [InlineData(long.MaxValue, false)]
    public void Only_the_last_page_of_results_is_errors(long raw, bool failed)
    {
        var result = new SysResult(raw);
        Assert.Equal(failed, result.Failed);
        if (failed) Assert.Throws<InvalidOperationException>(() => result.Value);
        else Assert.Equal((raw, Errno.None), (result.Value, result.Errno));
    }

    [Fact]
    public void A_refusal_tells_call_errno_and_whose()
    {
        var refusal = Assert.Throws<KernelRefusal>(() => SysResult.Error(Errno.EPERM).OrThrow("dup3 to descriptor 4", "process 7"));
        Assert.Equal(("dup3 to descriptor 4 in process 7: EPERM", Errno.EPERM), (refusal.Message, refusal.Errno));
    }
}
