global using Stasis.TestRunner;
global using Xunit;
