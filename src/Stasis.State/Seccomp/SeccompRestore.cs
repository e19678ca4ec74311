using Stasis.Linux;
using Stasis.Remote;
using Stasis.State.Processes;
using Stasis.State.Threads;

namespace Stasis.State.Seccomp;

/// <summary>
/// Confines the tasks of a process again. Their filters are set aside as long as we trace them (PTRACE_O_SUSPEND_SECCOMP), so this may
/// come before the credentials, while a filter can still be had without no_new_privs, and before our own last calls.
/// </summary>
public static class SeccompRestore
{
    private const ulong TSYNC = 1, SPEC_ALLOW = 4; // SECCOMP_FILTER_FLAG_*

    /// <param name="tasks">The tasks of the process in the order of its threads.</param>
    public static void Run(ProcessRecord process, IReadOnlyList<BlankTask> tasks, SeccompFilterRecord[] filters)
    {
        if (process.Threads.All(thread => thread.Seccomp.Mode == SeccompRecord.Disabled)) return;
        // A filter given to all threads at once reaches each of them: none may be without this.
        foreach (BlankTask task in tasks) task.SuspendSeccomp();
        int common = CommonFilters(process.Threads);
        for (int i = 0; i < tasks.Count; i++)
        {
            var batch = new TapeBatch(tasks[i]);
            SeccompRecord wanted = process.Threads[i].Seccomp;
            // What all threads have in common is one filter in the kernel too: only so can the program give all of them another one.
            for (int n = i == 0 ? 0 : common; n < wanted.Filters.Length; n++)
                Install(batch.Tape, filters[wanted.Filters[n]], n < common && tasks.Count > 1);
            if (wanted.Mode == SeccompRecord.Strict) batch.Tape.Call("seccomp(SECCOMP_SET_MODE_STRICT)", Syscall.seccomp, 0, 0, 0);
            batch.Flush();
        }
    }

    private static int CommonFilters(ThreadRecord[] threads)
    {
        int[] first = threads[0].Seccomp.Filters;
        int common = threads.Min(thread => thread.Seccomp.Filters.Length);
        for (int n = 0; n < common; n++)
            if (threads.Any(thread => thread.Seccomp.Filters[n] != first[n])) return n;
        return common;
    }

    private static void Install(Tape tape, SeccompFilterRecord filter, bool allThreads)
    {
        const int SECCOMP_SET_MODE_FILTER = 1;
        TapeData program = tape.Data(filter.Program), header = tape.Data<ulong>((ulong)filter.Instructions, 0); // struct sock_fprog
        tape.PointAt(header, 8, program);
        // What the filter did to speculation when it was installed is restored by prctl, like the rest of it.
        ulong flags = SPEC_ALLOW | (allThreads ? TSYNC : 0) | filter.Flags;
        tape.Call("seccomp(SECCOMP_SET_MODE_FILTER)", Syscall.seccomp, SECCOMP_SET_MODE_FILTER, flags, header);
    }
}
