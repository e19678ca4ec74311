# A .NET program on the just-in-time runtime: its thread pool, garbage collector, code mapped twice, diagnostics socket.
needs=dotnet
prepare() {
    mkdir source
    cat >source/Directory.Build.props <<<'<Project />'
    cat >source/Directory.Packages.props <<<'<Project />'
    cat >source/compute.csproj <<END
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net$(dotnet --version | cut -d. -f1).0</TargetFramework>
    <ImplicitUsings>enable</ImplicitUsings>
    <UseAppHost>false</UseAppHost>
    <InvariantGlobalization>true</InvariantGlobalization>
    <RestoreSources>none</RestoreSources>
  </PropertyGroup>
</Project>
END
    sed -i 's/<RestoreSources>none/<RestoreSources>$(MSBuildProjectDirectory)/' source/compute.csproj
    cat >source/Program.cs <<'END'
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;

var results = new ConcurrentDictionary<int, string>();
var ticks = 0;
using var timer = new Timer(_ => Interlocked.Increment(ref ticks), null, 5, 5);
await Parallel.ForEachAsync(Enumerable.Range(0, 460), new ParallelOptions { MaxDegreeOfParallelism = 6 }, async (n, cancel) =>
{
    var words = new Dictionary<string, double>();
    uint state = (uint)n + 1;
    for (var i = 0; i < 90_000; i++)
    {
        state = state * 1103515245 + 12345;
        var key = "k" + (state >> 8) % 5003;
        words[key] = words.GetValueOrDefault(key) + Math.Sqrt(state % 97);
    }
    await Task.Delay(1, cancel);
    var text = string.Join(' ', words.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => $"{pair.Key}={pair.Value:R}"));
    results[n] = Convert.ToHexString(SHA256.HashData(Encoding.ASCII.GetBytes(text)));
});
foreach (var (n, hash) in results.OrderBy(pair => pair.Key)) Console.WriteLine($"{n} {hash}");
Console.WriteLine(ticks > 20 ? "ticking" : "not ticking");
END
    (cd source && dotnet build -c Release -o ../program --disable-build-servers -nodeReuse:false -p:UseSharedCompilation=false)
}
start() { exec dotnet program/compute.dll; }
check() { same stdout.txt stderr.txt && grep -q "^ticking$" stdout.txt; }
