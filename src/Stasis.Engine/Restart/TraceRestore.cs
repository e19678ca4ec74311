using Stasis.Image;
using Stasis.Linux;
using Stasis.Remote;
using Stasis.Remote.X64;
using Stasis.State;
using Stasis.State.Descriptors.TcpConnection;
using Stasis.State.Processes;
using Stasis.State.Seccomp;
using Stasis.State.Threads;

namespace Stasis.Engine.Restart;

/// <summary>
/// Gives traced tasks to their tracers. What is ready but for its registers is parked in its arena and let go by us; the tracer, still a
/// blank task that runs our tapes, attaches to it, and from then on does for us what remains: the arena is unmapped, and the
/// task is brought to the stop that its tracer left it in. The tracer has its own credentials by then: with ours it would keep rights over
/// its tracees that it never had.
/// </summary>
/// <param name="taskOf">The blank task for a thread id of the image.</param>
internal sealed class TraceRestore(LoadedImage image, IReadOnlyDictionary<int, BlankTask> taskOf, ClockShift clock)
{
    private readonly HashSet<int> _tracers = [.. image.Living.SelectMany(process => process.Threads).Where(thread => thread.Trace is not null).Select(thread => thread.Trace!.Tracer)];

    public bool IsTracer(ProcessRecord process) => process.Threads.Any(thread => _tracers.Contains(thread.Tid));

    public static bool IsTraced(ProcessRecord process) => process.Threads.Length > 0 && process.Threads[0].Trace is not null;

    /// <summary>All that <see cref="RestartJourney"/> does to complete other processes. Until <see cref="Finish"/> a death of the tool ends the task by that of its tracer.</summary>
    public void HandOver(ProcessRecord process, ulong instruction)
    {
        foreach (ThreadRecord thread in process.Threads)
        {
            taskOf[thread.Tid].Park(IsConfined(thread));
            Attach(process, thread);
        }
        // The leader last: the others must have left the arena.
        foreach (ThreadRecord thread in Enumerable.Reverse(process.Threads)) Stand(process, thread, instruction);
    }

    private static bool IsConfined(ThreadRecord thread) => thread.Seccomp.Mode != SeccompRecord.Disabled;

    // Else its filters let through what it still does for us: the plan has asked them.
    private bool IsSetAside(ThreadRecord thread) => IsConfined(thread) && image.Living.SelectMany(process => process.Threads).First(one => one.Tid == thread.Trace!.Tracer) is var tracer
        && TraceExamination.MaySetAside(tracer.Credentials.Effective, tracer.Seccomp.Mode);

    private void Attach(ProcessRecord process, ThreadRecord thread)
    {
        TraceRecord trace = thread.Trace!;
        // What it still does for us its filters must not judge; with the options as they were, they judge again.
        uint options = trace.Options | PtraceConstants.O_EXITKILL | (IsSetAside(thread) ? (uint)PtraceConstants.O_SUSPEND_SECCOMP : 0);
        var tape = new Tape();
        var calls = new TraceCalls(tape, thread.Tid, process.Pid);
        if (trace.Seized)
        {
            calls.Request($"SEIZE of {thread.Tid}", PtraceConstants.SEIZE, 0, options);
            calls.Request("INTERRUPT", PtraceConstants.INTERRUPT, 0, 0);
            calls.Await(take: true);
        }
        else
        {
            calls.Request($"ATTACH of {thread.Tid}", PtraceConstants.ATTACH, 0, 0);
            calls.Await(take: true);
            calls.Request("SETOPTIONS", PtraceConstants.SETOPTIONS, 0, options);
        }
        taskOf[trace.Tracer].Run(tape);
    }

