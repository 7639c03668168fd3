"""Objects that are written to a store in parts, and have their name whole and verified, or not at all.

Every part is sent with its CRC-32C: the store refuses other bytes, and says what it holds.

* S3: a multipart upload, which becomes an object in one step, after the store compared the checksum of the whole.
* Google Cloud Storage: parts are objects with temporary names, composed into one with a temporary name; once its
  checksum is ours, it is rewritten to the final name. Compose is told which generations to take and rewriting copies no
  bytes, so what was verified is what gets the name. Composing under the final name at once would save a request, but
  readers would see the object before its checksum is known.
* Elsewhere: one temporary file, written in order and then moved. In a local folder the move is a rename, and in memory
  one assignment; other file systems may copy, and a reader could then meet half an object.
"""

from up42_pipelines.lake.uploads.leftovers import UnfinishedUpload, abort_uploads, unfinished_uploads
from up42_pipelines.lake.uploads.moved import MEMORY
from up42_pipelines.lake.uploads.s3 import MOST_PARTS, SMALLEST_PART_BYTES
from up42_pipelines.lake.uploads.upload import Piece, Upload
from up42_pipelines.lake.uploads.uploading import begin_upload, upload_file, write_object

__all__ = [
    "MEMORY",
    "MOST_PARTS",
    "SMALLEST_PART_BYTES",
    "Piece",
    "UnfinishedUpload",
    "Upload",
    "abort_uploads",
    "begin_upload",
    "unfinished_uploads",
    "upload_file",
    "write_object",
]
