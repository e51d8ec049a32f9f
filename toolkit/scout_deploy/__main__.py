"""The command `scout-deploy`, also as `python -m scout_deploy`."""

import sys


def main() -> int:
    """Run the command line and return its exit status."""
    return 1


if __name__ == "__main__":
    sys.exit(main())
