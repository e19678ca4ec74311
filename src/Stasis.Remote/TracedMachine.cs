using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote.X64;

namespace Stasis.Remote;

/// <summary>
/// A process that is stopped by a tracer of the tree, as a machine that runs our tapes. Each step (mapping the arena, a tape, unmapping) is one
/// errand on the tracer's tape, see <see cref="TracedTask.Errand"/>: between steps the process is as its tracer left it.
/// </summary>
public sealed class TracedMachine : TapeMachine
{
    private const ulong ArenaLength = LiveMachine.CodeSize + LiveMachine.SlotSize;
    private readonly TracedTask _boarder;
    private readonly ulong _gadget, _arena;
    private bool _left;

    public override ulong ArenaAddress => _arena;

    private TracedMachine(TracedTask boarder, IReadOnlyList<ProcMapping> mappings, CodeFinder finder)
    {
        _boarder = boarder;
        _gadget = finder.Find(boarder.Tgid, mappings, Interpreter.SyscallInstruction) ?? throw new TargetUnruly($"{boarder.Whose} has no system call instruction in its memory");
        const int MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20, MAP_FIXED_NOREPLACE = 0x100000, PROT_ALL = 7;
        ulong place = LiveMachine.Place(mappings, ArenaLength);
        _arena = Call("mmap of an arena", Syscall.mmap, place, ArenaLength, PROT_ALL, (ulong)(MAP_PRIVATE | MAP_ANONYMOUS | (place == 0 ? 0 : MAP_FIXED_NOREPLACE)), ulong.MaxValue, 0);
        ProcessMemory.WriteExactly(boarder.Tgid, _arena + LiveMachine.LengthOffset, BitConverter.GetBytes(ArenaLength)).OrThrow("write of the arena's length", boarder.Whose);
        ProcessMemory.WriteExactly(boarder.Tgid, _arena, Interpreter.ForTraced).OrThrow("write of the interpreter", boarder.Whose);
        foreach ((ulong start, ulong length) in LiveMachine.Forgotten(boarder.Tgid, mappings))
        {
            Call("munmap of a forgotten arena", Syscall.munmap, start, length);
            RemovedForgotten = true;
        }
    }

    public static TracedMachine Board(TracedTask task, IReadOnlyList<ProcMapping> mappings, CodeFinder finder) => new(task, mappings, finder);

    private ulong Call(string words, Syscall number, params ReadOnlySpan<ulong> arguments)
    {
        TapeData? after = null;
        ulong[] all = arguments.ToArray();
        _boarder.Judge((int)number, _gadget, all);
        _boarder.Errand(_gadget, (calls, registers, _) => after = calls.Call(registers, _gadget, number, all));
        return (ulong)new SysResult((long)after!.Read<UserRegisters>().rax).OrThrow(words, _boarder.Whose);
    }

    public override void Run(IReadOnlyList<(HeldTask Task, Tape Tape)> work)
    {
        foreach ((HeldTask task, Tape tape) in work) Run((TracedTask)task, tape);
    }

    private void Run(TracedTask task, Tape tape)
    {
        TaskState state = task.ReadState();
        ulong address = _arena + LiveMachine.CodeSize;
        ulong frame = (_arena + ArenaLength - (ulong)SignalFrame.Size(state.ExtendedState.Length) - 64) & ~63ul;
        InvariantBroken.Require(address + (ulong)tape.Size < frame, "the tape is larger than its slot");
        byte[] bytes = tape.Assemble(address);
        foreach ((int number, ulong[] arguments, bool mayFail) in Tape.CallsIn(bytes)) task.Judge(number, _arena, arguments, mayFail);
        task.Judge((int)Syscall.tgkill, _arena, [(ulong)task.InsideTgid, (ulong)task.InsideTid, 0]);
        task.Judge((int)Syscall.rt_sigreturn, _arena, []);
        ProcessMemory.WriteExactly(task.Tgid, address, bytes).OrThrow("write of a tape", task.Whose);
        // The ticket home, for a task whose tracer dies in these microseconds.
        UserRegisters home = state.Trace!.Stop == TraceStop.SyscallEntry ? SyscallRestart.Again(state.Registers) : state.Registers;
        ProcessMemory.WriteExactly(task.Tgid, frame, SignalFrame.Build(frame, home, state.SignalMask, state.ExtendedState, 0, LiveMachine.CodeBefore(task, state.Registers))).OrThrow("write of a frame", task.Whose);
        TapeData? end = null;
        task.Errand(_gadget, (calls, registers, signal) => end = calls.RunUntil(registers with
        {
            cs = Compat.LongCodeSegment,
            ss = Compat.StackSegment,
            rip = _arena,
            rbx = address,
            r12 = (ulong)task.InsideTgid,
            r13 = (ulong)task.InsideTid,
            r14 = (ulong)signal,
            rsp = frame + 8,
            orig_rax = ulong.MaxValue,
        }, signal));
        ProcessMemory.ReadExactly(task.Tgid, address, bytes).OrThrow("read of a tape", task.Whose);
        tape.Absorb(bytes, address, end!.Read<UserRegisters>().rbx, task.Whose);
    }

    public override void Dispose()
    {
        if (_left) return;
        _left = true;
        Call("munmap of the arena", Syscall.munmap, _arena, ArenaLength);
    }
}
