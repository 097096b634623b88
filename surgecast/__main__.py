"""`python -m surgecast` is `surgecast`."""

from surgecast.cli import main

main()
