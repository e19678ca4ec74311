using System.Globalization;
using Stasis.Linux;
using Stasis.Remote;
using Stasis.State.Processes;

namespace Stasis.State.Descriptors.Epoll;

/// <summary>
/// Epoll instances. An entry is keyed by a file and by the number of the descriptor it was added through. So at the rebuild the
/// entry is added on a thread with a descriptor table of its own, where every target can have the number it was added under, also
/// one that the program has since closed or used again. The entry stays when that table goes: the kernel removes it with the
/// file, not with the number (fs/eventpoll.c, eventpoll_release_file).
/// </summary>
public sealed class EpollKind : DescriptorKind
{
    private const int MaxTargets = 1_000_000, MaxNumber = 1 << 20;
    private const uint FlagsOnly = Linux.Epoll.EPOLLWAKEUP | Linux.Epoll.EPOLLONESHOT | Linux.Epoll.EPOLLET | Linux.Epoll.EPOLLEXCLUSIVE;

    /// <summary>struct epoll_params, 8 bytes (include/uapi/linux/eventpoll.h, Linux 6.9).</summary>
    private const ulong EPIOCSPARAMS = 0x40088A01, EPIOCGPARAMS = 0x80088A02;

    public override string Name => "epoll";
    public override Type RecordType => typeof(EpollRecord);
    public override bool Recognizes(Sighting sighting) => sighting.Link == "anon_inode:[eventpoll]";

    public override void Examine(Sighting sighting, ExamineContext context)
    {
        foreach (EpollLine line in EpollLine.Read(sighting))
        {
            // In a check the tree runs on: an entry that has gone meanwhile is no problem.
            if (Holder(line, sighting, context) is { } holder)
            {
                if (!IsHeldTogether(holder, sighting, context))
                    context.Refuse(sighting, $"it waits on a signalfd (added as descriptor {line.Number}) that no process has open together with it", "let the program remove it with epoll_ctl before it closes the descriptor");
                continue;
            }
            if (Compare(sighting.Pid, sighting.Number, sighting, line).Errno == Errno.ENOENT) continue;
            context.Refuse(sighting, $"it waits on an object that was added as descriptor {line.Number} and that no process of the tree has open any more (inode {line.Inode})",
                "let the program remove it with epoll_ctl before it closes the descriptor, or checkpoint the process that still has it too");
        }
    }

