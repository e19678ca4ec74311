using System.IO.Hashing;

namespace Stasis.Image;

/// <summary>The hash of a sparse file: XXH3-128 over the offset and the bytes of every page that is not all zero, so that holes cost nothing.</summary>
public sealed class ContentHash
{
    public const int PageSize = 4096;
    private readonly XxHash128 _hash = new();

    public static string Of(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(XxHash128.Hash(bytes));

    /// <summary>Adds a piece that starts at a page boundary; pieces come in order of offset.</summary>
    public void Add(long offset, ReadOnlySpan<byte> bytes)
    {
        Span<byte> position = stackalloc byte[8];
        for (int at = 0; at < bytes.Length; at += PageSize)
        {
            ReadOnlySpan<byte> page = bytes.Slice(at, Math.Min(PageSize, bytes.Length - at));
            if (IsZero(page)) continue;
            BitConverter.TryWriteBytes(position, offset + at);
            _hash.Append(position);
            _hash.Append(page);
        }
    }

    public string Finish() => Convert.ToHexStringLower(_hash.GetCurrentHash());

    public static bool IsZero(ReadOnlySpan<byte> page) => page.IndexOfAnyExcept((byte)0) < 0;
}
