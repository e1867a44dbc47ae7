using System.Runtime.Versioning;

// File modes are what the tests are about; the product runs on Linux.
[assembly: SupportedOSPlatform("linux")]
