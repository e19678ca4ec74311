using Stasis.State;
using Stasis.State.Descriptors;

namespace Stasis.Engine;

/// <summary>Why a journey ended early. The command line turns each into its own exit code.</summary>
public enum FailureKind
{
    /// <summary>Something went wrong on the way; the target is unharmed, nothing half-made is left.</summary>
    Failed,
    /// <summary>The rights that this takes are missing.</summary>
    NotPermitted,
    /// <summary>The image is broken, incomplete, of an unknown version or not an image.</summary>
    BadImage,
}

/// <summary>A journey ended early: one sentence for people.</summary>
public sealed class StasisFailure(FailureKind kind, string message) : Exception(message)
{
    public FailureKind Kind { get; } = kind;
}

/// <summary>Refused before anything was touched, with every problem there is.</summary>
public sealed class Refused(string what, IReadOnlyList<Problem> problems) : Exception($"{what}: {problems.Count} problem(s)")
{
    public string What { get; } = what;
    public IReadOnlyList<Problem> Problems { get; } = problems;
}

/// <summary>Hears of progress while pages are written or read. Called from worker threads too.</summary>
public interface IProgress
{
    void Stage(string name);
    void Bytes(long done, long total);
}

public sealed record CheckpointRequest(int Pid, string Directory, bool LeaveRunning, bool SaveFiles, IProgress? Progress)
{
    /// <summary>Descriptors that are not to be carried: a restart is told what takes their place.</summary>
    public IReadOnlyList<ExternalDescriptor> External { get; init; } = [];
    public IReadOnlyList<string> Hooks { get; init; } = [];

    public OutsideSocketPolicy OutsideSockets { get; init; }

    /// <summary>A process of the tree has started this stasis.</summary>
    internal bool OfItself { get; init; }
}

/// <summary>A descriptor of a process, by its pid as the caller sees it.</summary>
public readonly record struct ExternalDescriptor(int Pid, int Number);

/// <param name="Losses">What a restart will not bring back as it was, because that was accepted by an option.</param>
/// <param name="FreezeMilliseconds">From the first task stopped until the last let go (or killed).</param>
public sealed record CheckpointReport(string Image, int Pid, int Processes, int Threads, int Descriptors, long MemoryBytes, long ImageBytes,
    double FreezeMilliseconds, double TotalMilliseconds, bool LeftRunning, IReadOnlyList<Loss> Losses)
{
    /// <summary>TCP connections to programs outside of the tree, which are held still until the restart when the tree was ended.</summary>
    public int OuterTcpConnections { get; init; }

    /// <summary>The program asked for this itself: the command that did so ends with 10 in each life that a restart begins.</summary>
    public bool OfItself { get; init; }
}

/// <summary>What becomes of TCP connections whose other end is not in the image: they go on, or they have ended.</summary>
public enum TcpPolicy { Keep, Close }

public sealed record RestartRequest(string Directory, bool Detach, string? PidFile, bool NewPidNamespace, ChangedFilesPolicy ChangedFiles, ClockPolicy Clock, IProgress? Progress)
{
    public IReadOnlyList<Restart.Binding> Bindings { get; init; } = [];
    public TcpPolicy Tcp { get; init; }
    public IReadOnlyList<string> Hooks { get; init; } = [];
}

/// <param name="ClocksGoOn">CLOCK_MONOTONIC goes on from where it was; else it is this host's.</param>
/// <param name="ExitStatus">In the foreground: how the root process ended, as a shell tells it (128 + signal); null when detached.</param>
public sealed record RestartReport(int Pid, int Processes, int Threads, double TotalMilliseconds, bool ClocksGoOn, int? ExitStatus)
{
    /// <summary>TCP connections to programs outside of the image that go on, and that have been ended.</summary>
    public int TcpKept { get; init; }
    public int TcpClosed { get; init; }

    /// <summary>Its audit session has another number than it had: the kernel numbers them itself.</summary>
    public bool NewAuditSession { get; init; }
}

/// <summary>One process of a check: what it is and how much would be captured.</summary>
public sealed record CheckedProcess(int Pid, int ParentPid, string Command, int Threads, int Descriptors, int Mappings, long ResidentBytes);
public sealed record CheckReport(int Pid, IReadOnlyList<CheckedProcess> Processes, IReadOnlyList<Problem> Problems);

public sealed record RunRequest(IReadOnlyList<string> Command, string? PidFile);
