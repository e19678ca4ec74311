using System.Text.Json.Serialization;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State.Processes;

namespace Stasis.State.Descriptors;

/// <summary>One descriptor of one process as seen from outside: /proc/PID/fd/N and /proc/PID/fdinfo/N.</summary>
/// <param name="Link">The target of /proc/PID/fd/N, e.g. "/tmp/x (deleted)", "pipe:[42]", "anon_inode:[eventfd]", "socket:[7]".</param>
/// <param name="Status">The inode behind it.</param>
public sealed record Sighting(int Pid, string Command, int Number, string Link, FileStatus Status, ProcFdInfo Information)
{
    public string What => Carrier is null ? $"descriptor {Number} ({Link})" : $"an open file ({Link}) that waits to be received from {Carrier.What}";

    /// <summary>For an open file description that was found inside another one: that one. <see cref="Pid"/> and <see cref="Number"/> are then a
    /// duplicate of our own.</summary>
    public Sighting? Carrier { get; init; }

    /// <summary>The descriptor of a process of the tree through which this one was found; itself for most.</summary>
    public Sighting Bearer => Carrier is null ? this : Carrier.Bearer;
    public bool CloseOnExec => (Information.Flags & OpenFlags.O_CLOEXEC) != 0;

    /// <summary>Status flags and access mode, without close-on-exec, which belongs to the descriptor and not to the description.</summary>
    public int Flags => Information.Flags & ~OpenFlags.O_CLOEXEC;

    /// <summary>A duplicate in our process: the same open file description.</summary>
    public DescriptorHandle Take() => new(ForeignDescriptor.Take(Pid, Number).OrThrowDescriptor($"pidfd_getfd of descriptor {Number}", $"process {Pid}"));

    /// <summary>A look at a description inside another one, by a duplicate of ours; null when the kernel tells nothing about it.</summary>
    public static Sighting? Inside(Sighting carrier, DescriptorHandle own)
    {
        string path = $"/proc/{Environment.ProcessId}/fd/{own.Number}";
        (SysResult linked, string link) = Files.ReadLink(path);
        (SysResult found, FileStatus status) = Files.Status(path);
        (SysResult told, ProcFdInfo? information) = ProcFdInfo.Read(Environment.ProcessId, own.Number);
        return linked.Failed || found.Failed || told.Failed ? null : new Sighting(Environment.ProcessId, carrier.Command, own.Number, link, status, information!) { Carrier = carrier };
    }
}

/// <summary>One open file description of the image. <see cref="Id"/> counts from 1; descriptor tables refer to it.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(RegularFile.RegularFileRecord), "file")]
[JsonDerivedType(typeof(Directory.DirectoryRecord), "directory")]
[JsonDerivedType(typeof(Device.DeviceRecord), "device")]
[JsonDerivedType(typeof(AnonymousPipe.PipeRecord), "pipe")]
[JsonDerivedType(typeof(OuterStream.OuterStreamRecord), "outerStream")]
[JsonDerivedType(typeof(EventFd.EventFdRecord), "eventfd")]
[JsonDerivedType(typeof(TimerFd.TimerFdRecord), "timerfd")]
[JsonDerivedType(typeof(SignalFd.SignalFdRecord), "signalfd")]
[JsonDerivedType(typeof(Epoll.EpollRecord), "epoll")]
[JsonDerivedType(typeof(Inotify.InotifyRecord), "inotify")]
[JsonDerivedType(typeof(PidFd.PidFdRecord), "pidfd")]
[JsonDerivedType(typeof(ProcFile.ProcFileRecord), "procFile")]
[JsonDerivedType(typeof(UnixSocket.UnixSocketRecord), "unixSocket")]
[JsonDerivedType(typeof(InternetSocket.InternetSocketRecord), "internetSocket")]
[JsonDerivedType(typeof(TcpConnection.TcpConnectionRecord), "tcpConnection")]
[JsonDerivedType(typeof(Fifo.FifoRecord), "fifo")]
[JsonDerivedType(typeof(Terminal.PtyMasterRecord), "ptyMaster")]
[JsonDerivedType(typeof(Terminal.PtySlaveRecord), "ptySlave")]
[JsonDerivedType(typeof(External.ExternalRecord), "external")]
[JsonDerivedType(typeof(NetlinkSocket.NetlinkSocketRecord), "netlinkSocket")]
[JsonDerivedType(typeof(Fanotify.FanotifyRecord), "fanotify")]
[JsonDerivedType(typeof(IoUring.IoUringRecord), "ioUring")]
[JsonDerivedType(typeof(MessageQueue.PosixQueueRecord), "messageQueue")]
[JsonDerivedType(typeof(PacketSocket.PacketSocketRecord), "packetSocket")]
[JsonDerivedType(typeof(UserFaultFd.UserFaultFdRecord), "userfaultfd")]
public abstract record Description
{
    public required int Id { get; init; }

