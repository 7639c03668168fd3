"""Stands before the real one, which is here for the emulator of S3 alone.

rasterio imports boto3 where there is one: 0.2 s of every process, which those who install us do not spend.
"""

raise ImportError("boto3 is not for tests")
