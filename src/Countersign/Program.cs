return await Countersign.Commands.CommandLine.RunAsync(args);
