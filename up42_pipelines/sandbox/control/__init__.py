"""The sandbox's own calls: what goes wrong, what time it is, what was bought. None is UP42's."""
