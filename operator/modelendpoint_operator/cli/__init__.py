"""The command `modelendpoint`: one module per subcommand."""
