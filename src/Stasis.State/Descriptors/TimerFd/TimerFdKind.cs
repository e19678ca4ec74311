using System.Globalization;
using Stasis.Linux;
using Stasis.Linux.Proc;

namespace Stasis.State.Descriptors.TimerFd;

public sealed class TimerFdKind : DescriptorKind
{
    private const int CLOCK_REALTIME = 0, CLOCK_MONOTONIC = 1, CLOCK_BOOTTIME = 7, CLOCK_REALTIME_ALARM = 8, CLOCK_BOOTTIME_ALARM = 9;
    private const int TFD_TIMER_ABSTIME = 1, TFD_TIMER_CANCEL_ON_SET = 2;
    private const long Second = 1_000_000_000;
    private const int ExpiryMicroseconds = 100;

    /// <summary>_IOW('T', 0, __u64), include/uapi/linux/timerfd.h; in kernels built with CONFIG_CHECKPOINT_RESTORE.</summary>
    private const ulong TFD_IOC_SET_TICKS = 0x40085400;

    public override string Name => "timerfd";
    public override Type RecordType => typeof(TimerFdRecord);
    public override bool Recognizes(Sighting sighting) => sighting.Link == "anon_inode:[timerfd]";

    /// <summary>That the clock has been set, which the next read tells, shows nowhere, and only setting the clock makes it so.</summary>
    public override void Examine(Sighting sighting, ExamineContext context)
    {
        if ((SetFlagsOf(sighting.Information) & TFD_TIMER_CANCEL_ON_SET) == 0 || KernelSight.Unavailable() is not null) return;
        SysResult taken = ForeignDescriptor.Take(sighting.Pid, sighting.Number);
        if (taken.Failed) return;
        using var own = new DescriptorHandle(taken.Descriptor);
        try
        {
            // fs/timerfd.c, timerfd_canceled: an offset that none is.
            var timer = new KernelObject("timerfd_ctx", KernelSight.FilesOf(Environment.ProcessId)[own.Number]["private_data"]);
            if ((timer["might_cancel"] & 0xff) != 0 && timer["moffs"] == long.MaxValue)
                context.RefuseForNow(sighting, "its timer was cancelled because the clock was set (TFD_TIMER_CANCEL_ON_SET), and the program has not read that yet", "try again in a moment");
        }
        catch (KernelRefusal refusal) when (refusal.Errno is Errno.EFAULT or Errno.EOPNOTSUPP) { } // see NeverCarried
    }

    private static int SetFlagsOf(ProcFdInfo information) => Convert.ToInt32("0" + information.Field("settime flags"), 8);

    public override Description Capture(int id, Sighting sighting, DescriptorCaptureContext context)
    {
        // A periodic timer that expired unread stands still, its phase hidden, until somebody looks; timerfd_gettime lets it go on
        // and adds the ticks that it missed, as the program's own read would (fs/timerfd.c, do_timerfd_gettime). So look first.
        using DescriptorHandle own = sighting.Take();
        (long interval, long remaining) = GetTime(own.Number);
        if (remaining == 0)
        {
            // Not armed, or about to expire this moment (fs/timerfd.c, timerfd_get_remaining), which is over by now.
            Pause.Microseconds(ExpiryMicroseconds);
            (interval, remaining) = GetTime(own.Number);
        }
        ProcFdInfo information = ProcFdInfo.Read(sighting.Pid, sighting.Number).Information ?? sighting.Information;
        int clock = (int)information.Decimal("clockid");
        int setFlags = SetFlagsOf(information);
        bool wallTime = (setFlags & TFD_TIMER_ABSTIME) != 0 && clock is CLOCK_REALTIME or CLOCK_REALTIME_ALARM;
        return new TimerFdRecord
        {
            Id = id,
            Flags = sighting.Flags,
            Clock = clock,
            SetFlags = setFlags,
            RemainingNanoseconds = remaining,
            IntervalNanoseconds = interval,
            ExpiresAtNanoseconds = wallTime && remaining > 0 ? checked(TaskQueries.Clock(clock) + remaining) : null,
            Ticks = ulong.Parse(information.Field("ticks"), CultureInfo.InvariantCulture),
        };
    }

    public override void Plan(Description description, PlanContext context)
    {
        var record = (TimerFdRecord)description;
        if (record.Clock is not (CLOCK_REALTIME or CLOCK_MONOTONIC or CLOCK_BOOTTIME or CLOCK_REALTIME_ALARM or CLOCK_BOOTTIME_ALARM))
            context.Refuse(description, "timerfd", $"its clock {record.Clock} is none that timers run on", "the image is damaged; take another checkpoint");
        if (record.RemainingNanoseconds < 0 || record.IntervalNanoseconds < 0 || record.ExpiresAtNanoseconds < 0)
            context.Refuse(description, "timerfd", "its times are negative", "the image is damaged; take another checkpoint");
    }

    public override int Rebuild(Description description, RebuildContext context)
    {
        var record = (TimerFdRecord)description;
        int descriptor = Kernel.Call(Syscall.timerfd_create, record.Clock, OpenFlags.O_CLOEXEC | OpenFlags.O_NONBLOCK).OrThrowDescriptor($"timerfd_create of clock {record.Clock}");
        if (record.RemainingNanoseconds > 0 || record.IntervalNanoseconds > 0 || record.SetFlags != 0) Arm(descriptor, record, context.Clock);
        if (record.Ticks > 0)
        {
            ulong ticks = record.Ticks;
            Files.IoControl(descriptor, TFD_IOC_SET_TICKS, ref ticks).OrThrow($"ioctl(TFD_IOC_SET_TICKS, {ticks})");
        }
        return descriptor;
    }

    private static void Arm(int descriptor, TimerFdRecord record, ClockShift clock)
    {
        long value = clock.Remaining(record.RemainingNanoseconds);
        int flags = record.SetFlags & (TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
        // Clocks that count from boot stand elsewhere now: an absolute time on them means "so long from the checkpoint on".
        if (value > 0 && (flags & TFD_TIMER_ABSTIME) != 0) value = record.ExpiresAtNanoseconds ?? checked(TaskQueries.Clock(record.Clock) + value);
        Span<long> setting = [record.IntervalNanoseconds / Second, record.IntervalNanoseconds % Second, value / Second, value % Second];
        Kernel.CallWith<long>(setting, address => Kernel.Call(Syscall.timerfd_settime, descriptor, flags, address, 0)).OrThrow("timerfd_settime");
    }

    private static (long Interval, long Remaining) GetTime(int descriptor)
    {
        Span<long> setting = stackalloc long[4];
        Kernel.CallWith(setting, address => Kernel.Call(Syscall.timerfd_gettime, descriptor, address)).OrThrow("timerfd_gettime");
        return (setting[0] * Second + setting[1], setting[2] * Second + setting[3]);
    }
}
