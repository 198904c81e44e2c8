"""`python -m animator` is the command `animator`."""

from animator.cli import main

main()
