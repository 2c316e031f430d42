"""Events that are too many for memory: windows of row groups from many files, in a new order every epoch."""
