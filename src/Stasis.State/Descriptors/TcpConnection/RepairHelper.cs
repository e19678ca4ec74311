using Stasis.Linux;
using Stasis.Remote;
using static Stasis.Linux.SocketConstants;

namespace Stasis.State.Descriptors.TcpConnection;

/// <summary>
/// A blank process that looks at sockets of the target in repair mode. The mode belongs to the socket: were it set by a tool that is
/// then killed, the target's connection would stay dead in it. So it is set, used and ended on one tape of a process of its own, which
/// is not killed with us: it puts the parent-death signal off that it has between tapes, finishes its tape and ends by the trap behind it. That signal is
/// sent in the same moment in which our death lets the tree go. It is in a session of its own, out of reach of a signal
/// to our group.
/// </summary>
internal sealed class RepairHelper : IDisposable
{
    private const ulong ArenaAddress = 0x10000000;
    private const int PR_SET_PDEATHSIG = 1;
    private readonly BlankTask _task;
    private ulong _buffer;
    private int _capacity;

    private RepairHelper(BlankTask task) => _task = task;

    /// <summary>Our descriptors without close-on-exec are the helper's too, at their numbers.</summary>
    public static RepairHelper Start()
    {
        BlankTask task = BlankTask.Spawn(new Arena(ArenaAddress));
        var helper = new RepairHelper(task);
        try
        {
            var tape = new Tape();
            tape.Call("setsid", Syscall.setsid);
            // No core of what it has read: 1 rather than 0, which a kernel that pipes them to a program passes over (man 5 core).
            tape.Call("prlimit(RLIMIT_CORE)", Syscall.prlimit64, 0, 4, tape.Data<ulong>(1, 1), 0);
            task.Run(tape);
            Ptrace.SetOptions(task.Tid, BlankTask.TraceOptions & ~PtraceConstants.O_EXITKILL).OrThrow("ptrace(SETOPTIONS)", task.Tracee.Whose);
            return helper;
        }
        catch
        {
            helper.Dispose();
            throw;
        }
    }

    /// <summary>As many sockets as one tape has room for, and bytes in their queues as are worth to be kept.</summary>
    public const int MostAtOnce = 200, BytesAtOnce = 8 << 20;

    /// <summary>Looks at connected sockets, each of which is as it was when its turn is over. Their segments must be held back meanwhile.</summary>
    /// <param name="sockets">Each with how many bytes wait to be read (SIOCINQ tells them only up to an urgent one).</param>
    public RepairedState[] Read(IReadOnlyList<(int Socket, int Waiting)> sockets)
    {
        List<RepairLook> looks = [.. sockets.Select(socket => new RepairLook(socket.Socket, socket.Waiting))];
        Reserve(looks.Sum(look => look.Room));
        var tape = new Tape();
        Outlive(tape);
        ulong address = _buffer;
        foreach (RepairLook look in looks)
        {
            look.Ask(tape, address);
            address += (ulong)look.Room;
        }
        GoWithUs(tape);
        _task.Run(tape);
        return [.. looks.Select(look => look.Answer(Take))];
    }

    /// <summary>
    /// Looks at what waits to be read from an offset on: a read stops at an urgent byte, and steps over it when it begins there (unless
    /// SO_OOBINLINE is set). Takes SO_PEEK_OFF of TCP, Linux 6.9; empty on older kernels.
    /// </summary>
    public byte[] ReadBehind(int socket, int offset, int length)
    {
        SysResult had = Linux.Sockets.GetOption(socket, SOL_SOCKET, SO_PEEK_OFF);
        if (had.Failed) return [];
        int room = length + 1;
        Reserve(room);
        var tape = new Tape();
        Outlive(tape);
        TapeData back = tape.Data(unchecked((int)had.Value)), there = tape.Data(offset);
        TapeCall moved = tape.Try("setsockopt(SO_PEEK_OFF)", Syscall.setsockopt, socket, SOL_SOCKET, SO_PEEK_OFF, there, 4);
        TapeCall peeked = tape.Try("recvfrom(MSG_PEEK)", Syscall.recvfrom, socket, _buffer, room, MSG_PEEK | MSG_DONTWAIT, 0, 0);
        TapeCall restored = tape.Try("setsockopt(SO_PEEK_OFF)", Syscall.setsockopt, socket, SOL_SOCKET, SO_PEEK_OFF, back, 4);
        GoWithUs(tape);
        _task.Run(tape);
        if (moved.Result.Failed) return [];
        restored.Result.OrThrow("setsockopt(SO_PEEK_OFF)");
        return Take(peeked, _buffer, room);
    }

