using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote.X64;

namespace Stasis.Remote;

/// <summary>
/// A frozen live process as a machine that runs our tapes, without harm: whatever instruction the tool dies at, every task goes
/// on as if nothing had been. How, step by step:
/// 1. Boarding puts a signal frame with the task's whole state below its stack's red zone, and points rip at a `syscall; ret`
///    and rsp at the frame, whose return address is the C library's signal restorer. If the tool dies now, the call returns into
///    rt_sigreturn and the task is as before.
/// 2. Two such calls map an arena: one page of code, the rest for tapes and frames. From then on frames lie in the arena.
/// 3. Each tape runs under a frame of its own and ends lingering; see <see cref="Interpreter.ForLive"/>.
/// 4. After each step the registers are the task's own again; in a ptrace stop with its own registers it is released unharmed.
/// 5. Leaving unmaps the arena by one more injected call.
/// </summary>
public sealed class LiveMachine : TapeMachine
{
    internal const int CodeSize = 4096, SlotSize = 64 * 1024, MaxSlots = 16, LengthOffset = 1024;
    private const int RedZone = 128, SignalRoom = 16 * 1024;
    private const ulong AllBlocked = ulong.MaxValue;
    private readonly Tracee _boarder;
    private readonly ulong _gadget, _restorer, _arena;
    private readonly int _slots;
    private readonly bool _compat;
    private readonly IReadOnlyList<ProcMapping> _mappings;
    private bool _left;

    public override ulong ArenaAddress => _arena;
    private ulong ArenaLength => (ulong)(CodeSize + _slots * SlotSize);

    private LiveMachine(Tracee boarder, IReadOnlyList<ProcMapping> mappings, CodeFinder finder, int slots, bool compat)
    {
        (_boarder, _mappings, _slots, _compat) = (boarder, mappings, slots, compat);
        _gadget = finder.Find(boarder.Tid, mappings, compat ? Compat.CallAndReturn : Interpreter.SyscallAndReturn) ?? 0;
        _restorer = (compat ? [Compat.Restorer] : Interpreter.Restorers).Select(r => finder.Find(boarder.Tid, mappings, r) ?? 0).FirstOrDefault(a => a != 0);
        if (compat && (_gadget == 0 || _restorer == 0)) throw new TargetUnruly($"{boarder.Whose}, a 32-bit program, has no vdso to make calls by; start it without vdso32=0");
        // Without a return instruction and a restorer (a static program without either) the few microseconds of an injected call are
        // not covered by the ticket.
        if (_gadget == 0) _gadget = finder.Find(boarder.Tid, mappings, Interpreter.SyscallInstruction)
            ?? throw new TargetUnruly($"{boarder.Whose} has no system call instruction in its memory");
        const int MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MAP_FIXED_NOREPLACE = 0x100000, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4;
        ulong place = Place(mappings, ArenaLength, compat);
        using var borrowed = new BorrowedStack(this);
        _arena = borrowed.Map("mmap of an arena", place, ArenaLength, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | (place == 0 ? 0 : MAP_FIXED_NOREPLACE));
        borrowed.Map("mmap of tape room", _arena + CodeSize, ArenaLength - CodeSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED);
        // The length first: with the code it is what a later run knows a forgotten arena by.
        ProcessMemory.WriteForced(boarder.Tid, _arena + LengthOffset, BitConverter.GetBytes(ArenaLength)).OrThrow("write of the arena's length", boarder.Whose);
        ProcessMemory.WriteForced(boarder.Tid, _arena, Interpreter.ForLive).OrThrow("write of the interpreter", boarder.Whose);
        foreach ((ulong start, ulong length) in Forgotten(boarder.Tid, mappings))
        {
            borrowed.Unmap("munmap of a forgotten arena", start, length);
            RemovedForgotten = true;
        }
    }

    // Arenas lie in a range of addresses that neither the kernel nor a runtime we know of hands out, so that nothing merges with them and
    // one left behind by a killed run is recognized; where a program has that range mapped, the kernel chooses.
    private const ulong OwnRange = 0x15A515000000, CompatRange = 0x15A00000, PlaceStep = 2 * 1024 * 1024, RangeLength = PlaceStep * 8;

    private static bool IsPlace(ulong start) => start - OwnRange < RangeLength || start - CompatRange < RangeLength;

