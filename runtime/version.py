"""The version, as a constant: reading it from the installed metadata costs a node 1.6 MiB."""

VERSION = "0.1.0"
