"""`up42-pipelines demo` and `dev`: the whole graph on real Dagster processes against the sandbox."""
