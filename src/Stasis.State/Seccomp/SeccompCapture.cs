using System.Buffers.Binary;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State.Descriptors;

namespace Stasis.State.Seccomp;

/// <summary>Reads the filters of frozen tasks; equal ones, which threads and children inherit, are kept once.</summary>
public sealed class SeccompCapture
{
    public const string NotifyingWhy = "a seccomp filter hands some of its system calls to a supervisor (SECCOMP_RET_USER_NOTIF), which can't be carried", NotifyingAdvice = "start the program without that supervisor";
    private readonly List<SeccompFilterRecord> _filters = [];
    private readonly Dictionary<string, int> _known = new(StringComparer.Ordinal);

    public SeccompFilterRecord[] Filters => [.. _filters];

    /// <param name="mode">What /proc/PID/task/TID/status has under Seccomp.</param>
    public SeccompRecord Take(HeldTask task, int mode)
    {
        if (mode != SeccompRecord.Filter) return mode == SeccompRecord.Disabled ? SeccompRecord.None : new SeccompRecord(mode, []);
        List<SeccompFilterRecord> filters = Read(task);
        // The others were looked at before.
        if (task is TracedTask && filters.Exists(Notifies)) throw new CaptureRefused(new Problem(task.Tgid, ProcStat.Read(task.Tgid)?.Comm ?? "", "", NotifyingWhy, NotifyingAdvice));
        return new SeccompRecord(mode, [.. filters.Select(Place)]);
    }

    private int Place(SeccompFilterRecord filter)
    {
        string key = $"{filter.Flags}:{Convert.ToHexString(filter.Program)}";
        if (_known.TryGetValue(key, out int place)) return place;
        _filters.Add(filter);
        return _known[key] = _filters.Count - 1;
    }

    /// <summary>The filters of a held task, the one installed first first. Errors: <see cref="KernelRefusal"/>.</summary>
    public static List<SeccompFilterRecord> Read(HeldTask task)
    {
        List<SeccompFilterRecord> filters = [];
        while (task.ReadFilter(filters.Count) is { } filter) filters.Add(new SeccompFilterRecord(filter.Flags, filter.Program));
        return filters;
    }

    /// <summary>
    /// Whether a filter may hand calls to a supervisor (SECCOMP_RET_USER_NOTIF), whose listening descriptor can't be made again for a
    /// filter that is there. A filter that returns what it has computed is judged by all its constants.
    /// </summary>
    public static bool Notifies(SeccompFilterRecord filter)
    {
        const ushort BPF_RET_K = 0x06, BPF_RET_A = 0x16;
        const uint SECCOMP_RET_ACTION_FULL = 0xffff0000, SECCOMP_RET_USER_NOTIF = 0x7fc00000;
        bool computed = false, anywhere = false;
        for (int at = 0; at < filter.Program.Length; at += SeccompFilterRecord.InstructionSize)
        {
            ushort code = BinaryPrimitives.ReadUInt16LittleEndian(filter.Program.AsSpan(at));
            bool names = (BinaryPrimitives.ReadUInt32LittleEndian(filter.Program.AsSpan(at + 4)) & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF;
            if (code == BPF_RET_K && names) return true;
            computed |= code == BPF_RET_A;
            anywhere |= names;
        }
        return computed && anywhere;
    }
}
