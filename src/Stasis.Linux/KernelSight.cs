using System.Buffers.Binary;

namespace Stasis.Linux;

/// <summary>
/// Reads what the kernel holds about an open file or a task and tells by no call (the messages of a POSIX queue, how an io_uring was
/// set up), by three programs of a few instructions: two iterators that tell where a file or task lies (Documentation/bpf/bpf_iterators.rst)
/// and one that copies bytes (bpf_probe_read_kernel, which fails where there is nothing). They change nothing, and are gone when
/// their descriptors are closed. Where members lie is asked of the running kernel (<see cref="Btf"/>).
/// What is read must stand still: objects that only the frozen tree uses.
/// </summary>
public static unsafe class KernelSight
{
    private const int MaxPiece = 32 * 1024, HeaderSize = 16;
    private static readonly Lock s_lock = new();
    private static string? s_whyNot;
    private static bool s_tried;
    private static Btf? s_types;
    private static int s_files, s_tasks, s_reader, s_perCpu, s_tcp;
    private static byte* s_shared;

    /// <summary>Why nothing can be seen on this host; null when it can.</summary>
    public static string? Unavailable()
    {
        lock (s_lock)
        {
            if (!s_tried) s_whyNot = Load();
            s_tried = true;
            return s_whyNot;
        }
    }

    private static string? Load()
    {
        if ((s_types = Btf.OfKernel()) is null) return "this kernel does not describe its types (CONFIG_DEBUG_INFO_BTF)";
        int files = s_types.Function("bpf_iter_task_file"u8), tasks = s_types.Function("bpf_iter_task"u8);
        if (files == 0 || tasks == 0) return "this kernel has no iterators over tasks and their files";
        SysResult map = Bpf.CreateArray(HeaderSize + MaxPiece, perCpu: false);
        if (map.Failed) return $"the kernel refused a bpf map ({map.Errno}); it takes CAP_BPF and CAP_PERFMON";
        SysResult mapped = Kernel.Call(Syscall.mmap, 0, HeaderSize + MaxPiece, 3, 1, map.Descriptor, 0); // read and write, shared
        if (mapped.Failed) return $"the kernel refused to map a bpf map ({mapped.Errno})";
        s_shared = (byte*)mapped.Value;
        s_map = map.Descriptor;
        SysResult walk = Bpf.Install(Bpf.TracingProgram, WalkProgram(24, 16), files), taskWalk = Bpf.Install(Bpf.TracingProgram, WalkProgram(8, 0), tasks), reader = Bpf.Install(Bpf.SyscallProgram, ReadProgram(map.Descriptor), 0);
        foreach (SysResult loaded in (ReadOnlySpan<SysResult>)[walk, taskWalk, reader])
            if (loaded.Failed) return $"the kernel refused a bpf program that reads its memory ({loaded.Errno}); it takes CAP_BPF and CAP_PERFMON, and no lockdown";
        (s_files, s_tasks, s_reader) = (walk.Descriptor, taskWalk.Descriptor, reader.Descriptor);
        return null;
    }

    // Writes (number, address) of each object of the walk: where its pointer and its number stand in the iterator's context (0: no number).
    private static byte[] WalkProgram(int pointerAt, int numberAt)
    {
        var code = new BpfCode();
        code.Emit(BpfCode.Load8, 6, 1, pointerAt, 0); // null at the end of the walk
        code.Emit(BpfCode.Load8, 8, 1, 0, 0); // context->meta
        code.Emit(BpfCode.IfEqual, 6, 0, 8, 0);
        if (numberAt == 0) code.Emit(BpfCode.MoveNumber, 7, 0, 0, 0);
        else code.Emit(BpfCode.Load4, 7, 1, numberAt, 0);
        code.Emit(BpfCode.Store8, 10, 7, -16, 0);
        code.Emit(BpfCode.Store8, 10, 6, -8, 0);
        code.Emit(BpfCode.Load8, 1, 8, 0, 0); // meta->seq
        code.Emit(BpfCode.Move, 2, 10, 0, 0);
        code.Emit(BpfCode.AddNumber, 2, 0, 0, -16);
        code.Emit(BpfCode.MoveNumber, 3, 0, 0, 16);
        code.Emit(BpfCode.Call, 0, 0, 0, BpfCode.SeqWrite);
        code.Emit(BpfCode.MoveNumber, 0, 0, 0, 0);
        code.Emit(BpfCode.Exit, 0, 0, 0, 0);
        return code.Bytes;
    }

