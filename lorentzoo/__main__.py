"""``python -m lorentzoo``: the command line."""

from lorentzoo.cli.main import main

if __name__ == "__main__":
    main()
