"""`python -m convnet` is the command line."""

from convnet.cli.app import main

main()
