using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using Stasis.State;
using Stasis.State.Descriptors;

namespace Stasis.UnitTests.State;

public sealed class RecordTests
{
    public static TheoryData<string> Kinds => [.. typeof(Description).GetCustomAttributes<JsonDerivedTypeAttribute>().Select(kind => kind.DerivedType.Name)];

    private static Type Named(string name) => typeof(Description).GetCustomAttributes<JsonDerivedTypeAttribute>().Single(kind => kind.DerivedType.Name == name).DerivedType;

    /// <summary>With as little as a capture may fill in: what may be null is null, lists are empty. What is written must be read again.</summary>
    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_description_comes_back_from_its_text(string kind)
    {
        var description = (Description)Activator.CreateInstance(Named(kind))!;
        foreach (PropertyInfo property in description.GetType().GetProperties().Where(property => property.GetCustomAttribute<RequiredMemberAttribute>() is not null && property.GetValue(description) is null))
            property.SetValue(description, property.PropertyType == typeof(string) ? "x" : Array.CreateInstance(property.PropertyType.GetElementType()!, 0));
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(new DescriptionsRecord([description]), ImageJson.Default.DescriptionsRecord);
        DescriptionsRecord back = JsonSerializer.Deserialize(json, ImageJson.Default.DescriptionsRecord)!;
        Assert.IsType(Named(kind), Assert.Single(back.Descriptions));
        Assert.Equal(json, JsonSerializer.SerializeToUtf8Bytes(back, ImageJson.Default.DescriptionsRecord));
    }

    [Fact]
    public void Every_record_has_its_kind_and_every_kind_its_record()
    {
        Type[] written = [.. typeof(Description).GetCustomAttributes<JsonDerivedTypeAttribute>().Select(kind => kind.DerivedType)];
        Assert.All(written, type => Assert.Contains(DescriptorKinds.All, kind => kind.RecordType == type));
        Type[] records = [.. typeof(Description).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(Description)) && !type.IsAbstract)];
        Assert.Empty(records.Except(written));
    }
}
