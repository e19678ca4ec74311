using Stasis.Image;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State.AsynchronousIo;
using Stasis.State.Processes;
using Stasis.State.SystemV;

namespace Stasis.State.Memory;

/// <summary>Gives a blank process the address space of the image: by its own tape, page content by preadv straight into place.</summary>
public sealed class MemoryRestore(BlankTask task, ProcessRecord process, PageReader pages, int pagesDescriptor, Func<MappingRecord, int> descriptorOf, IReadOnlyDictionary<int, ulong> segmentRooms)
{
    private const int MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20, MAP_GROWSDOWN = 0x100, MAP_NORESERVE = 0x4000, MAP_FIXED_NOREPLACE = 0x100000;
    private const int MREMAP_MAYMOVE = 1, MREMAP_FIXED = 2;
    private const int PR_SET_MM = 35, PR_SET_MM_MAP = 14, PR_SET_VMA = 0x53564d41;
    private const int MADV_GUARD_INSTALL = 102, MLOCK_ONFAULT = 1;
    private const int MaxVectors = 512;
    private const ulong MaxRead = 512 * 1024 * 1024;

    private static readonly (string Flag, int Advice)[] s_advice =
        [("rr", 1), ("sr", 2), ("dc", 10), ("mg", 12), ("hg", 14), ("nh", 15), ("dd", 16), ("wf", 18)];

    /// <summary>The kernel's own mappings of a blank process, by name: what there is to move.</summary>
    public static List<ProcMapping> KernelMappingsOf(BlankTask blank)
    {
        (SysResult result, List<ProcMapping> mappings) = ProcMaps.Read(blank.Tid);
        result.OrThrow($"read of /proc/{blank.Tid}/smaps");
        return [.. mappings.Where(KernelMappings.Moves)];
    }

    /// <summary>Errors: <see cref="KernelRefusal"/> that names the mapping.</summary>
    public void Run(ulong parking)
    {
        var batch = new TapeBatch(task);
        ClearOldSpace(batch.Tape, parking);
        ProtectionKeys.Take(batch.Tape, process);
        foreach (MappingRecord mapping in process.Mappings.Where(mapping => mapping.Kind is not (MappingKind.Kernel or MappingKind.Segment))) Map(batch.Tape, mapping);
        foreach (SegmentAttach attach in SegmentAttach.Of(process.Mappings)) attach.Add(batch.Tape, segmentRooms[attach.Segment]);
        if (process.AsyncContexts.Length > 0)
        {
            batch.Flush();
            foreach (AsyncContextRecord context in process.AsyncContexts) AsyncContextRestore.Run(task, context);
        }
        if (process.Mappings.Any(mapping => mapping.Kind == MappingKind.Ring))
        {
            batch.Flush();
            new RingPlacement(task, [.. process.Mappings.Where(mapping => mapping.Kind == MappingKind.Ring)], descriptorOf).Run();
        }
        if (process.Mappings.Any(mapping => mapping.Kind == MappingKind.PacketRing))
        {
            batch.Flush();
            new PacketRingPlacement(task, [.. process.Mappings.Where(mapping => mapping.Kind == MappingKind.PacketRing)], descriptorOf).Run();
        }
        foreach (MappingRecord mapping in process.Mappings.Where(mapping => mapping.Kind != MappingKind.Kernel)) Advise(batch.Tape, mapping);
        // Before there are pages: they are to come from where the policies say.
        foreach (MappingRecord mapping in process.Mappings) MappingPolicies.AddCalls(batch, mapping);
        foreach (MappingRecord mapping in process.Mappings.Where(mapping => mapping.Pages is not null)) Fill(batch, mapping);
        batch.Flush();
        CheckFills();
        foreach (MappingRecord mapping in process.Mappings.Where(mapping => mapping.Kind != MappingKind.Kernel)) Finish(batch, mapping);
        ProtectionKeys.Release(batch.Tape, process);
        batch.Flush();
        foreach (TapeCall held in _locks.Where(held => held.Result.Errno is not (Errno.None or Errno.ENOMEM or Errno.EAGAIN))) held.Result.OrThrow("mlock", task.Tracee.Whose);
    }

    // The kernel's mappings go to a parking place first: their old and new places may overlap.
    private void ClearOldSpace(Tape tape, ulong parking)
    {
        (SysResult result, List<ProcMapping> old) = ProcMaps.Read(task.Tid);
        result.OrThrow($"read of /proc/{task.Tid}/smaps");
        List<(ulong Parked, ulong Target, ulong Length, string Name)> moves = [];
        foreach (ProcMapping mapping in old)
        {
            if (mapping.Name == "[vsyscall]" || mapping.Start == task.Arena.Base) continue;
            MappingRecord? wanted = KernelMappings.Moves(mapping) ? process.Mappings.FirstOrDefault(m => m.Kind == MappingKind.Kernel && m.Name == mapping.Name && m.Length == mapping.Length) : null;
            if (wanted is null)
            {
                tape.Call($"munmap of the blank's {mapping.Description}", Syscall.munmap, mapping.Start, mapping.Length);
                continue;
            }
            tape.Call($"mremap of {mapping.Name}", Syscall.mremap, mapping.Start, mapping.Length, mapping.Length, MREMAP_MAYMOVE | MREMAP_FIXED, parking);
            moves.Add((parking, wanted.Start, mapping.Length, mapping.Name));
            parking += mapping.Length;
        }
        foreach ((ulong parked, ulong target, ulong length, string name) in moves)
            tape.Call($"mremap of {name} to {target:x}", Syscall.mremap, parked, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, target);
    }

