using System.Buffers.Binary;
using System.Runtime.Intrinsics.X86;

namespace Stasis.Remote.X64;

/// <summary>
/// How much of an xsave area (standard format, Intel SDM volume 1, 13.4) a signal frame may carry. ptrace(2) gives room for all that the CPU
/// can have, with AMX 11 KiB; but the kernel takes no frame longer than what this task may use, and of a longer one but the first 512 bytes,
/// so that every register beyond SSE would be lost (check_xstate_in_sigframe, arch/x86/kernel/fpu/signal.c, Linux 5.16). What lies behind
/// the last component in use is in its initial state, which is also what the kernel gives a component that a frame has no room for.
/// </summary>
internal static class ExtendedArea
{
    private const int Header = 512, LegacyAndHeader = Header + 64, FirstExtended = 2, Components = 63;
    private const int StateLeaf = 0xd;
    private static readonly int[] s_ends = Ends();

    /// <summary>The bytes from the area's beginning to the end of its last component in use.</summary>
    public static ReadOnlySpan<byte> Used(ReadOnlySpan<byte> area) => area[..UsedLength(area)];

    public static int UsedLength(ReadOnlySpan<byte> area)
    {
        if (area.Length < LegacyAndHeader) return area.Length;
        ulong inUse = BinaryPrimitives.ReadUInt64LittleEndian(area[Header..]);
        int end = LegacyAndHeader;
        for (int component = FirstExtended; component < Components; component++)
            if ((inUse >> component & 1) != 0) end = Math.Max(end, s_ends[component] == 0 ? area.Length : s_ends[component]);
        return Math.Min(end, area.Length);
    }

    // 0 where the CPU does not tell.
    private static int[] Ends()
    {
        int[] ends = new int[Components];
        for (int component = FirstExtended; component < Components; component++)
        {
            (int size, int offset, _, _) = X86Base.CpuId(StateLeaf, component);
            ends[component] = size == 0 ? 0 : size + offset;
        }
        return ends;
    }
}
