using System.Runtime.InteropServices;

namespace Stasis.Linux;

/// <summary>
/// The running kernel's own description of its types (/sys/kernel/btf/vmlinux; Documentation/bpf/btf.rst): where a member of a struct lies,
/// and the number of a function. Read whole once, by the few types that are asked for.
/// </summary>
public sealed unsafe class Btf
{
    private const int HeaderSize = 24, TypeSize = 12, MemberSize = 12;
    private const int INT = 1, ARRAY = 3, STRUCT = 4, UNION = 5, ENUM = 6, FUNC = 12, FUNC_PROTO = 13, VAR = 14, DATASEC = 15, DECL_TAG = 17, ENUM64 = 19;
    private readonly byte* _bytes;
    private readonly int _length, _types, _typesEnd, _strings;

    private Btf(byte* bytes, int length)
    {
        _bytes = bytes;
        _length = length;
        int header = Int(4);
        (_types, _typesEnd, _strings) = (header + Int(8), header + Int(8) + Int(12), header + Int(16));
    }

    /// <summary>null when this kernel has none.</summary>
    public static Btf? OfKernel()
    {
        const string Path = "/sys/kernel/btf/vmlinux";
        (nint bytes, int length) = Mapped(Path);
        if (length == 0) (bytes, length) = Read(Path);
        return length < HeaderSize || *(ushort*)bytes != 0xeB9F ? null : new Btf((byte*)bytes, length);
    }

