"""Reading devices by SNMP: `form` what is asked, `worker` asks, `exchange` is the worker's program,
`reading` makes a Reading of the answers. pysnmp is loaded by `exchange` only."""
