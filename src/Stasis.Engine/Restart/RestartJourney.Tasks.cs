using Stasis.Linux;
using Stasis.Linux.Proc;
using Stasis.Remote;
using Stasis.Remote.X64;
using Stasis.State.Descriptors.TcpConnection;
using Stasis.State.Processes;
using Stasis.State.Seccomp;
using Stasis.State.Threads;

namespace Stasis.Engine.Restart;

/// <summary>Threads, signals, credentials, timers, registers; stopped processes first; and the moment in which all go on.</summary>
internal sealed partial class RestartJourney
{
    private readonly Dictionary<int, List<BlankTask>> _tasks = [];

    /// <summary>
    /// Stopped processes are finished first, children before parents, and really stopped: so their parents' tapes can still take the
    /// news of it where the program had taken it before the checkpoint, and a SIGCHLD too many is swept away with the others.
    /// </summary>
    private void Furnish(IReadOnlyDictionary<int, BlankTask> blanks)
    {
        request.Progress?.Stage("furnishing tasks");
        CredentialsRecord own = ThreadCapture.Credentials(ProcStatus.Read("/proc/self")!, 0);
        foreach (ProcessRecord process in _image.Living.Where(process => process.StopSignal != 0).Reverse())
        {
            FurnishProcess(process, blanks[process.Pid]);
            FurnishThreads(process, own);
            Complete(process);
            Stop(process, blanks);
        }
        List<ProcessRecord> running = [.. _image.Living.Where(process => process.StopSignal == 0)];
        foreach (ProcessRecord process in running) FurnishProcess(process, blanks[process.Pid]);
        foreach (ProcessRecord process in running) FurnishThreads(process, own);
    }

    private void MakeThreads(ProcessRecord process, BlankTask leader)
    {
        ProcessRestore.SetByProc(process, leader.Tid);
        _tasks[process.Pid] = ProcessRestore.MakeThreads(leader, process, (tape, words, flags, id) => CloneCall.Add(tape, words, flags, 0, id));
    }

    private void FurnishProcess(ProcessRecord process, BlankTask leader)
    {
        List<BlankTask> threads = _tasks[process.Pid];
        for (int i = 0; i < threads.Count; i++)
        {
            var tape = new Tape();
            // Where the others of the process stand is its own matter; who shares it with a process before has it from there.
            PlacesRecord? places = i > 0 ? process.Threads[i].OwnPlaces : process.SharesPlacesWith == 0 ? new PlacesRecord(process.WorkingDirectory!, process.Root!, process.Umask) : null;
            if (places is not null) ProcessRestore.AddPlaces(tape, places);
            ProcessRestore.AddPersonality(tape, process, process.Threads[i]);
            ThreadRestore.AddCalls(tape, process.Threads[i], threads[i]);
            threads[i].Run(tape);
            ThreadRestore.SetScheduling(process.Threads[i], threads[i]);
            _newAuditSession |= process.Threads[i].Audit is { Session: not AuditRecord.Unset } audit && AuditRecord.Of($"/proc/{leader.Tid}/task/{threads[i].Tid}").Session != audit.Session;
        }
        var settings = new Tape();
        ProcessRestore.AddSettings(settings, process);
        leader.Run(settings);
        for (int i = 0; i < threads.Count; i++)
            if (process.Threads[i].HasTiles()) threads[i].MakeRoomForTiles();
        if (process.ThirtyTwoBit) ProcessRestore.SetCompat(process, threads, OwnInstruction(process));
        if (process.LeaderStatus is not null) ProcessRestore.EndLeader(leader, process);
    }

    private bool _newAuditSession;

    private void FurnishThreads(ProcessRecord process, CredentialsRecord own)
    {
        List<BlankTask> threads = _tasks[process.Pid];
        SeccompRestore.Run(process, threads, _image.Tree.SeccompFilters);
        for (int i = threads.Count - 1; i >= 0; i--)
        {
            ThreadRecord thread = process.Threads[i];
            var batch = new TapeBatch(threads[i]);
            ThreadRestore.AddPendingSignals(batch, process.Pid, thread.Tid, thread.PendingSignals, i == 0 ? process.SharedPendingSignals : []);
            // After what waits already: a timer may expire at once.
            if (i == 0) ProcessRestore.AddTimers(batch, process, _clock.Shift);
            ThreadRestore.AddCredentials(batch.Tape, thread.Credentials, own);
            if (i == 0) ProcessRestore.AddDumpable(batch.Tape, process);
            ThreadRestore.AddDeathSignal(batch.Tape, thread);
            batch.Flush();
        }
    }

    /// <summary>The last acts on a process: nothing of ours is left in it, and its tasks stand with their own registers.</summary>
    private void Complete(ProcessRecord process)
    {
        List<BlankTask> threads = _tasks[process.Pid];
        ulong instruction = OwnInstruction(process);
        ProcessRestore.SetTrapAction(threads[0], process, instruction);
        for (int i = 0; i < threads.Count; i++)
        {
            ThreadRestore.AddPendingTraps(threads[i], instruction, process.Pid, process.Threads[i].Tid, process.Threads[i].PendingSignals, i == 0 ? process.SharedPendingSignals : []);
            if (i > 0) threads[i].ParkInInterruptStop();
        }
        // Where processes share their memory, the last of them takes the arena away.
        if (_left.Count == 0) foreach (ProcessRecord living in _image.Living) _left[MemoryOf(living)] = _left.GetValueOrDefault(MemoryOf(living)) + 1;
        if (--_left[MemoryOf(process)] == 0) threads[0].UnmapArena(instruction, process.ThirtyTwoBit);
        else threads[0].ParkInInterruptStop();
        for (int i = 0; i < threads.Count; i++)
        {
            ThreadRestore.SetRegisters(process.Threads[i], threads[i], _clock.Shift);
            UserRegisters own = threads[i].Tracee.Registers, finished = ConnectCall.Finished(own, LiveMachine.MemoryOf(threads[i].Tracee), _image.DescriptorsOf(process, process.Threads[i]));
            if (finished.orig_rax != own.orig_rax) threads[i].Tracee.Registers = finished;
        }
    }

