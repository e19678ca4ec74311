using System.Buffers.Binary;
using System.Runtime.Intrinsics.X86;

namespace Stasis.Linux;

/// <summary>Where one component of the extended state lies in an xsave area: its number (bit of XCR0), offset and length in bytes.</summary>
public readonly record struct ExtendedPlace(int Component, int Offset, int Length);

/// <summary>
/// How a CPU lays the components of its extended state out in an xsave area (standard format, Intel SDM volume 1, 13.4): its own choice,
/// which CPUID leaf 0xd tells. Of two CPUs with the same features one may have PKRU at 2432 and the other at 2688.
/// x87 and SSE (components 0 and 1) are the first 512 bytes of every area, the header follows.
/// </summary>
public sealed class ExtendedLayout(IEnumerable<ExtendedPlace> places)
{
    /// <summary>Bytes before the first component that has a place of its own.</summary>
    public const int LegacyAndHeader = Header + 64;
    /// <summary>The first component that has one, and the number behind the last.</summary>
    public const int First = 2, Components = 63;
    /// <summary>The rights of memory protection keys.</summary>
    public const int Pkru = 9;
    private const int Mxcsr = 24, MxcsrMask = 28, Features = 464, Header = 512, StateLeaf = 0xd, Supervisor = 1;
    // What FXSAVE means where it tells no mask (Intel SDM volume 1, 11.6.6).
    private const uint UntoldMxcsrMask = 0xffbf;

    private readonly Dictionary<int, ExtendedPlace> _places = places.ToDictionary(place => place.Component);

    /// <summary>That of this CPU.</summary>
    public static ExtendedLayout Here { get; } = new(Enumerable.Range(First, Components - First).Select(OfThisCpu).Where(place => place.Offset > 0));

    /// <summary>XCR0 of the CPU that an area is from, as ptrace tells it (arch/x86/kernel/fpu/xstate.h, xfeatures of struct _fpx_sw_bytes).</summary>
    public static ulong FeaturesOf(ReadOnlySpan<byte> area) => BinaryPrimitives.ReadUInt64LittleEndian(area[Features..]);

    /// <summary>XSTATE_BV: the components that are not in their initial state.</summary>
    public static ulong InUse(ReadOnlySpan<byte> area) => BinaryPrimitives.ReadUInt64LittleEndian(area[Header..]);

    /// <summary>Whether the header is one of the standard format, the only one that ptrace takes; the rest of it is reserved.</summary>
    public static bool IsStandard(ReadOnlySpan<byte> area) => !area[(Header + 8)..LegacyAndHeader].ContainsAnyExcept((byte)0);

    /// <summary>Bits of MXCSR that are set in an area and that a CPU does not know, of which <paramref name="here"/> is an area. Loading them is a fault.</summary>
    public static uint UnknownMxcsr(ReadOnlySpan<byte> area, ReadOnlySpan<byte> here)
    {
        uint mask = BinaryPrimitives.ReadUInt32LittleEndian(here[MxcsrMask..]);
        return BinaryPrimitives.ReadUInt32LittleEndian(area[Mxcsr..]) & ~(mask == 0 ? UntoldMxcsrMask : mask);
    }

    /// <summary>The places of these components.</summary>
    public ExtendedPlace[] Of(ulong components) => [.. _places.Values.Where(place => (components >> place.Component & 1) != 0)];

    /// <summary>
    /// Bytes from an area's beginning to the end of its last component in use; the whole where one of them has no place here. No signal
    /// frame may have more: ptrace(2) gives room for all that the CPU can have, with AMX 11 KiB, but the kernel takes no frame longer than
    /// what this task may use, and of a longer one but the first 512 bytes (check_xstate_in_sigframe, arch/x86/kernel/fpu/signal.c, Linux
    /// 5.16). What lies behind is in its initial state, which is also what the kernel gives a component that a frame has no room for.
    /// </summary>
    public int UsedLength(ReadOnlySpan<byte> area)
    {
        int end = LegacyAndHeader;
        foreach (int component in ComponentsInUse(area))
            end = Math.Max(end, _places.TryGetValue(component, out ExtendedPlace place) ? place.Offset + place.Length : area.Length);
        return Math.Min(end, area.Length);
    }

    /// <summary>The components in use in an area of this layout that another has no room for, or room of another length; 0 where it can move.</summary>
    public ulong Immovable(ReadOnlySpan<byte> area, ExtendedLayout to) =>
        ComponentsInUse(area).Where(component => !_places.TryGetValue(component, out ExtendedPlace from) || !to._places.TryGetValue(component, out ExtendedPlace place) || place.Length != from.Length)
            .Aggregate(0ul, (all, component) => all | 1ul << component);

    /// <summary>An area of this layout as an area of another, with <paramref name="length"/> bytes.</summary>
    public byte[] Move(ReadOnlySpan<byte> area, ExtendedLayout to, int length)
    {
        byte[] moved = new byte[length];
        area[..LegacyAndHeader].CopyTo(moved);
        foreach (int component in ComponentsInUse(area))
            area.Slice(_places[component].Offset, _places[component].Length).CopyTo(moved.AsSpan(to._places[component].Offset));
        return moved;
    }

    private static IEnumerable<int> ComponentsInUse(ReadOnlySpan<byte> area)
    {
        ulong inUse = InUse(area);
        return Enumerable.Range(First, Components - First).Where(component => (inUse >> component & 1) != 0);
    }

    // Offset 0 where there is none. Components of the supervisor have no place in an area of the standard format.
    private static ExtendedPlace OfThisCpu(int component)
    {
        (int length, int offset, int flags, _) = X86Base.CpuId(StateLeaf, component);
        return new ExtendedPlace(component, length == 0 || (flags & Supervisor) != 0 ? 0 : offset, length);
    }
}
