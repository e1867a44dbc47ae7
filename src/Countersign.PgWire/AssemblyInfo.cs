using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Countersign.PgWire.Tests")]