    /// <summary>
    /// Kills processes that hold the sockets, which our duplicates keep open, makes the packet filter table that holds their connections from now on, and
    /// puts the sockets in repair mode, in which they end without a word when we, too, close them. The killing comes first: should we die, the tree is
    /// let go, and must not run on for as long as the table takes. If we are dead already, so is the helper, and nothing of it happens. Until the table
    /// is there, and the helper gone, the one of the freeze holds them, which the helper has open too.
    /// </summary>
    public void End(PreparedTable table, IReadOnlyList<int> processes, IReadOnlyList<int> sockets)
    {
        const int MostOnTape = 8000;
        Reserve(table.Batch.Length);
        ProcessMemory.WriteExactly(_task.Tid, _buffer, table.Batch).OrThrow("write of a packet filter table");
        var tape = new Tape();
        Outlive(tape);
        TapeData on = tape.Data(TcpRepair.On);
        // One tape, which our death does not cut in two, unless there is too much of it.
        void Next()
        {
            if (tape.Count < MostOnTape) return;
            _task.Run(tape);
            tape = new Tape();
            on = tape.Data(TcpRepair.On);
        }
        List<TapeCall> repaired = [];
        foreach (int process in processes)
        {
            Next();
            tape.Try("kill", Syscall.kill, process, Signals.SIGKILL);
        }
        Next();
        TapeCall written = tape.Try("write of a packet filter table", Syscall.write, table.Netlink, _buffer, table.Batch.Length);
        foreach (int socket in sockets)
        {
            Next();
            repaired.Add(tape.Try("setsockopt(TCP_REPAIR)", Syscall.setsockopt, socket, SOL_TCP, TcpRepair.TCP_REPAIR, on, sizeof(int)));
        }
        _task.Run(tape);
        try
        {
            // Once more, while the one of the freeze still stands.
            if (written.Result.Failed) Files.Write(table.Netlink, table.Batch).OrThrow("write of a packet filter table");
            table.Confirm();
            foreach (TapeCall call in repaired) call.Result.OrThrow("setsockopt(TCP_REPAIR)");
        }
        catch (KernelRefusal refusal)
        {
            throw new KernelRefusal($"the image is complete and the program has ended, but its connections may be lost: {refusal.Call}", refusal.Errno);
        }
    }

    private static void Outlive(Tape tape) => tape.Call("prctl(PR_SET_PDEATHSIG)", Syscall.prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
    private static void GoWithUs(Tape tape) => tape.Call("prctl(PR_SET_PDEATHSIG)", Syscall.prctl, PR_SET_PDEATHSIG, Signals.SIGKILL, 0, 0, 0);

    private byte[] Take(TapeCall peeked, ulong address, int room)
    {
        // Nothing there, or not connected yet.
        if (peeked.Result.Errno is Errno.EAGAIN or Errno.ENOTCONN) return [];
        byte[] bytes = new byte[peeked.Result.OrThrow("recvfrom(MSG_PEEK) of a TCP queue")];
        InvariantBroken.Require(bytes.Length < room, "a TCP queue has grown while its connection was held");
        ProcessMemory.ReadExactly(_task.Tid, address, bytes).OrThrow("read of a TCP queue");
        return bytes;
    }

    private void Reserve(int capacity)
    {
        const int PROT_READ_WRITE = 3, MAP_PRIVATE_ANONYMOUS = 0x22, Least = 1 << 20;
        if (capacity <= _capacity) return;
        var tape = new Tape();
        if (_capacity > 0) tape.Call("munmap", Syscall.munmap, _buffer, _capacity);
        capacity = Math.Max(capacity, Least);
        TapeCall mapped = tape.Call("mmap of room for TCP queues", Syscall.mmap, 0, capacity, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
        _capacity = 0;
        _task.Run(tape);
        (_buffer, _capacity) = ((ulong)mapped.Result.Raw, capacity);
    }

    public void Dispose()
    {
        Signals.Send(_task.Tid, Signals.SIGKILL);
        Wait.For(_task.Tid, TimeSpan.FromSeconds(5));
    }
}
