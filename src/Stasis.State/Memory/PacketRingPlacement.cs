using Stasis.Linux;
using Stasis.Remote;

namespace Stasis.State.Memory;

/// <summary>
/// Maps rings of packets where they were, or the parts that a program had of them. The kernel maps one only as a whole and from its beginning
/// (net/packet/af_packet.c, packet_mmap), anywhere; from there a part can be moved.
/// </summary>
internal sealed class PacketRingPlacement(BlankTask task, IReadOnlyList<MappingRecord> parts, Func<MappingRecord, int> descriptorOf)
{
    private const int MAP_SHARED = 1, MREMAP_MAYMOVE = 1, MREMAP_FIXED = 2;

    /// <summary>When everything else is mapped, and the places are reserved.</summary>
    public void Run()
    {
        var batch = new TapeBatch(task);
        List<(MappingRecord Part, TapeCall Whole)> made = [.. parts.Select(part =>
            (part, batch.Tape.Call($"mmap of the ring of packets at {part.Start:x}", Syscall.mmap, 0, part.Whole, part.Protection, MAP_SHARED, descriptorOf(part), 0)))];
        batch.Flush();
        foreach ((MappingRecord part, TapeCall whole) in made)
        {
            ulong start = (ulong)whole.Result.Value, before = part.Offset, behind = part.Whole - part.Offset - part.Length;
            Tape tape = batch.Tape;
            tape.Call($"mremap of the ring of packets to {part.Start:x}", Syscall.mremap, start + before, part.Length, part.Length, MREMAP_MAYMOVE | MREMAP_FIXED, part.Start);
            if (before > 0) tape.Call("munmap of the rest of a ring of packets", Syscall.munmap, start, before);
            if (behind > 0) tape.Call("munmap of the rest of a ring of packets", Syscall.munmap, start + before + part.Length, behind);
        }
        batch.Flush();
    }
}
