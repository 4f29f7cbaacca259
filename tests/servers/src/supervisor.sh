# Runs one server and ends it when its owner goes.
#
#   sh -c <this> NAME DIR USER SIGNAL BODY [ARGUMENT]...
#
# DIR is made here, given to USER (empty: stays ours), and removed at the end. BODY is a piece of shell that `exec`s the
# server inside DIR, as USER. The owner holds the write end of our standard input: end of file means that the owner is
# gone, however it went. We answer `pid N` on standard output; anything else written there is a complaint.
set -u
dir=$1 user=$2 signal=$3 body=$4
shift 4
exec 3<&0 </dev/null 2>&1
cd /
# Nothing ends us before the server. PIPE is what we get for talking to an owner that is gone; HUP comes from the kernel
# to a group that loses its owner while a member, such as the server, is stopped.
trap : HUP INT TERM PIPE

mkdir -m 700 "$dir" || exit 1
as_user=
if [ -n "$user" ]; then
    chown "$user" "$dir" || exit 1
    if command -v setpriv >/dev/null; then
        as_user="setpriv --reuid=$user --regid=$user --init-groups"
    else
        as_user="runuser -u $user --"
    fi
fi

# Ends at the end of file, or by the next job when the server ends first: `wait` below sees both.
cat <&3 >/dev/null &
watch=$!
exec 3<&-

# `$as_user` is a list of words. The shell that becomes the server writes its own pid: `runuser` forks, `setpriv` doesn't.
# The file is also the sign that the pid is still the server's: it goes as soon as the server was waited for.
(
    trap : HUP INT TERM
    cd "$dir"
    $as_user sh -c 'echo $$ >pid; '"$body" "$dir" "$@" >log 2>&1
    rm -f pid
    touch ended
    kill "$watch"
) 2>/dev/null &

tries=0
until [ -s "$dir/pid" ] || [ -e "$dir/ended" ] || [ "$tries" -ge 500 ]; do
    tries=$((tries + 1))
    sleep 0.02
done
pid=$(cat "$dir/pid" 2>/dev/null)
[ -z "$pid" ] || echo "pid $pid"

wait "$watch"
if [ -e "$dir/ended" ]; then
    # It ended by itself. The owner may want to know why, and the log goes with the directory.
    tail -n 40 "$dir/log"
fi

# Said again and again, because a server that is still being started may not listen yet. CONT, because a stopped process
# takes no other signal; KILL after ten seconds.
tries=0
while [ -n "$pid" ] && [ -e "$dir/pid" ] && [ "$tries" -lt 400 ]; do
    [ "$tries" -lt 200 ] || signal=KILL
    kill -s "$signal" "$pid" 2>/dev/null
    kill -s CONT "$pid" 2>/dev/null
    tries=$((tries + 1))
    sleep 0.05
done

# What a server that has a group of its own began: a browser doesn't end with its driver.
[ ! -s "$dir/group" ] || kill -s KILL -- "-$(cat "$dir/group")" 2>/dev/null

# Processes of the server's own may outlive it for a moment and still write.
tries=0
until rm -rf "$dir" 2>/dev/null || [ "$tries" -ge 100 ]; do
    tries=$((tries + 1))
    sleep 0.05
done
