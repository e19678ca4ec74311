using System.Globalization;

namespace Stasis.Cli.Text;

/// <summary>Amounts as people read them. Independent of the locale, so that output can be compared.</summary>
internal static class Quantity
{
    private static readonly string[] BinaryUnits = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    /// <summary>"1 byte", "900 bytes", "3.9 MiB": powers of 1024, one decimal.</summary>
    public static string Bytes(long bytes)
    {
        if (bytes < 1024) return Of(bytes, "byte", "bytes");
        double value = bytes;
        int unit = -1;
        // 1023.95 would print as 1024.0.
        while (value >= 1023.95 && unit < BinaryUnits.Length - 1)
        {
            value /= 1024;
            unit++;
        }
        return unit < 0 ? "1.0 KiB" : string.Create(CultureInfo.InvariantCulture, $"{value:F1} {BinaryUnits[unit]}");
    }

    /// <summary>"0.4 ms", "120 ms", "1.25 s", "3 min 20 s".</summary>
    public static string Milliseconds(double milliseconds) => milliseconds switch
    {
        < 9.95 => string.Create(CultureInfo.InvariantCulture, $"{milliseconds:F1} ms"),
        < 999.5 => string.Create(CultureInfo.InvariantCulture, $"{milliseconds:F0} ms"),
        < 59_995 => string.Create(CultureInfo.InvariantCulture, $"{milliseconds / 1000:F2} s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{(long)(milliseconds / 60_000)} min {(long)(milliseconds / 1000) % 60} s"),
    };

    /// <summary>"1 process", "5 processes".</summary>
    public static string Of(long count, string one, string many) =>
        string.Create(CultureInfo.InvariantCulture, $"{count} {(count == 1 ? one : many)}");

    public static string Processes(long count) => Of(count, "process", "processes");
    public static string Threads(long count) => Of(count, "thread", "threads");
    public static string Descriptors(long count) => Of(count, "descriptor", "descriptors");
    public static string Connections(long count) => Of(count, "TCP connection", "TCP connections");
    public static string Problems(long count) => Of(count, "problem", "problems");
}