    /// <summary>Whether a stopped task is still in an arena of a run that was killed: on its way home, which must be let happen first.</summary>
    /// <remarks>The range for 32-bit programs may be anything's in one of 64: there only the code at an arena's start counts.</remarks>
    public static bool IsOnItsWayHome(in UserRegisters registers) => registers.rip - OwnRange < RangeLength
        || registers.rip - CompatRange < RangeLength && registers.cs == Compat.LongCodeSegment && (registers.rip - CompatRange) % PlaceStep < (ulong)Interpreter.ForLive.Length;

    /// <summary>Calls that end with EINTR after any stop start again, unless a signal is there that would have ended them too. For a task just stopped.</summary>
    public static void UndoStrayInterrupt(Tracee tracee)
    {
        UserRegisters registers = tracee.Registers;
        if (!SyscallRestart.IsStrayInterrupt(registers) || IsOnItsWayHome(registers)) return;
        ProcStatus? status = ProcStatus.Read($"/proc/{tracee.Tgid}/task/{tracee.Tid}");
        if (status is null || ((status.Hex("SigPnd") | status.Hex("ShdPnd")) & ~status.Hex("SigBlk") & ~status.IgnoredSignals) != 0) return;
        tracee.Registers = SyscallRestart.UnlessHandled(registers);
    }

    internal static ulong Place(IReadOnlyList<ProcMapping> mappings, ulong length, bool compat = false)
    {
        ulong range = compat ? CompatRange : OwnRange;
        for (ulong place = range; place < range + RangeLength; place += PlaceStep)
            if (!mappings.Any(mapping => mapping.Start < place + length && place < mapping.End)) return place;
        return 0;
    }

    // An arena that a killed run left behind: by its place, or a page of code that begins with our interpreter.
    internal static List<(ulong Start, ulong Length)> Forgotten(int pid, IReadOnlyList<ProcMapping> mappings)
    {
        List<(ulong, ulong)> arenas = [];
        byte[] page = new byte[LengthOffset + 8];
        foreach (ProcMapping mapping in mappings)
        {
            if (mapping.Inode != 0 || mapping.Shared || mapping.Name.Length > 0 || mapping.Has("um") || mapping.Has("ui")) continue;
            if (!mapping.Protection.HasFlag(Protection.Read | Protection.Execute) || ProcessMemory.ReadExactly(pid, mapping.Start, page).Failed) continue;
            // Killed before the code was written: a code page of zeros, of an arena's length, at an arena's place.
            bool atPlace = IsPlace(mapping.Start) && IsPlace(mapping.End - 1) && (mapping.Start - (mapping.Start >= OwnRange ? OwnRange : CompatRange)) % PlaceStep == 0;
            if (atPlace && (mapping.Length - CodeSize) % SlotSize == 0 && page.AsSpan(0, LengthOffset).IndexOfAnyExcept((byte)0) < 0)
            {
                arenas.Add((mapping.Start, mapping.Length));
                // The tape room was there already: it lies directly behind the code page.
                ProcMapping? room = mappings.FirstOrDefault(next => next.Start == mapping.End && IsPlace(next.End - 1) && next.Inode == 0 && !next.Shared);
                if (mapping.Length == CodeSize && room is { Protection: Protection.Read | Protection.Write } && room.Length % SlotSize == 0) arenas.Add((room.Start, room.Length));
            }
            if (!page.AsSpan().StartsWith(Interpreter.ForLive) && !page.AsSpan().StartsWith(Interpreter.ForTraced)) continue;
            ulong length = BitConverter.ToUInt64(page, LengthOffset);
            if (length % CodeSize == 0 && length is > CodeSize and <= (ulong)(CodeSize + MaxSlots * SlotSize)) arenas.Add((mapping.Start, length));
        }
        return arenas;
    }

    /// <summary>Boards the process by one of its frozen tasks. Errors: <see cref="KernelRefusal"/> when the target may map nothing more.</summary>
    /// <param name="compat">The process is a program of 32 bits.</param>
    public static LiveMachine Board(Tracee task, IReadOnlyList<ProcMapping> mappings, CodeFinder finder, int taskCount, bool compat) =>
        new(task, mappings, finder, Math.Clamp(taskCount, 1, MaxSlots), compat);