    // Only a process that has both can make the entry again.
    private static bool IsHeldTogether((int Pid, int Number) holder, Sighting epoll, ExamineContext context)
    {
        Sighting? target = context.All.FirstOrDefault(sighting => sighting.Pid == holder.Pid && sighting.Number == holder.Number);
        if (target is null || holder.Pid == epoll.Pid || target.Link != "anon_inode:[signalfd]") return true;
        return context.All.Any(other => other.Pid == holder.Pid && other.Link == epoll.Link && Kernel.Call(Syscall.kcmp, other.Pid, epoll.Pid, (nint)Kcmp.Kind.File, other.Number, epoll.Number).Raw == 0);
    }

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        List<EpollTarget> targets = [];
        foreach (EpollLine line in EpollLine.Read(sighting))
        {
            (int pid, int number) = Holder(line, sighting, context.Examined)
                ?? throw new InvariantBroken($"{sighting.What} of process {sighting.Pid} waits on an object that nobody holds, which the examination should have refused");
            targets.Add(new EpollTarget { Number = line.Number, Description = context.DescriptionOf(pid, number), Events = line.Events, Data = line.Data });
        }
        using DescriptorHandle own = sighting.Take();
        ulong busyPoll = 0;
        // ENOTTY: kernels before 6.9
        bool polls = !Files.IoControl(own.Number, EPIOCGPARAMS, ref busyPoll).Failed;
        return new EpollRecord { Id = id, Flags = sighting.Flags, Targets = [.. targets], BusyPoll = polls ? busyPoll : 0 };
    }

    /// <summary>Who in the tree has the file of an entry: most often the same process under the same number, else anybody with a descriptor of that inode.</summary>
    private static (int Pid, int Number)? Holder(EpollLine line, Sighting epoll, ExamineContext context)
    {
        // A socket is one file and its inode its own, so that no comparison is needed (the kernel walks all entries for each).
        if (SocketsOf(context).Contains((epoll.Pid, line.Number, line.Inode))) return (epoll.Pid, line.Number);
        if (Compare(epoll.Pid, line.Number, epoll, line).Raw == 0) return (epoll.Pid, line.Number);
        Sighting? other = context.All.FirstOrDefault(other => other.Status.Inode == line.Inode && Compare(other.Pid, other.Number, epoll, line).Raw == 0);
        return other is null ? null : (other.Pid, other.Number);
    }

    private static HashSet<(int, int, ulong)> SocketsOf(ExamineContext context)
    {
        if (!context.Cache.TryGetValue("sockets by number", out object? known))
            context.Cache["sockets by number"] = known = context.All.Where(sighting => sighting.Link.StartsWith("socket:[", StringComparison.Ordinal)).Select(sighting => (sighting.Pid, sighting.Number, sighting.Status.Inode)).ToHashSet();
        return (HashSet<(int, int, ulong)>)known;
    }

    /// <summary>Compares a descriptor with the file of an entry: 0 when it is the same; ENOENT when there is no such entry, EBADF when there is no such descriptor.</summary>
    private static SysResult Compare(int pid, int number, Sighting epoll, EpollLine line)
    {
        // struct kcmp_epoll_slot: efd, tfd, toff (include/uapi/linux/kcmp.h).
        Span<int> slot = [epoll.Number, line.Number, line.Occurrence];
        return Kernel.CallWith(slot, address => Kernel.Call(Syscall.kcmp, pid, epoll.Pid, (nint)Kcmp.Kind.EpollTarget, number, address));
    }

    public override void Plan(Description description, PlanContext context)
    {
        var record = (EpollRecord)description;
        string? damage = record.Targets.Length > MaxTargets ? $"{record.Targets.Length} entries are too many"
            : record.Targets.Any(target => target.Number is < 0 or >= MaxNumber) ? "an entry has an impossible descriptor number"
            : record.Targets.Any(target => !context.Descriptions.ContainsKey(target.Description)) ? "an entry's object is not in the image"
            : WaitsOnItself(record, context.Descriptions) ? "it waits on itself"
            : null;
        if (damage is not null) context.Refuse(description, "epoll", damage, "the image is damaged; take another checkpoint");
    }

    // The kernel allows instances that wait on instances, but no circles (man 2 epoll_ctl, ELOOP).
    private static bool WaitsOnItself(EpollRecord record, IReadOnlyDictionary<int, Description> all)
    {
        HashSet<int> seen = [];
        Queue<EpollRecord> open = new([record]);
        while (open.TryDequeue(out EpollRecord? next))
        {
            foreach (EpollTarget target in next.Targets)
            {
                if (target.Description == record.Id) return true;
                if (all.GetValueOrDefault(target.Description) is EpollRecord nested && seen.Add(nested.Id)) open.Enqueue(nested);
            }
        }
        return false;
    }

    public override IEnumerable<int> Needs(Description description) => ((EpollRecord)description).Targets.Select(target => target.Description);

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (EpollRecord)description;
        int epoll = Linux.Epoll.Create().OrThrowDescriptor("epoll_create1");
        ulong busyPoll = record.BusyPoll;
        if (busyPoll != 0) Files.IoControl(epoll, EPIOCSPARAMS, ref busyPoll).OrThrow("ioctl(EPIOCSPARAMS)");
        EpollTarget[] targets = [.. record.Targets.Where(target => !IsSignals(target, context.Descriptions))];
        int[] sources = [.. targets.Select(target => context.DescriptorOf(target.Description))];
        if (sources.Length > 0) OwnThread.Run(OwnThread.CLONE_FILES, () => AddAll(epoll, targets, sources));
        return epoll;
    }

    private static bool IsSignals(EpollTarget target, IReadOnlyDictionary<int, Description> all) => all[target.Description] is SignalFd.SignalFdRecord;

    public override bool NeedsFinish(Description description) => ((EpollRecord)description).Targets.Length > 0;

    /// <summary>
    /// A signalfd wakes who waits on the signals of the process that added it (fs/signalfd.c, signalfd_poll: current->sighand), so that
    /// process must add it itself. Where its number means something else by now, that is put aside for a moment.
    /// </summary>
    public override bool Finish(Description description, FinishContext context)
    {
        EpollTarget[] targets = [.. ((EpollRecord)description).Targets.Where(target => IsSignals(target, context.Descriptions))];
        Dictionary<int, int> numbers = [];
        foreach (DescriptorEntry entry in context.Table.Entries) numbers.TryAdd(entry.Description, entry.Number);
        if (targets.Any(target => !numbers.ContainsKey(target.Description))) return false;
        foreach (EpollTarget target in targets) AddByTape(target, numbers[target.Description], context);
        return true;
    }

    private static void AddByTape(EpollTarget target, int source, FinishContext context)
    {
        const int F_DUPFD_CLOEXEC = 1030, EPOLL_CTL_ADD = 1;
        Tape tape = context.Tape;
        DescriptorEntry? there = context.Table.Entries.FirstOrDefault(entry => entry.Number == target.Number);
        bool moved = there?.Description != target.Description;
        TapeCall? aside = moved && there is not null ? tape.Call($"fcntl(F_DUPFD) of descriptor {target.Number}", Syscall.fcntl, target.Number, F_DUPFD_CLOEXEC, 0) : null;
        if (moved) tape.Call($"dup2 to {target.Number}", Syscall.dup2, source, target.Number);
        // struct epoll_event is packed: events 4, data 8
        byte[] asked = new byte[12];
        BitConverter.TryWriteBytes(asked, target.Events);
        BitConverter.TryWriteBytes(asked.AsSpan(4), target.Data);
        tape.Call($"epoll_ctl(ADD) of descriptor {target.Number}", Syscall.epoll_ctl, context.Number, EPOLL_CTL_ADD, target.Number, tape.Data(asked));
        if (aside is not null)
        {
            tape.Call($"dup3 back to {target.Number}", Syscall.dup3, aside, target.Number, there!.CloseOnExec ? OpenFlags.O_CLOEXEC : 0);
            tape.Call("close", Syscall.close, aside);
        }
        else if (moved) tape.Call($"close of {target.Number}", Syscall.close, target.Number);
    }

    private static void AddAll(int epoll, EpollTarget[] targets, int[] sources)
    {
        // Sources and the instance move above all wanted numbers first, so that no dup2 lands on one that is still needed.
        int above = targets.Max(target => target.Number) + 1;
        Limits.AllowDescriptors(Math.Max(above, sources.Max() + 1) + sources.Length + 64);
        int own = Above(epoll, above);
        Dictionary<int, int> moved = [];
        foreach (int source in sources) if (!moved.ContainsKey(source)) moved[source] = Above(source, above);

        // One-shot entries that have fired come first: making one fire takes an event off the instance, which must be its own.
        int[] order = [.. Enumerable.Range(0, targets.Length).OrderBy(i => HasFired(targets[i]) ? 0 : 1)];
        foreach (int i in order)
        {
            EpollTarget target = targets[i];
            Kernel.Call(Syscall.dup2, moved[sources[i]], target.Number).OrThrow($"dup2 of an epoll target to {target.Number}");
            if (HasFired(target)) AddFired(own, target);
            else Add(own, target, target.Events);
        }
    }

    private static int Above(int descriptor, int minimum)
    {
        const int F_DUPFD_CLOEXEC = 1030;
        return Files.Control(descriptor, F_DUPFD_CLOEXEC, minimum).OrThrowDescriptor($"fcntl(F_DUPFD_CLOEXEC, {minimum})");
    }

    private static void Add(int epoll, EpollTarget target, uint events)
    {
        SysResult added = Linux.Epoll.Add(epoll, target.Number, events, target.Data);
        // EPERM: the object has no poll, so it is not what it was: standard input was a terminal, say, and is a file now.
        if (added.Errno == Errno.EPERM)
            throw new KernelRefusal($"epoll_ctl(ADD) of descriptor {target.Number}, which was bound to something that can't be waited on (use a terminal or a pipe there, not a file)", Errno.EPERM);
        added.OrThrow($"epoll_ctl(ADD) of descriptor {target.Number}");
    }

    private static bool HasFired(EpollTarget target) => (target.Events & Linux.Epoll.EPOLLONESHOT) != 0 && (target.Events & ~FlagsOnly) == 0;

    // The kernel adds EPOLLERR and EPOLLHUP to whatever is asked for, so a fired entry comes only from firing: ask for everything
    // and take the event. A target that has no event at all is given one for a moment where that leaves no trace (an empty pipe).
    // What is left can only be woken by an error or a hangup, which its program asks for anyway when it arms the entry again.
    private static void AddFired(int epoll, EpollTarget target)
    {
        Add(epoll, target, target.Events | Linux.Epoll.EPOLLIN | Linux.Epoll.EPOLLOUT | Linux.Epoll.EPOLLPRI);
        long taken = Linux.Epoll.TakeOne(epoll).OrThrow("epoll_wait");
        if (taken == 0 && Files.Status(target.Number).Status.Type == FileType.Fifo) taken = FireByPipe(epoll, target.Number);
        if (taken == 0) Linux.Epoll.Modify(epoll, target.Number, target.Events, target.Data).OrThrow($"epoll_ctl(MOD) of descriptor {target.Number}");
    }

    private static long FireByPipe(int epoll, int pipe)
    {
        SysResult opened = Files.Open($"/proc/thread-self/fd/{pipe}", OpenFlags.O_RDWR | OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC);
        if (opened.Failed) return 0;
        using var both = new DescriptorHandle(opened.Descriptor);
        Span<byte> one = [0];
        if (Files.Write(both.Number, one).Failed) return 0;
        long taken = Linux.Epoll.TakeOne(epoll).OrThrow("epoll_wait");
        Files.Read(both.Number, one).OrThrow("read back of a byte from a pipe");
        return taken;
    }
}

