using System.Text.Json.Serialization;
using Stasis.State.Descriptors;
using Stasis.State.Memory;
using Stasis.State.Processes;

namespace Stasis.State;

/// <summary>objects.json: the inodes that are mapped, or that live only through the tree.</summary>
public sealed record ObjectsRecord(ObjectRecord[] Objects);

/// <summary>descriptors.json: every open file description, once.</summary>
public sealed record DescriptionsRecord(Description[] Descriptions);

/// <summary>The records' JSON. A field that this version does not know is refused: it may mean something. So is a null, or a lack, where the types have neither.</summary>
[JsonSourceGenerationOptions(WriteIndented = false, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true,
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(TreeRecord))]
[JsonSerializable(typeof(ObjectsRecord))]
[JsonSerializable(typeof(DescriptionsRecord))]
[JsonSerializable(typeof(LossesRecord))]
[JsonSerializable(typeof(SystemV.IpcRecord))]
public sealed partial class ImageJson : JsonSerializerContext
{
    /// <summary>Has the serializers make their plans, which takes as long as a sixth of a small checkpoint: for a thread that has nothing else to do.</summary>
    public static void Prepare()
    {
        _ = Default.TreeRecord;
        PrepareRest();
    }

    /// <summary>The same for a reader, which begins with the tree itself.</summary>
    public static void PrepareRest()
    {
        _ = Default.DescriptionsRecord;
        _ = Default.ObjectsRecord;
        _ = Default.IpcRecord;
        _ = Default.LossesRecord;
    }
}
