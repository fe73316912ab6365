"""The program at the hub: takes reports in, keeps them as evidence, shows what is known now."""
