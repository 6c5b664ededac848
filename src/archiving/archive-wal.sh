#!/bin/sh
# Puts one file of PostgreSQL's write-ahead log into the archive: archive-wal PATH NAME, as archive_command.
# Succeeds once the file is on disk, whole and under its name. What is there is never written over: the same
# content is a success, for PostgreSQL asks again after a crash; another is told, and stays.
set -eu
from=$1
folder='{folder}/wal'
to="$folder/$2"
part="$folder/.part"
if [ -e "$to" ]; then
    if cmp -s -- "$from" "$to"; then
        sync -- "$to" "$folder"
        exit 0
    fi
    echo "archive-wal: $to is there and holds something else" >&2
    exit 1
fi
cp -- "$from" "$part"
sync -- "$part"
# Unlike mv, ln fails where the name is taken.
ln -- "$part" "$to"
rm -- "$part"
sync -- "$folder"