    // Private memory that gets content is writable until it has it.
    private static int FirstProtection(MappingRecord mapping) => mapping.Pages is null ? mapping.Protection : (int)(Protection.Read | Protection.Write);

    private void Map(Tape tape, MappingRecord mapping)
    {
        if (mapping.Kind is MappingKind.Ring or MappingKind.AsyncContext or MappingKind.PacketRing)
        {
            RingPlacement.Reserve(tape, mapping.Start, mapping.Length);
            return;
        }
        int flags = MAP_FIXED_NOREPLACE | (mapping.Shared ? MAP_SHARED : MAP_PRIVATE);
        if (mapping.Kind == MappingKind.Anonymous) flags |= MAP_ANONYMOUS;
        if (mapping.Flags.Contains("gd")) flags |= MAP_GROWSDOWN;
        if (mapping.Flags.Contains("nr")) flags |= MAP_NORESERVE;
        int descriptor = mapping.Kind == MappingKind.Anonymous ? -1 : descriptorOf(mapping);
        tape.Call($"mmap of {mapping.Start:x}-{mapping.End:x}", Syscall.mmap, mapping.Start, mapping.Length, FirstProtection(mapping), flags, descriptor, mapping.Offset);
    }

    private static void Advise(Tape tape, MappingRecord mapping)
    {
        foreach ((string flag, int advice) in s_advice)
            if (mapping.Flags.Contains(flag)) tape.Call($"madvise({advice}) of {mapping.Start:x}", Syscall.madvise, mapping.Start, mapping.Length, advice);
    }

    private readonly List<(TapeCall Call, ulong Length, ulong Address)> _fills = [];

    // Runs that follow each other in the file are read by one call into many places.
    private void Fill(TapeBatch batch, MappingRecord mapping)
    {
        List<ulong> vectors = [];
        ulong offset = 0, length = 0;
        void Read()
        {
            if (vectors.Count == 0) return;
            Tape tape = batch.Tape;
            TapeData iovec = tape.Data<ulong>(vectors.ToArray());
            _fills.Add((tape.Call($"preadv of pages for {mapping.Start:x}", Syscall.preadv, pagesDescriptor, iovec, vectors.Count / 2, offset, 0), length, mapping.Start));
            vectors.Clear();
            length = 0;
        }
        foreach (SavedRun run in pages.Of(mapping.Pages!))
        {
            for (ulong done = 0; done < run.Length;)
            {
                ulong piece = Math.Min(run.Length - done, MaxRead);
                if (vectors.Count > 0 && (run.FileOffset + done != offset + length || vectors.Count / 2 >= MaxVectors || length + piece > MaxRead)) Read();
                if (vectors.Count == 0) offset = run.FileOffset + done;
                vectors.Add(run.Address + done);
                vectors.Add(piece);
                length += piece;
                done += piece;
            }
        }
        Read();
    }

    private void CheckFills()
    {
        foreach ((TapeCall call, ulong length, ulong address) in _fills)
            if ((ulong)call.Result.Value != length) throw new BadImage($"pages.bin gave {call.Result.Value} bytes of {length} for the mapping at {address:x}");
    }

    private readonly List<TapeCall> _locks = [];

    private void Finish(TapeBatch batch, MappingRecord mapping)
    {
        foreach (GuardRun guard in mapping.Guards)
            batch.Tape.Call($"madvise(MADV_GUARD_INSTALL) of {guard.Start:x}", Syscall.madvise, guard.Start, guard.End - guard.Start, MADV_GUARD_INSTALL);
        Tape tape = batch.Tape;
        if (FirstProtection(mapping) != mapping.Protection)
            tape.Call($"mprotect of {mapping.Start:x}-{mapping.End:x}", Syscall.mprotect, mapping.Start, mapping.Length, mapping.Protection);
        ProtectionKeys.Set(tape, process, mapping);
        if (mapping.Flags.Contains("lo"))
            // ENOMEM only says that some page can't be had now (no access, a guard, the end of a file): the range is locked all the same.
            _locks.Add(tape.Try($"mlock of {mapping.Start:x}-{mapping.End:x}", Syscall.mlock2, mapping.Start, mapping.Length, mapping.Flags.Contains("lf") ? MLOCK_ONFAULT : 0));
        if (mapping.Kind != MappingKind.Kernel && mapping.Name.Length > 0)
            tape.Try("prctl(PR_SET_VMA_ANON_NAME)", Syscall.prctl, PR_SET_VMA, 0, mapping.Start, mapping.Length, tape.Text(mapping.Name));
        if (mapping.Flags.Contains("sl")) tape.Call($"mseal of {mapping.Start:x}", Syscall.mseal, mapping.Start, mapping.Length, 0);
    }

    /// <summary>The fields that ps and /proc show, and the executable. The old one must not be mapped any more (man 2 PR_SET_MM).</summary>
    public void SetFields(int executableDescriptor)
    {
        MemoryFields f = process.MemoryFields!;
        var tape = new Tape();
        TapeData auxv = tape.Data(f.Auxv);
        // struct prctl_mm_map: eleven addresses, auxv, auxv_size (4), exe_fd (4)
        TapeData map = tape.Data<ulong>(f.StartCode, f.EndCode, f.StartData, f.EndData, f.StartBrk, f.Brk, f.StartStack, f.ArgStart, f.ArgEnd, f.EnvStart, f.EnvEnd,
            0, (uint)f.Auxv.Length | (ulong)(uint)executableDescriptor << 32);
        tape.PointAt(map, 88, auxv);
        tape.Call("prctl(PR_SET_MM_MAP)", Syscall.prctl, PR_SET_MM, PR_SET_MM_MAP, map, 104, 0);
        task.Run(tape);
    }
}
