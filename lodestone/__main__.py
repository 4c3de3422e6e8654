"""`python -m lodestone`."""

from lodestone.commands import main

if __name__ == "__main__":
    main()