    // The map's only value: address 8, length 8 (then the result), bytes.
    private static byte[] ReadProgram(int map)
    {
        const int PSEUDO_MAP_VALUE = 2;
        var code = new BpfCode();
        code.Emit(BpfCode.LoadNumber8, 6, PSEUDO_MAP_VALUE, 0, map);
        code.Emit(0, 0, 0, 0, 0);
        code.Emit(BpfCode.Load8, 3, 6, 0, 0);
        code.Emit(BpfCode.Load8, 2, 6, 8, 0);
        code.Emit(BpfCode.IfGreater, 2, 0, 4, MaxPiece);
        code.Emit(BpfCode.Move, 1, 6, 0, 0);
        code.Emit(BpfCode.AddNumber, 1, 0, 0, HeaderSize);
        code.Emit(BpfCode.Call, 0, 0, 0, BpfCode.ProbeReadKernel);
        code.Emit(BpfCode.Store8, 6, 0, 8, 0);
        code.Emit(BpfCode.MoveNumber, 0, 0, 0, 0);
        code.Emit(BpfCode.Exit, 0, 0, 0, 0);
        return code.Bytes;
    }

    // For one CPU, whose number stands in the map's only value: where the value of another map lies there, the place of which on all CPUs is known.
    private static byte[] PerCpuProgram(int map, int perCpuMap)
    {
        const int PSEUDO_MAP = 1, PSEUDO_MAP_VALUE = 2;
        var code = new BpfCode();
        code.Emit(BpfCode.LoadNumber8, 6, PSEUDO_MAP_VALUE, 0, map);
        code.Emit(0, 0, 0, 0, 0);
        code.Emit(BpfCode.MoveNumber, 1, 0, 0, 0);
        code.Emit(BpfCode.Store8, 10, 1, -8, 0);
        code.Emit(BpfCode.LoadNumber8, 1, PSEUDO_MAP, 0, perCpuMap);
        code.Emit(0, 0, 0, 0, 0);
        code.Emit(BpfCode.Move, 2, 10, 0, 0);
        code.Emit(BpfCode.AddNumber, 2, 0, 0, -8);
        code.Emit(BpfCode.Load8, 3, 6, 0, 0);
        code.Emit(BpfCode.Call, 0, 0, 0, BpfCode.MapLookupPerCpu);
        code.Emit(BpfCode.Store8, 6, 0, 8, 0);
        code.Emit(BpfCode.MoveNumber, 0, 0, 0, 0);
        code.Emit(BpfCode.Exit, 0, 0, 0, 0);
        return code.Bytes;
    }

    private static int s_map;
    private static ulong s_perCpuPlace;

    // Loaded when it is first asked for, which is rare.
    private static void LoadPerCpu()
    {
        int map = Bpf.CreateArray(sizeof(ulong), perCpu: true).OrThrowDescriptor("bpf(MAP_CREATE) of an array for each CPU");
        s_perCpu = Bpf.Install(Bpf.SyscallProgram, PerCpuProgram(s_map, map), 0).OrThrowDescriptor("bpf(PROG_LOAD) of a reader of addresses");
        KernelObject array = new("bpf_array", FilesOf(Environment.ProcessId)[map]["private_data"]);
        s_perCpuPlace = BitConverter.ToUInt64(array.Read("pptrs", sizeof(ulong)));
    }

