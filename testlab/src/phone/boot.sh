# Pid 1 of a virtual phone, in namespaces of its own: mounts the phone's files, waits for its network, then runs adbd.
# adbd may die: what runs on the phone goes on, and a line on the control pipe starts it again.
# Arguments: FOLDER BASE DATA ADDRESS PORT NAME PATH CPU BINFMT (these two are empty for a phone with the host's CPU)
# WITHOUT (names of commands that it does not have)
set -eu
folder=$1 base=$2 data=$3 address=$4 port=$5 name=$6 path=$7 cpu=$8 binfmt=$9 without=${10}
root=$folder/root
exec 3< "$folder/control"

if [ -n "$binfmt" ]; then
  mount -t binfmt_misc testlab /proc/sys/fs/binfmt_misc
  printf '%s' "$binfmt" > /proc/sys/fs/binfmt_misc/register
fi
# Not every file system can lie under an overlay, so a copy has to do there.
if ! mount -t overlay -o "lowerdir=$base,upperdir=$folder/own,workdir=$folder/work" testlab "$root" 2> /dev/null; then
  [ -e "$root/data" ] || cp -a "$base/." "$folder/own/." "$root/"
fi
for command in $without; do rm -f "$root/usr/bin/$command" "$root/system/bin/$command"; done
mount -t proc testlab "$root/proc"
mount --bind "$folder/boot_id" "$root/proc/sys/kernel/random/boot_id"
mount --bind "$data" "$root/data"
mount --bind "$data/farmlab/sys" "$root/sys"
mount -t tmpfs -o mode=1777 testlab "$root/tmp"
mount -t tmpfs -o mode=755,size=1m testlab "$root/dev"
mkdir "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666 testlab "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for device in null zero full random urandom tty; do
  : > "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
printf '%s' "$name" > /proc/sys/kernel/hostname
echo Awake > "$data/farmlab/state/wakefulness"

read -r _ <&3
ip link set lo up
ip addr add "$address/30" dev eth0
ip link set eth0 up

set +e
while :; do
  env -i PATH="$path" HOME=/ ADBD_PORT="$port" ${cpu:+QEMU_CPU="$cpu"} chroot "$root" /usr/sbin/adbd 3<&- &
  wait $!
  # In the background, so that orphans which end meanwhile are taken note of.
  read -r _ <&3 &
  wait $!
done
