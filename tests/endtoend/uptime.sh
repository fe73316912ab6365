#!/bin/sh
# snmpd's `pass_persist`: sysUpTime of a router that booted when the host's uptime was $1 hundredths
# of a second (it may be below 0); snmpd's own would begin with snmpd.
while read -r verb; do
    case $verb in
    PING)
        echo PONG
        ;;
    get | getnext)
        read -r oid
        if [ "$verb$oid" = getnext.1.3.6.1.2.1.1.3.0 ]; then
            echo NONE
            continue
        fi
        read -r up rest < /proc/uptime
        echo .1.3.6.1.2.1.1.3.0
        echo timeticks
        echo $((${up%.*} * 100 + 1${up#*.} - 100 - $1))
        ;;
    *)
        exit 0
        ;;
    esac
done
