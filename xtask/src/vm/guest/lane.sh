# The lane inside the guest: runs the programs of /lane/manifest that it is told to, each within its time, and powers
# off. Run as init.
#
# The second serial port carries the results, so that kernel messages cannot garble them. Its lines:
#   #ready                ready to run tests
#   #begin NUMBER         of the line in the manifest, from 0
#   |TEXT                 a line the program printed
#   #skip LINE            a line of the file that HULL_TEST_SKIPS names
#   #end NUMBER STATUS SECONDS
#   #done
# After #ready and after each #end it waits for a line: the NUMBER of the next, or `off`.
. /lane/ready.sh

# Programs and the tree's files stand where they stand on the machine that built them: tests know those paths.
while read -r folder; do
    mkdir -p "$folder"
    mount --bind "/lane/tree$folder" "$folder"
done < /lane/binds
. /lane/environment

mode=$(cat /lane/mode)
if [ "$mode" = shell ]; then
    echo "lane: the programs of /lane/manifest are in place; blank disk: /dev/vdb; exit powers off"
    cd /root
    setsid --ctty bash -i < /dev/ttyS0 > /dev/ttyS0 2>&1
    sync
    busybox poweroff -f
fi

# A pool that is used for long writes to all of its blocks before it takes one again, and the guest's own disk is small.
if [ "$mode" = run ]; then
    if ! mkfs.ext4 -q -O ^has_journal -m 0 /dev/vdb || ! mount /dev/vdb /var/tmp || ! chmod 1777 /var/tmp; then
        echo "lane: the blank disk cannot be used"
        busybox poweroff -f
    fi
fi

stty -F /dev/ttyS1 raw -echo
exec 3<> /dev/ttyS1
mkdir -p /run/lane
mapfile -t manifest < /lane/manifest
echo "#ready" >&3
while read -r number <&3 && [ "$number" != off ]; do
    IFS=$'\t' read -r -a words <<< "${manifest[number]}"
    limit=${words[0]} folder=${words[1]}
    echo "#begin $number" >&3
    mkdir -p "$folder"
    : > /run/lane/skips
    : > /run/lane/output
    begun=$SECONDS
    # The output goes through a file: a daemon that a test leaves behind must not keep the lane waiting.
    (
        cd "$folder" && exec 3>&- && exec env HULL_TEST_SKIPS=/run/lane/skips \
            timeout --kill-after=10 "$limit" "${words[@]:2}" < /dev/null > /run/lane/output 2>&1
    ) &
    program=$!
    tail --lines=+1 --sleep-interval=0.2 --pid="$program" --follow /run/lane/output | sed --unbuffered 's/^/|/' >&3
    wait "$program"
    status=$?
    # The last line may have no end.
    echo >&3
    sed 's/^/#skip /' /run/lane/skips >&3
    echo "#end $number $status $((SECONDS - begun))" >&3
done
echo "#done" >&3
# Closing waits until all of it has left.
exec 3>&-
sync
busybox poweroff -f
