using System.Runtime.InteropServices;
using Stasis.Image;
using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.State.Descriptors.MessageQueue;
using Stasis.State.Memory;
using Stasis.State.Processes;

namespace Stasis.State.SystemV;

/// <summary>
/// Makes the objects of System V IPC of an image, with their ids, by tapes of blank processes in the tree's ipc namespace. The stages:
/// 1. <see cref="Make"/>, when the tree is there: segments with their content, sets, queues.
/// 2. Each process attaches its segments with its memory (<see cref="SegmentAttach"/>).
/// 3. <see cref="Settle"/>: segments marked for destruction are marked again, now that they are attached; what processes will undo.
/// </summary>
/// <param name="holder">A blank process that is not of the image, with all rights: it keeps the segments attached until they have their users.</param>
/// <param name="undo">What must be taken back when the restart fails.</param>
public sealed class IpcRestore(IpcRecord ipc, PageReader pages, BlankTask holder, IReadOnlyDictionary<int, BlankTask> blanks, List<Action> undo, bool inOwnNamespace)
{
    private const int Attempts = 5, MaxStep = 8000;
    private readonly IpcSurvey _here = inOwnNamespace ? IpcSurvey.Empty : IpcSurvey.Here();
    private readonly List<ulong> _held = [];

    public void Make()
    {
        foreach (SegmentRecord segment in ipc.Segments) MakeSegment(segment);
        foreach (SemaphoreSetRecord set in ipc.SemaphoreSets) MakeSet(set);
        foreach (MessageQueueRecord queue in ipc.MessageQueues) MakeQueue(queue);
        foreach (QueueRecord queue in ipc.IdleQueues) Files.Close(QueueMaker.Make(queue, holder.Tid, undo)); // it stays by its name
    }

    private void MakeSegment(SegmentRecord segment)
    {
        int id = segment.Identity.Id;
        bool exists = _here.Segments.TryGetValue(id, out SysvIpcLine? there); // the plan has made sure that it is the one, and that nobody uses it
        if (exists && LeaveAlone(segment.Identity, there!, "shmctl(IPC_SET)", Syscall.shmctl, IpcPermLength + 64)) return;
        if (!exists)
        {
            BlankTask creator = blanks.TryGetValue(segment.Creator, out BlankTask? blank) ? blank : holder;
            int flags = (segment.NoReserve ? SysvIpc.SHM_NORESERVE : 0) | (segment.HugePage == 0 ? 0 : SysvIpc.SHM_HUGETLB | (int)HugePages.SizeFlag(segment.HugePage));
            Create(creator, "shm", segment.Identity, (tape, key, access) => tape.Call($"shmget of segment {id}", Syscall.shmget, key, segment.Size, access | flags), Syscall.shmctl);
            TakeBack(() => SysvIpc.RemoveSegment(id));
        }
        var tape = new Tape();
        TapeCall attached = tape.Call($"shmat of segment {id}", Syscall.shmat, id, 0, 0);
        SetOwner(tape, "shmctl(IPC_SET)", Syscall.shmctl, segment.Identity, IpcPermLength + 64, 0);
        if (segment.Locked) tape.Call("shmctl(SHM_LOCK)", Syscall.shmctl, id, SysvIpc.SHM_LOCK, 0);
        holder.Run(tape);
        ulong address = (ulong)attached.Result.Value;
        _held.Add(address);
        ulong room = SegmentAttach.Room(segment.Size, segment.HugePage);
        if (exists) Clear(id, address, room);
        // Through the memory, not the file: what lies behind the size in the last page is the program's too (man 2 shmget).
        if (segment.Pages is { } content)
            ObjectFill.Run(pages, content, room, (offset, bytes) => ProcessMemory.WriteExactly(holder.Tid, address + offset, bytes).OrThrow($"write of System V segment {id}"));
    }

    private void Clear(int id, ulong address, ulong room)
    {
        const int MADV_REMOVE = 9;
        var tape = new Tape();
        tape.Call($"madvise(MADV_REMOVE) of segment {id}", Syscall.madvise, address, room, MADV_REMOVE);
        holder.Run(tape);
    }

    private void MakeSet(SemaphoreSetRecord set)
    {
        int id = set.Identity.Id;
        if (_here.SemaphoreSets.TryGetValue(id, out SysvIpcLine? there))
        {
            if (LeaveAlone(set.Identity, there, "semctl(IPC_SET)", Syscall.semctl, IpcPermLength + 56)) return;
        }
        else
        {
            Create(holder, "sem", set.Identity, (tape, key, access) => tape.Call($"semget of set {id}", Syscall.semget, key, set.Values.Length, access), Syscall.semctl);
            TakeBack(() => SysvIpc.RemoveSemaphores(id));
        }
        var tape = new Tape();
        SetOwner(tape, "semctl(IPC_SET)", Syscall.semctl, set.Identity, IpcPermLength + 56, 0);
        tape.Call($"semctl(SETALL) of set {id}", Syscall.semctl, id, 0, SysvIpc.SETALL, tape.Data<ushort>(set.Values));
        holder.Run(tape);
    }

