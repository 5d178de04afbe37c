"""``python -m mrpose_cli`` and the console script ``mrpose``."""

from mrpose_cli.cli import app


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
