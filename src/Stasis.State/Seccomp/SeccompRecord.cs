namespace Stasis.State.Seccomp;

/// <summary>A seccomp filter (man 2 seccomp): its classic BPF program, 8 bytes an instruction (struct sock_filter), and its SECCOMP_FILTER_FLAG_*.</summary>
public sealed record SeccompFilterRecord(ulong Flags, byte[] Program)
{
    /// <summary>Only this flag can be asked back (PTRACE_SECCOMP_GET_METADATA); the others are of the moment of the call.</summary>
    public const ulong FlagLog = 2;
    public const int InstructionSize = 8, MaxInstructions = 4096; // BPF_MAXINSNS

    public int Instructions => Program.Length / InstructionSize;
    public bool WellFormed => Flags is 0 or FlagLog && Program.Length % InstructionSize == 0 && Instructions is > 0 and <= MaxInstructions;
}

/// <summary>What confines one thread. Mode is that of /proc (0 nothing, 1 strict, 2 filters); filters are places in the tree's list, the one installed first first.</summary>
public sealed record SeccompRecord(int Mode, int[] Filters)
{
    /// <summary>More than the kernel takes: each costs at least 5 of the 32768 instructions of a task (MAX_INSNS_PER_PATH).</summary>
    public const int MaxFilters = 8192;
    public const int Disabled = 0, Strict = 1, Filter = 2;
    public static readonly SeccompRecord None = new(Disabled, []);
}