    /// <summary>Access mode and status flags of open(2).</summary>
    public int Flags { get; init; }

    /// <summary>fcntl(F_GETOWN_EX): type (0 thread, 1 process, 2 group) and id inside the tree's pid namespace; 0 when unset. F_GETSIG.</summary>
    public int OwnerType { get; init; }
    public int Owner { get; init; }
    public int OwnerSignal { get; init; }

    /// <summary>The same description where its files are found at other paths (`restart --bind file:`); null when none of them moves.</summary>
    /// <param name="move">The new path of an old one, null where it stays.</param>
    public virtual Description? At(Func<string, string?> move) => null;
    /// <summary>fcntl(F_GETOWNER_UIDS): real and effective user id with whose rights the signals are sent.</summary>
    public uint OwnerUid { get; init; }
    public uint OwnerEffectiveUid { get; init; }

    /// <summary>The same description where this host has other internet addresses (`restart --bind address:`); null when none of its own moves.</summary>
    /// <param name="move">Changes a struct sockaddr_in or sockaddr_in6 of this side; null where it stays.</param>
    public virtual Description? AtAddress(Func<byte[], byte[]?> move) => null;
}

/// <summary>What the kinds may ask while descriptors are looked at. In a check nothing is frozen, so what is seen may change meanwhile.</summary>
public sealed class ExamineContext : IDisposable
{
    private readonly List<IDisposable> _held = [];
    public required ProblemList Problems { get; init; }

    /// <summary>Every descriptor of every process of the tree, and what <see cref="DescriptorKind.Inside"/> found in them.</summary>
    public required IReadOnlyList<Sighting> All { get; init; }

    /// <summary>What this stasis has open, where it is one of the tree's commands itself (<see cref="Processes.Requester"/>): ends of the tree's that are closed in the image.</summary>
    public IReadOnlyList<Sighting> OfRequester { get; init; } = [];

    /// <summary>Whether the tree stands still: this look is the one that counts, and what takes steps back afterwards may be done.</summary>
    public bool Frozen { get; init; }

    /// <summary>False when <see cref="All"/> may lack something of the tree that shows only once it stands still: what nobody in it seems to
    /// have is then no reason to refuse.</summary>
    public bool Complete { get; set; } = true;

    /// <summary>Pids (as the tool sees them) of the processes of the tree.</summary>
    public required IReadOnlySet<int> Tree { get; init; }

    /// <summary>Descriptors that the user takes out of our hands (`checkpoint --external`).</summary>
    public IReadOnlySet<(int Pid, int Number)> External { get; init; } = new HashSet<(int, int)>();

    public OutsideSocketPolicy OutsideSockets { get; init; }

    /// <summary>Whether clients of listeners whom no program has accepted are carried at this look; else they are waited for.</summary>
    public bool CarriesClients { get; init; }

    private readonly List<Loss> _losses = [];

    /// <summary>What will not be as it was, because the user accepted it, or because nobody could carry it.</summary>
    public IReadOnlyList<Loss> Losses => _losses;

    public void Lose(Sighting sighting, string what) => Lose(new Loss(sighting.Bearer.Pid, sighting.Command, sighting.What, what));

    public void Lose(Loss loss)
    {
        if (!_losses.Contains(loss)) _losses.Add(loss);
    }

    /// <summary>The objects of System V IPC where the tree lives.</summary>
    public SystemV.IpcSurvey Ipc { get; init; } = SystemV.IpcSurvey.Empty;

    /// <summary>A place for what a kind wants to look up once (a netlink answer, say), by any key.</summary>
    public Dictionary<string, object> Cache { get; } = [];

    /// <summary>Keeps something of ours until the look and the capture after it are over; it must be gone before the tree goes on.</summary>
    public void Hold(IDisposable held) => _held.Add(held);

    public void Dispose()
    {
        foreach (IDisposable held in Enumerable.Reverse(_held)) held.Dispose();
        _held.Clear();
    }

