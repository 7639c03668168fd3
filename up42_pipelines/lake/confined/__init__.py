"""A process of its own for what strangers' files are read with: limits, no network, nothing to steal."""
