"""A local server that speaks UP42's wire contract, so that pipelines can be developed without an account or credits.

It shares no code with the client of this package: what both understand alike, they both read in UP42's documents.
"""
