"""`python -m up42_pipelines.cli`."""

from up42_pipelines.cli import main

if __name__ == "__main__":
    main()