    /// <summary>Where what lies at an address that is for each CPU another one (__percpu) lies for this one; 0 when there is no such CPU.</summary>
    public static ulong OnCpu(ulong address, int cpu)
    {
        Require();
        if (s_perCpu == 0) LoadPerCpu();
        lock (s_lock)
        {
            var header = new Span<ulong>(s_shared, 2);
            (header[0], header[1]) = ((ulong)cpu, 0);
            Bpf.TestRun(s_perCpu).OrThrow("bpf(PROG_TEST_RUN) of a reader of addresses");
            return header[1] == 0 ? 0 : header[1] - s_perCpuPlace + address;
        }
    }

    private static void Require()
    {
        if (Unavailable() is { } why) throw new KernelRefusal($"bpf: {why}", Errno.ENOSYS);
    }

    /// <summary>Fills the buffer from the kernel's memory. False where nothing lies there. Throws <see cref="KernelRefusal"/>.</summary>
    public static bool Read(ulong address, Span<byte> buffer)
    {
        Require();
        lock (s_lock)
        {
            for (int done = 0; done < buffer.Length;)
            {
                int piece = Math.Min(MaxPiece, buffer.Length - done);
                var header = new Span<ulong>(s_shared, 2);
                (header[0], header[1]) = (address + (ulong)done, (ulong)piece);
                Bpf.TestRun(s_reader).OrThrow("bpf(PROG_TEST_RUN) of a reader of kernel memory");
                if (header[1] != 0) return false;
                new ReadOnlySpan<byte>(s_shared + HeaderSize, piece).CopyTo(buffer[done..]);
                done += piece;
            }
            return true;
        }
    }

    /// <summary>Where the open files (struct file) behind all descriptors of a task lie, by number. Empty when the task is gone.</summary>
    public static Dictionary<int, KernelObject> FilesOf(int tid)
    {
        Require();
        byte[] seen = Bpf.Walk(s_files, tid);
        Dictionary<int, KernelObject> files = [];
        for (int at = 0; at + 16 <= seen.Length; at += 16)
            files[BinaryPrimitives.ReadInt32LittleEndian(seen.AsSpan(at))] = new KernelObject("file", BinaryPrimitives.ReadUInt64LittleEndian(seen.AsSpan(at + 8)));
        return files;
    }

    /// <summary>What is known of TCP in our network namespace (struct sock_common): listeners, connections, and handshakes under way, which no descriptor leads to.</summary>
    public static List<KernelObject> TcpSockets()
    {
        Require();
        if (s_tcp == 0) s_tcp = Bpf.Install(Bpf.TracingProgram, WalkProgram(8, 0), s_types!.Function("bpf_iter_tcp"u8)).OrThrowDescriptor("bpf(PROG_LOAD) of an iterator over TCP sockets");
        byte[] seen = Bpf.Walk(s_tcp, 0);
        List<KernelObject> sockets = [];
        for (int at = 0; at + 16 <= seen.Length; at += 16) sockets.Add(new KernelObject("sock_common", BinaryPrimitives.ReadUInt64LittleEndian(seen.AsSpan(at + 8))));
        return sockets;
    }

    /// <summary>A task's struct task_struct; null when it is gone.</summary>
    public static KernelObject? TaskOf(int tid)
    {
        Require();
        byte[] seen = Bpf.Walk(s_tasks, tid);
        return seen.Length < 16 ? null : new KernelObject("task_struct", BinaryPrimitives.ReadUInt64LittleEndian(seen.AsSpan(8)));
    }