    public void Refuse(Sighting sighting, string why, string advice) => Problems.Add(sighting.Bearer.Pid, sighting.Command, sighting.What, why, advice);

    /// <summary>Refuses for what a program nearly always does away with by itself, within moments. The words tell this case from the next one of its kind.</summary>
    public void RefuseForNow(Sighting sighting, string why, string advice) => Problems.AddPassing(sighting.Bearer.Pid, sighting.Command, sighting.What, why, advice);

    /// <summary>Processes of the tree that do away with what was refused for now, if the others, who make it come again, are stopped before them.</summary>
    public HashSet<int> StopLast { get; } = [];

    /// <summary>Each tells whether something that was refused for now has passed. Asked while the tree runs.</summary>
    public List<Func<bool>> Passed { get; } = [];
}

/// <summary>
/// A capture found what no look from outside could tell before (an urgent byte in the middle of a queue). The journey ends as one
/// that the examination refused: the target unharmed, the problem told by name.
/// </summary>
public sealed class CaptureRefused(Problem problem) : Exception(problem.ToString())
{
    public CaptureRefused(Sighting sighting, string why, string advice) : this(new Problem(sighting.Bearer.Pid, sighting.Command, sighting.What, why, advice)) { }
    public Problem Problem { get; } = problem;
}

/// <summary>What the kinds may ask and do at the capture, with the tree frozen.</summary>
public sealed class DescriptorCaptureContext
{
    public required ExamineContext Examined { get; init; }

    /// <summary>The id of the open file description behind a descriptor of a process.</summary>
    public required Func<int, int, int> DescriptionOf { get; init; }

    /// <summary>From an id as the tool sees it to the id inside the tree's pid namespace.</summary>
    public required Func<int, int> InsideId { get; init; }

    /// <summary>Puts bytes into the image; the name under which a rebuild gets them back.</summary>
    public required Func<string, ReadOnlyMemory<byte>, string> StoreBytes { get; init; }

    /// <summary>Copies the content of a file of ours into the image, holes left out; the name.</summary>
    public required Func<string, int, long, string> StoreFile { get; init; }

    /// <summary>Has a process (its pid as the tool sees it) make calls itself, all of them whatever becomes of the tool. Errors: <see cref="KernelRefusal"/>.</summary>
    public required Action<int, Tape> RunTape { get; init; }

    /// <summary>The process (as the tool sees it) whose record has the memory of a process: itself, or an earlier one that it shares it with.</summary>
    public required Func<int, int> MemoryOwner { get; init; }

    /// <summary>Mappings (owner of the memory, start) that a userfaultfd of the tree watches.</summary>
    public required HashSet<(int Pid, ulong Start)> Watched { get; init; }

    /// <summary>The inodes that live only through the tree, and those that are mapped: a kind refers to one by its id.</summary>
    public required Memory.ObjectCatalogue Objects { get; init; }

    /// <summary>What a kind keeps for as long as the tree is frozen.</summary>
    public required FrozenAids Frozen { get; init; }
}

public sealed class PlanContext
{
    public required ProblemList Problems { get; init; }

    /// <summary>The image's descriptions, by id.</summary>
    public required IReadOnlyDictionary<int, Description> Descriptions { get; init; }

    /// <summary>For messages: who holds the description, first of all (pid, command, descriptor number).</summary>
    public required Func<int, (int Pid, string Command, int Number)> HolderOf { get; init; }

    /// <summary>The image's inodes, by id.</summary>
    public required IReadOnlyDictionary<int, Memory.ObjectRecord> Objects { get; init; }

    /// <summary>Whether a process (or, with true, a process or thread) of this id is in the image.</summary>
    public required Func<int, bool, bool> HasTask { get; init; }
    /// <summary>Whether a process of the image that has not ended has this id.</summary>
    public required Func<int, bool> IsProcess { get; init; }

    /// <summary>Whether the tree gets an ipc namespace of its own, in which all names are free.</summary>
    public bool NewIpcNamespace { get; init; }

    /// <summary>True when stored bytes of this name are in the image.</summary>
    public required Func<string, bool> HasStored { get; init; }

    public void Refuse(Description description, string what, string why, string advice)
    {
        (int pid, string command, int number) = HolderOf(description.Id);
        Problems.Add(pid, command, number >= 0 ? $"descriptor {number} ({what})" : $"an open file that waits to be received ({what})", why, advice);
    }
}

