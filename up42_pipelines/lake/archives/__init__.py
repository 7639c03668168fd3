"""Archives from strangers: zip, tar and gzip, unpacked without harm."""
