# A .NET server, Kestrel, on the just-in-time runtime.
own_network
needs dotnet
dotnet --list-runtimes | grep -q AspNetCore || skip "there is no ASP.NET Core"
program=$(built Count.cs dotnet publish count.csproj -c Release -o . -v quiet --nologo --disable-build-servers -nodeReuse:false -p:UseSharedCompilation=false) || failed "it can't be built: $program"
start_server dotnet "$program/count.dll" 8083
await_port 8083
converse python3 "$tests/network/client.py" count 10.9.0.1 8083
