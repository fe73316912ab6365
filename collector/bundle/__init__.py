"""Evidence bundles: one file from which every number of a link's period can be computed anew.

`choose` decides what has to be in it, `export` writes it, `verify` checks it on a machine that has
nothing else, `recompute` does there what the collector did. The format: docs/evidence-v1.md.
"""
