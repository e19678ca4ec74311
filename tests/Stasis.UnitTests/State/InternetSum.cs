namespace Stasis.UnitTests.State;

/// <summary>The internet's checksum (RFC 1071) as a receiver takes it: over all words, the checksum included, it is all ones.</summary>
internal static class InternetSum
{
    public static int Of(params ReadOnlySpan<byte[]> parts)
    {
        long sum = 0;
        foreach (byte[] part in parts)
            for (int i = 0; i < part.Length; i += 2) sum += part[i] << 8 | (i + 1 < part.Length ? part[i + 1] : 0);
        while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
        return (int)sum;
    }
}
