using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State.Processes;

namespace Stasis.State.Memory;

/// <summary>
/// Memory protection keys (man 7 pkeys): which of them the program has allocated. /proc shows but the key of each mapping, so the process is
/// asked: pkey_mprotect(2) of a page that nobody can have says ENOMEM of a key that is allocated and EINVAL of any other, and changes
/// nothing (do_mprotect_pkey, mm/mprotect.c, Linux 4.9). One more key is the kernel's own, for memory that may be executed and not read.
/// </summary>
public static class ProtectionKeys
{
    public const int Last = 15;
    private const ulong Page = 4096, Nowhere = 0x7ffffffffffff000; // not canonical, with tags in addresses (LAM) neither

    public static TapeCall[] Ask(Tape tape) => [.. Enumerable.Range(1, Last).Select(key => tape.Try("pkey_mprotect", Syscall.pkey_mprotect, Nowhere, Page, 0, key))];

    /// <summary>After the tape has run: a bit for each key that is allocated, from 1.</summary>
    public static int Told(TapeCall[] asked) => asked.Select((call, i) => call.Result.Errno == Errno.ENOMEM ? 1 << i + 1 : 0).Sum();

    public static bool Uses(ProcessRecord process) => process.ProtectionKeys != 0 || process.Mappings.Any(mapping => mapping.Key != 0);

    /// <summary>What the process, whose memory is new, does before it maps anything: it takes all keys but the kernel's own, which the kernel then gives to the first mapping that is for it.</summary>
    public static void Take(Tape tape, ProcessRecord process)
    {
        if (!Uses(process)) return;
        for (int key = 1; key <= Last; key++) tape.Try("pkey_alloc", Syscall.pkey_alloc, 0, 0);
        if (OfKernel(process) is var own and not 0) tape.Call($"pkey_free of key {own}", Syscall.pkey_free, own);
    }

    /// <summary>Gives a mapping, which has its protection, its key.</summary>
    public static void Set(Tape tape, ProcessRecord process, MappingRecord mapping)
    {
        if (mapping.Key != 0 && mapping.Key != OfKernel(process))
            tape.Call($"pkey_mprotect of {mapping.Start:x}-{mapping.End:x}", Syscall.pkey_mprotect, mapping.Start, mapping.Length, mapping.Protection, mapping.Key);
        // It may be read all the same, by its program's will or for lack of a key. A CPU without keys says EINVAL, and there it is so already.
        else if (mapping.Key == 0 && mapping.Protection == (int)Protection.Execute)
            tape.Try($"pkey_mprotect of {mapping.Start:x}-{mapping.End:x}", Syscall.pkey_mprotect, mapping.Start, mapping.Length, mapping.Protection, 0);
    }

    /// <summary>When all mappings have theirs: a key may have been freed while there was memory that has it.</summary>
    public static void Release(Tape tape, ProcessRecord process)
    {
        if (!Uses(process)) return;
        int own = OfKernel(process);
        for (int key = 1; key <= Last; key++)
            if ((process.ProtectionKeys >> key & 1) == 0 && key != own) tape.Call($"pkey_free of key {key}", Syscall.pkey_free, key);
    }

    // 0 where it has given none.
    private static int OfKernel(ProcessRecord process) =>
        process.Mappings.FirstOrDefault(mapping => mapping.Key != 0 && mapping.Protection == (int)Protection.Execute && (process.ProtectionKeys >> mapping.Key & 1) == 0)?.Key ?? 0;
}
