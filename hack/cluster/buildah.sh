# buildah with a store of its own outside every checkout. Sourced after lib.sh.
need buildah=buildah
images=$cache/images
mkdir -p "$images"
# chroot isolation and overlay work as root in a plain virtual machine and in most containers alike.
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=overlay TMPDIR=$images
buildah() { command buildah --root "$images/storage" --runroot "$images/run" "$@"; }
