using System.Reflection;
using Countersign.Core;

namespace Countersign.Sql.Tests;

/// <summary>What we say, policies read: the words are those of Core, no more and no fewer.</summary>
public sealed class VocabularyTests
{
    static IEnumerable<string> Constants(Type type) =>
        type.GetFields(BindingFlags.Public | BindingFlags.Static).Where(static f => f.IsLiteral).Select(static f => (string)f.GetRawConstantValue()!);

    [Fact]
    public void Actions_are_those_of_the_shared_vocabulary() =>
        Assert.Equal(SqlVocabulary.Actions.Keys.Order(StringComparer.Ordinal), Constants(typeof(SqlActions)).Order(StringComparer.Ordinal));

    [Fact]
    public void Facts_are_those_of_the_shared_vocabulary_but_for_what_the_gateway_adds() =>
        Assert.Equal(SqlVocabulary.Facts.Keys.Where(static f => f != "in_transaction").Order(StringComparer.Ordinal), Constants(typeof(SqlFacts)).Order(StringComparer.Ordinal));

    [Fact]
    public void Every_effect_of_the_corpus_is_well_formed()
    {
        var seen = new HashSet<string>();
        foreach (var file in CorpusTests.Files)
        {
            foreach (var (sql, _) in CorpusTests.Read(Path.Combine(AppContext.BaseDirectory, "Corpus", file.Data)))
            {
                foreach (var effect in Shop.Understand(sql).Effects)
                {
                    seen.Add(effect.Action);
                    Assert.True(SqlVocabulary.ResourceTypes.Contains(effect.Resource.Type), effect.Resource.Type);
                    Assert.Equal(SqlVocabulary.Actions[effect.Action], effect.Verb);
                    Assert.All(effect.Facts, static f => Assert.Equal(SqlVocabulary.Facts[f.Key], f.Value.GetType()));
                    Assert.Equal((SqlResources.Target, "shop"), effect.Resource.Parents[^1]);
                }
            }
        }

        Assert.Equal(SqlVocabulary.Actions.Keys.Order(StringComparer.Ordinal), seen.Order(StringComparer.Ordinal)); // each has a statement that shows it
    }
}