    private void MakeQueue(MessageQueueRecord queue)
    {
        int id = queue.Identity.Id;
        if (_here.MessageQueues.TryGetValue(id, out SysvIpcLine? there))
        {
            if (LeaveAlone(queue.Identity, there, "msgctl(IPC_SET)", Syscall.msgctl, SysvIpc.MSG_STAT_LENGTH, SysvIpc.QueueCapacity(id).Bytes)) return;
            SysvIpc.EmptyQueue(id).OrThrow($"emptying of message queue {id}");
        }
        else
        {
            Create(holder, "msg", queue.Identity, (tape, key, access) => tape.Call($"msgget of queue {id}", Syscall.msgget, key, access), Syscall.msgctl);
            TakeBack(() => SysvIpc.RemoveQueue(id));
        }
        ulong waiting = 0;
        foreach (MessageRecord message in queue.Messages) waiting += (ulong)message.Text.Length;
        var batch = new TapeBatch(holder);
        // A queue may hold more than its capacity says now: it was lowered since, or the messages are empty ones.
        SetOwner(batch.Tape, "msgctl(IPC_SET)", Syscall.msgctl, queue.Identity, SysvIpc.MSG_STAT_LENGTH, Math.Max(queue.Capacity, Math.Max(waiting, (ulong)queue.Messages.Length)));
        foreach (MessageRecord message in queue.Messages)
        {
            Tape tape = batch.Tape;
            TapeData buffer = tape.Data([.. BitConverter.GetBytes(message.Type), .. message.Text]);
            tape.Call($"msgsnd to queue {id}", Syscall.msgsnd, id, buffer, message.Text.Length, SysvIpc.IPC_NOWAIT);
        }
        SetOwner(batch.Tape, "msgctl(IPC_SET)", Syscall.msgctl, queue.Identity, SysvIpc.MSG_STAT_LENGTH, queue.Capacity);
        batch.Flush();
    }

    /// <summary>What is only perhaps the tree's and exists stays as it is; set anew, its time tells the next checkpoint that it was made since the tree began.</summary>
    private bool LeaveAlone(IpcIdentity identity, SysvIpcLine there, string words, Syscall control, int length, ulong queueBytes = 0)
    {
        if (!identity.Perhaps) return false;
        var tape = new Tape();
        SetOwner(tape, words, control, identity with { Uid = there.Uid, Gid = there.Gid, Permissions = there.Mode & 0x1FF }, length, queueBytes);
        holder.Run(tape);
        return true;
    }

    private const int IpcPermLength = 48;

    // struct ipc64_perm (include/uapi/asm-generic/ipcbuf.h): key, uid, gid, cuid, cgid, mode; of msqid64_ds also msg_qbytes at 88.
    private static void SetOwner(Tape tape, string words, Syscall control, IpcIdentity identity, int length, ulong queueBytes)
    {
        byte[] status = new byte[length];
        BitConverter.TryWriteBytes(status.AsSpan(4), identity.Uid);
        BitConverter.TryWriteBytes(status.AsSpan(8), identity.Gid);
        BitConverter.TryWriteBytes(status.AsSpan(20), identity.Permissions);
        if (queueBytes != 0) BitConverter.TryWriteBytes(status.AsSpan(88), queueBytes);
        TapeData data = tape.Data(status);
        if (control == Syscall.semctl) tape.Call(words, control, identity.Id, 0, SysvIpc.IPC_SET, data);
        else tape.Call(words, control, identity.Id, SysvIpc.IPC_SET, data);
    }

