using Stasis.State.Memory;
using Stasis.State.Threads;

namespace Stasis.UnitTests.State;

public sealed class NumaNodesTests
{
    private static MemoryPolicyRecord Policy(int mode, params int[] nodes)
    {
        byte[] mask = new byte[ThreadSettingsRecord.MaxNodes / 8];
        foreach (int node in nodes) mask[node / 8] |= (byte)(1 << node % 8);
        return new MemoryPolicyRecord(mode, mask);
    }

    [Theory]
    [InlineData("0\n", new[] { 0 })]
    [InlineData("0-2,5", new[] { 0, 1, 2, 5 })]
    [InlineData("", new int[0])]
    [InlineData("x,3-1,7", new[] { 7 })]
    [InlineData("1020-99999", new[] { 1020, 1021, 1022, 1023 })]
    public void Lists_of_nodes_are_read(string text, int[] nodes) => Assert.Equal(nodes, NumaNodes.Parse(text).Order());

    [Theory]
    [InlineData("7f9444acd000 prefer:0 anon=1 dirty=1 N0=1 kernelpagesize_kB=4", 0x7f9444acd000)]
    [InlineData("10000 interleave:0", 0x10000)]
    [InlineData("10000 default file=/bin/x", 0)]
    [InlineData("x bind:0", 0)]
    [InlineData("10000", 0)]
    public void Lines_with_a_policy_are_told_apart(string line, long start) => Assert.Equal(start == 0 ? null : (ulong)start, NumaNodes.WithPolicy(System.Text.Encoding.UTF8.GetBytes(line)));

    /// <summary>2 bind, 4 local; 0x8000 static and 0x4000 relative nodes (include/uapi/linux/mempolicy.h).</summary>
    [Theory]
    [InlineData(2, new[] { 0 }, new int[0])]
    [InlineData(2, new[] { 0, 1 }, new[] { 1 })]
    [InlineData(4, new int[0], new int[0])]
    [InlineData(0x8002, new[] { 0, 1 }, new int[0])]
    [InlineData(0x8002, new[] { 1, 2 }, new[] { 1, 2 })]
    [InlineData(0x4003, new[] { 6 }, new int[0])]
    public void Nodes_that_are_not_here_are_named(int mode, int[] nodes, int[] missing) => Assert.Equal(missing, NumaNodes.Missing(Policy(mode, nodes), new HashSet<int> { 0 }));

    [Fact]
    public void A_policy_is_told_in_words()
    {
        Assert.Equal("bind node 0,9", NumaNodes.Words(Policy(2, 0, 9)));
        Assert.Equal("interleave node 1", NumaNodes.Words(Policy(0x4003, 1)));
        Assert.Equal("policy 77", NumaNodes.Words(Policy(77)));
    }
}