/// <summary>A "tfd:" line of an epoll instance's fdinfo (man 5 proc_pid_fdinfo). Occurrence counts lines of the same number, for kcmp.</summary>
internal readonly record struct EpollLine(int Number, uint Events, ulong Data, ulong Inode, int Occurrence)
{
    public static List<EpollLine> Read(Sighting sighting)
    {
        List<EpollLine> lines = [];
        Dictionary<int, int> seen = [];
        foreach (string text in sighting.Information.All("tfd"))
        {
            if (Parse(text) is not { } line) throw new KernelRefusal($"fdinfo line \"tfd: {text}\" has an unknown form", Errno.EINVAL, $"process {sighting.Pid}");
            int occurrence = seen.GetValueOrDefault(line.Number);
            seen[line.Number] = occurrence + 1;
            lines.Add(line with { Occurrence = occurrence });
        }
        return lines;
    }

    // "        5 events:       19 data:                5  pos:0 ino:61 sdev:d"; all but the number and the position in hexadecimal.
    internal static EpollLine? Parse(string text)
    {
        string[] words = text.Replace(": ", ":", StringComparison.Ordinal).Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (words.Length < 1 || !int.TryParse(words[0], CultureInfo.InvariantCulture, out int number)) return null;
        ulong? events = null, data = null, inode = null;
        string name = "";
        foreach (string word in words.Skip(1))
        {
            int colon = word.IndexOf(':');
            if (colon >= 0) name = word[..colon];
            string digits = word[(colon + 1)..];
            if (digits.Length == 0 || !ulong.TryParse(digits, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong value)) continue;
            if (name == "events") events = value;
            else if (name == "data") data = value;
            else if (name == "ino") inode = value;
        }
        return events is null || data is null || inode is null ? null : new EpollLine(number, (uint)events, data.Value, inode.Value, 0);
    }
}
