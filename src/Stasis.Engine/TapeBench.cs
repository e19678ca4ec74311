using System.Diagnostics;
using Stasis.Linux;
using Stasis.Remote;

namespace Stasis.Engine;

/// <param name="TapeNanosecondsPerCall">A getppid on a tape of many.</param>
/// <param name="InjectedNanosecondsPerCall">A getppid injected by ptrace alone, registers set and read around it.</param>
public sealed record TapeBenchReport(int Calls, double TapeNanosecondsPerCall, double InjectedNanosecondsPerCall);

/// <summary>What a system call in another process costs, by tape and injected one by one.</summary>
internal static class TapeBench
{
    private const int getppid = 110, Calls = 10_000, Injected = 1_000;

    public static TapeBenchReport Run()
    {
        BlankTask blank = BlankTask.Spawn(new Arena(0x10000000));
        try
        {
            var tape = new Tape();
            for (int i = 0; i < Calls; i++) tape.Call("getppid", (Syscall)getppid);
            var watch = Stopwatch.StartNew();
            blank.Run(tape);
            double byTape = watch.Elapsed.TotalNanoseconds / Calls;
            watch.Restart();
            for (int i = 0; i < Injected; i++) blank.CallWithoutTrap("getppid", blank.Arena.Base + BlankTask.InterpreterSyscall, (Syscall)getppid, [], 0);
            return new TapeBenchReport(Calls, byTape, watch.Elapsed.TotalNanoseconds / Injected);
        }
        finally
        {
            Signals.Send(blank.Tid, Signals.SIGKILL);
            Wait.For(blank.Tid, TimeSpan.FromSeconds(5));
        }
    }
}
