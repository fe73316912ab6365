"""The emulated network: namespaces joined by links of known, changeable quality. Needs root.

    from runtime.lab.build import available
    from runtime.lab.link import BOTH, DOWN, UP, Knobs, Shape
    from runtime.lab.topology import cable, pair, province, star

    available()                          # why the lab cannot run here, or None

    with pair() as net:                  # node -- link -- hub, each a namespace
        net.link.set(BOTH, Knobs(delay_ms=20, loss=0.01))
        net.link.set(DOWN, Knobs(rate_bps=10e6, queue_bytes=50_000))
        agent = net.node.popen(["pantau-agent", "run", ...])      # a subprocess.Popen
        net.hub.run(["ping", "-c", "1", net.node_address])        # a CompletedProcess, checked
        cut = net.link.down()            # Stamp(real_ns, boot_ns): from here nothing passes
        net.link.up()
        net.site.power_off()             # kills all processes in the node's namespace
        net.link.count(UP).dropped       # exact, everything sent before the call included
        net.lab.truth().cuts("node1", UP)
        net.lab.emulator.log_packets()   # then net.lab.packets(): one record per packet

`UP` is from the node to the hub. `Knobs` lists what a direction can do, `Counters` what it counts.

- `pair(hub_in_root=True)`: the hub is the root namespace, so a server there answers nodes at
  `net.hub_address` (198.18.x.1) and the user at 127.0.0.1; `net.hub.popen` then starts it there.
- `star(("a", "b", "c"))`: `net.sites["a"].node`, `.link`, `.node_address`, around one `net.hub`.
- `province({"site1": "pop1"})`: node, CPE, PoP, hub, anchor; see `runtime.lab.topology`.
- `cable()`: two namespaces and a bare veth pair, no emulator.

Leaving the `with` block, by whatever way, kills what runs inside the namespaces and removes them.
Each `LabSettings(directory=...)` keeps the logs; `EmulatorSettings(seed=...)` repeats the chance.
"""
