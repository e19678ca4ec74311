using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Stasis.Cli.Show;
using Stasis.Engine;
using Stasis.State;

namespace Stasis.Cli.Json;

/// <summary>What `--json` prints when a command ends without its result.</summary>
internal sealed record ErrorDocument(ErrorBody Error);

/// <param name="Kind">refused, failed, notPermitted, badImage or usage; one exit code each.</param>
internal sealed record ErrorBody(string Kind, string Message, IReadOnlyList<Problem> Problems);

/// <summary>Every shape of `--json`: one document on one line of the output. Field names are those of the records, in camelCase.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(ErrorDocument))]
[JsonSerializable(typeof(CheckpointReport))]
[JsonSerializable(typeof(RestartReport))]
[JsonSerializable(typeof(CheckReport))]
[JsonSerializable(typeof(TapeBenchReport))]
[JsonSerializable(typeof(ImageView))]
internal sealed partial class CliJson : JsonSerializerContext
{
    /// <summary>Paths and names as they are, not every non-ASCII letter as \u…; control characters are escaped all the same.</summary>
    public static readonly CliJson Readable = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });

    public static void Write<T>(TextWriter output, T document, JsonTypeInfo<T> type)
    {
        output.WriteLine(JsonSerializer.Serialize(document, type));
        output.Flush();
    }
}