    private void Stand(ProcessRecord process, ThreadRecord thread, ulong instruction)
    {
        TraceState trace = thread.Trace!.ToState();
        UserRegisters asked = thread.Registers.ToRegisters(), registers = Finished(process, thread, SleepShift.Apply(asked, taskOf[thread.Tid].Tid, clock));
        if (registers.orig_rax == ulong.MaxValue && asked.orig_rax != ulong.MaxValue) _ended.Add(thread.Tid);
        if (trace.Go == TraceGo.GoesInCall && registers.orig_rax == ulong.MaxValue)
        {
            // The call is over: its tracer hears of that now.
            registers.orig_rax = asked.orig_rax;
            trace = trace with { Stop = TraceStop.SyscallExit, Reported = false, Go = TraceGo.Stays };
            _over.Add(thread.Tid);
        }
        trace = trace.BeforeGoing();
        if (trace.Go == TraceGo.GoesInCall) registers.rax = unchecked((ulong)-(long)Errno.ENOSYS); // as at every entry
        int signal = TraceCalls.FreeSignal(trace, new TaskState(registers, [], 0, thread.PendingSignals, process.SharedPendingSignals, default));
        if (signal == 0) throw new BadImage($"the image is broken: the waiting signals of thread {thread.Tid}, which is traced");
        var tape = new Tape();
        var calls = new TraceCalls(tape, thread.Tid, process.Pid);
        Arena arena = taskOf[thread.Tid].Arena;
        TapeData? unmapped = thread.Tid == process.Pid ? calls.Call(registers, instruction, Syscall.munmap, arena.Base, Arena.Length) : null;
        calls.Stand(trace, registers, thread.SignalMask, instruction, signal);
        calls.SetExtendedState(thread.ExtendedState);
        // The control register last: it makes the kernel look at the addresses.
        for (int i = 0; i < trace.DebugRegisters.Length; i++)
            if (trace.DebugRegisters.Any(value => value != 0))
                calls.Request($"POKEUSER of debug register {TraceState.DebugRegisterNumbers[i]}", PtraceConstants.POKEUSER, TraceState.DebugRegisterOffset + TraceState.DebugRegisterNumbers[i] * 8, trace.DebugRegisters[i]);
        taskOf[trace.Tracer].Run(tape);
        if (unmapped is not null) new SysResult((long)unmapped.Read<UserRegisters>().rax).OrThrow("munmap of the arena", $"process {process.Pid}");
    }

    // Threads whose calls have ended meanwhile; and of these, those whose tracers are told of the end.
    private readonly HashSet<int> _ended = [], _over = [];

    private UserRegisters Finished(ProcessRecord process, ThreadRecord thread, in UserRegisters registers) =>
        ConnectCall.Finished(registers, LiveMachine.MemoryOf(taskOf[thread.Tid].Tracee), image.DescriptorsOf(process, thread));

    /// <summary>The last of it, while the tracers still run our tapes: the options as they were, and no news of stops that were ours.</summary>
    public void Finish() => OnTracers((batch, tracer, traced) =>
    {
        foreach (ThreadRecord thread in traced) new TraceCalls(batch.Tape, thread.Tid, 0).Request("SETOPTIONS", PtraceConstants.SETOPTIONS, 0, thread.Trace!.Options);
        // One of them is to be heard of.
        if (!HadNews(tracer) && !traced.Any(thread => _over.Contains(thread.Tid))) TraceCalls.SweepNews(batch.Tape);
    });

    /// <summary>Lets go those that ran. Everybody else is ready by then, but for their tracers, which do this.</summary>
    public void LetGo() => OnTracers((batch, tracer, traced) =>
    {
        List<ThreadRecord> going = [.. traced.Where(thread => thread.Trace!.Go != TraceGo.Stays && !_over.Contains(thread.Tid))], told = going.FindAll(IsTold);
        foreach (ThreadRecord thread in told) new TraceCalls(batch.Tape, thread.Tid, 0).PassEvent(thread.Trace!.ToState(), thread.SignalMask);
        if (told.Count > 0 && !HadNews(tracer) && !traced.Any(thread => _over.Contains(thread.Tid))) TraceCalls.SweepNews(batch.Tape);
        foreach (ThreadRecord thread in going) new TraceCalls(batch.Tape, thread.Tid, 0).Go(thread.Trace!.ToState());
    });

    // The tracer has heard of the call that it is in.
    private bool IsTold(ThreadRecord thread) => IsConfined(thread) && !_ended.Contains(thread.Tid) && (thread.Trace!.Options & PtraceConstants.O_TRACESECCOMP) != 0 && SyscallRestart.IsRestart(thread.Registers.ToRegisters())
        && FilterVerdict.IsTold(thread.Seccomp.Filters.Select(place => image.Tree.SeccompFilters[place]), thread.Registers.ToRegisters());

    private static bool HadNews(ProcessRecord tracer) => tracer.SharedPendingSignals.Concat(tracer.Threads.SelectMany(thread => thread.PendingSignals)).Any(signal => BitConverter.ToInt32(signal) == Signals.SIGCHLD);

    private void OnTracers(Action<TapeBatch, ProcessRecord, IEnumerable<ThreadRecord>> add)
    {
        foreach (IGrouping<int, ThreadRecord> traced in image.Living.SelectMany(process => process.Threads).Where(thread => thread.Trace is not null).GroupBy(thread => thread.Trace!.Tracer))
        {
            var batch = new TapeBatch(taskOf[traced.Key]);
            add(batch, image.Living.First(process => process.Threads.Any(thread => thread.Tid == traced.Key)), traced);
            batch.Flush();
        }
    }
}