/// <summary>A local connection to a program outside of the tree is refused, or comes back as if that program had closed it.</summary>
public enum OutsideSocketPolicy { Refuse, Close }

/// <summary>What to do with a file that is open for writing and is not what it was at the checkpoint.</summary>
public enum ChangedFilesPolicy { Refuse, Rewind, Keep }

/// <summary>What the kinds may ask and do while descriptions are made, in the tool's own process.</summary>
public sealed class RebuildContext
{
    public required IReadOnlyDictionary<int, Description> Descriptions { get; init; }

    /// <summary>Stored bytes of the image, whole (small things: the content of a pipe, of a socket queue).</summary>
    public required Func<string, byte[]> StoredBytes { get; init; }

    /// <summary>Writes a stored file of the image into a descriptor of ours, holes kept.</summary>
    public required Action<string, int> RestoreFile { get; init; }

    /// <summary>Opens one of the image's inodes (made when it is first asked for) with flags of its own; a new open file description.</summary>
    public required Func<int, int, string?, int> OpenObject { get; init; }

    /// <summary>The path of an inode that is found by one; else null.</summary>
    public required Func<int, string?> PathOf { get; init; }

    /// <summary>What becomes of timers while the image lies on disk.</summary>
    public ClockShift Clock { get; init; }

    /// <summary>A place for objects that several descriptions share (the two ends of a pipe), by any key.</summary>
    public Dictionary<string, object> Shared { get; } = [];

    /// <summary>The terminal that takes the place of one outside the tree; null when the restart has none.</summary>
    public OuterStream.OuterTerminal? Terminal { get; init; }

    /// <summary>Descriptors of ours that must be closed before the tree goes on (the base of a pipe, say).</summary>
    public required List<int> CloseBeforeResume { get; init; }

    /// <summary>What must be taken back when the restart fails (a file that was made).</summary>
    public required List<Action> Undo { get; init; }

    /// <summary>What must be done at the very end, when nothing can fail any more and the tree is about to go on.</summary>
    public required List<Action> BeforeResume { get; init; }

    /// <summary>What must be done behind all of that.</summary>
    public required List<Action> LastBeforeResume { get; init; }

    /// <summary>The descriptor in our process of another description, made on demand. Throws on a cycle.</summary>
    public required Func<int, int> DescriptorOf { get; init; }

    /// <summary>A process or thread of the tree, by its id in the image: its id as we see it. Only for what <see cref="DescriptorKind.NeedsTree"/>.</summary>
    public required Func<int, int> TaskOf { get; init; }

    /// <summary>Runs a tape in a process of the tree, by its id in the image, with all its memory and threads there. Only for what <see cref="DescriptorKind.NeedsTree"/>.</summary>
    public required Action<int, Tape> RunIn { get; init; }

    /// <summary>Runs a process to its end: with this id if nobody has it (0: any), in the tree's pid namespace once that is there, with this wait status; while it lives, its id is given to the last.</summary>
    public required Action<int, int, Action<int>> EndedProcess { get; init; }

    /// <summary>Runs a tape in a process of ours that has an id of the image, and the effective user and group given, for as long as
    /// descriptions are made: the kernel notes who connects and listens (SO_PEERCRED). The process's pid as we see it. Where the id
    /// can't be had, the process has another, and its user and group all the same.</summary>
    public required Func<SocketCredentials, Tape, int> RunAs { get; init; }

    /// <summary>What is done at the end of making descriptions, when all are there.</summary>
    public required List<Action> AtLast { get; init; }

    /// <summary>What is done when all descriptions are made and all processes are there, blank: what may contain itself, or must name a
    /// process. The argument tells a process of the image by its id: its pid as we see it, or 0.</summary>
    public required List<Action<Func<int, int>>> WithTree { get; init; }
}

/// <summary>What a kind may do once every process has its descriptors at their numbers: calls on a tape of a process that has this description.</summary>
/// <param name="Pid">The process (id of the image) on whose tape the calls run.</param>
/// <param name="Number">The number of the description there.</param>
/// <param name="Table">All its descriptors, which are in place.</param>
/// <param name="Batch">For a kind that must run the calls so far, or very many of them.</param>
/// <param name="Leads">Whether it is the main thread that runs them, and not one with descriptors of its own.</param>
/// <param name="Rebuild">What the kinds had when they made the descriptions, which our own process still has.</param>
public sealed record FinishContext(int Pid, int Number, TapeBatch Batch, DescriptorTable Table, IReadOnlyDictionary<int, Description> Descriptions, bool Leads, RebuildContext Rebuild)
{
    public Tape Tape { get; } = Batch.Tape;
}

