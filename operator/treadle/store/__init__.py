"""The object store: content by digest, records created once, pointers by compare-and-swap."""
