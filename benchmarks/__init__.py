"""How fast, how small and how large, beside what others use: see docs/performance.md. Not part of the package."""