    // Not before everything that a wait may wait for is as it was.
    private void ResumeWaits(ProcessRecord process)
    {
        for (int i = 0; i < process.Threads.Length; i++)
        {
            ThreadRecord thread = process.Threads[i];
            if (thread.WaitLeft is null || ForbiddenRestart.Forbid(thread.Seccomp.Filters.Select(place => _image.Tree.SeccompFilters[place]), thread.Registers.ToRegisters())) continue;
            SleepContinuation.Run(thread, _tasks[process.Pid][i], _clock.Shift);
        }
    }

    // How many processes with the same memory are still to be completed.
    private readonly Dictionary<int, int> _left = [];

    private static int MemoryOf(ProcessRecord process) => process.SharesMemoryWith == 0 ? process.Pid : process.SharesMemoryWith;

    // A system call instruction of the process's own memory, for what comes when ours is gone.
    private ulong OwnInstruction(ProcessRecord process)
    {
        int pid = _tasks[process.Pid][0].Tid;
        (_, List<ProcMapping> mappings) = ProcMaps.Read(pid);
        return _finder.Find(pid, [.. mappings.Where(m => m.Start != _arena.Base)], process.ThirtyTwoBit ? Compat.CallInstruction : [0x0f, 0x05])
            ?? throw new TargetUnruly($"process {process.Pid} has no system call instruction in its memory");
    }

    // While the tracers still run our tapes.
    private TraceRestore HandOverTraced()
    {
        Dictionary<int, BlankTask> taskOf = [];
        foreach (ProcessRecord process in _image.Living)
            for (int i = 0; i < process.Threads.Length; i++) taskOf[process.Threads[i].Tid] = _tasks[process.Pid][i];
        var traces = new TraceRestore(_image, taskOf, _clock.Shift);
        foreach (ProcessRecord process in _image.Living.Where(TraceRestore.IsTraced))
        {
            ulong instruction = OwnInstruction(process);
            ProcessRestore.SetTrapAction(_tasks[process.Pid][0], process, instruction);
            for (int i = 0; i < process.Threads.Length; i++)
                ThreadRestore.AddPendingTraps(_tasks[process.Pid][i], instruction, process.Pid, process.Threads[i].Tid, process.Threads[i].PendingSignals, i == 0 ? process.SharedPendingSignals : []);
            traces.HandOver(process, instruction);
        }
        traces.Finish();
        return traces;
    }

    private void Stop(ProcessRecord process, IReadOnlyDictionary<int, BlankTask> blanks)
    {
        BlankTask leader = _tasks[process.Pid][0];
        Signals.Send(leader.Tid, process.StopSignal).OrThrow($"kill with {Signals.Name(process.StopSignal)}");
        foreach (BlankTask task in _tasks[process.Pid]) task.Tracee.Detach();
        // The stop is news for the parent only when the last of its threads has stopped.
        for (int round = 0; _tasks[process.Pid].Any(task => ProcStat.ReadTask(leader.Tid, task.Tid)?.State != 'T'); round++)
        {
            if (round > 5000) throw new TargetUnruly($"process {process.Pid} does not stop");
            Pause.Round(round);
        }
        BlankTask? parent = _tasks.TryGetValue(process.Parent, out List<BlankTask>? furnished) ? furnished[0] : blanks.GetValueOrDefault(process.Parent);
        if (process.StopReported && parent is not null)
        {
            const int P_PID = 1, WNOHANG = 1, WSTOPPED = 2;
            var tape = new Tape();
            tape.Try("waitid", Syscall.waitid, P_PID, process.Pid, 0, WSTOPPED | WNOHANG, 0);
            parent.Run(tape);
        }
        // Held again until all are let go, so that it does not stay behind if we die before.
        foreach (BlankTask task in _tasks[process.Pid])
        {
            task.Tracee.Seize(BlankTask.TraceOptions).OrThrow("ptrace(SEIZE)", task.Tracee.Whose);
            task.Tracee.WaitForStop();
        }
    }

    private void LetGo(BlankTask? init)
    {
        TraceRestore traces = HandOverTraced();
        List<ProcessRecord> running = [.. _image.Living.Where(process => process.StopSignal == 0 && !TraceRestore.IsTraced(process))];
        foreach (ProcessRecord process in running.Where(process => !traces.IsTracer(process))) Complete(process);
        foreach (Action step in (IEnumerable<Action>)[.. _beforeResume, .. _lastBeforeResume]) step();
        traces.LetGo();
        foreach (ProcessRecord process in running.Where(traces.IsTracer)) Complete(process);
        foreach (ProcessRecord process in running) ResumeWaits(process);
        // From here on the tree lives; until the last task is let go, a death of the tool would still end those that it holds.
        List<List<BlankTask>> tasks = [.. _image.Living.Where(process => !TraceRestore.IsTraced(process)).Select(process => _tasks[process.Pid])];
        foreach (BlankTask task in tasks.SelectMany(task => task)) Ptrace.SetOptions(task.Tid, 0);
        init?.BecomeInit(_image.Root.Pid);
        // Children before their parents: one that attaches to its child at once must not find that we still trace it. The main thread first: see Freezer.Release.
        foreach (BlankTask task in Enumerable.Reverse(tasks).SelectMany(task => task)) task.Tracee.Detach();
    }
}
