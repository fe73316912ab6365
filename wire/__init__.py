"""What agent and collector say to each other: data and codecs, no I/O and no clocks."""