    /// <summary>The list of robust futexes that a 32-bit thread has set through its own interface, which the other does not tell. For a thread by its id inside.</summary>
    public (ulong Head, ulong Length) CompatRobustList(int insideTid)
    {
        ulong room = _arena + CodeSize;
        using var borrowed = new BorrowedStack(this);
        borrowed.CallCompat("get_robust_list", Compat.get_robust_list, (ulong)insideTid, room, room + 4);
        byte[] answer = new byte[8];
        ProcessMemory.ReadExactly(_boarder.Tid, room, answer).OrThrow("read of a robust list", _boarder.Whose);
        return (BitConverter.ToUInt32(answer), BitConverter.ToUInt32(answer, 4));
    }

    /// <summary>Runs one tape in each task, as many at a time as there are slots. Every tape's results are there afterwards.</summary>
    public override void Run(IReadOnlyList<(HeldTask Task, Tape Tape)> work)
    {
        for (int first = 0; first < work.Count; first += _slots)
        {
            List<Flight> flights = [];
            try
            {
                for (int i = first; i < Math.Min(first + _slots, work.Count); i++) flights.Add(new Flight(this, (Tracee)work[i].Task, work[i].Tape, i - first));
                foreach (Flight flight in flights) flight.Land();
            }
            finally
            {
                foreach (Flight flight in flights) flight.Dispose();
            }
        }
    }

    /// <summary>The bytes before the system call instruction that a stopped task came from; empty when they can't be read.</summary>
    public static byte[] CodeBefore(HeldTask task, in UserRegisters registers)
    {
        byte[] code = new byte[48];
        return ProcessMemory.ReadExactly(task.Tid, registers.rip - 2 - (ulong)code.Length, code).Failed ? [] : code;
    }

    public static SyscallRestart.MemoryReader MemoryOf(HeldTask task) => (address, buffer) => !ProcessMemory.ReadExactly(task.Tid, address, buffer).Failed;

    /// <summary>Unmaps the arena. After it nothing of ours is in the process.</summary>
    public override void Dispose()
    {
        if (_left) return;
        _left = true;
        using var borrowed = new BorrowedStack(this);
        borrowed.Unmap("munmap of the arena", _arena, ArenaLength);
    }

    /// <summary>The boarding task set up for injected calls with its return ticket on the stack; given back in reverse order.</summary>
    private sealed class BorrowedStack : IDisposable
    {
        private readonly LiveMachine _machine;
        private readonly UserRegisters _registers;
        private readonly ulong _mask, _frame;
        private readonly byte[] _below;

        public BorrowedStack(LiveMachine machine)
        {
            _machine = machine;
            Tracee task = machine._boarder;
            _registers = task.Registers;
            _mask = task.SignalMask;
            byte[] xsave = task.ExtendedState;
            int used = ExtendedLayout.Here.UsedLength(xsave), size = machine._compat ? CompatFrame.Size(used) : SignalFrame.Size(used) + 16;
            _frame = Place(task.Tid, _registers.rsp, size, machine._mappings);
            byte[] frame = machine._compat ? CompatFrame.Build(_frame, _registers, _mask, xsave, machine._restorer, MemoryOf(task))
                : SignalFrame.Build(_frame, _registers, _mask, xsave, machine._restorer, CodeBefore(task, _registers), MemoryOf(task));
            _below = new byte[frame.Length];
            ProcessMemory.ReadExactly(task.Tid, _frame, _below).OrThrow("read below the stack", task.Whose);
            ProcessMemory.WriteExactly(task.Tid, _frame, frame).OrThrow("write below the stack", task.Whose);
        }

