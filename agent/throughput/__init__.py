"""The agent's side of throughput tests, in a process that lives as long as one test.

`agent.probes.throughput.run` starts `agent.throughput.worker` and hands it a Job; nothing here is
imported by an agent that runs no test.
"""
