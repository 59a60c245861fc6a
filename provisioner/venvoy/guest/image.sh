#!/bin/sh
# Say what an image is; nothing is written anywhere. Beside this file lie those that its Python is asked by.
#
# Each part begins with a line `== NAME`; what an image does not have it says nothing of.
part() {
  printf '== %s\n' "$1"
}

part machine
uname -m
part os-release
cat /etc/os-release 2>/dev/null
part libc
for each in /lib/ld-musl-*.so.1; do
  [ ! -e "$each" ] || "$each" 2>&1
done
ldd --version 2>/dev/null | head -n 1
part dpkg
dpkg-query --show --showformat='${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\n' 2>/dev/null
part apk
apk info --verbose 2>/dev/null
part rpm
rpm --query --all --queryformat '%{NAME}\t%{EPOCH}\t%{VERSION}-%{RELEASE}\t%{ARCH}\n' 2>/dev/null
part python
for each in python3 python; do
  found=$(command -v $each 2>/dev/null) || continue
  # Not into a variable: one that prints without end would fill the memory.
  "$found" -I -S "${0%/*}/probe.py" 2>/dev/null || continue
  # Without -S, which would leave out the folders of packages, and without what the user may have.
  "$found" -I "${0%/*}/distributions.py" 2>/dev/null
  break
done
part r
if found=$(command -v Rscript 2>/dev/null); then
  printf '%s\n' "$found"
  # shellcheck disable=SC2016  # what is in quotes is R's
  "$found" --vanilla -e 'cat(R.version$major, ".", R.version$minor, "\n", sep = ""); p <- installed.packages(lib.loc = unique(c(.Library.site, .Library))); cat(paste(p[, "Package"], p[, "Version"], sep = "\t"), sep = "\n")' 2>/dev/null
fi
part end