    /// <summary>
    /// The kernel takes the next id from /proc/sys/kernel/{shm,sem,msg}_next_id, and the creator from who asks. Whoever makes an object in
    /// between the write and the call gets our id: then again.
    /// </summary>
    private static void Create(BlankTask creator, string table, IpcIdentity identity, Func<Tape, int, int, TapeCall> get, Syscall control)
    {
        for (int attempt = 1; ; attempt++)
        {
            var tape = new Tape();
            byte[] text = System.Text.Encoding.ASCII.GetBytes($"{identity.Id}\n");
            TapeCall next = tape.Call($"open of {table}_next_id", Syscall.open, tape.Text($"/proc/sys/kernel/{table}_next_id"), OpenFlags.O_WRONLY, 0);
            tape.Call($"write of {table}_next_id", Syscall.write, next, tape.Data(text), text.Length);
            tape.Call($"close of {table}_next_id", Syscall.close, next);
            uint ownUid = (uint)Kernel.Call(Syscall.geteuid).Value, ownGid = (uint)Kernel.Call(Syscall.getegid).Value;
            if (identity.CreatorGid != ownGid) tape.Call("setresgid", Syscall.setresgid, -1, identity.CreatorGid, -1);
            if (identity.CreatorUid != ownUid) tape.Call("setresuid", Syscall.setresuid, -1, identity.CreatorUid, -1);
            TapeCall made = get(tape, identity.Key, SysvIpc.IPC_CREAT | SysvIpc.IPC_EXCL | 0x180);
            if (identity.CreatorUid != ownUid) tape.Call("setresuid", Syscall.setresuid, -1, ownUid, -1);
            if (identity.CreatorGid != ownGid) tape.Call("setresgid", Syscall.setresgid, -1, ownGid, -1);
            creator.Run(tape);
            if (made.Result.Value == identity.Id) return;
            var removal = new Tape();
            if (control == Syscall.semctl) removal.Call("semctl(IPC_RMID)", control, made.Result.Value, 0, SysvIpc.IPC_RMID);
            else removal.Call($"{control}(IPC_RMID)", control, made.Result.Value, SysvIpc.IPC_RMID, 0);
            creator.Run(removal);
            if (attempt == Attempts) throw new TargetUnruly($"System V {table} id {identity.Id} can't be had: others on this machine make such objects all the time; try again");
        }
    }

    // In a namespace of its own everything goes with the tree.
    private void TakeBack(Action remove)
    {
        if (!inOwnNamespace) undo.Add(remove);
    }

    /// <summary>When all processes have their memory, and before any has its credentials.</summary>
    public void Settle(IEnumerable<ProcessRecord> processes)
    {
        var tape = new Tape();
        foreach (SegmentRecord segment in ipc.Segments.Where(segment => segment.Removed)) tape.Call($"shmctl(IPC_RMID) of segment {segment.Identity.Id}", Syscall.shmctl, segment.Identity.Id, SysvIpc.IPC_RMID, 0);
        foreach (ulong address in _held) tape.Call("shmdt", Syscall.shmdt, address);
        holder.Run(tape);
        foreach (ProcessRecord process in processes.Where(process => process.SemaphoreUndo.Length > 0)) AddUndo(process);
        foreach (IGrouping<int, (int Set, int Number, int Value)> last in ipc.SemaphoreSets
            .SelectMany(set => set.LastProcesses.Select((pid, number) => (Pid: pid, set.Identity.Id, Number: number, Value: (int)set.Values[number])))
            .Where(use => blanks.ContainsKey(use.Pid)).GroupBy(use => use.Pid, use => (use.Id, use.Number, use.Value)))
            Touch(blanks[last.Key], last);
    }

    // Each adjustment by pairs of operations, of which one is to be undone and the other is not: the value stays what it is.
    private void AddUndo(ProcessRecord process)
    {
        Dictionary<int, ushort[]> values = ipc.SemaphoreSets.ToDictionary(set => set.Identity.Id, set => set.Values);
        var batch = new TapeBatch(blanks[process.Pid]);
        foreach (UndoRecord record in process.SemaphoreUndo)
        {
            int value = values[record.Set][record.Number];
            for (int rest = record.Adjustment; rest != 0;)
            {
                int step = Math.Clamp(rest, -MaxStep, MaxStep);
                rest -= step;
                // Undone at the end is the contrary of what is done now. The half that lowers the value comes second where it must.
                (int Change, int Flags) undone = (-step, SysvIpc.SEM_UNDO), kept = (step, 0);
                (int Change, int Flags)[] pair = value + undone.Change is >= 0 and <= SysvIpc.SEMVMX ? [undone, kept] : [kept, undone];
                Operate(batch.Tape, record.Set, record.Number, pair);
            }
        }
        batch.Flush();
    }

    // An operation that leaves everything as it is makes the process the last that did one.
    private static void Touch(BlankTask task, IEnumerable<(int Set, int Number, int Value)> semaphores)
    {
        var batch = new TapeBatch(task);
        foreach ((int set, int number, int value) in semaphores)
            Operate(batch.Tape, set, number, value > 0 ? [(-1, 0), (1, 0)] : [(1, 0), (-1, 0)]);
        batch.Flush();
    }

    private static void Operate(Tape tape, int set, int number, ReadOnlySpan<(int Change, int Flags)> operations)
    {
        short[] words = new short[operations.Length * 3]; // struct sembuf: sem_num, sem_op, sem_flg
        for (int i = 0; i < operations.Length; i++)
            (words[i * 3], words[i * 3 + 1], words[i * 3 + 2]) = (unchecked((short)number), (short)operations[i].Change, (short)operations[i].Flags);
        tape.Call($"semop on set {set}", Syscall.semop, set, tape.Data(MemoryMarshal.AsBytes(words.AsSpan())), operations.Length);
    }
}
