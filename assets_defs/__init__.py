"""A code location built on up42_pipelines: copy it, change the pipeline, keep the rest."""