        /// <summary>
        /// Where bytes may be overwritten that nobody misses, should we die before they are put back. Not simply below the stack pointer:
        /// a goroutine's or coroutine's stack is small, and below it lies live memory. So first the far end of the main thread's stack,
        /// where nothing has ever been written; then the red zone's other side, if the stack pointer is on that stack.
        /// </summary>
        private static ulong Place(int pid, ulong stackPointer, int size, IReadOnlyList<ProcMapping> mappings)
        {
            ulong below = (stackPointer - RedZone - (ulong)size) & ~63ul;
            if (mappings.FirstOrDefault(mapping => mapping.Name == "[stack]") is { } stack)
            {
                byte[] end = new byte[size];
                bool unused = stack.Length > (ulong)size * 2 && !ProcessMemory.ReadExactly(pid, stack.Start, end).Failed && end.AsSpan().IndexOfAnyExcept((byte)0) < 0;
                if (unused && (stackPointer < stack.Start || stackPointer > stack.End || below > stack.Start + (ulong)size)) return stack.Start;
                if (stack.Start <= below && stackPointer <= stack.End) return below;
                // The stack pointer is at the very end, or on another stack: a page more or two, which grows this one as the program itself would have.
                bool isHere = stackPointer >= stack.Start && stackPointer <= stack.End;
                ulong grown = (isHere ? below : stack.Start - (ulong)size) & ~4095ul;
                if (!ProcessMemory.WriteForced(pid, grown, [0]).Failed) return grown;
            }
            bool onOwnStack = mappings.Any(m => m.Protection.HasFlag(Protection.Write) && m.Protection.HasFlag(Protection.Read) && !m.Shared && m.Start <= below && stackPointer <= m.End);
            return onOwnStack ? below : throw new TargetUnruly($"process {pid} has no place on its stack where a signal frame may lie; try again in a moment");
        }

        public ulong Map(string words, ulong address, ulong length, int protection, int flags) => _machine._compat
            ? CallCompat(words, Compat.mmap2, address, length, (ulong)protection, (ulong)flags, ulong.MaxValue, 0)
            : Call(words, Syscall.mmap, address, length, (ulong)protection, (ulong)flags, ulong.MaxValue, 0);

        public void Unmap(string words, ulong address, ulong length)
        {
            if (_machine._compat) CallCompat(words, Compat.munmap, address, length);
            else Call(words, Syscall.munmap, address, length);
        }

        public ulong CallCompat(string words, int number, params ReadOnlySpan<ulong> arguments) =>
            Run(words, Compat.Call(_registers, _machine._gadget, number, arguments) with { rsp = _frame });

        private ulong Call(string words, Syscall number, params ReadOnlySpan<ulong> arguments)
        {
            UserRegisters call = _registers;
            // A 64-bit program may be in 32-bit code just now (wine).
            (call.cs, call.ss) = (Compat.LongCodeSegment, Compat.StackSegment);
            call.rip = _machine._gadget;
            call.rsp = _frame;
            call.orig_rax = ulong.MaxValue;
            call.rax = (ulong)(int)number;
            call.rdi = arguments.Length > 0 ? arguments[0] : 0;
            call.rsi = arguments.Length > 1 ? arguments[1] : 0;
            call.rdx = arguments.Length > 2 ? arguments[2] : 0;
            call.r10 = arguments.Length > 3 ? arguments[3] : 0;
            call.r8 = arguments.Length > 4 ? arguments[4] : 0;
            call.r9 = arguments.Length > 5 ? arguments[5] : 0;
            return Run(words, call);
        }

        private ulong Run(string words, in UserRegisters call)
        {
            Tracee task = _machine._boarder;
            // First the registers, then the mask: with the ticket in place rt_sigreturn gives the mask back, the other way round nobody would.
            task.Registers = call;
            task.SignalMask = AllBlocked;
            return (ulong)new SysResult((long)task.RunPreparedCall().rax).OrThrow(words, task.Whose);
        }

        public void Dispose()
        {
            Tracee task = _machine._boarder;
            try
            {
                task.SignalMask = _mask;
                task.Registers = _registers;
                ProcessMemory.WriteExactly(task.Tid, _frame, _below);
            }
            catch (TargetGone) { } // nothing to give back to
        }
    }

    /// <summary>One task running one tape; given back its own state whatever happens.</summary>
    private sealed class Flight : IDisposable
    {
        private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);
        private readonly LiveMachine _machine;
        private readonly Tracee _task;
        private readonly Tape _tape;
        private readonly UserRegisters _registers;
        private readonly ulong _mask, _slot;
        private bool _running, _changed;

        private ulong TapeAddress => _slot + 64;