/// <summary>What the kinds may ask when nothing else of the restart touches a file any more.</summary>
/// <param name="LinkOf">The magic link (/proc/PID/fd/N) of a description, in a process of the tree that has it.</param>
public sealed record SettleContext(Func<int, string> LinkOf);

/// <summary>
/// A kind of open file description: how it is recognized, checked, captured and rebuilt. A new kind is one folder with its record
/// and its kind, one line in <see cref="DescriptorKinds"/> and one <c>JsonDerivedType</c> line there; nothing else changes.
/// </summary>
public abstract class DescriptorKind
{
    public abstract string Name { get; }
    public abstract Type RecordType { get; }

    /// <summary>Whether a descriptor is of this kind. Asked in the order of the registry; the first that says yes has it.</summary>
    public abstract bool Recognizes(Sighting sighting);

    /// <summary>Whether a recognized descriptor is this kind's affair in this tree: a terminal whose other side is in the tree, say, which
    /// the next kind takes when it is not. Asked in the order of the registry, like <see cref="Recognizes"/>.</summary>
    public virtual bool Claims(Sighting sighting, ExamineContext context) => true;

    /// <summary>Open file descriptions that live inside this one (in a socket's queue). What is returned is held by the context.</summary>
    public virtual IEnumerable<Sighting> Inside(Sighting sighting, ExamineContext context) => [];

    /// <summary>Adds every reason why this can't be carried. Runs before anything is frozen, and again frozen; must leave no trace in the target.</summary>
    public virtual void Examine(Sighting sighting, ExamineContext context) { }

    /// <summary>The record, taken with the whole tree frozen. Nothing may be consumed.</summary>
    public abstract Description Capture(int id, Sighting sighting, DescriptorCaptureContext context);

    /// <summary>Adds every reason why this can't be rebuilt here. Creates nothing.</summary>
    public virtual void Plan(Description description, PlanContext context) { }

    /// <summary>Makes the description in our own process; its descriptor number here. Runs once for each description. Flags that
    /// F_SETFL can set (O_APPEND, O_NONBLOCK, O_ASYNC …), owner and signal are set by the caller afterwards.</summary>
    public abstract int Rebuild(Description description, RebuildContext context);

    /// <summary>Whether the description can't be made before the processes and threads of the tree are there (a handle of one of them).</summary>
    public virtual bool NeedsTree(Description description) => false;

    /// <summary>Of those that need the tree: the process, by its id in the image, without whose memory it can't be made, also where that is to be a zombie; 0 for none.</summary>
    public virtual int NeedsAlive(Description description) => 0;

    /// <summary>The descriptions that <see cref="Rebuild"/> asks for: where one of them needs the tree, this one waits too.</summary>
    public virtual IEnumerable<int> Needs(Description description) => [];

    /// <summary>The session (id of its leader) whose controlling terminal this is; 0 for none. The leader takes it while the tree is made,
    /// before it has children: they inherit it at birth and could not get it later (man 2 ioctl_tty, TIOCSCTTY).</summary>
    public virtual int ControlledSession(Description description) => 0;

    /// <summary>The foreground process group of that session's terminal; 0 for none.</summary>
    public virtual int ForegroundGroup(Description description) => 0;

    /// <summary>Whether <see cref="Finish"/> has something to do.</summary>
    public virtual bool NeedsFinish(Description description) => false;

    /// <summary>Adds calls that a process of the tree itself must make, with the descriptors in place. Asked for each holder of the description until
    /// one can; whether this one could.</summary>
    public virtual bool Finish(Description description, FinishContext context) => true;

    /// <summary>Whether a restart fails where no process could finish a description that needs it.</summary>
    public virtual bool MustFinish => false;

    /// <summary>Whether <see cref="Settle"/> has something to do.</summary>
    public virtual bool NeedsSettling(Description description) => false;

    /// <summary>The last of all, in our own process, with the tree complete but not yet going: what would see every file that the restart
    /// itself opens, makes or closes (a watch).</summary>
    public virtual void Settle(Description description, int descriptor, SettleContext context) { }
}
