using System.Text.Json.Serialization;
using Stasis.Linux;

namespace Stasis.Image;

/// <summary>One file of an image: its name relative to the image's directory, its length in bytes, and the XXH3-128 of its content in hex.</summary>
public sealed record ImageFile(string Name, long Length, string Hash);

/// <summary>manifest.json: what the image is, where it came from and which files it has. Written last; without it a directory is no image.</summary>
public sealed record Manifest
{
    public const int CurrentFormat = 2;

    public required int Format { get; init; }
    public required string Tool { get; init; }
    public required string Created { get; init; }
    public required string KernelRelease { get; init; }
    public required string Machine { get; init; }

    /// <summary>/proc/sys/kernel/random/boot_id at the checkpoint: device and inode numbers mean something only within one boot.</summary>
    public required string BootId { get; init; }

    /// <summary>XCR0, the extended states of the CPU that were on; the length of its xsave area; and where in it each of them lies.</summary>
    public required ulong ExtendedStates { get; init; }
    public required int ExtendedStateLength { get; init; }
    public required ExtendedPlace[] ExtendedPlaces { get; init; }

    /// <summary>XXH3-128 of the vdso's pages: a vdso can only be moved, not replaced.</summary>
    public required string VdsoHash { get; init; }

    /// <summary>The same of the vdso of 32-bit programs; empty when there was none.</summary>
    public string CompatVdsoHash { get; init; } = "";

    /// <summary>The clocks as the tree saw them at the checkpoint (in its own time namespace), in nanoseconds.</summary>
    public required long MonotonicNanoseconds { get; init; }
    public required long BoottimeNanoseconds { get; init; }
    public required long RealtimeNanoseconds { get; init; }
    public required ImageFile[] Files { get; init; }
}

[JsonSourceGenerationOptions(WriteIndented = true, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true,
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(Manifest))]
public sealed partial class ManifestJson : JsonSerializerContext;

/// <summary>The image is broken, incomplete, of an unknown version, or not an image.</summary>
public sealed class BadImage(string message) : Exception(message);