    // Linux 6.16 can; a read brings no more than a page at a time, of more than a thousand.
    private static (nint, int) Mapped(string path)
    {
        const int PROT_READ = 1, MAP_PRIVATE = 2;
        SysResult opened = Files.Open(path, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
        if (opened.Failed) return default;
        using var file = new DescriptorHandle(opened.Descriptor);
        (SysResult result, FileStatus status) = Files.Status(file.Number);
        if (result.Failed || status.Size is <= 0 or > int.MaxValue) return default;
        SysResult mapped = Kernel.Call(Syscall.mmap, 0, (nint)status.Size, PROT_READ, MAP_PRIVATE, file.Number, 0);
        return mapped.Failed ? default : ((nint)mapped.Value, (int)status.Size);
    }

    private static (nint, int) Read(string path)
    {
        (SysResult result, byte[] bytes) = Files.ReadAll(path);
        if (result.Failed) return default;
        byte* kept = (byte*)NativeMemory.Alloc((nuint)bytes.Length);
        bytes.CopyTo(new Span<byte>(kept, bytes.Length));
        return ((nint)kept, bytes.Length);
    }

    private ReadOnlySpan<byte> From(int at) => new(_bytes + at, at >= 0 && at <= _length ? _length - at : throw new ArgumentOutOfRangeException(nameof(at)));
    private int Int(int at) => MemoryMarshal.Read<int>(From(at));

    private bool IsNamed(int type, ReadOnlySpan<byte> name)
    {
        ReadOnlySpan<byte> text = From(_strings + Int(type));
        return text.StartsWith(name) && text[name.Length] == 0;
    }

    /// <summary>The number of the function, 0 when there is none of this name.</summary>
    public int Function(ReadOnlySpan<byte> name) => Find(FUNC, name).Number;

    /// <summary>The offset in bytes of a member of a struct; null when there is none of this name (members of members without a name are not looked for).</summary>
    public int? Offset(ReadOnlySpan<byte> structure, ReadOnlySpan<byte> member)
    {
        (int at, _) = Find(STRUCT, structure);
        if (at == 0) return null;
        bool bitFields = (uint)Int(at + 4) >> 31 != 0;
        for (int i = 0; i < (Int(at + 4) & 0xffff); i++)
        {
            int entry = at + TypeSize + i * MemberSize;
            if (IsNamed(entry, member)) return (bitFields ? Int(entry + 8) & 0xffffff : Int(entry + 8)) / 8;
        }
        return null;
    }

    /// <summary>Where a member lies and how long it is, in bytes; also one of a member without a name, or, by dots, of a member that is a struct. Of
    /// a bit field the byte, and the bit in it. null when there is none of this name.</summary>
    public (int Offset, int Size, int Bit)? Member(string structure, string member)
    {
        if (_members.TryGetValue((structure, member), out (int, int, int)? known)) return known;
        int at = Structure(structure);
        return _members[(structure, member)] = at == 0 ? null : Inside(at, member.Split('.'));
    }

    private readonly Dictionary<(string, string), (int, int, int)?> _members = [];

    /// <summary>The length of a struct in bytes; null when there is none of this name.</summary>
    public int? Size(string structure) => Structure(structure) is var at and not 0 ? Int(at + 8) : null;

    // 0 when there is none of this name.
    private int Structure(string name) => Find(STRUCT, System.Text.Encoding.ASCII.GetBytes(name)).At;

    private (int Offset, int Size, int Bit)? Inside(int at, ReadOnlySpan<string> path)
    {
        bool bitFields = (uint)Int(at + 4) >> 31 != 0;
        byte[] name = System.Text.Encoding.ASCII.GetBytes(path[0]);
        for (int i = 0; i < (Int(at + 4) & 0xffff); i++)
        {
            int entry = at + TypeSize + i * MemberSize, bits = bitFields ? Int(entry + 8) & 0xffffff : Int(entry + 8), offset = bits / 8;
            if (IsNamed(entry, name))
            {
                if (path.Length == 1) return (offset, LengthOf(Int(entry + 4)), bits % 8);
                return Aggregate(Int(entry + 4)) is { } whole && Inside(whole, path[1..]) is { } inner ? (offset + inner.Offset, inner.Size, inner.Bit) : null;
            }
            if (IsNamed(entry, []) && Aggregate(Int(entry + 4)) is { } nameless && Inside(nameless, path) is { } found) return (offset + found.Offset, found.Size, found.Bit);
        }
        return null;
    }

    // Where each type's description lies, by its number, and the numbers of structs and functions by a hash of their names: a kernel has some hundred
    // thousand types, which are walked once and without a string made.
    private int[]? _places;
    private readonly Dictionary<uint, int> _named = [];

    private int[] Places()
    {
        if (_places is not null) return _places;
        List<int> places = new(200_000) { 0 };
        _named.EnsureCapacity(100_000);
        for (int at = _types; at < _typesEnd; at += LengthOfDescription(at))
        {
            if ((Int(at + 4) >> 24 & 0x1f) is var kind and (STRUCT or FUNC) && Int(at) != 0) _named.TryAdd(Hash(kind, From(_strings + Int(at))), places.Count);
            places.Add(at);
        }
        return _places = [.. places];
    }

    // FNV-1a, up to the end of the name.
    private static uint Hash(int kind, ReadOnlySpan<byte> name)
    {
        uint hash = 2166136261 ^ (uint)kind;
        foreach (byte letter in name)
        {
            if (letter == 0) break;
            hash = (hash ^ letter) * 16777619;
        }
        return hash;
    }

    private int PlaceOf(int number) => Places()[number];

    // Behind the names that a type has: typedef, const and the like.
    private int Bare(int number)
    {
        const int TYPEDEF = 8, VOLATILE = 9, CONST = 10, RESTRICT = 11, TYPE_TAG = 18;
        int at = PlaceOf(number);
        while (at != 0 && (Int(at + 4) >> 24 & 0x1f) is TYPEDEF or VOLATILE or CONST or RESTRICT or TYPE_TAG) at = PlaceOf(Int(at + 8));
        return at;
    }

    private int? Aggregate(int number) => Bare(number) is var at and not 0 && (Int(at + 4) >> 24 & 0x1f) is STRUCT or UNION ? at : null;

    private int LengthOf(int number)
    {
        const int POINTER = 2;
        int at = Bare(number);
        return at == 0 ? 0 : (Int(at + 4) >> 24 & 0x1f) switch
        {
            POINTER => 8,
            ARRAY => LengthOf(Int(at + TypeSize)) * Int(at + TypeSize + 8),
            INT or STRUCT or UNION or ENUM or ENUM64 => Int(at + 8),
            _ => 0,
        };
    }

    private int LengthOfDescription(int at)
    {
        int count = Int(at + 4) & 0xffff;
        return TypeSize + (Int(at + 4) >> 24 & 0x1f) switch
        {
            STRUCT or UNION or DATASEC or ENUM64 => MemberSize * count,
            ENUM or FUNC_PROTO => 8 * count,
            ARRAY => 12,
            INT or VAR or DECL_TAG => 4,
            _ => 0,
        };
    }

    private (int At, int Number) Find(int kind, ReadOnlySpan<byte> name)
    {
        int[] places = Places();
        if (!_named.TryGetValue(Hash(kind, name), out int first)) return (0, 0);
        // Another name may have the same hash: then this one lies behind it.
        for (int number = first; number < places.Length; number++)
            if ((Int(places[number] + 4) >> 24 & 0x1f) == kind && IsNamed(places[number], name)) return (places[number], number);
        return (0, 0);
    }
}