        public Flight(LiveMachine machine, Tracee task, Tape tape, int slot)
        {
            (_machine, _task, _tape) = (machine, task, tape);
            _slot = machine._arena + CodeSize + (ulong)(slot * SlotSize);
            _registers = task.Registers;
            _mask = task.SignalMask;
            byte[] xsave = task.ExtendedState;
            ulong frameAddress = (_slot + SlotSize - (ulong)SignalFrame.Size(xsave.Length) - 64) & ~63ul;
            InvariantBroken.Require(TapeAddress + (ulong)tape.Size + SignalRoom < frameAddress, "the tape is larger than its slot");
            byte[] bytes = tape.Assemble(TapeAddress);
            ProcessMemory.WriteExactly(task.Tid, _slot, new byte[64]).OrThrow("write of a tape", task.Whose);
            ProcessMemory.WriteExactly(task.Tid, TapeAddress, bytes).OrThrow("write of a tape", task.Whose);
            ProcessMemory.WriteExactly(task.Tid, frameAddress, SignalFrame.Build(frameAddress, _registers, _mask, xsave, 0, CodeBefore(task, _registers), MemoryOf(task))).OrThrow("write of a frame", task.Whose);

            UserRegisters start = _registers;
            (start.cs, start.ss) = (Compat.LongCodeSegment, Compat.StackSegment);
            start.rip = machine._arena;
            start.rbx = TapeAddress;
            start.r13 = _slot;
            start.rsp = frameAddress + 8;
            start.orig_rax = ulong.MaxValue;
            _changed = true;
            task.Registers = start;
            task.SignalMask = AllBlocked;
            _running = true;
            task.Continue();
        }

        /// <summary>Waits for the tape's end, stops the task there and takes the results.</summary>
        public void Land()
        {
            WaitForEnd();
            Stop();
            UserRegisters registers = _task.Registers;
            // The stop may come between the mark of the end and the lingering call: a few more instructions then.
            while (registers.rip >= _machine._arena && registers.rip < _machine._arena + Interpreter.LiveLinger)
            {
                _task.Continue();
                _running = true;
                Pause.Microseconds(20);
                Stop();
                registers = _task.Registers;
            }
            if (registers.rip != _machine._arena + Interpreter.LiveLinger)
                throw new TargetUnruly($"{_task.Whose} went on before it was stopped again: this machine is too busy, try again");
            byte[] bytes = new byte[_tape.Size];
            ProcessMemory.Read(_task.Tid, TapeAddress, bytes).OrThrow("read of a tape", _task.Whose);
            GiveBack();
            _tape.Absorb(bytes, TapeAddress, registers.rbx, _task.Whose);
        }

        private void WaitForEnd()
        {
            Span<byte> done = stackalloc byte[8];
            long deadline = Environment.TickCount64 + (long)s_patience.TotalMilliseconds;
            for (int round = 0; ; round++)
            {
                SysResult read = ProcessMemory.ReadExactly(_task.Tid, _slot, done);
                if (read.Errno == Errno.ESRCH) throw new TargetGone(_task.Tid);
                read.OrThrow("read of a tape", _task.Whose);
                if (BitConverter.ToUInt64(done) != 0) return;
                if (Environment.TickCount64 > deadline) throw new TargetUnruly($"{_task.Whose} did not finish its tape");
                if (round % 64 == 63)
                {
                    // A SIGSTOP can't be blocked: let it run its course, the task goes on with the tape inside the job-control stop.
                    (_, WaitStatus? status) = Wait.Poll(_task.Tid);
                    if (status is { Gone: true }) throw new TargetGone(_task.Tid);
                    if (status is { Stopped: true } stop) _task.Continue(stop.Event == 0 ? stop.StopSignal : 0);
                }
                Pause.Round(round);
            }
        }

        private void Stop()
        {
            if (!_running) return;
            _task.Interrupt();
            _task.WaitForInterrupt();
            _running = false;
        }

        private void GiveBack()
        {
            if (!_changed) return;
            _changed = false;
            // A task that lingered too long (the tool was stopped, the machine stood still) has been made whole by its ticket and is
            // on its way: its registers are not ours any more, and the stop that it was given just now is one like any other.
            ulong rip = _task.Registers.rip;
            if (rip < _machine._arena || rip >= _machine._arena + CodeSize)
            {
                UndoStrayInterrupt(_task);
                return;
            }
            // The mask first: with the registers still at the lingering call, a death of ours here ends in rt_sigreturn.
            _task.SignalMask = _mask;
            _task.Registers = _registers;
        }

        public void Dispose()
        {
            try
            {
                Stop();
                GiveBack();
            }
            catch (TargetGone) { } // nothing to give back to
        }
    }
}
