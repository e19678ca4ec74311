using Stasis.Linux.Proc;

namespace Stasis.UnitTests.Linux;

public sealed class ProcMapsTests
{
    private const string Line = "7f1a2b3c4000-7f1a2b3c6000 rw-s 00003000 fe:01 1234567                    /tmp/x y";

    private static ProcMapping One(string text) => Assert.Single(ProcMaps.Parse(text));

    [Fact]
    public void A_line_is_read_whole()
    {
        ProcMapping mapping = One(Line);
        Assert.Equal((0x7f1a2b3c4000u, 0x7f1a2b3c6000u, 0x3000u, 0xfeu, 1u, 1234567ul), (mapping.Start, mapping.End, mapping.Offset, mapping.DeviceMajor, mapping.DeviceMinor, mapping.Inode));
        Assert.Equal((Protection.Read | Protection.Write, true, "/tmp/x y"), (mapping.Protection, mapping.Shared, mapping.Name));
        Assert.Equal((0x2000u, "7f1a2b3c4000-7f1a2b3c6000"), (mapping.Length, mapping.Range));
        Assert.Empty(mapping.Flags);
    }

    [Fact]
    public void The_size_of_huge_pages_is_read()
    {
        Assert.Equal(4096ul, One("1000-2000 rw-p 0 0:0 0\nKernelPageSize:        4 kB\nMMUPageSize:        2048 kB\n").PageSize);
        Assert.Equal(2ul << 20, One("200000-400000 rw-p 0 0:0 0\nSize:               2048 kB\nKernelPageSize:     2048 kB\n").PageSize);
        Assert.Equal(4096ul, One("1000-2000 rw-p 0 0:0 0\nKernelPageSize:   99999999999999999999 kB\n").PageSize);
    }

    [Theory]
    [InlineData("", 0)]
    [InlineData("ProtectionKey:         0\n", 0)]
    [InlineData("ProtectionKey:        15\n", 15)]
    [InlineData("ProtectionKey:   9999999999\n", 0)]
    public void The_protection_key_is_read(string line, int key) => Assert.Equal(key, One($"1000-2000 rw-p 0 0:0 0\nVmFlags: rd wr\n{line}").Key);

    [Theory]
    [InlineData("---p", Protection.None, false)]
    [InlineData("r--p", Protection.Read, false)]
    [InlineData("-w-p", Protection.Write, false)]
    [InlineData("--xp", Protection.Execute, false)]
    [InlineData("rwxs", Protection.Read | Protection.Write | Protection.Execute, true)]
    public void Protections_are_read(string text, Protection protection, bool shared)
    {
        ProcMapping mapping = One($"1000-2000 {text} 0 0:0 0\n");
        Assert.Equal((protection, shared), (mapping.Protection, mapping.Shared));
    }

    [Theory]
    [InlineData("/a b  c", "/a b  c")]
    [InlineData("/gone (deleted)", "/gone (deleted)")]
    [InlineData("/two\\012lines", "/two\nlines")]
    [InlineData("/trailing ", "/trailing ")]
    [InlineData("[anon:a name]", "[anon:a name]")]
    [InlineData("/memfd:m (deleted)", "/memfd:m (deleted)")]
    [InlineData("/ä€𝄞", "/ä€𝄞")]
    [InlineData("/dev/zero (deleted)", "/dev/zero (deleted)")]
    public void Names_are_what_they_were(string written, string name) => Assert.Equal(name, One($"1000-2000 r--p 0 0:0 5   {written}\n").Name);

    [Theory]
    [InlineData("1000-2000 r--p 0 0:0 0")]
    [InlineData("1000-2000 r--p 0 0:0 0 ")]
    [InlineData("1000-2000 r--p 00000000 00:00 0                      ")]
    public void A_mapping_may_have_no_name(string text) => Assert.Equal("", One(text).Name);

