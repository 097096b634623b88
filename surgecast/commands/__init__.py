"""One module per verb of the command line: parse, call the product, print."""
