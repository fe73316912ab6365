"""What the benches share: our probes and their peers as processes, machine line, figures."""
