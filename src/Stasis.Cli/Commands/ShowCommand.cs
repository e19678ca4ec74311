using System.CommandLine;
using Stasis.Cli.CommandLine;
using Stasis.Cli.Failures;
using Stasis.Cli.Json;
using Stasis.Cli.Show;
using Stasis.Cli.Streams;

namespace Stasis.Cli.Commands;

/// <summary>`stasis show DIR`: what is in an image.</summary>
internal static class ShowCommand
{
    public static Command Define(CommandContext context, Journeys journeys)
    {
        var directory = new Argument<string>("DIR") { CustomParser = PathText.Parse, Description = "The image." };
        var brief = new Option<bool>("--brief") { Description = "Only the tree and the sums, not each thread, mapping and descriptor." };
        var losses = new Option<bool>("--losses") { Description = "Only the faithfulness report: what a restart will not bring back as it was." };
        var verb = new Verb("show", "Shows what an image holds: processes, threads, memory by mapping, descriptors, sizes.")
        {
            Usage = "show DIR [--brief | --losses]",
            Examples =
            [
                new("stasis show job.image", "Everything, process by process."),
                new("stasis show job.image --brief", "The tree with its sums."),
                new("stasis show job.image --json | jq '.processes[].descriptors[] | select(.kind == \"file\").what'", "The files that were open."),
            ],
        };
        verb.Arguments.Add(directory);
        verb.Options.Add(brief);
        verb.Options.Add(losses);
        verb.SetAction(parsed => Run(parsed.GetValue(directory)!, parsed.GetValue(losses) ? ImagePart.Losses : parsed.GetValue(brief) ? ImagePart.Brief : ImagePart.All,
            CommonOptions.Apply(parsed, context), journeys.Show));
        return verb;
    }

    public static int Run(string directory, ImagePart part, CommandContext context, Func<string, ImageView> read) => FailureReport.Guard(context, () =>
    {
        ImageView image = read(directory);
        if (context.Json) CliJson.Write(context.Output, image, CliJson.Readable.ImageView);
        else ImageText.Write(context.Output, image, part);
        return ExitCode.Done;
    });
}
