"""Runs the command line as `python -m bayeshyper`."""

from bayeshyper.cli import main

if __name__ == "__main__":
    main()