    [Fact]
    public void The_largest_numbers_are_kept()
    {
        ProcMapping mapping = One("ffffffffff600000-ffffffffffffffff --xp ffffffffffffffff ffffffff:ffffffff 18446744073709551615 [vsyscall]");
        Assert.Equal((0xffffffffff600000, ulong.MaxValue, ulong.MaxValue, uint.MaxValue, uint.MaxValue, ulong.MaxValue),
            (mapping.Start, mapping.End, mapping.Offset, mapping.DeviceMajor, mapping.DeviceMinor, mapping.Inode));
    }

    [Theory]
    [InlineData("10000000000000000-20000000000000000 r--p 0 0:0 0")]
    [InlineData("1000-2000 r--p 10000000000000000 0:0 0")]
    [InlineData("1000-2000 r--p 0 100000000:0 0")]
    [InlineData("1000-2000 r--p 0 0:100000000 0")]
    [InlineData("1000-2000 r--p 0 0:0 18446744073709551616")]
    [InlineData("2000-1000 r--p 0 0:0 0")]
    [InlineData("1000-1000 r--p 0 0:0 0")]
    [InlineData("1000 2000-3000 r--p 0 0:0 0")]
    [InlineData("1000-2000 r--p 0 00 0:0")]
    [InlineData("-1000 r--p 0 0:0 0")]
    [InlineData("1000-2000")]
    [InlineData("1000-2000 r--p")]
    [InlineData("garbage")]
    public void What_is_no_mapping_is_left_out(string text) => Assert.Empty(ProcMaps.Parse(text));

    [Fact]
    public void Every_cut_of_a_line_is_left_out_or_lacks_only_its_end()
    {
        for (int length = 0; length <= Line.Length; length++)
        {
            foreach (ProcMapping mapping in ProcMaps.Parse(Line[..length]))
            {
                Assert.Equal((0x7f1a2b3c4000u, 0x7f1a2b3c6000u, 0x3000u), (mapping.Start, mapping.End, mapping.Offset));
                Assert.StartsWith(mapping.Name, "/tmp/x y", StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void Lines_of_smaps_give_the_flags_of_their_mapping()
    {
        const string Text = """
            1000-2000 r--p 0 08:01 7    /bin/a
            Size:                  4 kB
            VmFlags: rd mr mw me sd
            2000-3000 rw-p 0 0:0 0      [heap]
            Anonymous:             4 kB
            VmFlags: rd wr mr mw me ac sd gd
            3000-4000 rw-p 0 0:0 0
            """;
        List<ProcMapping> mappings = ProcMaps.Parse(Text);
        Assert.Equal(["/bin/a", "[heap]", ""], mappings.Select(mapping => mapping.Name));
        Assert.Equal(["rd", "mr", "mw", "me", "sd"], mappings[0].Flags);
        Assert.True(mappings[1].Has("gd") && !mappings[0].Has("gd") && !mappings[0].Has("r"));
        Assert.Empty(mappings[2].Flags);
    }

    [Fact]
    public void Flags_before_any_mapping_are_nobodys() => Assert.Empty(ProcMaps.Parse("VmFlags: rd wr\n\n"));

    [Fact]
    public void Our_own_mappings_are_in_order_and_have_flags()
    {
        // The collector may grow a mapping between two reads of the file, which then tells it twice: one look in many is undisturbed.
        List<ProcMapping> mappings = [];
        bool ordered = false;
        for (int look = 0; look < 50 && !ordered; look++)
        {
            (Stasis.Linux.SysResult result, mappings) = ProcMaps.Read(Environment.ProcessId);
            Assert.False(result.Failed);
            ordered = mappings.Zip(mappings.Skip(1)).All(pair => pair.First.End <= pair.Second.Start);
        }
        Assert.True(ordered);
        Assert.True(mappings.Count > 10);
        Assert.All(mappings, mapping => Assert.NotEmpty(mapping.Flags));
        Assert.Contains(mappings, mapping => mapping.Name == "[vdso]");
    }
}
