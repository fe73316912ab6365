"""The data plane of throughput tests, the same at both ends: plain sockets and threads.

It runs in processes of its own (agent.throughput.worker, collector.throughput.worker), so that
load neither blocks an event loop nor delays another probe's packets.
"""
