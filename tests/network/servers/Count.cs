// Counts the requests of each caller and answers with the hash of what was sent; see `count` in client.py.
using System.Collections.Concurrent;
using System.Security.Cryptography;

var builder = WebApplication.CreateSlimBuilder();
builder.WebHost.UseUrls($"http://0.0.0.0:{args[0]}");
// Nobody is sent away for having been silent or slow.
builder.WebHost.ConfigureKestrel(options =>
{
    options.Limits.KeepAliveTimeout = options.Limits.RequestHeadersTimeout = TimeSpan.FromDays(1);
    options.Limits.MinRequestBodyDataRate = options.Limits.MinResponseDataRate = null;
});
builder.Logging.ClearProviders();
var application = builder.Build();
var counts = new ConcurrentDictionary<string, int>();
application.MapPost("/{caller}", async (string caller, HttpContext context) =>
{
    byte[] hash = await SHA256.HashDataAsync(context.Request.Body);
    string answer = $"{caller} {counts.AddOrUpdate(caller, 1, (_, count) => count + 1)} {Convert.ToHexStringLower(hash)}";
    context.Response.ContentLength = answer.Length;
    await context.Response.WriteAsync(answer);
});
application.Run();