    /// <summary>The number that we know the task of a struct pid by; 0 when it is in none of our pid namespace (kernel/pid.c, pid_nr_ns).</summary>
    public static int NumberOf(KernelObject pid)
    {
        KernelObject us = TaskOf(Environment.ProcessId)?.Pointed("thread_pid", "pid") ?? throw new KernelRefusal("look at our own task", Errno.ESRCH);
        ulong level = us["level"];
        KernelObject In(KernelObject of) => new("upid", of.At("numbers") + level * (ulong)SizeOf("upid"));
        return pid["level"] >= level && In(pid)["ns"] == In(us)["ns"] ? (int)In(pid)["nr"] : 0;
    }

    /// <summary>Throws <see cref="KernelRefusal"/> where this kernel has no such member.</summary>
    internal static (int Offset, int Size, int Bit) Member(string structure, string member)
    {
        Require();
        return s_types!.Member(structure, member) ?? throw new KernelRefusal($"this kernel's struct {structure} has no {member}", Errno.EOPNOTSUPP);
    }

    /// <summary>The number of a kernel function in the kernel's own description of itself; 0 when there is none.</summary>
    internal static int Function(ReadOnlySpan<byte> name)
    {
        Require();
        return s_types!.Function(name);
    }

    /// <summary>Whether this kernel's struct has a member of that name.</summary>
    public static bool Has(string structure, string member)
    {
        Require();
        return s_types!.Member(structure, member) is not null;
    }

    public static int SizeOf(string structure)
    {
        Require();
        return s_types!.Size(structure) ?? throw new KernelRefusal($"this kernel has no struct {structure}", Errno.EOPNOTSUPP);
    }
}

/// <summary>A struct of the kernel's, by its name and address. Members are read when they are asked for; what can't be read throws <see cref="KernelRefusal"/>.</summary>
public readonly record struct KernelObject(string Structure, ulong Address)
{
    /// <summary>The number that a member holds (1 to 8 bytes, without sign); members of nested structs by dots ("sq.head").</summary>
    public ulong this[string member]
    {
        get
        {
            (int offset, int size, _) = Place(member);
            byte[] value = new byte[8];
            Bytes(offset, value.AsSpan(0, Math.Min(size, 8)), member);
            return BinaryPrimitives.ReadUInt64LittleEndian(value);
        }
    }

    /// <summary>A bit field of one bit.</summary>
    public bool Bit(string member)
    {
        (int offset, _, int bit) = Place(member);
        Span<byte> value = stackalloc byte[1];
        Bytes(offset, value, member);
        return (value[0] >> bit & 1) != 0;
    }

    /// <summary>A bit field of several bits, of which BTF tells the first (16 bits at most).</summary>
    public int Bits(string member, int width)
    {
        (int offset, _, int bit) = Place(member);
        Span<byte> value = stackalloc byte[4];
        Bytes(offset, value, member);
        return (int)(BinaryPrimitives.ReadUInt32LittleEndian(value) >> bit & ((1u << width) - 1));
    }

    /// <summary>The address of a member.</summary>
    public ulong At(string member) => Address + (ulong)Place(member).Offset;

    /// <summary>A struct that lies inside this one.</summary>
    public KernelObject Inner(string member, string structure) => new(structure, At(member));

    /// <summary>What a member points to; null for a null pointer.</summary>
    public KernelObject? Pointed(string member, string structure) => this[member] is var address and not 0 ? new KernelObject(structure, address) : null;

    /// <summary>The struct that this address is a member of (container_of).</summary>
    public static KernelObject Around(string structure, string member, ulong address) => new(structure, address - (ulong)KernelSight.Member(structure, member).Offset);

    public byte[] Read(string member, int length)
    {
        byte[] bytes = new byte[length];
        Bytes(Place(member).Offset, bytes, member);
        return bytes;
    }

    private (int Offset, int Size, int Bit) Place(string member) => KernelSight.Member(Structure, member);

    private void Bytes(int offset, Span<byte> buffer, string member)
    {
        if (!KernelSight.Read(Address + (ulong)offset, buffer)) throw new KernelRefusal($"read of {member} of the kernel's struct {Structure}", Errno.EFAULT);
    }
}
